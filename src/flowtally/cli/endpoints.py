"""`flowtally endpoints`: where an account's programs connect to."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.show.inventory import exit_of, session_of
from flowtally.cli.show.output import Json, document, note, say, table
from flowtally.core.endpoints import Session, address
from flowtally.protocol import EndpointAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally endpoints acme --number 5
  flowtally endpoints acme --product mobile --sticky --country DE --text
"""
COLUMNS: Final = ("endpoint", "session", "place")


def endpoints(
    account: Account,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many, at most.")] = 10,
    product: Annotated[str, typer.Option("--product", help="The product to use.")] = "residential",
    session: Annotated[
        bool | None,
        typer.Option(
            "--sticky/--rotating", help="Only those that keep the address they go out from, or do not. Default: both."
        ),
    ] = None,
    country: Annotated[str, typer.Option("--country", help="Two letters such as DE. Default: any.")] = "",
    state: Annotated[str, typer.Option("--state", help="The code of the state. Default: any.")] = "",
    city: Annotated[str, typer.Option("--city", help="The code of the city. Default: any.")] = "",
    text: Annotated[bool, typer.Option("--text", help="Print host:port lines alone, for programs.")] = False,
    json: Json = False,
) -> None:
    """List hosts and ports to connect to, another choice each time."""
    asked: Session | None = None if session is None else "sticky" if session else "rotating"
    place = {"country": country or None, "state": state or None, "city": city or None}
    with ask.client() as client:
        found = client.endpoints(account, product=product, number=number, session=asked, **place)
    if json:
        document(found)
        return
    if text:
        for one in found.endpoints:
            say(address(one.host, one.port))
        return
    table(COLUMNS, [_row(one) for one in found.endpoints])
    note(f"{len(found.endpoints)} of {found.fitting} that fit")


def _row(one: EndpointAnswer) -> tuple[str, ...]:
    return address(one.host, one.port), session_of(one), exit_of(one)
