"""`flowtally key`: credentials. Secrets are shown once, when they are made, and can never be read again."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.output import Json, document, facts, note, table, when
from flowtally.protocol import CredentialAnswer, CredentialRequest, Scope

commands = typer.Typer(name="key", help="Keys (credentials): make, list and revoke them.", no_args_is_help=True)

COLUMNS: Final = ("id", "scope", "account", "sender", "name", "created", "revoked")


@commands.command("create", epilog="Example: flowtally key create acme --scope account --name dashboard")
def create(
    account: Annotated[
        str | None, typer.Argument(metavar="ACCOUNT", help="The account it belongs to; none for ingest and admin.")
    ] = None,
    scope: Annotated[
        Scope | None,
        typer.Option(
            "--scope",
            help="ingest writes events, account reads its own account, manage changes its users too, admin does all.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="What it is for.")] = "",
    sender: Annotated[
        str | None, typer.Option("--sender", help="Whose sources it goes on with; see `flowtally sender list`.")
    ] = None,
    json: Json = False,
) -> None:
    """Make a key. Default scope: account if an account is named and no sender, else ingest."""
    wanted: Scope = scope or ("account" if account and sender is None else "ingest")
    with ask.client() as client:
        made = client.create_credential(account, CredentialRequest(scope=wanted, name=name, sender=sender))
    if json:
        document(made)
        return
    shown = {"id": made.id, "scope": made.scope, "account": made.account or "", "name": made.name}
    if made.sender is not None:
        shown["sender"] = made.sender
    facts(shown | {"token": made.token or "", "key": made.key or ""})
    note("Keep token and key now: they are stored hashed and never shown again.")


@commands.command("list")
def list_all(
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Only this account's keys.")] = None,
    json: Json = False,
) -> None:
    """Keys, without their secrets."""
    with ask.client() as client:
        found = list(client.credentials(account))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("revoke", epilog="Example: flowtally key revoke cr_0198c0ffee")
def revoke(
    key: Annotated[str, typer.Argument(metavar="KEY", help="The key's id, from `flowtally key list`.")],
    json: Json = False,
) -> None:
    """End a key at once. What it wrote stays."""
    with ask.client() as client:
        gone = client.revoke_credential(key)
    if json:
        document(gone)
        return
    facts({"id": gone.id, "revoked": gone.revoked_at or ""})


def _row(one: CredentialAnswer) -> tuple[str, ...]:
    return one.id, one.scope, one.account or "", one.sender or "", one.name, when(one.created_at), when(one.revoked_at)
