"""Gateways: the hosts and ports that customers connect to, as the operator offers them.

Owns which there are, and which of them fit a question. A gateway is a host with a range of ports that are all alike: of
one product, one place (or any), sticky or rotating. It never changes: another one takes its place. Within a product no
port of a host is in two gateways, so that a list of endpoints never names one twice.
"""

from __future__ import annotations

from typing import Any, Final, Literal, get_args

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, and_, delete, func, insert, or_, select, true

from flowtally.core.endpoints import OfferedPort, Session, country_of, place_of, spread
from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.core.leasing import MAX_HOST_CHARS, spelt
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.inventory.stock import holding
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.tables import gateways, leases, stock
from flowtally.ledger.texts import check_id, check_number, check_text

Withheld = Literal["never", "ended"]  # how an account stands to what it is not told

MAX_GATEWAYS: Final = 10_000
MAX_PORT: Final = 65_535
MAX_HOLD_S: Final = 31_536_000


class Gateway(msgspec.Struct, frozen=True):
    """Ports `first_port` to `last_port` of `host`. `hold_s`: for how many seconds a sticky port keeps its address
    (None: nobody says). Country, state and city are empty where it serves any place."""

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
    created_at: int

    @property
    def ports(self) -> int:
        return self.last_port - self.first_port + 1


class Wanted(msgspec.Struct, frozen=True):
    """What is asked for: empty, it may be any. A place holds those within it, so a country is also any city of it; what
    serves any place is no answer where one is wanted."""

    product: str
    session: Session | None = None
    country: str = ""
    state: str = ""
    city: str = ""
    least_hold_s: int = 0
    gateway: str = ""  # by id or host; or by what is in stock there


def add_gateway(
    tx: Connection,
    product: str,
    host: str,
    first_port: int,
    last_port: int,
    *,
    session: Session,
    now: int,
    hold_s: int | None = None,
    country: str = "",
    state: str = "",
    city: str = "",
    gateway_id: str | None = None,
) -> Gateway:
    """Offer these ports. Conflict (id taken, a port is offered already), LimitReached, Unprocessable."""
    gateway = Gateway(
        id=new_id("gtw_") if gateway_id is None else check_id("id", gateway_id),
        product=check_text("product", product, least=1),
        host=host_of(host),
        first_port=check_number("first_port", first_port, least=1, most=MAX_PORT),
        last_port=check_number("last_port", last_port, least=first_port, most=MAX_PORT),
        session=_session(session, hold_s),
        hold_s=None if hold_s is None else check_number("hold_s", hold_s, least=1, most=MAX_HOLD_S),
        country=country_of(country),
        state=place_of("state", state),
        city=place_of("city", city),
        created_at=now,
    )
    if (gateway.state or gateway.city) and not gateway.country:
        raise Unprocessable("a state or a city needs its country", field="country")
    if _find(tx, gateway.id) is not None:
        raise Conflict(f"gateway {gateway.id!r} exists already", gateway=gateway.id)
    if (there := _offers(tx, gateway)) is not None:
        detail = f"gateway {there.id!r} offers ports {there.first_port} to {there.last_port} of {there.host}"
        raise Conflict(f"{detail} for {gateway.product!r} already", gateway=there.id)
    if tx.execute(select(func.count()).select_from(gateways)).scalar_one() >= MAX_GATEWAYS:
        raise LimitReached(f"there are {MAX_GATEWAYS} gateways, as many as there may be", limit=MAX_GATEWAYS)
    tx.execute(insert(gateways).values(msgspec.structs.asdict(gateway)))
    trail.note(tx, "gateway.add", subject=gateway.id, after=trail.facts(gateway))
    return gateway


def remove_gateway(tx: Connection, gateway_id: str) -> Gateway:
    """Offer it no more; returns it as it was. NotFound."""
    gateway = read_gateway(tx, gateway_id)
    tx.execute(delete(gateways).where(gateways.c.id == gateway.id))
    trail.note(tx, "gateway.remove", subject=gateway.id, before=trail.facts(gateway))
    return gateway


def read_gateway(tx: Connection, gateway_id: str) -> Gateway:
    """NotFound when there is none."""
    found = _find(tx, gateway_id)
    if found is None:
        raise NotFound(f"there is no gateway {gateway_id!r}", gateway=gateway_id)
    return found


def list_gateways(
    tx: Connection, after: str | None = None, limit: int = DEFAULT_LIMIT, *, product: str | None = None
) -> ListPage[Gateway]:
    """Gateways in order of id; `product`: only those of it."""
    query = select(*gateways.c)
    if product is not None:
        query = query.where(gateways.c.product == (product if may_be_known(product) else ""))  # no product is ""
    return read_page(tx, "gateways", query, gateways.c.id, Gateway, (product,), after=after, limit=limit)


def choose_endpoints(
    tx: Connection, account: str, wanted: Wanted, number: int, start: int, *, at: int
) -> tuple[list[OfferedPort], int]:
    """So many endpoints that fit, spread as `endpoints.spread` says, and how many there are. Fewer where there are no
    more; Unprocessable for a place that cannot be one. Those of a host that is in stock are told to whoever leases
    it."""
    fitting = _fitting(tx, wanted, or_(~_in_stock().exists(), _leased(account, holding(at)).exists()))
    sizes = [one.ports for one in fitting]
    return [_endpoint(fitting[at], port) for at, port in spread(sizes, number, start)], sum(sizes)


def withheld(tx: Connection, account: str, wanted: Wanted, *, at: int) -> Withheld | None:
    """Why an account is told nothing of what fits: it never leased it, or its leases have ended. None where nothing
    is kept from it."""
    mine = _leased(account, true())
    found = _fitting(tx, wanted, and_(_in_stock().exists(), ~_leased(account, holding(at)).exists()))
    if not found:
        return None
    ids = {one.id for one in found}
    had = tx.execute(select(gateways.c.id).where(gateways.c.product == wanted.product, mine.exists())).scalars()
    return "ended" if ids & set(had) else "never"


def host_of(host: str) -> str:
    """A name of a machine or an IP address, in one spelling; Unprocessable for anything else."""
    found = spelt(host[1:-1] if host.startswith("[") and host.endswith("]") else host)
    if found is None:
        shown = repr(host[:MAX_HOST_CHARS])
        raise Unprocessable(f"host {shown} is no name of a machine and no IP address", field="host")
    return found


def _session(session: Session, hold_s: int | None) -> Session:
    if session not in get_args(Session):
        raise Unprocessable(f"session is {session!r}; sticky and rotating are allowed", field="session")
    if session == "rotating" and hold_s is not None:
        raise Unprocessable("a rotating port keeps no address: hold_s is for sticky ones", field="hold_s")
    return session


def _in_stock() -> Select[Any]:
    """What is in stock on the host of a gateway: under its address, or the name of its host."""
    same = or_(stock.c.address == gateways.c.host, and_(stock.c.name != "", stock.c.name == gateways.c.host))
    return select(stock.c.id).where(same, stock.c.retired_at.is_(None)).correlate(gateways)


def _leased(account: str, where: ColumnElement[bool]) -> Select[Any]:
    """Of that what the account leases, or leased."""
    return _in_stock().join(leases, leases.c.stock_id == stock.c.id).where(leases.c.account == account, where)


def _fitting(tx: Connection, wanted: Wanted, told: ColumnElement[bool]) -> list[Gateway]:
    if not may_be_known(wanted.product) or not may_be_known(wanted.gateway):
        return []
    query = select(*gateways.c).where(gateways.c.product == wanted.product, told)
    place = {
        gateways.c.session: wanted.session or "",
        gateways.c.country: country_of(wanted.country),
        gateways.c.state: place_of("state", wanted.state),
        gateways.c.city: place_of("city", wanted.city),
    }
    for column, value in place.items():
        query = query.where(column == value) if value else query
    if wanted.least_hold_s:
        query = query.where(gateways.c.hold_s >= wanted.least_hold_s)
    if wanted.gateway:
        named = wanted.gateway
        item = _in_stock().where(or_(stock.c.id == named, stock.c.address == named.lower(), stock.c.name == named))
        query = query.where(or_(gateways.c.id == named, gateways.c.host == named.lower(), item.exists()))
    return [Gateway(*row) for row in tx.execute(query.order_by(gateways.c.id))]


def _endpoint(gateway: Gateway, port: int) -> OfferedPort:
    return OfferedPort(
        gateway.host,
        gateway.first_port + port,
        gateway.session,
        gateway.hold_s,
        gateway.country,
        gateway.state,
        gateway.city,
    )


def _offers(tx: Connection, wanted: Gateway) -> Gateway | None:
    """One that has a port of these already."""
    same = (gateways.c.product == wanted.product) & (gateways.c.host == wanted.host)
    meet = (gateways.c.first_port <= wanted.last_port) & (gateways.c.last_port >= wanted.first_port)
    return _first(tx, same & meet)


def _find(tx: Connection, gateway_id: str) -> Gateway | None:
    return _first(tx, gateways.c.id == gateway_id) if may_be_known(gateway_id) else None


def _first(tx: Connection, where: ColumnElement[bool]) -> Gateway | None:
    row: Any = tx.execute(select(*gateways.c).where(where).order_by(gateways.c.id).limit(1)).one_or_none()
    return None if row is None else Gateway(*row)
