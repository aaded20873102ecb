"""What all accounts used, over the spans of a calendar: the operator's question.

Owns the choice of accounts and the top groups. Everything else is a statement's (`statement`): the same calendar,
filling and cap, and of each series one `sums` call, so that rows add up to the total whatever was merged (law 4).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from flowtally.answers.moment import Moment, show_moment
from flowtally.answers.series import SERIES, inner, read_series, tagged, told, users_meant
from flowtally.answers.statement import (
    DIMENSIONS,
    MAX_ROWS,
    Row,
    Spans,
    check_by,
    check_rows,
    columns_of,
    fill_zero,
    show_rows,
    show_spans,
    the_range,
    total,
    totals_of,
)
from flowtally.core.edges import calendar_edges, load_zone
from flowtally.core.errors import BadRequest
from flowtally.core.words import Bucket, Fill, Unit
from flowtally.ledger.database import Tx
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts
from flowtally.ledger.people.asked import users_anywhere
from flowtally.protocol import OverallUsageAnswer
from flowtally.usage.values import MAX_SUMS, Sum, Where
from flowtally.usage.verbs import Sums

ALL_DIMENSIONS: Final = ("account", *DIMENSIONS)
MAX_TOP: Final = 10_000

Shown = list[tuple[Sum, Row]]


class OverallQuestion(msgspec.Struct, frozen=True):
    """As `statement.Question`, over `accounts` (None: all); `users` are names, whoever bears them in those accounts, or
    ids.

    `top`: only so many groups, those with the most `top_by` over the whole range; the others become one."""

    accounts: tuple[str, ...] | None = None
    start: str | None = None
    end: str | None = None
    tz: str = "UTC"
    bucket: Bucket = "day"
    by: tuple[str, ...] = ()
    users: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    series: tuple[str, ...] = ()
    fill: Fill = "zero"
    top: int | None = None
    top_by: Unit = "bytes"


def make_overall_statement(
    tx: Tx, usage: Sums, question: OverallQuestion, now: int, moment: Moment | None = None
) -> OverallUsageAnswer:
    """As known at `moment`, or all that is there; `usage` answers of one moment. UnknownAccount, UnknownUser,
    UnknownZone, NotFound (a series), BadRange (also where the rows or sums are too many), BadRequest."""
    zone = load_zone(question.tz)
    by = check_by(question.by, ALL_DIMENSIONS)
    if question.top is not None and not inner(by):
        raise BadRequest("top = ranks groups: say by what, such as by=account.", parameter="top")
    start, end = the_range(question.bucket, question.start, question.end, zone, now)
    edges = calendar_edges(question.bucket, start, end, zone, MAX_ROWS)
    known = None if moment is None else moment.known
    asked, accounts_asked = read_series(tx, question.series, by), _known(tx, question.accounts)
    meant = users_meant(
        tx, usage, asked, question.users, lambda names: users_anywhere(tx, names, question.accounts, known)
    )
    spans = show_spans(question.bucket, edges, zone)
    each: dict[str, Shown] = {}
    for one in asked:
        where = Where(
            series=one.name,
            accounts=accounts_asked,
            users=meant[one.name],
            products=question.products,
            until_block=None if moment is None else moment.block,
        )
        each[one.name] = _of_series(tx, usage, question, edges, where, by, spans, known)
    check_rows(sum(len(shown) for shown in each.values()), "rows")
    return OverallUsageAnswer(
        accounts=None if question.accounts is None else list(question.accounts),
        start=spans.times[0],
        end=spans.times[-1],
        timezone=zone.key,
        bucket=question.bucket,
        rows=_side_by_side(list(each.values()), ranked=question.top is not None),
        total=total(one for one, _ in each[asked[0].name]),
        as_of=None if moment is None else show_moment(moment),
        totals=totals_of({name: [one for one, _ in shown] for name, shown in each.items()}),
        grain=told(tx, asked, edges),
    )


def _side_by_side(each: Sequence[Shown], *, ranked: bool) -> list[Row]:
    """In order of span and group; where they were `ranked`, of span, series and rank."""
    if len(each) == 1:
        return [row for _, row in each[0]]
    pairs = [pair for shown in each for pair in shown]
    key: Callable[[tuple[Sum, Row]], Any] = lambda pair: pair[0].span if ranked else (pair[0].span, pair[0].by)  # noqa: E731
    return [row for _, row in sorted(pairs, key=key)]


def _of_series(
    tx: Tx,
    usage: Sums,
    question: OverallQuestion,
    edges: Sequence[int],
    where: Where,
    by: tuple[str, ...],
    spans: Spans,
    known: Known | None,
) -> Shown:
    """The sums that are shown of one series, each with its row."""
    # With `top` the groups are merged here, after the one question: ranking them first would be another moment.
    sums = usage.sums(edges, where, inner(by), limit=MAX_ROWS if question.top is None else MAX_SUMS)
    kept, others, merged = (sums, [], 0) if question.top is None else keep_top(sums, question.top, question.top_by)
    if question.fill == "zero":
        kept = fill_zero(kept, len(edges) - 1, inner(by))
        others = fill_zero(others, len(edges) - 1, ()) if merged else []
    check_rows(len(kept) + len(others), "rows")
    named = tagged(kept, by, where.series)
    rows = show_rows(tx, named, spans, by, where.series, known)
    if question.top is None:
        return list(zip(named, rows, strict=True))
    whose: Row = {SERIES: where.series} if SERIES in by else {}
    rest = [_others_row(row | whose, by, merged) for row in show_rows(tx, others, spans, ())]
    shown = [*kept, *others]
    marked = [row | {"others": 0} for row in rows] + rest
    ranks = {group: rank for rank, group in enumerate(ranking(sums, question.top_by))}
    places = [(found.span, ranks.get(found.by, len(ranks))) for found in shown]  # the others come last in their span
    return [(shown[index], marked[index]) for index in sorted(range(len(marked)), key=places.__getitem__)]


def keep_top(sums: Sequence[Sum], top: int, by: Unit) -> tuple[list[Sum], list[Sum], int]:
    """The sums of the `top` groups with the most over all spans (equals: in order of their names), those of all others
    together per span, and how many groups these others are."""
    ranked = ranking(sums, by)
    chosen = set(ranked[:top])
    others: dict[int, Sum] = {}
    for found in sums:
        if found.by not in chosen:
            others[found.span] = _add(others.get(found.span) or Sum(found.span, (), 0, 0, 0), found)
    kept = [found for found in sums if found.by in chosen]
    return kept, [others[span] for span in sorted(others)], len(ranked) - len(chosen)


def ranking(sums: Sequence[Sum], by: Unit) -> list[tuple[str, ...]]:
    """The groups, those with the most over all spans first."""
    totals: dict[tuple[str, ...], int] = defaultdict(int)
    for found in sums:
        totals[found.by] += found.requests if by == "requests" else found.bytes_up + found.bytes_down
    return sorted(totals, key=lambda group: (-totals[group], group))


def _add(one: Sum, other: Sum) -> Sum:
    up, down = one.bytes_up + other.bytes_up, one.bytes_down + other.bytes_down
    return Sum(one.span, one.by, up, down, one.requests + other.requests)


def _others_row(row: Row, by: Sequence[str], merged: int) -> Row:
    """Null is no name: a group of that name cannot be meant."""
    times: Row = {"start": row["start"], "end": row["end"]}
    names: Row = dict.fromkeys(name for name in columns_of(by) if name not in row)
    return times | names | {name: value for name, value in row.items() if name not in times} | {"others": merged}


def _known(tx: Tx, wanted: tuple[str, ...] | None) -> tuple[str, ...] | None:
    for account in wanted or ():
        accounts.read_account(tx, account)
    return wanted
