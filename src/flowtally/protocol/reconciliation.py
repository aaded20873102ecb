"""Whether what a vendor bills is what was measured."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import DateOrInstant, Instant
from flowtally.core.reconciling.cut import CutReason
from flowtally.core.reconciling.names import Side
from flowtally.core.reconciling.oddities import OddityKind
from flowtally.core.reconciling.reconcile import Match
from flowtally.core.reconciling.steady import SteadyReason
from flowtally.core.reported import Grain
from flowtally.core.words import Unit


class Sides(msgspec.Struct, frozen=True):
    """Both sides and what explains their difference, in bytes or requests. The difference is the sum of `cut` to
    `unexplained`, exactly.

    measured: What was counted here.
    billed: What the vendor tells.
    difference: Billed less measured.
    cut: Because the vendor cuts its days by another calendar, where one fits far better than its own.
    overhead: The share that the vendor bills on top of everything.
    corrected: What either side has corrected since the instant that was asked for.
    late: What came in after the vendor was asked, or may still come, for its figure still moves.
    rounding: Because of the steps in which the vendor tells its figures.
    only_billed: Of sub-users that only the vendor knows.
    only_measured: Of users that the vendor does not know; below zero.
    unexplained: What is left.
    rounding_bound: How much rounding can be at most, either way.
    left_over: What tolerances are for: what is unexplained or known to one side only, of each user in each span. Sizes
        are added up, so that too much and too little do not cancel out.
    """

    measured: int
    billed: int
    difference: int
    cut: int
    overhead: int
    corrected: int
    late: int
    rounding: int
    only_billed: int
    only_measured: int
    unexplained: int
    rounding_bound: int
    left_over: int

    @property
    def net(self) -> int:
        """What is left over, with its sign: what is too much less what is too little."""
        return self.unexplained + self.only_billed + self.only_measured


class SpanReconciled(msgspec.Struct, frozen=True):
    """One span of the vendor, all users.

    told: Whether the vendor has told it. If not, nothing of it counts on either side.
    settled: Whether the vendor's figure stands still: it had time for it, and the vendor was asked for it until then.
    asked_at: When the vendor was asked for it last; null: it was not.
    match: What is left over is nothing (`matches`), within tolerance, or beyond it.
    sides: Both sides of the span.
    """

    start: Instant
    end: Instant
    told: bool
    settled: bool
    asked_at: Instant | None
    match: Match
    sides: Sides


class UserReconciled(msgspec.Struct, frozen=True):
    """A user over the whole range: names of both sides that mean the same.

    user: What it is called: its name here, else the vendor's. Two may be called the same, where the rules say that a
        name means somebody else at the vendor.
    measured_users: Users here. Empty: only the vendor knows it.
    billed_users: Sub-users of the vendor. Empty: only we know it.
    match: As of a span, by the tolerances for the whole range.
    sides: Both sides of the user.
    """

    user: str
    measured_users: list[str]
    billed_users: list[str]
    match: Match
    sides: Sides


class DisputedCell(msgspec.Struct, frozen=True):
    """A user in a span that is beyond tolerance.

    user: As in `users`.
    measured_users: As in `users`.
    billed_users: As in `users`.
    asked_at: When the vendor was asked for the span last.
    sides: Both sides of the user in the span.
    """

    start: Instant
    end: Instant
    user: str
    measured_users: list[str]
    billed_users: list[str]
    asked_at: Instant
    sides: Sides


class OffsetFit(msgspec.Struct, frozen=True):
    """A calendar, and what it leaves of the difference, the worst tenth of the days left out.

    offset: Its offset from UTC.
    residual: What it leaves, in bytes or requests.
    """

    offset: str
    residual: int


class CutTold(msgspec.Struct, frozen=True):
    """Which calendar the vendor's days follow.

    outcome: `claimed`: the best offset is taken, for it leaves less than a quarter of what the vendor's own leaves.
        Else why not.
    days: How many days were looked at.
    declared: What the vendor's own calendar leaves.
    billed: What the vendor tells of these days, to compare with.
    best: The offset that leaves the least; null: none could be tried.
    second: The one that leaves the least but for that.
    better_per_mille: How much of what the vendor's own leaves goes with the best offset, in thousandths.
    """

    outcome: CutReason
    days: int
    declared: int
    billed: int
    best: OffsetFit | None
    second: OffsetFit | None
    better_per_mille: int


class OverheadTold(msgspec.Struct, frozen=True):
    """The share that the vendor bills on top, in millionths of what was measured: half of the spans are below `middle`,
    a quarter below `low`, a quarter above `high`.

    outcome: `claimed`, or why it is not taken as overhead.
    spans: How many spans were looked at.
    low: A quarter of the spans are below it.
    middle: Half of the spans are below it: what is taken.
    high: A quarter of the spans are above it.
    either: The traffic is so even that it may be the same amount in each span as well.
    constant_low: A quarter of the differences are below it, as an amount.
    constant_middle: Half of the differences are below it.
    constant_high: A quarter of the differences are above it.
    """

    outcome: SteadyReason
    spans: int
    low: int
    middle: int
    high: int
    either: bool
    constant_low: int
    constant_middle: int
    constant_high: int


class RoundingTold(msgspec.Struct, frozen=True):
    """How the vendor rounds.

    step: The smallest difference of two of its figures.
    above: How many figures it told above what is to be expected, where rounding explains all of the difference; a
        vendor that rounds to the nearest is as often above as below.
    below: How many below.
    equal: How many exactly so.
    """

    step: int
    above: int
    below: int
    equal: int


class OddityTold(msgspec.Struct, frozen=True):
    """What stands out in what is unexplained. It explains nothing.

    kind: `lost`: the vendor told nothing where there was traffic. `doubled`: twice of it. `share`: a share on top of
        everything that no protocol needs. `constant`: the same amount on top of each span.
    amount: How much of the unexplained.
    start: The span; null: all of them.
    user: As in `users`; null: all that both sides know.
    """

    kind: OddityKind
    amount: int
    start: Instant | None
    end: Instant | None
    user: str | None


class AmbiguousName(msgspec.Struct, frozen=True):
    """A name that rules lead to several names of the other side. None was taken.

    side: Whose name it is.
    candidates: The names that rules lead to.
    """

    side: Side
    name: str
    candidates: list[str]


class ReconciliationAnswer(msgspec.Struct, frozen=True):
    """What a vendor bills beside what was measured.

    provider: The provider's name.
    vendor: Whose figures they are.
    from: The first instant of the first whole span.
    zone: The calendar that the vendor says its days are cut by.
    grain: How finely the vendor tells its usage; `pull`: from look to look.
    quantity: What is compared.
    accounts: Only the use of these accounts was measured against it; empty: that of `account`.
    products: Only these products were measured against it; empty: all.
    corrected_since: The instant from which corrections count as such; null: none do.
    match: As of a span, by the tolerances for the whole range: never `matches` while anything is left over.
    total: The whole range.
    spans: One for each span of the vendor, in order of time.
    users: One for each user, in order of their names.
    disputed: Users in spans that are beyond tolerance and stand still, in order of time; the 2,000 largest.
    disputed_in_all: How many there are.
    cut: Which calendar the days follow. Null where there was nothing to look for: the days agree, or are not days.
    overhead: Which share the vendor bills on top.
    rounding: How the vendor rounds.
    oddities: What stands out in what is unexplained, the largest first.
    ambiguous: Names that could not be decided.
    known_block: Rows up to this block are counted.
    known_at: When it was compared.
    """

    account: str
    provider: str
    vendor: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    zone: str
    grain: Grain
    quantity: Unit
    accounts: list[str]
    products: list[str]
    corrected_since: Instant | None
    match: Match
    total: Sides
    spans: list[SpanReconciled]
    users: list[UserReconciled]
    disputed: list[DisputedCell]
    disputed_in_all: int
    cut: CutTold | None
    overhead: OverheadTold
    rounding: RoundingTold
    oddities: list[OddityTold]
    ambiguous: list[AmbiguousName]
    known_block: int
    known_at: Instant


class ReconciliationRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A reconciliation to keep as it is now.

    from: The first instant: a date of the vendor's calendar or RFC 3339. Null: 30 days before the end.
    to: The end, which no longer belongs to it. Null: the end of what the vendor told.
    corrected_since: What either side changed after this instant counts as corrected; null: nothing does.
    quantity: What is compared; null: what the vendor tells its use in, bytes or requests.
    """

    start: DateOrInstant | None = msgspec.field(name="from", default=None)
    end: DateOrInstant | None = msgspec.field(name="to", default=None)
    corrected_since: Instant | None = None
    quantity: Unit | None = None


class KeptReconciliationAnswer(msgspec.Struct, frozen=True):
    """A reconciliation that was kept.

    provider: The provider's name.
    from: The first instant of the first whole span.
    kept_at: When it was kept.
    known_block: Rows up to this block were counted.
    match: What it said then.
    """

    id: str
    provider: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    kept_at: Instant
    known_block: int
    match: Match


class KeptReconciliationDetail(msgspec.Struct, frozen=True):
    """A reconciliation as it was kept, beside the same question now, by the rules of then.

    kept_at: When it was kept.
    changed: Whether any figure, told span or verdict is another one now.
    rules_changed: Whether the provider has other rules now, by which `now` is not compared. Null: the rules of then are
        not known, for it was kept without them, and `now` is by those of now.
    measured_moved: What was measured now, less what was then.
    billed_moved: What the vendor tells now, less what it told then.
    unexplained_moved: What is unexplained now, less what was then.
    kept: What was answered then.
    now: What is answered now.
    """

    id: str
    kept_at: Instant
    changed: bool
    rules_changed: bool | None
    measured_moved: int
    billed_moved: int
    unexplained_moved: int
    kept: ReconciliationAnswer
    now: ReconciliationAnswer
