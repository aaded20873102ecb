"""`flowtally gateway`: the hosts and ports that customers connect to."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.inventory import exit_of, session_of
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.core.endpoints import Session
from flowtally.protocol import GatewayAnswer, GatewayRequest

commands = typer.Typer(
    name="gateway", help="Gateways: the hosts and ports that customers connect to.", cls=CommandGroup
)

COLUMNS: Final = ("gateway", "product", "host", "ports", "session", "place", "added")
ADD: Final = """\
\b
Examples:
  flowtally gateway add residential gate.example.com 7000
  flowtally gateway add residential us.example.com 10000-19999 --sticky --hold 600 --country US
  flowtally gateway add mobile 203.0.113.9 9000-9099 --country DE --city berlin --id berlin
"""


@commands.command("add", epilog=ADD)
def add(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="The product that it serves.")],
    host: Annotated[str, typer.Argument(metavar="HOST", help="A name of a machine, or an IP address.")],
    ports: Annotated[str, typer.Argument(metavar="PORTS", help="One port, or a range such as 10000-19999.")],
    sticky: Annotated[
        bool, typer.Option("--sticky", help="Each port keeps the address it goes out from. Default: rotating.")
    ] = False,
    hold: Annotated[
        int | None, typer.Option("--hold", metavar="SECONDS", min=1, help="For how long a sticky port keeps it.")
    ] = None,
    country: Annotated[str, typer.Option("--country", help="Two letters such as DE. Default: any.")] = "",
    state: Annotated[str, typer.Option("--state", help="The code of the state. Default: any.")] = "",
    city: Annotated[str, typer.Option("--city", help="The code of the city. Default: any.")] = "",
    id: Annotated[str | None, typer.Option("--id", help="The gateway's id. Default: a generated one.")] = None,
    json: Json = False,
) -> None:
    """Offer ports of a host. A gateway cannot be changed later: remove it, and add another one."""
    first, last = _ports(ports)
    session: Session = "sticky" if sticky or hold is not None else "rotating"
    request = GatewayRequest(product, host, first, last, session, hold, country, state, city, id)
    with ask.client() as client:
        _show(client.add_gateway(request), json)


@commands.command("list", epilog=example("flowtally gateway list --product residential"))
def list_all(
    product: Annotated[str | None, typer.Option("--product", help="Only those of this product.")] = None,
    json: Json = False,
) -> None:
    """List the hosts and ports that are offered."""
    with ask.client() as client:
        found = list(client.gateways(product=product))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("remove", epilog=example("flowtally gateway remove us-sticky"))
def remove(
    gateway: Annotated[str, typer.Argument(metavar="GATEWAY", help="The gateway's id, from `flowtally gateway list`.")],
    json: Json = False,
) -> None:
    """Stop offering the ports of a gateway. Who has them already can still connect."""
    with ask.client() as client:
        _show(client.remove_gateway(gateway), json)


def _ports(text: str) -> tuple[int, int]:
    first, dash, last = text.partition("-")
    if not first.isdecimal() or (dash and not last.isdecimal()):
        raise typer.BadParameter(f"{text!r} is no port and no range such as 10000-19999")
    return int(first), int(last or first)


def _row(one: GatewayAnswer) -> tuple[str, ...]:
    ports = str(one.first_port) if one.first_port == one.last_port else f"{one.first_port}-{one.last_port}"
    return one.id, one.product, one.host, ports, session_of(one), exit_of(one), when(one.created_at)


def _show(one: GatewayAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one), strict=True)))
