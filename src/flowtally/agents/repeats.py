"""Whether a log has a part of itself twice, as `cat access.log* > all` where one of the files is a copy of another.

Two lines of one log may be alike: two requests of one second are. But lines are written as time passes. Where time goes
back, and the lines from there on say in the same order what lines before them said, the log was put together of copies.
Lines of fewer than `INSTANTS` instants are not enough to say so: of a copy that begins with the last lines of a batch
these are sent. What was sent before is asked of the server.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

import msgspec

from flowtally.agents.overlap import SAMPLES, AlreadyCounted, runs
from flowtally.client import Client
from flowtally.protocol import PlainEvent

INSTANTS: Final = 3
MOST_LEAPS: Final = 20  # places of one batch that are looked at, those where time goes back furthest
MOST_ALIKE: Final = 20  # lines before such a place that may be its first one
MOST_LINES: Final = 500  # that are compared
ASKED_AFTER: Final = timedelta(seconds=5)  # a long request, dated by its beginning, is no reason to ask
_ANYBODY: Final = "import:repeats"  # asked about another source, the server tells of this one, too


class Repeats:
    """Looks at one batch after the other, as they are read."""

    def __init__(self, client: Client, source: str, *, goes_on: bool = False) -> None:
        """`goes_on`: it had events before, and nobody here knows of when the last one was."""
        self._client = client
        self._source = source
        self._last = ""  # instant of the batch before
        self._leapt = goes_on  # perhaps, so near to its end that nothing could be said

    def check(self, events: Sequence[PlainEvent], line_of: Callable[[int], int]) -> None:
        """Raises AlreadyCounted, and the client's ApiError."""
        instants = [(event.time or "").removesuffix("Z") for event in events]
        before = [self._last, *instants]
        leaps = [place for place, instant in enumerate(instants) if "" != instant < before[place]]
        leapt, self._leapt = self._leapt, bool(leaps) and len(set(instants[leaps[-1] :])) < INSTANTS
        self._last = before[-1]
        if leapt:
            self._ask(events, 0, line_of)
        if not leaps:
            return
        backwards = {place: _time(before[place]) - _time(instants[place]) for place in leaps}
        leaps = sorted(leaps, key=lambda place: backwards[place], reverse=True)
        self._look_within(events, instants, leaps[:MOST_LEAPS], line_of)
        if backwards[leaps[0]] >= ASKED_AFTER:
            self._ask(events, leaps[0], line_of)

    def _look_within(
        self, events: Sequence[PlainEvent], instants: Sequence[str], leaps: Sequence[int], line_of: Callable[[int], int]
    ) -> None:
        places: defaultdict[str, list[int]] = defaultdict(list)
        for place, instant in enumerate(instants):
            places[instant].append(place)
        for leap in leaps:
            for place in places[instants[leap]][:MOST_ALIKE]:
                if place < leap and (count := _alike(events, place, leap)):
                    lines = f"as lines {line_of(place):,} to {line_of(place + count - 1):,} of it"
                    raise AlreadyCounted(_told(line_of(leap), line_of(leap + count - 1), lines))

    def _ask(self, events: Sequence[PlainEvent], leap: int, line_of: Callable[[int], int]) -> None:
        asked = events[leap : leap + SAMPLES]
        renamed = [msgspec.structs.replace(event, source=_ANYBODY) for event in asked]
        for source, first, last in runs(self._client.overlaps(_ANYBODY, renamed)):
            if source != self._source or len({event.time for event in asked[first : last + 1]}) < INSTANTS:
                continue
            mark = self._client.source(source).sequence or 0
            if mark < int(asked[0].sequence or 0):  # else they are these very events: somebody sent them just now
                raise AlreadyCounted(_told(line_of(leap + first), line_of(leap + last), "before"))


def _alike(events: Sequence[PlainEvent], place: int, other: int) -> int:
    """How many events from `place` on say what those from `other` on say; 0 where these are too few."""
    count, instants = 0, set[str | None]()
    most = min(MOST_LINES, len(events) - other, other - place)
    while count < most and _use(events[place + count]) == _use(events[other + count]):
        instants.add(events[other + count].time)
        count += 1
    return count if len(instants) >= INSTANTS else 0


def _use(event: PlainEvent) -> tuple[object, ...]:
    return event.time, event.user, event.account, event.bytes_up, event.bytes_down, event.requests, event.status


def _time(instant: str) -> datetime:
    return datetime.fromisoformat(instant + "Z")


def _told(first: int, last: int, where: str) -> str:
    return (
        f"Lines {first:,} to {last:,} of this log stand in it {where} already, and would count twice: it was put "
        "together of logs of which one is there twice; nothing of this part of the log was sent. If it is other use "
        "that only looks alike, say --overlap allow"
    )
