"""As of when an answer is: a past commit, named by its block or by an instant of receipt.

Owns the reading of `as_of` and what an answer says about it. Leaves the sums over blocks to the usage store and what
was promised by then to `balance`.

Blocks are numbered in the order they were committed and their instants of receipt never go back, so "what was known at
that instant" is "every block up to the last one received by then". Asking again by the block an answer names gives the
same answer for ever; asking again by the instant does too, once a later block is there.
"""

from __future__ import annotations

import msgspec

from flowtally.edges import format_instant, parse_instant
from flowtally.errors import BadRange, NotYet
from flowtally.protocol import AsOf, CommitAnswer
from flowtally.usage.store import Commit, UsageReader


class Moment(msgspec.Struct, frozen=True):
    """Rows with block <= `block`, promises made up to `instant`; `earliest`: how far back it can be asked."""

    block: int
    instant: int
    earliest: Commit


def find_moment(usage: UsageReader, as_of: str, now: int) -> Moment:
    """The moment a text names: a block's number, or RFC 3339. NotYet when it is later than what there is (the answer
    to it could still change), BadRange when it is neither."""
    if as_of.isascii() and as_of.isdigit():
        return _at_block(usage, as_of)
    try:
        at = parse_instant(as_of)
    except BadRange:
        shown = as_of[:64]
        raise BadRange(f"as_of = {shown!r}: the number of a block, or an RFC 3339 instant", parameter="as_of") from None
    last = usage.last_commit()
    if at > max(now, last.received_at):  # a clock that was set back may leave us with a block of the future
        raise NotYet(f"as_of = {format_instant(at)} is still to come", parameter="as_of", last_block=last.block)
    return Moment(usage.last_commit(at=at).block, at, usage.first_commit())


def latest(usage: UsageReader, now: int) -> Moment:
    """The present moment, held fast."""
    return Moment(usage.last_commit().block, now, usage.first_commit())


def show_moment(moment: Moment) -> AsOf:
    earliest = moment.earliest
    kept = CommitAnswer(earliest.block, format_instant(earliest.received_at)) if earliest.block else None
    return AsOf(moment.block, format_instant(moment.instant), kept)


def _at_block(usage: UsageReader, text: str) -> Moment:
    last = usage.last_commit()
    if len(text) > 19 or int(text) > last.block:
        raise NotYet(
            f"as_of = {text[:20]}: there is no such block yet; the last one is {last.block}",
            parameter="as_of",
            last_block=last.block,
        )
    found = usage.last_commit(block=int(text))  # numbers that were never used mean the block before them
    return Moment(found.block, found.received_at, usage.first_commit())
