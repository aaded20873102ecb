"""`flowtally changes`: what moved which account's past, commit by commit."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.dates import Dates
from flowtally.cli.show.output import Json, document, note, say, table, when
from flowtally.core.units import counted, human_count
from flowtally.protocol import Change, ChangesAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally changes --since yesterday
  flowtally changes --since 2026-07-01T00:00:00Z --account acme
  flowtally changes --since today --json | jq -r .next
"""
COLUMNS: Final = ("commit", "received", "account", "what", "dated from", "to", "bytes", "requests")


def changes(
    since: Annotated[
        str,
        typer.Option(
            "--since",
            help="Only from here on: a date, a word such as yesterday, an instant (RFC 3339), or "
            "`next` of an earlier answer.",
        ),
    ] = "yesterday",
    account: Annotated[str | None, typer.Option("--account", help="Only changes of this account.")] = None,
    late_before: Annotated[
        str | None,
        typer.Option(
            "--late-before", help="Use that is dated before this instant is shown as late. Default: that of --since."
        ),
    ] = None,
    tz: Annotated[str, typer.Option("--tz", help="Time zone of the days (IANA), such as Asia/Kolkata.")] = "UTC",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="Show at most this many.")] = 100,
    json: Json = False,
) -> None:
    """Show what changed: new use, late use, corrections and adjustments. One row for each commit and account."""
    with ask.client() as client:
        dates = Dates(tz=tz)
        begin, late = dates.known(since) or since, dates.instant(late_before)
        answer = client.changes(begin, account=account, late_before=late, limit=limit)
    if json:
        document(answer)
        return
    show_changes(answer)


def show_changes(answer: ChangesAnswer) -> None:
    """A line per commit and account; how to go on is a note beside the answer."""
    if answer.items:
        table(COLUMNS, [_row(one) for one in answer.items], right=frozenset({0, 6, 7}))
    else:
        say("Nothing changed.")
    if answer.more:
        note(f"More: --since {answer.next} --late-before {answer.late_before}")


def _row(one: Change) -> tuple[str, ...]:
    counts = (
        (one.use - one.late, "event"),
        (one.late, "late event"),
        (one.corrections, "correction"),
        (one.adjustments, "adjustment"),
    )
    words = [counted(n, word) for n, word in counts if n]
    what = ", ".join([*words, *(f"{human_count(n)} {flag}" for flag, n in one.flags.items())])
    name = one.account if one.series == "metered" else f"{one.account} ({one.series})"
    dated = (when(one.earliest), when(one.latest))
    return (
        str(one.block),
        when(one.received_at),
        name,
        what,
        *dated,
        human_count(one.bytes),
        human_count(one.requests),
    )
