"""`flowtally whitelist`: from which IP addresses an account or one of its users may use a pool."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.protocol import WhitelistAnswer, WhitelistChange

commands = typer.Typer(
    name="whitelist",
    help="Whitelists: IP addresses that an account or a user may connect from, by pool.",
    cls=CommandGroup,
)

COLUMNS: Final = ("address", "pool", "enabled", "made", "changed")
ADD: Final = """\
\b
Examples:
  flowtally whitelist add acme 203.0.113.7
  flowtally whitelist add acme 198.51.100.0/24 --user shop-7 --pool mobile
  flowtally whitelist add acme 203.0.113.7 --disabled
"""

Address = Annotated[
    str, typer.Argument(metavar="ADDRESS", help="An IPv4 or IPv6 address, or a network such as 198.51.100.0/24.")
]
User = Annotated[
    str | None, typer.Option("--user", help="The user (id or present name). Default: the account's own list.")
]
Pool = Annotated[str, typer.Option("--pool", help="The pool: products that the same grants pay for.")]


@commands.command("list", epilog=example("flowtally whitelist list acme --user shop-7"))
def list_all(
    account: Account,
    user: User = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Only the list of this pool.")] = None,
    json: Json = False,
) -> None:
    """List the addresses on an account's whitelists, or on a user's."""
    with ask.client() as client:
        found = list(client.whitelist(account, user, pool=pool))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("add", epilog=ADD)
def add(
    account: Account,
    address: Address,
    user: User = None,
    pool: Pool = "traffic",
    disabled: Annotated[
        bool, typer.Option("--disabled", help="Keep the address on the list, but switched off.")
    ] = False,
    json: Json = False,
) -> None:
    """Put an address on a whitelist. An address that is already there is enabled (or disabled, with --disabled)."""
    with ask.client() as client:
        change = WhitelistChange(enabled=not disabled)
        _show(client.put_on_whitelist(account, pool, address, change, user), json)


@commands.command("remove", epilog=example("flowtally whitelist remove acme 203.0.113.7"))
def remove(account: Account, address: Address, user: User = None, pool: Pool = "traffic", json: Json = False) -> None:
    """Remove an address from a whitelist."""
    with ask.client() as client:
        _show(client.remove_from_whitelist(account, pool, address, user), json)


def _row(one: WhitelistAnswer) -> tuple[str, ...]:
    return one.address, one.pool, "yes" if one.enabled else "no", when(one.created_at), when(one.changed_at)


def _show(one: WhitelistAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts({"whitelist": one.user or one.account} | dict(zip(COLUMNS, _row(one), strict=True)))
