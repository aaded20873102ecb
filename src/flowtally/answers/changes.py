"""What moved whose past, in the order it was committed: for whoever must explain a figure that is not yesterday's.

Owns places and pages. A place is a block of which everything was seen, or some accounts, because a page may end inside
a block. An instant means everything received from it on. The text of a place is a cursor (`cursors`): it belongs to one
account, or to all, and to one generation of the installation, after which the same number may be of other rows.
"""

from __future__ import annotations

import re
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.cursors import Walk
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import BadRange, BadRequest
from flowtally.core.times import LAST_INSTANT
from flowtally.protocol import Change, ChangesAnswer
from flowtally.usage.values import MAX_BLOCK, Move
from flowtally.usage.verbs import Commits

BEGINNING: Final = "0"
KIND: Final = "changes"
_NUMBER: Final = re.compile(r"[0-9]{1,30}(\.[0-9]{1,30})?", re.ASCII)
_YEAR_1: Final = -62_135_596_800_000
_LAST: Final = 10_413_791_999_999  # the engine's calendar ends with the year 2299


class Place(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Everything up to `block` was seen; with `seen`, of `block` itself only that many accounts. `late`: what counts as
    late on the pages that are still to come, which is what did on the first."""

    block: Annotated[int, Meta(ge=0, le=MAX_BLOCK)]
    seen: Annotated[int, Meta(ge=1, le=10**9)] | None = None
    late: Annotated[int, Meta(ge=_YEAR_1, le=LAST_INSTANT)] | None = None

    @property
    def first(self) -> int:
        """The first block to look at."""
        return self.block + 1 if self.seen is None else self.block


def make_changes(
    usage: Commits, since: str, *, generation: str, account: str | None, late_before: str | None, limit: int
) -> ChangesAnswer:
    """A page of changes. BadRange where `since` is neither a cursor of these changes nor an instant; CursorGone."""
    walk = Walk(KIND, generation, (account,), "since", "Begin again from an RFC 3339 instant")
    until = usage.published().block  # first of all: what is committed between the questions below is of the next page
    place, started = _read_since(usage, walk, since)
    late = started if late_before is None else parse_instant(late_before)
    found = _read(usage, place, until, limit + 1, account, late)
    shown = found[:limit]
    items = [_show(one) for one in shown]
    more = len(found) > limit
    following = msgspec.structs.replace(_next(place, until, shown, found), late=late if more else None)
    return ChangesAnswer(format_instant(late), items, walk.cursor(following), more)


def _read(usage: Commits, place: Place, until: int, limit: int, account: str | None, late: int) -> list[Move]:
    """The next `limit` changes after the place, up to the block `until`."""
    found: list[Move] = []
    first, skip = place.first, place.seen or 0
    while True:
        wanted = limit - len(found)
        found += usage.moves(first, skip, wanted, account=account, late_before=late, until_block=until)
        if len(found) == limit or account is not None:
            return found
        # Without an account it looked at `wanted` block numbers only, and some of them were never used.
        after = usage.next_block(first + wanted - 1, until_block=until)
        if after is None:
            return found
        first, skip = after, 0


def _read_since(usage: Commits, walk: Walk, since: str) -> tuple[Place, int]:
    """The place, and the instant it stands for."""
    if since == BEGINNING:
        return Place(0), 0
    if _NUMBER.fullmatch(since):
        raise BadRange(
            f"since = {since[:64]!r}: a bare number is no cursor, it could mean other rows after a restore. Give "
            "`next` of an earlier answer as it is, or an RFC 3339 instant to begin from",
            parameter="since",
        )
    try:
        at = parse_instant(since)
    except BadRange:
        place = _read_cursor(walk, since)
        started = usage.last_commit(block=place.block).received_at if place.late is None else place.late
        return place, started
    if at <= 0:
        return Place(0), 0
    return Place(usage.last_commit(at=min(at, _LAST) - 1).block), at


def _read_cursor(walk: Walk, since: str) -> Place:
    try:
        return walk.place(since, Place)
    except BadRequest as error:
        told = f"{error.detail}. Give `next` of an earlier answer as it is, or an RFC 3339 instant"
        raise BadRange(told, parameter="since") from None


def _next(place: Place, until: int, shown: list[Move], found: list[Move]) -> Place:
    if len(found) == len(shown):  # nothing is left up to `until`; the place of an instant may be beyond it
        return Place(max(until, place.block))
    last = shown[-1].block
    if found[len(shown)].block != last:
        return Place(last)
    of_last = sum(one.block == last for one in shown)
    return Place(last, of_last + (place.seen or 0 if place.block == last else 0))


def _show(one: Move) -> Change:
    return Change(
        block=one.block,
        received_at=format_instant(one.received_at),
        series=one.series,
        account=one.account,
        use=one.use,
        late=one.late,
        corrections=one.corrections,
        adjustments=one.adjustments,
        earliest=format_instant(one.earliest),
        latest=format_instant(one.latest),
        bytes_up=one.bytes_up,
        bytes_down=one.bytes_down,
        bytes=one.bytes_up + one.bytes_down,
        requests=one.requests,
        flags=dict(sorted(one.flags.items())),
    )
