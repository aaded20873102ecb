"""Gateways, and the endpoints that customers connect to."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import Instant
from flowtally.core.endpoints import Session


class GatewayRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Ports of a host to offer.

    host: A name of a machine, or an IP address.
    first_port: The first port that is offered.
    last_port: The last one; null: the first one alone.
    session: `sticky`: a port keeps the address it goes out from; `rotating`: it does not.
    hold_s: For how many seconds a sticky port keeps its address; null: nobody says.
    country: The two letters of the country (ISO 3166-1) it goes out from; empty: any.
    state: The code of the state; empty: any.
    city: The code of the city; empty: any.
    id: The id it shall have; null: one is made.
    """

    product: str
    host: str
    first_port: int
    last_port: int | None = None
    session: Session = "rotating"
    hold_s: int | None = None
    country: str = ""
    state: str = ""
    city: str = ""
    id: str | None = None


class GatewayAnswer(msgspec.Struct, frozen=True):
    """Ports of a host that are offered.

    host: The name of the machine, or its IP address.
    first_port: The first port that is offered.
    last_port: The last one.
    session: `sticky`: a port keeps the address it goes out from; `rotating`: it does not.
    hold_s: For how many seconds a sticky port keeps its address; null: nobody says.
    country: The two letters of the country (ISO 3166-1) it goes out from; empty: any.
    state: The code of the state; empty: any.
    city: The code of the city; empty: any.
    """

    id: str
    product: str
    host: str
    first_port: int
    last_port: int
    session: Session
    hold_s: int | None
    country: str
    state: str
    city: str
    created_at: Instant


class EndpointAnswer(msgspec.Struct, frozen=True):
    """Where a program connects to.

    host: The name of the machine, or its IP address.
    port: The port.
    session: `sticky`: it keeps the address it goes out from; `rotating`: it does not.
    hold_s: For how many seconds it keeps its address; null: nobody says.
    country: The two letters of the country (ISO 3166-1) it goes out from; empty: any.
    state: The code of the state; empty: any.
    city: The code of the city; empty: any.
    """

    host: str
    port: int
    session: Session
    hold_s: int | None
    country: str
    state: str
    city: str


class EndpointsAnswer(msgspec.Struct, frozen=True):
    """Endpoints of an account.

    endpoints: Those that were chosen, none twice.
    fitting: How many there are that fit.
    """

    account: str
    product: str
    endpoints: list[EndpointAnswer]
    fitting: int
