"""`flowtally wallet`: an account's money: what it holds, what moved it, deposits and adjustments."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final, Literal

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.grouped import CommandGroup, Signed, example
from flowtally.cli.once import Again, Once, given_once, look_for
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.cli.show.quantities import money
from flowtally.client import Client, calls
from flowtally.core.units import human_money
from flowtally.protocol import AdjustmentRequest, DepositRequest, WalletAnswer, WalletEntryAnswer

commands = typer.Typer(name="wallet", help="Wallets: the money of accounts.", cls=CommandGroup)

COLUMNS: Final = ("at", "kind", "amount", "reference", "reason", "id")
DEPOSIT: Final = """\
\b
Examples:
  flowtally wallet deposit acme 50 --reference payment-4711
  flowtally wallet deposit acme 50 --once payment-4711
"""
ADJUST: Final = """\
\b
Examples:
  flowtally wallet adjust acme 2.50 --reason goodwill
  flowtally wallet adjust acme -12.34 --reason 'paid out'
  flowtally wallet adjust acme 12.50 --reason refund --reference ord_0199f2c47b3a7c11a1f0b2c3d4e5f60c
"""

Reference = Annotated[str, typer.Option("--reference", help="Your own reference, such as an order or payment number.")]


@commands.command("show", epilog=example("flowtally wallet show acme"))
def show(account: Account, json: Json = False) -> None:
    """Show how much money the wallet holds."""
    with ask.client() as client:
        found = client.wallet(account)
    if json:
        document(found)
        return
    facts({"account": found.account, "balance": _held(found)})


@commands.command("entries", epilog=example("flowtally wallet entries acme"))
def entries(account: Account, json: Json = False) -> None:
    """List everything that changed the wallet, the oldest entry first."""
    with ask.client() as client:
        found = list(client.wallet_entries(account))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found], right=frozenset({2}))


@commands.command("deposit", epilog=DEPOSIT)
def deposit(
    account: Account,
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Money in the server's currency, such as 12.50.")],
    reference: Reference = "",
    once: Once = None,
    again: Again = False,
    json: Json = False,
) -> None:
    """Add money that came in to the wallet. If it has a deposit with the same reference, the command asks first (in a
    script it refuses); --again and --once skip that."""
    request = DepositRequest(money(amount), reference)
    with ask.client() as client:
        look_for(reference, once, again, lambda: _same(client, account, "deposit", reference))
        made = given_once(client, calls.deposit(account, request, once=once))
        _show(made, None if json else client.wallet(account))


@commands.command("adjust", epilog=ADJUST, cls=Signed)
def adjust(
    account: Account,
    amount: Annotated[
        str,
        typer.Argument(metavar="AMOUNT", help="Money in the server's currency, such as 12.50. -12.50 takes money out."),
    ],
    reason: Annotated[str, typer.Option("--reason", help="Why you do it. The text is kept on record.")],
    reference: Reference = "",
    once: Once = None,
    again: Again = False,
    json: Json = False,
) -> None:
    """Correct the wallet by hand, or pay money out of it. If it has an adjustment with the same reference, the command
    asks first (in a script it refuses); --again and --once skip that."""
    request = AdjustmentRequest(money(amount), reason, reference)
    with ask.client() as client:
        look_for(reference, once, again, lambda: _same(client, account, "adjustment", reference))
        made = given_once(client, calls.adjust_wallet(account, request, once=once))
        _show(made, None if json else client.wallet(account))


def _same(client: Client, account: str, kind: Literal["deposit", "adjustment"], reference: str) -> Iterator[str]:
    for one in client.wallet_entries(account, reference=reference):
        if one.kind == kind:
            amount = human_money(one.amount_micros, one.currency)
            yield f"{kind} {one.id}, {amount}, reference {one.reference}, made {when(one.created_at)}"


def _held(found: WalletAnswer) -> str:
    return human_money(found.balance_micros, found.currency)


def _row(one: WalletEntryAnswer) -> tuple[str, ...]:
    amount = human_money(one.amount_micros, one.currency)
    return when(one.created_at), one.kind, amount, one.reference, one.reason, one.id


def _show(one: WalletEntryAnswer, after: WalletAnswer | None) -> None:
    """With what the wallet holds then; the answer alone for programs."""
    if after is None:
        document(one)
        return
    facts({"account": one.account, **dict(zip(COLUMNS, _row(one), strict=True)), "balance": _held(after)})
