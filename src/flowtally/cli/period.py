"""`flowtally period`: statements frozen, and what came into them later."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import FROM, TO, Dates
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import AsOf, Json, document, facts, say, table, when
from flowtally.cli.show.quantities import BYTES, Write
from flowtally.cli.usage import short
from flowtally.core.units import human_count, same_unit
from flowtally.protocol import (
    OpenPeriodAnswer,
    PeriodAdjustment,
    PeriodAnswer,
    PeriodDetailAnswer,
    PeriodRequest,
    PoolTotals,
)

commands = typer.Typer(name="period", help="Periods: close, list and show them, and what came later.", cls=CommandGroup)

COLUMNS: Final = ("id", "from", "to", "bytes", "requests", "block", "closed")
POOLS: Final = ("pool", "used", "bytes", "requests")
CHANGES: Final = ("day", "block", "received", "rows", "bytes", "requests")
ADJUSTED: Final = ("period", "from", "to", "bytes", "requests")
CLOSE: Final = """\
\b
Examples:
  flowtally period close acme --from 2026-03 --to 2026-04
  flowtally period close acme --from 2026-03-01T00:00:00Z --to 2026-03-08T00:00:00Z
"""
SHOW: Final = """\
\b
Examples:
  flowtally period show acme per_0199f2c47b3a7c11a1f0b2c3d4e5f608
  flowtally period show acme open
"""


@commands.command("close", epilog=CLOSE)
def close(
    account: Account,
    start: Annotated[str, typer.Option("--from", help=FROM)],
    end: Annotated[str, typer.Option("--to", help=TO)],
    json: Json = False,
) -> None:
    """Close a period: its statement never changes again. The period must be over. What arrives later is shown as an
    adjustment."""
    with ask.client() as client:
        begin, until = Dates(client, account).range(start, end)
        closed = client.close_period(account, PeriodRequest(begin or start, until or end))
    if json:
        document(closed)
        return
    _show_statement(closed)


@commands.command("list", epilog=example("flowtally period list acme"))
def list_all(account: Account, json: Json = False) -> None:
    """List all closed periods of an account, as they were frozen."""
    with ask.client() as client:
        found = list(client.periods(account))
    if json:
        document(found)
        return
    write = same_unit((one.statement.total.bytes for one in found), aligned=True)
    table(COLUMNS, [_row(one, write) for one in found], right=frozenset({3, 4, 5}))


@commands.command("show", epilog=SHOW)
def show(
    account: Account,
    period: Annotated[
        str,
        typer.Argument(
            metavar="PERIOD",
            help="The period's id, from `flowtally period list`; or `open`, for what is in no statement yet.",
        ),
    ],
    as_of: AsOf = None,
    json: Json = False,
) -> None:
    """Show a closed period, and what was added to it later; or `open`: what is in no statement yet."""
    with ask.client() as client:
        found = (
            client.open_period(account, as_of=as_of)
            if period == "open"
            else client.period(account, period, as_of=as_of)
        )
    if json:
        document(found)
    elif isinstance(found, OpenPeriodAnswer):
        _show_open(found)
    else:
        _show_statement(found)
        _show_adjustments(found)


def _row(one: PeriodAnswer, write: Write) -> tuple[str, ...]:
    total = one.statement.total
    return (
        one.id,
        short(one.start),
        short(one.end),
        write(total.bytes),
        human_count(total.requests),
        str(one.block),
        when(one.closed_at),
    )


def _show_statement(one: PeriodAnswer) -> None:
    used = (one.used for one in one.statement.pools if one.charge == BYTES)
    write = same_unit([one.statement.total.bytes, *(pool.bytes for pool in one.statement.pools), *used], aligned=True)
    facts(dict(zip(("period", *COLUMNS[1:]), _row(one, write), strict=True)))
    _show_pools(one.statement.pools, write)
    if one.statement.adjustments:
        say()
        say("also in this statement: adjustments of earlier periods", style="bold")
        _show_adjusted(one.statement.adjustments)


def _show_pools(pools: list[PoolTotals], write: Write) -> None:
    if not pools:
        return
    say()
    rows = [(one.pool, _used(one, write), write(one.bytes), human_count(one.requests)) for one in pools]
    table(POOLS, rows, right=frozenset({1, 2, 3}))


def _used(one: PoolTotals, write: Write) -> str:
    if one.charge == "nothing":
        return "-"
    return write(one.used) if one.charge == BYTES else human_count(one.used)


def _show_adjustments(one: PeriodDetailAnswer) -> None:
    say()
    added = one.adjustments
    say(f"since then, up to block {added.until_block}", style="bold")
    if not added.changes.items:
        say("Nothing came into it.")
        return
    write = same_unit([added.total.bytes, *(day.bytes for day in added.changes.items)], aligned=True)
    rows = [
        (
            short(day.start),
            str(day.block),
            when(day.received_at),
            str(day.rows),
            write(day.bytes),
            human_count(day.requests),
        )
        for day in added.changes.items
    ]
    total = ("total", "", "", "", write(added.total.bytes), human_count(added.total.requests))
    table(CHANGES, [*rows, total], right=frozenset({1, 3, 4, 5}))
    if added.changes.next is not None:
        say("There is more: the total is of all, --json has the cursor.")


def _show_open(found: OpenPeriodAnswer) -> None:
    if not found.adjustments:
        say("Nothing came into closed periods since the last closing.")
        return
    _show_adjusted(found.adjustments)


def _show_adjusted(adjustments: list[PeriodAdjustment]) -> None:
    write = same_unit((one.total.bytes for one in adjustments), aligned=True)
    rows = [
        (one.period, short(one.start), short(one.end), write(one.total.bytes), human_count(one.total.requests))
        for one in adjustments
    ]
    table(ADJUSTED, rows, right=frozenset({3, 4}))
