"""`flowtally source`: who observed what was used; where each source stands, and whose it is."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, note, say, table, when
from flowtally.core.units import human_bytes, human_count
from flowtally.protocol import CounterAnswer, SourceDetail

commands = typer.Typer(name="source", help="Sources: how far each has come, and who owns it.", cls=CommandGroup)

COLUMNS: Final = ("source", "kind", "number", "sender")
COUNTERS: Final = ("counter", "state", "account", "user", "up", "down", "requests", "read", "flag")
HAND_OVER: Final = """\
\b
Example:
  flowtally source hand-over squid-1 snd_0199f2c47b3a7c11a1f0b2c3d4e5f611
"""


@commands.command("list", epilog=example("flowtally source list --sender snd_0199f2c47b3a7c11a1f0b2c3d4e5f611"))
def list_all(
    sender: Annotated[
        str | None, typer.Option("--sender", help="Only sources of this sender (its id). '': sources that nobody owns.")
    ] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 1000,
    json: Json = False,
) -> None:
    """List sources in the order in which they were first written. A key of scope ingest sees its own sources."""
    with ask.client() as client:
        found = list(islice(client.sources(sender), limit + 1))
    if json:
        document(found[:limit])
        return
    if found:
        table(COLUMNS, [_row(one) for one in found[:limit]], right=frozenset({2}))
    else:
        say("There are no sources.")
    if len(found) > limit:
        note("There are more: see --limit.")


@commands.command("counters", epilog=example("flowtally source counters xray-1 --prefix user"))
def list_counters(
    source: Annotated[str, typer.Argument(metavar="NAME", help="The source's name.")],
    prefix: Annotated[str, typer.Option("--prefix", help="Only counters whose names begin with this.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="Show at most this many.")] = 1000,
    json: Json = False,
) -> None:
    """List the counters of a source, with their values when they were last read."""
    with ask.client() as client:
        found = list(islice(client.counters(source, prefix), limit + 1))
    if json:
        document(found[:limit])
        return
    if found:
        table(COUNTERS, [_counter(one) for one in found[:limit]], right=frozenset({4, 5, 6}))
    else:
        say("There are no such counters.")
    if len(found) > limit:
        note("There are more: see --limit.")


@commands.command("hand-over", epilog=HAND_OVER)
def hand_over(
    source: Annotated[str, typer.Argument(metavar="NAME", help="The source's name.")],
    sender: Annotated[
        str, typer.Argument(metavar="SENDER", help="The new owner: the sender's id, from `flowtally sender list`.")
    ],
    json: Json = False,
) -> None:
    """Give a source to another sender. From now on only that sender's keys, and administrators, write it."""
    with ask.client() as client:
        now = client.hand_over_source(source, sender)
    if json:
        document(now)
        return
    facts({name: text for name, text in zip(COLUMNS, _row(now), strict=True) if text})


def _row(one: SourceDetail) -> tuple[str, ...]:
    return one.source, one.kind, "" if one.sequence is None else str(one.sequence), one.sender


def _counter(one: CounterAnswer) -> tuple[str, ...]:
    amounts = (human_bytes(one.bytes_up), human_bytes(one.bytes_down), human_count(one.requests))
    return one.counter, one.state, one.account, one.user, *amounts, when(one.time), one.flag
