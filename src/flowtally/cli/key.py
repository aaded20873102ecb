"""`flowtally key`: credentials. Secrets are shown once, when they are made, and can never be read again."""

from __future__ import annotations

from typing import Annotated, Final, get_args

import typer

from flowtally.cli import ask
from flowtally.cli.dates import Dates
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, note, say, table, when
from flowtally.core import rights
from flowtally.core.rights import Right, Scope
from flowtally.protocol import CredentialAnswer, CredentialChange, CredentialRequest, RotateRequest

commands = typer.Typer(
    name="key", help="Keys (credentials): create, list, change, rotate and revoke them.", cls=CommandGroup
)

COLUMNS: Final = (
    "id",
    "scope",
    "more rights",
    "account",
    "sender",
    "name",
    "created",
    "last used",
    "ends",
    "addresses",
)
EXAMPLES: Final = """\b
Examples:
  flowtally key create acme --scope account --name dashboard --from 203.0.113.0/24
  flowtally key create --scope ingest --name gw-1 --expires 2027-01-01T00:00:00Z
  flowtally key create --name prometheus --right metrics:read
"""

Key = Annotated[str, typer.Argument(metavar="KEY", help="The key's id, from `flowtally key list`.")]
From = Annotated[
    list[str] | None,
    typer.Option(
        "--from", metavar="ADDRESS", help="An IP address or network that the key may be used from. Repeatable."
    ),
]
Expires = Annotated[
    str | None,
    typer.Option(
        "--expires", metavar="INSTANT", help="End of validity: a date (UTC) or an instant (RFC 3339). Default: never."
    ),
]


@commands.command("create", epilog=EXAMPLES)
def create(
    account: Annotated[
        str | None,
        typer.Argument(
            metavar="ACCOUNT", help="The account that the key belongs to. Keys of scope ingest and admin need none."
        ),
    ] = None,
    scope: Annotated[
        Scope | None,
        typer.Option(
            "--scope",
            help="ingest sends events, account reads its own account, manage changes its users too, admin does all, "
            "custom what --right says.",
        ),
    ] = None,
    name: Annotated[str, typer.Option("--name", help="A name for people to read.")] = "",
    more: Annotated[
        list[str] | None,
        typer.Option(
            "--right", metavar="RIGHT", help="A right beyond those of the scope, such as usage:read. Repeatable."
        ),
    ] = None,
    sender: Annotated[
        str | None,
        typer.Option("--sender", help="The sender whose sources the key may write; see `flowtally sender list`."),
    ] = None,
    expires: Expires = None,
    addresses: From = None,
    json: Json = False,
) -> None:
    """Create a key. Default scope: custom if --right is given; account if an ACCOUNT is given and no --sender; else
    ingest. Which rights there are and which scope has them: docs/reference/rights.md."""
    named = _rights(more or [])
    wanted: Scope = scope or ("custom" if named else "account" if account and sender is None else "ingest")
    request = CredentialRequest(
        scope=wanted,
        rights=named,
        name=name,
        sender=sender,
        addresses=addresses or [],
        expires_at=Dates().instant(expires),
    )
    with ask.client() as client:
        made = client.create_credential(account, request)
    _show_made(made, json)


@commands.command("list")
def list_all(
    account: Annotated[str | None, typer.Argument(metavar="ACCOUNT", help="Only keys of this account.")] = None,
    json: Json = False,
) -> None:
    """List keys, without their secrets: when each was last used (to the minute), and when it ends or was revoked."""
    with ask.client() as client:
        found = list(client.credentials(account))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command(
    "change",
    epilog=example("flowtally key change crd_0199f2c47b3a7c11a1f0b2c3d4e5f610 --from 203.0.113.7 --from 2001:db8::/48"),
)
def change(
    key: Key,
    name: Annotated[str | None, typer.Option("--name", help="A name for people to read.")] = None,
    addresses: From = None,
    anywhere: Annotated[bool, typer.Option("--from-anywhere", help="Let the key be used from any address.")] = False,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="INSTANT",
            help="End of validity: a date (UTC) or an instant (RFC 3339). It can only become earlier.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Change the name of a key, replace all its addresses, or end it earlier."""
    if anywhere and addresses:
        raise typer.BadParameter("--from and --from-anywhere contradict each other")
    end = Dates().instant(expires)
    wanted = CredentialChange(name=name, addresses=[] if anywhere else addresses, expires_at=end)
    with ask.client() as client:
        changed = client.change_credential(key, wanted)
    document(changed) if json else facts(_facts(changed))


@commands.command("rotate", epilog=example("flowtally key rotate crd_0199f2c47b3a7c11a1f0b2c3d4e5f610 --overlap 3600"))
def rotate(
    key: Annotated[
        str | None, typer.Argument(metavar="KEY", help="The key's id. Default: the key in FLOWTALLY_TOKEN itself.")
    ] = None,
    overlap_s: Annotated[
        int,
        typer.Option(
            "--overlap", metavar="SECONDS", help="For how many seconds the old key still works. 0 ends it now."
        ),
    ] = 86_400,
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires",
            metavar="INSTANT",
            help="End of validity of the new key: a date (UTC) or an instant (RFC 3339). Default: that of the old key.",
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Replace a key by a new one with the same sender, scope, account, addresses and name. Any key may rotate itself.
    If the answer was lost, run it again: a new key that was never used is revoked."""
    with ask.client() as client:
        wanted = RotateRequest(overlap_s=overlap_s, expires_at=Dates().instant(expires))
        made = client.rotate_credential(key or client.own_credential().id, wanted)
    _show_made(made, json)


@commands.command("revoke", epilog=example("flowtally key revoke crd_0199f2c47b3a7c11a1f0b2c3d4e5f610"))
def revoke(key: Key, json: Json = False) -> None:
    """End a key at once. What was written with it stays."""
    with ask.client() as client:
        gone = client.revoke_credential(key)
    if json:
        document(gone)
        return
    facts({"id": gone.id, "revoked": gone.revoked_at or ""})


@commands.command("confirm", epilog=example("flowtally key confirm"))
def confirm(json: Json = False) -> None:
    """Confirm that you looked at the keys of a restored backup. This ends the warnings about them."""
    with ask.client() as client:
        done = client.confirm_credentials()
    if json:
        document(done)
    elif done.revived_from is None:
        say("There was nothing to confirm.")
    else:
        say(f"Confirmed: the keys of the backup of {done.revived_from}, but those that were revoked.")


def _rights(named: list[str]) -> list[Right]:
    """BadParameter names the first that is none."""
    if unknown := [one for one in named if one not in rights.ALL]:
        raise typer.BadParameter(f"there is no right {unknown[0]!r}; there are {', '.join(sorted(rights.ALL))}")
    return [one for one in get_args(Right) if one in named]


def _more(one: CredentialAnswer) -> str:
    return rights.beyond(one.scope, one.rights)


def _show_made(made: CredentialAnswer, json: bool) -> None:
    if json:
        document(made)
        return
    facts(_facts(made) | {"token": made.token or "", "key": made.key or ""})
    if made.token is None:  # a repeated request is answered without them
        note("Its secrets were in an answer that was lost. Revoke it, and make or rotate it again.")
    else:
        note("Keep token and key now: they are stored hashed and never shown again.")


def _facts(one: CredentialAnswer) -> dict[str, str]:
    told = {"id": one.id, "scope": one.scope, "account": one.account or "", "name": one.name}
    more = {
        "rights": " ".join(one.rights),
        "sender": one.sender or "",
        "replaces": one.replaces or "",
        "expires": one.expires_at or "",
        "addresses": " ".join(one.addresses),
    }
    return told | {name: value for name, value in more.items() if value}


def _row(one: CredentialAnswer) -> tuple[str, ...]:
    ends = f"revoked {when(one.revoked_at)}" if one.revoked_at else when(one.expires_at) or "never"
    told = (when(one.created_at), when(one.last_used_at) or "never", ends, " ".join(one.addresses))
    return one.id, one.scope, _more(one), one.account or "", one.sender or "", one.name, *told
