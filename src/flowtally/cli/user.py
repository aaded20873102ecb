"""`flowtally user`: proxy users, sub-accounts and API consumers inside an account."""

from __future__ import annotations

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.output import Json, document, table, when

commands = typer.Typer(name="user", help="Users of an account.", no_args_is_help=True)


@commands.command("list", epilog="Example: flowtally user list acme")
def list_all(account: Account, json: Json = False) -> None:
    """All users of an account; a user is made the first time its name is seen."""
    with ask.client() as client:
        found = list(client.users(account))
    if json:
        document(found)
        return
    table(("id", "name", "created"), [(one.id, one.name, when(one.created_at)) for one in found])
