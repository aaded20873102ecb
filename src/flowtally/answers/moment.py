"""The moment of an answer: up to which block, up to which promise, at which instant. Every answer has one and says it.

Owns what a moment is, how one is asked for, and in which order things are looked at. Leaves the sums over blocks to the
usage store, what a promise number means to the ledger.

* **First the last block, then the ledger.** Whatever made the rows possible (a user, a product, a funded purse) was
  promised before them, so a ledger that is looked at later has it.
* **Numbers decide, not clocks.** Rows count up to the block, promises up to the number. Both only grow, so a moment
  that was told once is the same for ever: its token asks for it again.
* **An instant is for people.** It means the blocks received and the promises begun by then. While one of these is still
  under way there is no answer (`not_yet`); once there was one, nothing is dated at or before that instant any more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core import tokens
from flowtally.core.clock import SteadyClock
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import AsOfGone, BadRange, NotYet
from flowtally.core.times import LAST_INSTANT
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.installation import read_installation
from flowtally.ledger.known import Known
from flowtally.protocol import AsOf, CommitAnswer
from flowtally.usage.values import Commit
from flowtally.usage.verbs import Commits

KIND: Final = "as_of"
NONE: Final = Commit(0, 0)
SOON_S: Final = 1

Number = Annotated[int, Meta(ge=0, le=2**63 - 1)]


class _Told(msgspec.Struct, frozen=True, array_like=True):
    """What is in a token."""

    generation: str
    block: Number
    promise: Number | None
    instant: Annotated[int, Meta(ge=-LAST_INSTANT, le=LAST_INSTANT)]
    first_block: Number
    first_received_at: Number


class Moment(msgspec.Struct, frozen=True):
    """Rows with block <= `block`, promises up to number `promise` (None: those dated up to `instant`); `earliest`: how
    far back could be asked then; `generation`: of the installation, whose numbers these are."""

    block: int
    instant: int
    earliest: Commit = NONE
    promise: int | None = None
    generation: str = ""

    @property
    def known(self) -> Known:
        """What of the ledger counts."""
        return Known(self.promise, self.instant)

    @property
    def token(self) -> str:
        first = self.earliest
        told = _Told(self.generation, self.block, self.promise, self.instant, first.block, first.received_at)
        return tokens.encode(KIND, told)


class Begun(msgspec.Struct, frozen=True):
    """What is fixed before the ledger is looked at. `asked`: the moment, where it was asked for, by a token or not."""

    commit: Commit
    asked: Moment | None = None
    by_token: bool = False


class Moments:
    """Of one server. `remember` keeps an instant that is about to be answered, durably: the next start knows it."""

    def __init__(
        self, usage: Commits, ledger: Ledger, clock: SteadyClock, remember: Callable[[int], None] = lambda at: None
    ) -> None:
        self._usage = usage
        self._ledger = ledger
        self._clock = clock
        self._remember = remember

    def begin(self, as_of: str | None = None) -> Begun:
        """Call it before the ledger's transaction begins. BadRange (neither token nor instant), NotYet."""
        if as_of is None:
            return Begun(self._usage.published())
        if as_of.isascii() and as_of.isdigit():
            raise BadRange(
                f"as_of = {as_of[:20]}: a block alone is no moment. Give the token of an earlier answer"
                " (its as_of.token), or an RFC 3339 instant",
                parameter="as_of",
            )
        asked = read_token(as_of)
        if asked is None:
            return self._begin_at(_instant(as_of))
        if asked.promise is None:
            self._settle(asked.instant)
        return Begun(Commit(asked.block, 0), asked, by_token=True)

    def hold(self, tx: Tx, begun: Begun) -> Moment:
        """The moment, once the ledger's transaction shows one. AsOfGone (of before a restore), NotYet (of what is
        not there)."""
        found = read_installation(tx)
        if begun.asked is None:
            earliest = self._earliest(begun.commit.block)
            return Moment(begun.commit.block, self._clock(), earliest, found.promises, found.generation)
        if not begun.by_token:
            return msgspec.structs.replace(begun.asked, generation=found.generation)
        if begun.asked.generation != found.generation:
            raise AsOfGone(
                "as_of: this token was made before a restore; blocks and promises have other numbers since then",
                parameter="as_of",
            )
        last = self._usage.published().block
        if begun.asked.block > last or (begun.asked.promise or 0) > found.promises:
            raise NotYet(f"as_of: this token is of block {begun.asked.block}; the last one is {last}", last_block=last)
        return begun.asked

    def _begin_at(self, at: int) -> Begun:
        self._settle(at)
        commit = self._usage.last_commit(at=at)
        self._check_dates(at, commit)
        return Begun(commit, Moment(commit.block, at, self._earliest(commit.block)))

    def _settle(self, at: int) -> None:
        """From here on nothing is dated at or before this instant. NotYet while something still is."""
        now = self._clock()
        if at > now:
            raise _not_yet(at, "is still to come", -(-(at - now) // 1000), self._usage.published().block)
        self._clock.not_before(at + 1)
        since = self._ledger.open_since()
        if since is not None and since <= at:
            raise _not_yet(at, f"a promise begun at {format_instant(since)} is still being made", SOON_S)
        since = self._usage.under_way()
        if since is not None and since <= at:
            raise _not_yet(at, f"a block received at {format_instant(since)} is still being written", SOON_S)
        if at >= self._usage.published().received_at:  # else the rows tell the next start as much
            self._remember(at)

    def _check_dates(self, at: int, commit: Commit) -> None:
        """NotYet where what came next was dated by a clock that was ahead: it may have been received by then."""
        believed = self._clock.machine() + self._clock.max_jump_ms
        last = self._usage.published()
        if last.received_at <= believed:
            return
        after = self._usage.next_block(commit.block)
        if after is None or after > last.block:
            return
        dated = self._usage.last_commit(block=after).received_at
        if dated > believed:
            told = f"the blocks from {after} on are dated {format_instant(dated)}, by a clock that was ahead"
            raise _not_yet(at, f"{told}: which were there by then nobody knows. The token of an answer is exact", None)

    def _earliest(self, block: int) -> Commit:
        first = self._usage.first_commit()
        return first if 0 < first.block <= block else NONE


def read_token(as_of: str) -> Moment | None:
    """The moment a token is of; None where it is none."""
    try:
        told = tokens.decode(KIND, as_of, _Told)
    except ValueError:
        return None
    first = Commit(told.first_block, told.first_received_at)
    return Moment(told.block, told.instant, first, told.promise, told.generation)


def latest(usage: Commits, now: int) -> Moment:
    """The present moment without the ledger: what is dated up to now."""
    return Moment(usage.published().block, now, usage.first_commit())


def show_moment(moment: Moment) -> AsOf:
    earliest = moment.earliest
    kept = CommitAnswer(earliest.block, format_instant(earliest.received_at)) if earliest.block else None
    return AsOf(moment.block, format_instant(moment.instant), kept, moment.token)


def _instant(as_of: str) -> int:
    try:
        return parse_instant(as_of)
    except BadRange:
        told = f"as_of = {as_of[:64]!r}: the token of an earlier answer (its as_of.token), or an RFC 3339 instant"
        raise BadRange(told, parameter="as_of") from None


def _not_yet(at: int, why: str, retry_after_s: int | None, last_block: int | None = None) -> NotYet:
    told = {"retry_after_s": retry_after_s, "last_block": last_block}
    hints = {name: value for name, value in told.items() if value is not None}
    return NotYet(f"as_of = {format_instant(at)}: {why}", parameter="as_of", **hints)
