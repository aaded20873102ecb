"""`flowtally account`: the customers of whoever runs flowtally."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import typer

from flowtally.cli import ask
from flowtally.cli.dates import Dates
from flowtally.cli.grouped import Group, example
from flowtally.cli.output import Json, document, facts, table, when
from flowtally.protocol import AccountAnswer, AccountChange, AccountRequest

commands = typer.Typer(name="account", help="Accounts: make, list, show and change them.", cls=Group)

COLUMNS: Final = ("id", "name", "timezone", "status", "overage", "created")

Account = Annotated[str, typer.Argument(metavar="ACCOUNT", help="The account's id.")]
Zone = Annotated[str | None, typer.Option("--timezone", "--tz", help="IANA zone of its days, such as Asia/Kolkata.")]


@commands.command("create", epilog=example("flowtally account create acme --name 'Acme Ltd' --timezone Europe/Berlin"))
def create(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="Its id, yours to choose; made when left out.")
    ] = None,
    name: Annotated[str, typer.Option("--name", help="Shown to people.")] = "",
    timezone: Zone = None,
    carry_from: Annotated[
        str | None,
        typer.Option("--carry-from", help="Unpaid use before this date is never carried. Default: now."),
    ] = None,
    overage: Annotated[
        Literal["carry", "forgive"],
        typer.Option("--overage", help="Whether unpaid use waits for the next grant or is forgiven."),
    ] = "carry",
    json: Json = False,
) -> None:
    """Make an account. `carry-from` and `overage` cannot be changed later."""
    begins = Dates(tz=timezone).instant(carry_from)
    request = AccountRequest(id=account, name=name, timezone=timezone or "UTC", carry_from=begins, overage=overage)
    with ask.client() as client:
        _show(client.create_account(request), json)


@commands.command("list")
def list_all(json: Json = False) -> None:
    """All accounts with their status. flowtally counts; it does not stop the traffic of a suspended account, or of one
    whose balance is empty (`flowtally balance`): let your proxy refuse."""
    with ask.client() as client:
        found = list(client.accounts())
    if json:
        document(found)
        return
    table(COLUMNS, [(one.id, one.name, one.timezone, one.status, one.overage, when(one.created_at)) for one in found])


@commands.command("show")
def show(account: Account, json: Json = False) -> None:
    """One account."""
    with ask.client() as client:
        _show(client.account(account), json)


@commands.command("change", epilog=example("flowtally account change acme --status suspended"))
def change(
    account: Account,
    name: Annotated[str | None, typer.Option("--name", help="Shown to people.")] = None,
    timezone: Zone = None,
    status: Annotated[
        Literal["active", "suspended", "closed"] | None,
        typer.Option("--status", help="Stops no traffic by itself. A closed account takes no more usage."),
    ] = None,
    json: Json = False,
) -> None:
    """Change what may change: nothing that would alter past balances."""
    wanted = AccountChange(name=name, timezone=timezone, status=status)
    with ask.client() as client:
        _show(client.change_account(account, wanted), json)


def _show(account: AccountAnswer, json: bool) -> None:
    if json:
        document(account)
        return
    facts(
        {
            "account": account.id,
            "name": account.name,
            "timezone": account.timezone,
            "status": account.status,
            "overage": account.overage,
            "carry from": account.carry_from,
            "created": account.created_at,
        }
    )
