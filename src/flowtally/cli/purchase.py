"""`flowtally purchase`: a plan for an account, paid from its wallet; without a plan, what it bought so far."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.once import Once, given_once
from flowtally.cli.show import unpaid
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.cli.show.quantities import human
from flowtally.client import Client, calls
from flowtally.core.units import human_money
from flowtally.protocol import PurchaseAnswer, PurchaseRequest

COLUMNS: Final = ("purchase", "at", "name", "pool", "amount", "price", "expires", "grant")
EXAMPLES: Final = """\
\b
Examples:
  flowtally purchase acme month-100
  flowtally purchase acme month-100 --once order-4711
  flowtally purchase acme
"""


def purchase(
    account: Account,
    plan: Annotated[
        str | None, typer.Argument(metavar="[PLAN]", help="The plan to buy. Without it: list what was bought.")
    ] = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Buy a plan from an account's wallet, or list what it bought."""
    with ask.client() as client:
        if plan is None:
            _list(client, list(client.purchases(account)), json)
        else:
            made = given_once(client, calls.buy_plan(account, PurchaseRequest(plan), once=once))
            _show(client, made, json)
            if not json:
                unpaid.show_after(client, account, made.pool)


def _list(client: Client, found: list[PurchaseAnswer], json: bool) -> None:
    if json:
        document(found)
        return
    units = _units(client) if found else {}
    table(COLUMNS, [_row(one, units.get(one.pool)) for one in found], right=frozenset({4, 5}))


def _show(client: Client, one: PurchaseAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one, _units(client).get(one.pool)), strict=True)))


def _units(client: Client) -> dict[str, str]:
    """What each pool charges."""
    return {one.name: one.charge for one in client.pools()}


def _row(one: PurchaseAnswer, unit: str | None) -> tuple[str, ...]:
    price = human_money(one.price_micros, one.currency)
    amount, expires = human(one.amount, unit), when(one.expires_at) or "never"
    return one.id, when(one.created_at), one.name, one.pool, amount, price, expires, one.grant
