"""`flowtally held`: numbered events that wait until their account or user is known, or their time has come."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup
from flowtally.cli.show.output import Json, document, note, say, table, when
from flowtally.core.units import human_count
from flowtally.protocol import HeldAnswer, HeldCode, HeldDrop, HeldEvent, HeldFilter

commands = typer.Typer(
    name="held", help="Held events: numbered events that wait for an account, a user or their time.", cls=CommandGroup
)

Source = Annotated[str | None, typer.Option("--source", help="Only events of this source.")]
Number = Annotated[int | None, typer.Option("--number", min=1, help="Only the event with this number.")]
Account = Annotated[str | None, typer.Option("--account", help="Only events of this account.")]
Code = Annotated[
    HeldCode | None, typer.Option("--code", help="Only events that are held for this reason.", metavar="CODE")
]
LIST: Final = """\
\b
Examples:
  flowtally held list
  flowtally held list --account amce --json
"""
RETRY: Final = """\
\b
Example:
  flowtally account create acme && flowtally held retry --account acme
"""
DROP: Final = """\
\b
Example:
  flowtally held drop --account amce --reason "a typing error, sent again as acme"
"""
COLUMNS: Final = ("source", "number", "account", "user", "product", "time", "held", "reason")


@commands.command("list", epilog=LIST)
def list_held(
    source: Source = None,
    number: Number = None,
    account: Account = None,
    code: Code = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 100,
    json: Json = False,
) -> None:
    """List the events that are held, and why."""
    with ask.client() as client:
        found = list(islice(client.held(source=source, sequence=number, account=account, code=code), limit + 1))
    if json:
        document(found[:limit])
        return
    if found:
        table(COLUMNS, [_row(one) for one in found[:limit]], right=frozenset({1}))
    else:
        say("Nothing is held.")
    if len(found) > limit:
        note("There are more: see --limit, or the metric flowtally_ingest_held_events.")


@commands.command("retry", epilog=RETRY)
def retry(
    source: Source = None, number: Number = None, account: Account = None, code: Code = None, json: Json = False
) -> None:
    """Store the events that can be stored now. Without options: of all that are held."""
    with ask.client() as client:
        _show(client.retry_held(HeldFilter(source, number, account, code)), json)


@commands.command("drop", epilog=DROP)
def drop(
    reason: Annotated[
        str, typer.Option("--reason", help="Why you do it. The text is kept on record; do not name a person in it.")
    ],
    source: Source = None,
    number: Number = None,
    account: Account = None,
    code: Code = None,
    json: Json = False,
) -> None:
    """Refuse held events for good. They will never count."""
    with ask.client() as client:
        _show(client.drop_held(HeldDrop(source, number, account, code, reason=reason)), json)


def _show(answer: HeldAnswer, json: bool) -> None:
    if json:
        document(answer)
        return
    counts = ((answer.stored, "stored"), (answer.refused, "refused for good"), (answer.held, "held still"))
    say(", ".join(f"{human_count(count)} {word}" for count, word in counts))


def _row(one: HeldEvent) -> tuple[str, ...]:
    where = (one.source, str(one.sequence), one.account, one.user, one.product)
    return (*where, when(one.time), when(one.held_at), f"{one.detail} ({one.code})")
