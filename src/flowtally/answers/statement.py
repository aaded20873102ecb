"""What an account used, over the spans of a calendar: the only code that turns usage into a statement.

Owns defaults of the range, filling with zeros, names of users, the cap on rows and the CSV form. Leaves the calendar to
`edges`, whose figures they are to `series`, and the arithmetic to the usage store: of a series one statement is one
`sums` call, so its rows are one moment and add up to its total (law 4).
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Final
from zoneinfo import ZoneInfo

import msgspec

from flowtally.answers.moment import Moment, show_moment
from flowtally.answers.series import SERIES, Series, inner, read_series, tagged, told, users_meant
from flowtally.core.edges import (
    Cut,
    begin_of_recent,
    bucket_of,
    calendar_edges,
    cut_ends,
    format_instant,
    load_zone,
    parse_bound,
)
from flowtally.core.errors import BadRange, BadRequest
from flowtally.core.events import LABEL, MAX_LABEL_NAME_BYTES, METERED
from flowtally.core.words import Bucket, Fill
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts, users
from flowtally.ledger.people.asked import users_of
from flowtally.protocol import OverallUsageAnswer, Totals, UsageAnswer
from flowtally.protocol.usage import SHOWN_QUANTITIES
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Sums

MAX_ROWS: Final = 100_000
DIMENSIONS: Final = ("user", "product", "status", "source", SERIES)
MAX_BY: Final = 8

Row = dict[str, str | int | None]


class Question(msgspec.Struct, frozen=True):
    """What is asked about an account. `start`, `end`: dates or RFC 3339; `tz` None: the account's own zone.

    `users` are names: who bears the name at the answer's moment, whatever their use was called, or ids; "" is use
    without a user. Of a provider's series they are the vendor's names of its sub-users. `series`: none is what was
    measured.
    """

    account: str
    start: str | None = None
    end: str | None = None
    tz: str | None = None
    bucket: Bucket = "day"
    by: tuple[str, ...] = ()
    users: tuple[str, ...] | None = None
    products: tuple[str, ...] | None = None
    user_ids: tuple[str, ...] | None = None  # instead of names: these users, whatever they are called
    series: tuple[str, ...] = ()
    fill: Fill = "zero"


def make_statement(tx: Tx, usage: Sums, question: Question, now: int, moment: Moment | None = None) -> UsageAnswer:
    """The statement, as known at `moment`, or all that is there; `usage` answers of one moment. UnknownAccount,
    UnknownUser, UnknownZone, NotFound (a series), BadRange (reversed, or more than 100,000 rows), BadRequest (`by`,
    `series`)."""
    known = None if moment is None else moment.known
    account = accounts.read_account(tx, question.account, known)
    zone = load_zone(question.tz if question.tz is not None else account.timezone)
    by = check_by(question.by)
    start, end = the_range(question.bucket, question.start, question.end, zone, now)
    edges = calendar_edges(question.bucket, start, end, zone, MAX_ROWS)
    until = None if moment is None else moment.block
    asked = read_series(tx, question.series, by, account.id)
    meant = _users(tx, usage, question, asked, known)
    each: dict[str, list[Sum]] = {}
    for one in asked:
        where = Where(one.name, account.id, meant[one.name], question.products, until_block=until)
        sums = usage.sums(edges, where, inner(by), limit=MAX_ROWS)
        if question.fill == "zero":
            sums = fill_zero(sums, len(edges) - 1, inner(by))
        each[one.name] = tagged(sums, by, one.name)
    found = side_by_side(each)
    check_rows(len(found), "rows")
    spans = show_spans(question.bucket, edges, zone)
    return UsageAnswer(
        account.id,
        spans.times[0],
        spans.times[-1],
        zone.key,
        question.bucket,
        show_rows(tx, found, spans, by, asked[0].name, known),
        total(each[asked[0].name]),
        None if moment is None else show_moment(moment),
        totals_of(each),
        told(tx, asked, edges),
    )


def side_by_side(each: Mapping[str, list[Sum]]) -> list[Sum]:
    """Sums of each series, in order of span and group."""
    if len(each) == 1:
        return next(iter(each.values()))
    return sorted((one for sums in each.values() for one in sums), key=lambda one: (one.span, one.by))


def totals_of(each: Mapping[str, Sequence[Sum]]) -> dict[str, Totals]:
    """Of several series; of one the total says it."""
    return {name: total(sums) for name, sums in each.items()} if len(each) > 1 else {}


def the_range(bucket: Bucket, start: str | None, end: str | None, zone: ZoneInfo, now: int) -> tuple[int, int]:
    """The instants asked for. What is left out cuts no bucket: without `end` the one that is running is the last (of
    `total`: today), without `start` it is the first of as many as `edges.RECENT` says."""
    last: Bucket = "day" if bucket == "total" else bucket
    until = parse_bound(end, zone) if end is not None else bucket_of(last, now, zone)[1]
    return begin_of_recent(bucket, until, zone) if start is None else parse_bound(start, zone), until


def check_by(by: Sequence[str], known: Sequence[str] = DIMENSIONS) -> tuple[str, ...]:
    """The dimensions asked for; BadRequest names one that is unknown, repeated or too many."""
    for name in by:
        label = name.removeprefix(LABEL) if name.startswith(LABEL) else None
        if name not in known and (not label or len(label.encode()) > MAX_LABEL_NAME_BYTES):
            raise BadRequest(f"by = {name[:100]!r}: one of {', '.join(known)} or label:<name>.", parameter="by")
    if len(set(by)) != len(by) or len(by) > MAX_BY:
        raise BadRequest(f"by = {','.join(by)[:200]!r}: at most {MAX_BY}, each once.", parameter="by")
    return tuple(by)


def fill_zero(sums: Sequence[Sum], spans: int, by: Sequence[str]) -> list[Sum]:
    """Every span for every group that has a row; without `by` every span, use or no use."""
    groups = {found.by for found in sums} if by else {()}
    check_rows(spans * len(groups), f"rows ({spans} spans of {len(groups)} groups)")
    used = {(found.span, found.by): found for found in sums}
    ordered = sorted(groups)
    return [used.get((span, group)) or Sum(span, group, 0, 0, 0) for span in range(spans) for group in ordered]


def check_rows(rows: int, what: str) -> None:
    if rows > MAX_ROWS:
        raise BadRange(f"This makes {rows} {what}; at most {MAX_ROWS} are answered.", rows=rows, limit=MAX_ROWS)


def total(sums: Iterable[Sum | Totals]) -> Totals:
    """The sum of the parts."""
    up = down = requests = 0
    for part in sums:
        up, down, requests = up + part.bytes_up, down + part.bytes_down, requests + part.requests
    return Totals(up, down, up + down, requests)


def lifetime_use(
    tx: Tx, usage: Sums, account: str, user_ids: Sequence[str], until: int
) -> dict[str, dict[str, Totals]]:
    """What each of these users used before `until`, since ever, by user id and pool: one question for all of them. A
    pool that was not used is left out."""
    found: dict[str, dict[str, Totals]] = {user_id: {} for user_id in user_ids}
    if not found:
        return found
    known = pools.read_pools(tx)
    for one in usage.sums([0, until], Where(METERED, account, tuple(found)), ("user", "product")):
        mine, pool = found[one.by[0]], known.pool_of(one.by[1])
        mine[pool] = total([one, *([mine[pool]] if pool in mine else [])])
    return found


def to_csv(answer: UsageAnswer | OverallUsageAnswer, columns: Sequence[str]) -> bytes:
    """The rows as CSV (RFC 4180, UTF-8) under one header line, without the total; what is not known is empty.

    Text that a spreadsheet would run as a formula gets a leading apostrophe: names come from outside. JSON is exact.
    """
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(harmless(name) for name in columns)
    writer.writerows([harmless(row[name]) for name in columns] for row in answer.rows)
    return text.getvalue().encode()


def harmless(value: str | int | None) -> str | int | None:
    """Text that no spreadsheet takes for a formula."""
    return f"'{value}" if isinstance(value, str) and value[:1] in ("=", "+", "-", "@", "\t", "\r") else value


def columns_of(by: Sequence[str], *, ranked: bool = False) -> tuple[str, ...]:
    """The names of what a row holds, in order; `ranked`: also how many others it is the sum of."""
    groups = [column for name in by for column in (("user", "user_id") if name == "user" else (name,))]
    return ("start", "end", *groups, *SHOWN_QUANTITIES, *(("others",) if ranked else ()), "cut")


def _users(
    tx: Tx, usage: Sums, question: Question, asked: Sequence[Series], known: Known | None
) -> dict[str, tuple[str, ...] | None]:
    if question.user_ids is None:
        return users_meant(tx, usage, asked, question.users, lambda names: users_of(tx, question.account, names, known))
    if [one.name for one in asked] != [METERED]:
        raise BadRequest(
            "series: a provider's series has no users of ours. Ask the account's usage, with user= and the name that"
            " the vendor has for its sub-user.",
            parameter="series",
        )
    return {METERED: question.user_ids}


class Spans(msgspec.Struct, frozen=True):
    """The edges in words, and which spans between them are not whole."""

    times: list[str]
    cuts: dict[int, Cut]


def show_spans(bucket: Bucket, edges: Sequence[int], zone: ZoneInfo) -> Spans:
    return Spans([format_instant(edge, zone) for edge in edges], cut_ends(bucket, edges, zone))


def show_rows(
    tx: Tx,
    sums: Sequence[Sum],
    spans: Spans,
    by: Sequence[str],
    series: str = METERED,
    known: Known | None = None,
) -> list[Row]:
    """The sums with instants and names in words, those of now or of then. `series`: whose all of them are, where they
    do not say it themselves."""
    names: dict[str, str] = {}
    whose = by.index(SERIES) if SERIES in by else None
    if "user" in by:
        place = by.index("user")
        ours = {one.by[place] for one in sums if (series if whose is None else one.by[whose]) == METERED}
        names = users.names_of(tx, ours, known)
    return [_row(one, spans, by, names, series if whose is None else one.by[whose]) for one in sums]


def _row(found: Sum, spans: Spans, by: Sequence[str], names: dict[str, str], series: str) -> Row:
    row: Row = {"start": spans.times[found.span], "end": spans.times[found.span + 1]}
    for name, value in zip(by, found.by, strict=True):
        if name == "user" and series != METERED:
            row |= {"user": value, "user_id": None}
        elif name == "user":
            row |= {"user": names.get(value, ""), "user_id": value}
        else:
            row[name] = int(value) if name == "status" else value
    up, down = found.bytes_up, found.bytes_down
    row |= {"bytes_up": up, "bytes_down": down, "bytes": up + down, "requests": found.requests}
    return row | {"cut": spans.cuts.get(found.span)}
