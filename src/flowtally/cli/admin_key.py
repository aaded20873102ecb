"""`flowtally key admin`: on the files themselves, with no server running."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import typer

from flowtally.cli.configured import KeysUrl, LedgerUrl, configured_for
from flowtally.cli.show.output import Json, document, facts, note, table, when

if TYPE_CHECKING:
    from flowtally.care.administrator import Admin

EXAMPLES: Final = """\
\b
Examples:
  flowtally key admin --data ./data
  flowtally key admin --data ./data --revoke crd_0199f2c47b3a7c11a1f0b2c3d4e5f610
  flowtally key admin --data ./data --revoke-all

\b
For when the admin token is lost. Stop the server first. No server is asked and no token is needed: who may write the
files may do this. It is on the audit trail, as done by the server itself at `flowtally key admin`.
"""


def admin(
    data: Annotated[str, typer.Option("--data", help="The data directory.")],
    ledger_url: LedgerUrl = None,
    keys_url: KeysUrl = None,
    name: Annotated[str, typer.Option("--name", help="A name for people to read.")] = "recovered",
    revoke: Annotated[
        list[str] | None,
        typer.Option("--revoke", metavar="KEY", help="Revoke this key too (its id), such as the lost one. Repeatable."),
    ] = None,
    revoke_all: Annotated[bool, typer.Option("--revoke-all", help="Revoke every other admin key.")] = False,
    json: Json = False,
) -> None:
    """Make a new admin key if the token is lost, and list the admin keys there are."""
    config = configured_for(data, ledger_url=ledger_url, keys_url=keys_url)
    from flowtally.care.administrator import issue_admin  # noqa: PLC0415 - most commands start without the stores

    done = issue_admin(config, name, revoke=revoke or [], revoke_all=revoke_all)
    if json:
        document(done)
        return
    facts({"id": done.id, "scope": "admin", "name": done.name, "token": done.token, "key": done.key})
    note("Keep token and key now: they are stored hashed and never shown again.")
    if done.revoked:
        note(f"Revoked: {', '.join(one.id for one in done.revoked)}.")
    if any(one.set for one in done.revoked):
        note("The token in FLOWTALLY_ADMIN_TOKEN is revoked: set another one, or none, before the next start.")
    if done.others:
        note("Other admin keys still work. Revoke those that nobody has any more: `flowtally key revoke KEY`.")
        table(("id", "name", "created", "last used"), [_row(one) for one in done.others])


def _row(one: Admin) -> tuple[str, ...]:
    name = f"{one.name} (the setting)" if one.set else one.name
    return one.id, name, when(one.created_at), when(one.last_used_at) or "never"
