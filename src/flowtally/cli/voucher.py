"""`flowtally voucher`: codes of traffic, for any account to redeem."""

from __future__ import annotations

import sys
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.hidden import hidden
from flowtally.cli.once import Once, given_once
from flowtally.cli.show import unpaid
from flowtally.cli.show.output import Json, document, facts, say, table, when
from flowtally.cli.show.quantities import amount as parse
from flowtally.cli.show.quantities import human
from flowtally.client import Client, calls
from flowtally.core.times import DAY_S
from flowtally.core.words import VoucherStatus
from flowtally.protocol import DEFAULT_DURATION_S, RedemptionRequest, VoucherAnswer, VoucherRequest

commands = typer.Typer(name="voucher", help="Vouchers: create, list, revoke and redeem them.", cls=CommandGroup)

COLUMNS: Final = ("id", "code", "pool", "amount", "days", "status", "created", "ended", "redeemed by")
CREATE: Final = """\
\b
Examples:
  flowtally voucher create acme 1GB --count 50
  flowtally voucher create acme 10GB --days 30 --once batch-7
  flowtally voucher create acme 1000 --pool api
"""
Voucher = Annotated[str, typer.Argument(metavar="VOUCHER", help="The voucher's id or its code.")]


@commands.command("create", epilog=CREATE)
def create(
    account: Account,
    amount: Annotated[
        str,
        typer.Argument(
            metavar="AMOUNT",
            help="The amount of each voucher, such as 100GB or 1.5GiB, or a plain number of bytes or requests.",
        ),
    ],
    count: Annotated[int, typer.Option("--count", min=1, max=1000, help="How many vouchers to make.")] = 1,
    pool: Annotated[str, typer.Option("--pool", help="The pool: products that the same grants pay for.")] = "traffic",
    days: Annotated[
        int, typer.Option("--days", min=1, help="How many days the grant lasts, once the voucher is redeemed.")
    ] = DEFAULT_DURATION_S // DAY_S,
    once: Once = None,
    json: Json = False,
) -> None:
    """Create vouchers from the account's own traffic. This is refused if its balance does not cover all of them."""
    request = VoucherRequest(amount=parse(amount), count=count, pool=pool, duration_s=days * DAY_S)
    with ask.client() as client:
        made = given_once(client, calls.create_vouchers(account, request, once=once)).items
        _show_all(client, account, made, json)


@commands.command("list", epilog=example("flowtally voucher list acme --status unused"))
def list_all(
    account: Account,
    status: Annotated[VoucherStatus | None, typer.Option("--status", help="Only vouchers with this status.")] = None,
    json: Json = False,
) -> None:
    """List all vouchers that the account created, with their codes."""
    with ask.client() as client:
        _show_all(client, account, list(client.vouchers(account, status=status)), json)


@commands.command("show", epilog=example("flowtally voucher show acme vch_0199f2c47b3a7c11a1f0b2c3d4e5f60d"))
def show(account: Account, voucher: Voucher, json: Json = False) -> None:
    """Show one voucher, and which account used it."""
    with ask.client() as client:
        _show(client, client.voucher(account, _id(client, account, voucher)), json)


@commands.command("revoke", epilog=example("flowtally voucher revoke acme vch_0199f2c47b3a7c11a1f0b2c3d4e5f60d"))
def revoke(account: Account, voucher: Voucher, json: Json = False) -> None:
    """Take an unused voucher back. Its amount returns to the account."""
    with ask.client() as client:
        _show(client, client.revoke_voucher(account, _id(client, account, voucher)), json)


@commands.command("redeem", epilog=example("flowtally voucher redeem beta   (asks for the code)"))
def redeem(account: Account, json: Json = False) -> None:
    """Redeem a voucher: the account gets a grant. The command asks for the code, or reads it from standard input."""
    with ask.client() as client:
        made = client.redeem_voucher(account, RedemptionRequest(_ask_code()))
        if json:
            document(made)
            return
        balance = client.balance(account)
    amount = human(made.amount, balance.pools[made.pool].unit)
    say(f"{amount} of {made.pool} until {when(made.expires_at)}: grant {made.id}", style="green")
    unpaid.show(account, balance.never_paid, pool=made.pool)


def _ask_code() -> str:
    """Never an argument: those are seen by every user of the machine and kept by the shell."""
    if sys.stdin.isatty():
        return hidden("Code: ").strip()
    return sys.stdin.readline().strip()


def _id(client: Client, account: str, voucher: str) -> str:
    """The id of a voucher given by id or code: no code goes into a path, which servers log."""
    if voucher.startswith("vch_"):
        return voucher
    found = [one.id for one in client.vouchers(account, code=voucher)]
    if not found:
        raise typer.BadParameter("the account has no voucher of this id or code")
    return found[0]


def _units(client: Client, account: str) -> dict[str, str]:
    return {name: pool.unit for name, pool in client.balance(account).pools.items()}


def _row(one: VoucherAnswer, unit: str | None) -> tuple[str, ...]:
    days = f"{one.duration_s // DAY_S}" if one.duration_s % DAY_S == 0 else f"{one.duration_s} s"
    ended = when(one.ended_at) if one.ended_at else ""
    amount, created = human(one.amount, unit), when(one.created_at)
    return one.id, one.code, one.pool, amount, days, one.status, created, ended, one.redeemed_by or ""


def _show_all(client: Client, account: str, found: list[VoucherAnswer], json: bool) -> None:
    if json:
        document(found)
        return
    units = _units(client, account) if found else {}
    table(COLUMNS, [_row(one, units.get(one.pool)) for one in found], right=frozenset({3, 4}))


def _show(client: Client, one: VoucherAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    unit = _units(client, one.account).get(one.pool)
    facts(dict(zip(("voucher", *COLUMNS[1:]), _row(one, unit), strict=True)))
