"""`flowtally account`: the customers of whoever runs flowtally."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask, erasing
from flowtally.cli.dates import Dates
from flowtally.cli.failures import FAILED
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, note, table, when
from flowtally.core.texts import printable
from flowtally.core.words import AccountStatus, Overage
from flowtally.protocol import AccountAnswer, AccountChange, AccountRequest

commands = typer.Typer(name="account", help="Accounts: create, list, show, change and erase them.", cls=CommandGroup)

COLUMNS: Final = ("id", "name", "timezone", "status", "overage", "created")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
Zone = Annotated[
    str | None, typer.Option("--timezone", "--tz", help="Time zone of the account's days (IANA), such as Asia/Kolkata.")
]


ERASE: Final = """\
\b
Examples:
  flowtally account change acme --status closed
  flowtally account erase acme
  flowtally account erase acme --yes --json

\b
Backups and exports that were made before still hold all of it.
Stopping this command with Ctrl-C does not stop the server, which goes on.
"""


@commands.command("create", epilog=example("flowtally account create acme --name 'Acme Ltd' --timezone Europe/Berlin"))
def create(
    account: Annotated[
        str | None,
        typer.Argument(metavar="ACCOUNT", help="The new account's id. You choose it. Default: a generated one."),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="A name for people to read.")] = "",
    timezone: Zone = None,
    carry_from: Annotated[
        str | None,
        typer.Option(
            "--carry-from",
            help="Later grants pay for unpaid use from this date or instant on, and never for use "
            "before it. Default: now.",
        ),
    ] = None,
    overage: Annotated[
        Overage,
        typer.Option(
            "--overage",
            help="What happens to use that no grant pays for. carry: the next grant pays for it. "
            "forgive: nobody pays for it.",
        ),
    ] = "carry",
    json: Json = False,
) -> None:
    """Create an account. `carry-from` and `overage` cannot be changed later."""
    begins = Dates(tz=timezone).instant(carry_from)
    request = AccountRequest(id=account, name=name, timezone=timezone or "UTC", carry_from=begins, overage=overage)
    with ask.client() as client:
        _show(client.create_account(request), json)


@commands.command("list")
def list_all(json: Json = False) -> None:
    """List all accounts with their status. flowtally counts; it does not stop the traffic of a suspended account, or
    of one whose balance is empty (`flowtally balance`): let your proxy refuse."""
    with ask.client() as client:
        found = list(client.accounts())
    if json:
        document(found)
        return
    table(COLUMNS, [(one.id, one.name, one.timezone, one.status, one.overage, when(one.created_at)) for one in found])


@commands.command("show")
def show(account: Account, json: Json = False) -> None:
    """Show one account."""
    with ask.client() as client:
        _show(client.account(account), json)


@commands.command("change", epilog=example("flowtally account change acme --status suspended"))
def change(
    account: Account,
    name: Annotated[str | None, typer.Option("--name", help="A name for people to read.")] = None,
    timezone: Zone = None,
    status: Annotated[
        AccountStatus | None,
        typer.Option(
            "--status",
            help="The new status. It stops no traffic by itself. A closed account takes no more "
            "usage, and stays closed.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Change the name, the time zone or the status of an account. Past balances stay as they are."""
    wanted = AccountChange(name=name, timezone=timezone, status=status)
    with ask.client() as client:
        _show(client.change_account(account, wanted), json)


@commands.command("erase", epilog=ERASE)
def erase(
    account: Account,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask. Erasing cannot be undone.")] = False,
    json: Json = False,
) -> int:
    """Erase every name, reference, reason and label of a closed account and its users, for ever. No total changes. The
    account's id stays, because its figures are kept under it."""
    if not yes:
        question = f"This takes all texts of {printable(account)} away for ever. Type the account's id to go on"
        if (typed := typer.prompt(question, err=True)) != account:
            note(f"You typed {typed!r}, and that is not {account!r}: nothing was changed.")
            return FAILED
    with ask.client() as client:
        answer = erasing.finished(client.erase_account(account), lambda: client.account_erasure(account))
    return erasing.show(answer, account, "The account cannot be used any more", json)


def _show(account: AccountAnswer, json: bool) -> None:
    if json:
        document(account)
        return
    facts(
        {
            "account": account.id,
            "name": account.name,
            "timezone": account.timezone,
            "status": account.status + (f", erased {when(account.erased_at)}" if account.erased_at else ""),
            "overage": account.overage,
            "carry from": account.carry_from,
            "created": account.created_at,
        }
    )
