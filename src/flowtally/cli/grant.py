"""`flowtally grant`: amounts given to an account, to be used up."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import Dates
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.once import Again, Once, given_once, look_for
from flowtally.cli.show import unpaid
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.cli.show.quantities import amount as parse
from flowtally.cli.show.quantities import human
from flowtally.client import Client, calls
from flowtally.protocol import GrantAnswer, GrantRequest

commands = typer.Typer(name="grant", help="Grants: give, list and void them.", cls=CommandGroup)

COLUMNS: Final = ("id", "pool", "amount", "source", "reference", "priority", "starts", "ends")
GIVE: Final = """\
\b
Examples:
  flowtally grant give acme 100GB --source order --reference order-4711
  flowtally grant give acme 100GB --once order-4711
  flowtally grant give acme 5GiB --source sign --priority 10 --expires 2027-01-01T00:00:00Z
  flowtally grant give acme 100000 --pool api
"""


@commands.command("give", epilog=GIVE)
def give(
    account: Account,
    amount: Annotated[
        str, typer.Argument(metavar="AMOUNT", help="Such as 100GB or 1.5GiB, or a plain number of bytes or requests.")
    ],
    pool: Annotated[str, typer.Option("--pool", help="The pool: products that the same grants pay for.")] = "traffic",
    source: Annotated[
        str, typer.Option("--source", help="Where the grant comes from: order, sign, cdk, manual or any text.")
    ] = "manual",
    reference: Annotated[
        str, typer.Option("--reference", help="Your own reference, such as an order or payment number.")
    ] = "",
    priority: Annotated[int, typer.Option("--priority", help="Grants with a lower number are used first.")] = 100,
    starts: Annotated[
        str | None,
        typer.Option(
            "--starts",
            help="Beginning of the grant: a date, a word such as yesterday, or an instant (RFC 3339). Default: now.",
        ),
    ] = None,
    expires: Annotated[
        str | None, typer.Option("--expires", help="End of validity: a date or an instant (RFC 3339). Default: never.")
    ] = None,
    once: Once = None,
    again: Again = False,
    json: Json = False,
) -> None:
    """Give an amount to an account. If it has a grant with the same source and reference, the command asks first (in a
    script it refuses); --again and --once skip that."""
    size = parse(amount)
    with ask.client() as client:
        dates = Dates(client, account)
        request = GrantRequest(
            amount=size,
            pool=pool,
            source=source,
            reference=reference,
            priority=priority,
            starts_at=dates.instant(starts),
            expires_at=dates.instant(expires),
        )
        look_for(reference, once, again, lambda: _same(client, account, source, reference))
        made = given_once(client, calls.give_grant(account, request, once=once))
        if json:
            document(made)
            return
        balance = client.balance(account)
    _show(made, balance.pools[made.pool].unit, json)
    unpaid.show(account, balance.never_paid, pool=made.pool)


@commands.command("list", epilog=example("flowtally grant list acme"))
def list_all(account: Account, json: Json = False) -> None:
    """List all grants of an account, as given. `flowtally balance` says what is left of them."""
    with ask.client() as client:
        found = list(client.grants(account))
        units = _units(client, account) if found and not json else {}
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one, units.get(one.pool)) for one in found], right=frozenset({2, 5}))


@commands.command("void", epilog=example("flowtally grant void acme grn_0199f2c47b3a7c11a1f0b2c3d4e5f607"))
def void(
    account: Account,
    grant: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id, from `flowtally grant list`.")],
    json: Json = False,
) -> None:
    """Take back what is left of a grant, from now on. What it paid stays paid."""
    with ask.client() as client:
        gone = client.void_grant(account, grant)
        _show(gone, _units(client, account).get(gone.pool), json)


def _same(client: Client, account: str, source: str, reference: str) -> Iterator[str]:
    """The grants of this source and reference that are not void."""
    found = [one for one in client.grants(account, source=source, reference=reference) if one.voided_at is None]
    units = _units(client, account) if found else {}
    for one in found:
        amount = human(one.amount, units.get(one.pool))
        yield f"grant {one.id}, {amount}, source {one.source}, reference {one.reference}, given {when(one.created_at)}"


def _units(client: Client, account: str) -> dict[str, str]:
    """The unit of each pool the account has grants or use in."""
    return {name: pool.unit for name, pool in client.balance(account).pools.items()}


def _row(one: GrantAnswer, unit: str | None) -> tuple[str, ...]:
    return (
        one.id,
        one.pool,
        human(one.amount, unit),
        one.source,
        one.reference,
        str(one.priority),
        when(one.starts_at),
        f"voided {when(one.voided_at)}" if one.voided_at else when(one.expires_at) or "never",
    )


def _show(one: GrantAnswer, unit: str | None, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(("grant", *COLUMNS[1:]), _row(one, unit), strict=True)))
