"""What a vendor bills beside what was measured: the questions to both stores, and the answer in words.

Owns which spans are compared, what is asked, and how little of it: one sum by user for each side, and only where the
days differ one of the measured side by quarter hours, to find the calendar, and one more by user where another calendar
is claimed. What came in since a day was told is asked of the days that may still move. Leaves the thinking to
`core/reconciling`.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby, pairwise
from typing import Final, Protocol

import msgspec

from flowtally.answers.moment import Moment
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange
from flowtally.core.events import METERED
from flowtally.core.reconciling.calendars import VendorCalendar
from flowtally.core.reconciling.cut import QUARTER_MS, CutFit, FineSums
from flowtally.core.reconciling.facts import BothSides, Table
from flowtally.core.reconciling.names import MatchedNames, match_names
from flowtally.core.reconciling.reconcile import Reconciled, differ, plan_cut, reconcile
from flowtally.core.reconciling.rules import ReconciliationRules, read_rules
from flowtally.core.reported import Grain
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.core.words import Unit
from flowtally.ledger.database import Tx
from flowtally.ledger.people import accounts, users
from flowtally.ledger.providers import connected, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.stretches import Stretch
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Commits, Sums

MAX_DAYS: Final = 800
USUAL_DAYS: Final = 30
LATELY_MS: Final = DAY_MS  # what a figure moved by since then it may go on moving by
A_PULL_MS: Final = DAY_MS // 2  # so much earlier than the end of a pull a part of it may have been asked for


class ReconciliationUsage(Sums, Commits, Protocol):
    """What a reconciliation asks: sums, and which block came when."""


class ReconciliationQuestion(msgspec.Struct, frozen=True):
    """What is asked about one provider.

    quantity: What is compared.
    start, end: Dates of the vendor's calendar or RFC 3339. corrected_since: RFC 3339.
    asked_again_days: For how many days after its end the vendor is asked for a day by the clock.
    """

    account: str
    provider: str
    quantity: Unit
    start: str | None = None
    end: str | None = None
    corrected_since: str | None = None
    asked_again_days: int = 0


class Compared(msgspec.Struct, frozen=True):
    """What was compared and what came of it; `asked_at`: of each span, when the vendor was asked last."""

    provider: Provider
    rules: ReconciliationRules
    calendar: VendorCalendar
    grain: Grain
    quantity: Unit
    sides: BothSides
    names: MatchedNames
    asked_at: tuple[int | None, ...]
    since: int | None
    found: Reconciled
    moment: Moment


def compare(
    tx: Tx,
    usage: ReconciliationUsage,
    question: ReconciliationQuestion,
    moment: Moment,
    rules: ReconciliationRules | None = None,
) -> Compared:
    """Both sides as known at `moment`, by the provider's rules of now unless by others. UnknownAccount, NotFound,
    BadRange (nothing told, no whole day, too many)."""
    account = accounts.read_account(tx, question.account, moment.known)
    provider = connected.read_provider(tx, question.provider, account.id)
    rules = read_rules(provider.rules) if rules is None else rules
    told = _Told(tx, provider, question, moment.instant)
    asking = _Asking(usage, account.id, provider.name, rules, moment.block, question.quantity)
    billed, products = asking.billed(told.edges)
    by_id = asking.measured(told.edges)
    ids = _Ids(users.names_of(tx, by_id.keys(), moment.known))
    names = match_names(ids.by_name(by_id), billed, rules.mapping)
    sides = BothSides(
        edges=told.edges,
        measured=ids.by_name(by_id),
        billed=billed,
        told=[at is not None for at in told.asked_at],
        still=told.still(rules.settle_days, question.asked_again_days),
        step=told.step,
        figures=told.figures * max(products, 1),
    )
    cut = _find_cut(asking, told, sides, names, ids)
    as_cut = ids.by_name(asking.measured(cut.edges)) if cut is not None and cut.edges is not None else None
    since = None if question.corrected_since is None else parse_instant(question.corrected_since)
    own = cut.edges if cut is not None and cut.edges is not None else told.edges
    sides = _with_evidence(asking, told, sides, ids, own, since)
    found = reconcile(sides, names, rules.tolerances, cut, as_cut)
    return Compared(
        *(provider, rules, told.calendar, told.grain, question.quantity, sides, names, told.asked_at, since),
        *(found, moment),
    )


def _find_cut(asking: _Asking, told: _Told, sides: BothSides, names: MatchedNames, ids: _Ids) -> CutFit | None:
    """The calendar, if the days of the vendor differ from ours at all."""
    known = [line for line in names.lines if line.both]
    if told.grain == "pull" or not known or not differ(sides, names):
        return None
    ours = [name for line in known for name in line.measured]
    start, end = told.edges[0] - DAY_MS, told.edges[-1] + DAY_MS
    edges = list(range(start, end + 1, QUARTER_MS))
    only = None if len(ours) == len(sides.measured) else ids.of(ours)
    grid = FineSums(start, QUARTER_MS, asking.in_total(edges, only))
    return plan_cut(sides, names, [told.calendar.clock(edge) for edge in told.edges], grid)


def _with_evidence(
    asking: _Asking, told: _Told, sides: BothSides, ids: _Ids, own: Sequence[int], since: int | None
) -> BothSides:
    """What came to the days that may still move since each was told last, and what was corrected in the others since
    the instant that was asked for. `own`: the edges that ours are measured by."""
    evidence = _Evidence(sides.spans)
    for asked_at, together in _told_alike(told.last_asked, sides.settled):
        first, end = together[0], together[-1] + 1
        arrived = asking.measured(own[first : end + 1], after=asking.block_at(asked_at))
        evidence.add("arrived", first, ids.by_name(arrived))
        for start, stop, moving_since in _moving(told.edges, together, asked_at):
            block = asking.block_at(moving_since)
            moved = asking.billed(told.edges[start : stop + 1], block, changes_only=True)[0]
            evidence.add("moved", start, moved)
    if since is not None and any(sides.settled):
        block = asking.block_at(since)
        ours = ids.by_name(asking.measured(own, block, changes_only=True))
        evidence.add("corrected_measured", 0, ours, sides.settled)
        theirs = asking.billed(told.edges, block, changes_only=True)[0]
        evidence.add("corrected_billed", 0, theirs, sides.settled)
    return msgspec.structs.replace(sides, **evidence.tables)


def _told_alike(asked_at: Sequence[int | None], settled: Sequence[bool]) -> Iterator[tuple[int, list[int]]]:
    """Neighbours that may still move and were told at the same instant."""
    moving = [None if stands else at for at, stands in zip(asked_at, settled, strict=True)]
    for at, group in groupby(range(len(moving)), lambda span: moving[span]):
        if at is not None:
            yield at, list(group)


def _moving(edges: Sequence[int], spans: Sequence[int], asked_at: int) -> Iterator[tuple[int, int, int]]:
    """Of these neighbours, since when what was changed in them counts as moving: lately, and not before the span had
    ended, for until then it only grew. The end of the spans is excluded."""
    for since, group in groupby(spans, lambda span: max(asked_at - LATELY_MS, edges[span + 1])):
        together = list(group)
        if since < asked_at:
            yield together[0], together[-1] + 1, since


class _Evidence:
    """Tables over all spans, of what was asked of some of them."""

    def __init__(self, spans: int) -> None:
        self._spans = spans
        self.tables: dict[str, dict[str, list[int]]] = {}

    def add(self, what: str, first: int, table: Table, only: Sequence[bool] | None = None) -> None:
        """`table` from the span `first` on; of all spans, `only` these."""
        found = self.tables.setdefault(what, {})
        for name, column in table.items():
            whole = found.setdefault(name, [0] * self._spans)
            kept = column if only is None else [n if mine else 0 for n, mine in zip(column, only, strict=True)]
            whole[first : first + len(kept)] = kept


class _Told:
    """Which spans the vendor told in the range that is asked about, and when it was asked for each."""

    def __init__(self, tx: Tx, provider: Provider, question: ReconciliationQuestion, now: int) -> None:
        everything = stretches.read_stretches(tx, provider.id, 0, now + 2 * DAY_MS)
        if not everything:
            raise BadRange(f"The vendor has told provider {provider.name!r} of no usage yet", provider=provider.name)
        self.calendar = VendorCalendar(everything[-1].zone)
        end = everything[-1].ends_at if question.end is None else self.calendar.bound(question.end)
        usual = max(everything[0].starts_at, end - USUAL_DAYS * DAY_MS - HOUR_MS)  # a day may have 25 hours
        start = usual if question.start is None else self.calendar.bound(question.start)
        if start >= end:
            raise BadRange(f"The range is empty: from {self.calendar.show(start)} to {self.calendar.show(end)}")
        inside = [one for one in everything if one.starts_at < end and one.ends_at > start]
        if not inside:
            raise BadRange(
                f"The vendor has told nothing of the time from {self.calendar.show(start)} to {self.calendar.show(end)}"
            )
        last = inside[-1]
        self.calendar, self.grain = VendorCalendar(last.zone), last.grain
        self.step = max(one.step for one in inside)
        self.figures = max(DAY_MS // HOUR_MS if one.grain == "hour" else 1 for one in inside)
        mine = [one for one in inside if _fits(one, last)]
        self.edges = _looks(mine) if self.grain == "pull" else self.calendar.days(start, end, MAX_DAYS)
        self.asked_at = _asked_at(self.edges, mine)

    @property
    def last_asked(self) -> Sequence[int | None]:
        """Of each span, since when what came in the vendor could not tell; None where it told nothing. A look tells of
        all that was before it."""
        if self.grain != "pull":
            return self.asked_at
        last = max((at for at in self.asked_at if at is not None), default=None)
        return [None if at is None else last for at in self.asked_at]

    def still(self, days: int, asked_again: int) -> list[bool]:
        """Which spans had `days` to stand still when the vendor was asked last, and were asked for until then. By the
        clock each is asked for until `asked_again` days after its end. One that was not, because nobody could ask for
        longer than the vendor keeps it, was told too early, for ever: perhaps while it went on."""
        last = max((at for at in self.asked_at if at is not None), default=0)
        if self.grain == "pull":
            return [end <= last for end in self.edges[1:]]
        had_time = days * DAY_MS
        until = max(min(days, asked_again) * DAY_MS - A_PULL_MS, 0)
        return [
            end + had_time <= last and (at is None or end + until <= at)
            for end, at in zip(self.edges[1:], self.asked_at, strict=True)
        ]


def _fits(one: Stretch, last: Stretch) -> bool:
    """Whether its spans can be added up to those of the last."""
    if last.grain == "pull" or one.grain == "pull":
        return one.grain == last.grain
    return one.zone == last.zone or one.grain == "hour"


def _looks(mine: Sequence[Stretch]) -> list[int]:
    """Where a vendor that tells no spans was looked at, a day or more apart."""
    edges = [mine[0].starts_at]
    for one in mine:
        if one.ends_at >= edges[-1] + DAY_MS or (one is mine[-1] and one.ends_at > edges[-1]):
            edges.append(one.ends_at)
    return edges[-MAX_DAYS - 1 :]


def _asked_at(edges: Sequence[int], told: Sequence[Stretch]) -> tuple[int | None, ...]:
    """Of each span, when the vendor was asked for the part of it that it was asked for longest ago; None where a part
    was not told."""
    found: list[int | None] = []
    place = 0
    for start, end in pairwise(edges):
        while place < len(told) and told[place].ends_at <= start:
            place += 1
        until, asked_at, at = start, None, place
        while until < end and at < len(told) and told[at].starts_at <= until:
            asked_at = told[at].asked_at if asked_at is None else min(asked_at, told[at].asked_at)
            until, at = told[at].ends_at, at + 1
        found.append(asked_at if until >= end else None)
    return tuple(found)


class _Asking:
    """The questions to the usage store about one account and one provider, all as of one block."""

    def __init__(
        self,
        usage: ReconciliationUsage,
        account: str,
        series: str,
        rules: ReconciliationRules,
        block: int,
        quantity: Unit,
    ) -> None:
        self._usage = usage
        self._measured = Where(
            METERED,
            None if rules.accounts else account,
            accounts=tuple(rules.accounts) or None,
            products=tuple(rules.products) or None,
            until_block=block,
        )
        self._billed = Where(series, account, until_block=block)
        self._quantity = quantity

    def block_at(self, at: int) -> int:
        """The last block that had come by then."""
        return self._usage.last_commit(at=at).block

    def measured(
        self, edges: Sequence[int], after: int | None = None, *, changes_only: bool = False
    ) -> dict[str, list[int]]:
        """By user id. `after`: only what came in later blocks."""
        where = msgspec.structs.replace(self._measured, after_block=after, changes_only=changes_only)
        return self._table(self._usage.sums(edges, where, ("user",)), len(edges) - 1)

    def billed(
        self, edges: Sequence[int], after: int | None = None, *, changes_only: bool = False
    ) -> tuple[dict[str, list[int]], int]:
        """By the vendor's names, and of how many products."""
        where = msgspec.structs.replace(self._billed, after_block=after, changes_only=changes_only)
        sums = self._usage.sums(edges, where, ("user", "product"))
        return self._table(sums, len(edges) - 1), len({one.by[1] for one in sums})

    def in_total(self, edges: Sequence[int], ids: tuple[str, ...] | None) -> list[int]:
        """What these users used together; None: all."""
        found = [0] * (len(edges) - 1)
        for one in self._usage.sums(edges, msgspec.structs.replace(self._measured, users=ids)):
            found[one.span] += self._amount(one)
        return found

    def _table(self, sums: Iterable[Sum], spans: int) -> dict[str, list[int]]:
        found: defaultdict[str, list[int]] = defaultdict(lambda: [0] * spans)
        for one in sums:
            found[one.by[0]][one.span] += self._amount(one)
        return dict(found)

    def _amount(self, one: Sum) -> int:
        return one.requests if self._quantity == "requests" else one.bytes_up + one.bytes_down


class _Ids:
    """Users by id and by name. Where a name was used again, or by several accounts, its users are one: the vendor
    knows no ids of ours."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._names = names

    def name(self, user_id: str) -> str:
        return self._names.get(user_id, user_id)

    def by_name(self, table: Mapping[str, list[int]]) -> dict[str, Sequence[int]]:
        found: dict[str, Sequence[int]] = {}
        for user_id, column in table.items():
            name = self.name(user_id)
            before = found.get(name)
            found[name] = column if before is None else [a + b for a, b in zip(before, column, strict=True)]
        return found

    def of(self, names: Iterable[str]) -> tuple[str, ...]:
        wanted = set(names)
        return tuple(sorted(user_id for user_id, name in self._names.items() if name in wanted))
