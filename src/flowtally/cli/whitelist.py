"""`flowtally whitelist`: from which IP addresses an account or one of its users may use a pool."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.grouped import Group, example
from flowtally.cli.output import Json, document, facts, table, when
from flowtally.protocol import WhitelistAnswer, WhitelistChange

commands = typer.Typer(name="whitelist", help="IP addresses an account or a user may come from, by pool.", cls=Group)

COLUMNS: Final = ("address", "pool", "enabled", "made", "changed")
ADD: Final = """\
\b
Examples:
  flowtally whitelist add acme 203.0.113.7
  flowtally whitelist add acme 198.51.100.0/24 --user shop-7 --pool mobile
  flowtally whitelist add acme 203.0.113.7 --disabled
"""

Address = Annotated[str, typer.Argument(metavar="ADDRESS", help="IPv4, IPv6, or a network like 198.51.100.0/24.")]
User = Annotated[str | None, typer.Option("--user", help="A user's id or present name; default the account's own.")]
Pool = Annotated[str, typer.Option("--pool", help="Whose list.")]


@commands.command("list", epilog=example("flowtally whitelist list acme --user shop-7"))
def list_all(
    account: Account,
    user: User = None,
    pool: Annotated[str | None, typer.Option("--pool", help="Only this pool's list.")] = None,
    json: Json = False,
) -> None:
    """What the whitelists of an account hold, or those of a user."""
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
    disabled: Annotated[bool, typer.Option("--disabled", help="Keep it on the list without letting it in.")] = False,
    json: Json = False,
) -> None:
    """Put an address on a whitelist; one that is there is enabled, or disabled."""
    with ask.client() as client:
        change = WhitelistChange(enabled=not disabled)
        _show(client.put_on_whitelist(account, pool, address, change, user), json)


@commands.command("remove", epilog=example("flowtally whitelist remove acme 203.0.113.7"))
def remove(account: Account, address: Address, user: User = None, pool: Pool = "traffic", json: Json = False) -> None:
    """Take an address off a whitelist."""
    with ask.client() as client:
        _show(client.remove_from_whitelist(account, pool, address, user), json)


def _row(one: WhitelistAnswer) -> tuple[str, ...]:
    return one.address, one.pool, "yes" if one.enabled else "no", when(one.created_at), when(one.changed_at)


def _show(one: WhitelistAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts({"whitelist": one.user or one.account} | dict(zip(COLUMNS, _row(one), strict=True)))
