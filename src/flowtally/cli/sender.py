"""`flowtally sender`: who owns sources. A sender is made with its first key; more keys make it go on."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.protocol import SenderAnswer

commands = typer.Typer(
    name="sender", help="Senders: the owners of sources. A sender can have several keys.", cls=CommandGroup
)

COLUMNS: Final = ("id", "account", "name", "created")
Sender = Annotated[str, typer.Argument(metavar="SENDER", help="The sender's id, from `flowtally sender list`.")]


@commands.command("list", epilog=example("flowtally sender list --account acme"))
def list_all(
    account: Annotated[str | None, typer.Option("--account", help="Only senders of this account.")] = None,
    json: Json = False,
) -> None:
    """List all senders. `flowtally key list` says which keys they have, `flowtally source list` which sources."""
    with ask.client() as client:
        found = list(client.senders(account))
    if json:
        document(found)
        return
    table(COLUMNS, [(one.id, one.account or "", one.name, when(one.created_at)) for one in found])


@commands.command("show")
def show(sender: Sender, json: Json = False) -> None:
    """Show one sender."""
    with ask.client() as client:
        _show(client.sender(sender), json)


@commands.command(
    "rename", epilog=example("flowtally sender rename snd_0199f2c47b3a7c11a1f0b2c3d4e5f611 'gateway 1, Berlin'")
)
def rename(
    sender: Sender,
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name for people to read.")],
    json: Json = False,
) -> None:
    """Give a sender another name."""
    with ask.client() as client:
        _show(client.rename_sender(sender, name), json)


def _show(sender: SenderAnswer, json: bool) -> None:
    if json:
        document(sender)
        return
    facts({"id": sender.id, "account": sender.account or "", "name": sender.name, "created": sender.created_at})
