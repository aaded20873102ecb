"""What moved whose past, in the order it was committed: for whoever must explain a figure that is not yesterday's.

Owns cursors and pages. The cursor `12` has seen everything up to block 12; `12.500` all before block 12 and 500
accounts of it, because a page may end inside a block. An instant means everything received from it on.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

from flowtally.edges import format_instant, parse_instant
from flowtally.errors import BadRange
from flowtally.protocol import Change, ChangesAnswer
from flowtally.usage.store import Move, UsageReader

MAX_LIMIT: Final = 1_000
DEFAULT_LIMIT: Final = 100
_CURSOR: Final = re.compile(r"(?P<block>[0-9]{1,18})(?:\.(?P<seen>[0-9]{1,9}))?", re.ASCII)
_LAST: Final = 10_413_791_999_999  # the engine's calendar ends with the year 2299


class Cursor(msgspec.Struct, frozen=True):
    """Everything up to `block` was seen; with `seen`, of `block` itself only that many accounts."""

    block: int
    seen: int | None = None

    @property
    def first(self) -> int:
        """The first block to look at."""
        return self.block + 1 if self.seen is None else self.block

    @property
    def text(self) -> str:
        return str(self.block) if self.seen is None else f"{self.block}.{self.seen}"


def make_changes(
    usage: UsageReader, since: str, *, account: str | None, late_before: str | None, limit: int
) -> ChangesAnswer:
    """A page of changes. BadRange where `since` is neither a cursor nor an instant."""
    until = usage.published().block  # first of all: what is committed between the questions below is of the next page
    cursor, started = _read_since(usage, since)
    late = started if late_before is None else parse_instant(late_before)
    found = _read(usage, cursor, until, limit + 1, account, late)
    shown = found[:limit]
    items = [_show(one) for one in shown]
    return ChangesAnswer(format_instant(late), items, _next(cursor, until, shown, found).text, len(found) > limit)


def _read(usage: UsageReader, cursor: Cursor, until: int, limit: int, account: str | None, late: int) -> list[Move]:
    """The next `limit` changes after the cursor, up to the block `until`."""
    found: list[Move] = []
    first, skip = cursor.first, cursor.seen or 0
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


def _read_since(usage: UsageReader, since: str) -> tuple[Cursor, int]:
    """The cursor, and the instant it stands for."""
    match = _CURSOR.fullmatch(since)
    if match is not None:
        block, seen = int(match["block"]), match["seen"]
        return Cursor(block, None if seen is None else int(seen)), usage.last_commit(block=block).received_at
    try:
        at = parse_instant(since)
    except BadRange:
        text = since[:64]
        raise BadRange(f"since = {text!r}: a cursor such as 4711, or an RFC 3339 instant", parameter="since") from None
    if at <= 0:
        return Cursor(0), 0
    return Cursor(usage.last_commit(at=min(at, _LAST) - 1).block), at


def _next(cursor: Cursor, until: int, shown: list[Move], found: list[Move]) -> Cursor:
    if len(found) == len(shown):  # nothing is left up to `until`; a cursor of an instant may stand beyond it
        return Cursor(max(until, cursor.block))
    last = shown[-1].block
    if found[len(shown)].block != last:
        return Cursor(last)
    of_last = sum(one.block == last for one in shown)
    return Cursor(last, of_last + (cursor.seen or 0 if cursor.block == last else 0))


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
    )
