"""`flowtally plan`: what can be bought."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.once import Once, given_once
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.cli.show.quantities import amount as parse
from flowtally.cli.show.quantities import human, money
from flowtally.client import Client, calls
from flowtally.core.units import human_money
from flowtally.protocol import PlanAnswer, PlanRequest

commands = typer.Typer(name="plan", help="Plans: what accounts can buy with their money.", cls=CommandGroup)

COLUMNS: Final = ("plan", "name", "pool", "amount", "price", "days", "status")
CREATE: Final = """\
\b
Examples:
  flowtally plan create '100 GB for a month' 100GB 12.50 --id month-100 --days 30
  flowtally plan create '10,000 requests' 10000 4.99 --pool api
"""


@commands.command("create", epilog=CREATE)
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for people to read.")],
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="Such as 100GB or 1.5GiB, or a plain number of bytes or requests.")
    ],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Money in the server's currency, such as 12.50.")],
    pool: Annotated[str, typer.Option("--pool", help="The pool: products that the same grants pay for.")] = "traffic",
    days: Annotated[
        int | None, typer.Option("--days", min=1, help="How many days the grant lasts. Default: for ever.")
    ] = None,
    id: Annotated[
        str | None, typer.Option("--id", help="The plan's id, for buying it. Default: a generated one.")
    ] = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Offer an amount for a price. A plan cannot be changed later, only retired."""
    request = PlanRequest(name, parse(amount), money(price), pool, days, id)
    with ask.client() as client:
        _show(client, given_once(client, calls.create_plan(request, once=once)), json)


@commands.command("list", epilog=example("flowtally plan list --retired"))
def list_all(
    retired: Annotated[bool, typer.Option("--retired", help="Also plans that are no longer sold.")] = False,
    json: Json = False,
) -> None:
    """List all plans that can be bought."""
    with ask.client() as client:
        found = list(client.plans(retired=retired))
        units = _units(client) if found and not json else {}
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one, units.get(one.pool)) for one in found], right=frozenset({3, 4, 5}))


@commands.command("retire", epilog=example("flowtally plan retire month-100"))
def retire(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id, from `flowtally plan list`.")],
    json: Json = False,
) -> None:
    """Stop selling a plan. What was bought stays."""
    with ask.client() as client:
        _show(client, client.retire_plan(plan), json)


def _units(client: Client) -> dict[str, str]:
    """What each pool charges."""
    return {one.name: one.charge for one in client.pools()}


def _row(one: PlanAnswer, unit: str | None) -> tuple[str, ...]:
    price = human_money(one.price_micros, one.currency)
    days = "" if one.days is None else str(one.days)
    status = f"retired {when(one.retired_at)}" if one.retired_at else one.status
    return one.id, one.name, one.pool, human(one.amount, unit), price, days, status


def _show(client: Client, one: PlanAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one, _units(client).get(one.pool)), strict=True)))
