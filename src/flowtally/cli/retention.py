"""`flowtally retention`: since when rows are kept, and compacting old ones now."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.care import followed
from flowtally.cli.failures import FAILED
from flowtally.cli.show.output import Json, document, facts, say, table
from flowtally.core.units import human_bytes, human_count
from flowtally.protocol import RetentionAnswer

EXAMPLES: Final = """\
\b
Examples:
  flowtally retention
  flowtally retention --dry-run
  flowtally retention --run --json

\b
The server does it once a day where FLOWTALLY_RETAIN_ROWS_DAYS is set. Usage, balances, closed periods and event
keys stay exactly as they are; what would need single old events is refused from then on. It cannot be undone: make
a backup first.
"""


def retention(
    run: Annotated[bool, typer.Option("--run", help="Compact now all rows that are old enough.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List what would be compacted, and change nothing.")
    ] = False,
    json: Json = False,
) -> int:
    """Show from when on single rows are kept; or replace older ones by sums of quarter hours (compact them)."""
    if run and dry_run:
        raise typer.BadParameter("either --run or --dry-run")
    with ask.client() as client:
        answer = client.retention()
        if run or dry_run:
            answer = followed(client.start_retention(dry_run=dry_run), client.retention)
    if json:
        document(answer)
    else:
        _show(answer)
    return FAILED if answer.state == "failed" else 0


def _show(answer: RetentionAnswer) -> None:
    days = answer.retain_rows_days
    facts(
        {
            "rows are kept": "for ever" if days is None else f"{days} days, then by quarter hours",
            "as they came in": "all of them" if answer.rows_kept_since is None else f"since {answer.rows_kept_since}",
        }
    )
    if answer.state == "failed":
        say(f"Compacting failed: {answer.detail}", style="red")
    elif answer.state == "running":
        say(f"Compacting: {answer.step}, {answer.done} of {answer.total}")
    elif answer.months:
        rows = [
            (one.month, human_count(one.entries), human_bytes(one.bytes), human_bytes(one.bytes_after or 0))
            for one in answer.months
        ]
        if answer.dry_run:
            say("Would be compacted:", style="bold")
            table(("month", "entries", "size"), [row[:3] for row in rows], right=frozenset({1, 2}))
        else:
            table(("month", "entries", "before", "after"), rows, right=frozenset({1, 2, 3}))
    elif answer.state == "done":
        say("Nothing is old enough.")
