"""`flowtally shadow`: customers are answered here, and the vendor is asked the same behind their backs."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, say, table, when
from flowtally.core.units import counted
from flowtally.protocol import ShadowAnswer, ShadowDifference, ShadowRequest

commands = typer.Typer(
    name="shadow",
    help="Shadows: calls that were answered here are asked of the vendor, too, and compared.",
    cls=CommandGroup,
)

ON: Final = """\
\b
Examples:
  flowtally shadow on acme thordata --provider thor
  flowtally shadow on acme thordata --provider thor --share 10
"""
MOST_FIELDS: Final = 10  # of one difference
Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose calls.")]
Dialect = Annotated[str, typer.Argument(metavar="DIALECT", help="In which vendor's format, such as thordata.")]


@commands.command("on", epilog=ON)
def on(
    account: Account,
    dialect: Dialect,
    provider: Annotated[str, typer.Option("--provider", help="With the secrets of which provider of the account.")],
    share: Annotated[int, typer.Option("--share", metavar="PERCENT", help="Of so many of a hundred calls.")] = 100,
    json: Json = False,
) -> None:
    """Have an account's calls of a dialect asked of the vendor, too. What the account is answered stays what was
    measured, and nothing waits for the vendor."""
    with ask.client() as client:
        found = client.set_shadow(account, dialect, ShadowRequest(True, provider, share))
    _tell(found, json)


@commands.command("off", epilog=example("flowtally shadow off acme thordata"))
def off(account: Account, dialect: Dialect, json: Json = False) -> None:
    """Ask the vendor no more. The counts and the differences stay."""
    with ask.client() as client:
        found = client.set_shadow(account, dialect, ShadowRequest(False))
    _tell(found, json)


@commands.command("show", epilog=example("flowtally shadow show acme thordata"))
def show(account: Account, dialect: Dialect, json: Json = False) -> None:
    """Show whether it is on, and how often the vendor's answers were ours."""
    with ask.client() as client:
        found = client.shadow(account, dialect)
    _tell(found, json)


@commands.command("differences", epilog=example("flowtally shadow differences acme --dialect thordata"))
def differences(
    account: Account,
    dialect: Annotated[str | None, typer.Option("--dialect", help="Only those of this dialect.")] = None,
    json: Json = False,
) -> None:
    """List the last calls that the vendor answered otherwise: which fields differ, and by how much."""
    with ask.client() as client:
        found = list(client.shadow_differences(account, dialect=dialect))
    if json:
        document(found)
        return
    if not found:
        say("No differences.")
    for one in found:
        _show_difference(one)


def _tell(one: ShadowAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    state = "on" if one.asking else "on, but not asked: the provider is paused or the account closed"
    shown = {
        "account": one.account,
        "dialect": one.dialect,
        "shadow": state if one.enabled else "off",
        "provider": one.provider or "",
        "share": f"{one.share} %" if one.provider else "",
        "changed": when(one.changed_at),
        "last failure": f"{when(one.detail_at)}: {one.detail}" if one.detail else "",
    }
    facts(shown)
    if one.routes:
        say()
        rows = [
            (each.route, f"{each.agreed:,}", f"{each.differed:,}", f"{each.failed:,}", when(each.last_at))
            for each in one.routes
        ]
        table(("route", "agreed", "differed", "failed", "last"), rows, right=frozenset({1, 2, 3}))


def _show_difference(one: ShadowDifference) -> None:
    say(f"{when(one.at)}  {one.dialect}  {one.route}  {one.question}", style="bold")
    rows = [
        (each.place, each.ours or "nothing", each.theirs or "nothing", each.by or "")
        for each in one.fields[:MOST_FIELDS]
    ]
    table(("field", "ours", "theirs", "by"), rows, right=frozenset({3}))
    if (more := one.count - len(rows)) > 0:
        say(f"and {counted(more, 'field')} more")
    say()
