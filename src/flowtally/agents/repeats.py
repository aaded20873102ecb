"""Whether a log has a part of itself twice, as `cat access.log* > all` where one of the files is a copy of another.

Two lines of one log may be alike: two requests of one second are. But lines are written as time passes. Where lines are
older than one before them, and say in the same order what earlier ones said, the log was put together of copies. Lines
of fewer than `INSTANTS` instants are not enough to say so: of a copy that begins with the last lines of a batch these
are sent. What was sent before is asked of the server, with samples of the older lines.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import accumulate
from typing import Final

import msgspec

from flowtally.agents.overlap import SAMPLES, AlreadyCounted, runs, spread
from flowtally.client import Client
from flowtally.protocol import PlainEvent

INSTANTS: Final = 3
MOST_LINES: Final = 500  # that are compared
MOST_TRIED: Final = 200  # lines of one batch that are compared with an earlier one
MOST_NEAR: Final = 4  # samples whose neighbours are asked about
ASKED_AFTER: Final = timedelta(seconds=5)  # a request, dated by its beginning, may be written a little later
_ANYBODY: Final = "import:repeats"  # asked about another source, the server tells of this one, too


class Repeats:
    """Looks at one batch after the other, as they are read."""

    def __init__(self, client: Client, source: str, *, goes_on: bool = False) -> None:
        """`goes_on`: it had events before this run, and nobody here knows how late they are: all are asked about."""
        self._client = client
        self._source = source
        self._goes_on = goes_on
        self._latest = ""  # instant of all batches before

    def check(self, events: Sequence[PlainEvent], line_of: Callable[[int], int]) -> None:
        """Raises AlreadyCounted, and the client's ApiError."""
        instants = [(event.time or "").removesuffix("Z") for event in events]
        latest = list(accumulate(instants, max, initial=self._latest))
        older = [place for place, instant in enumerate(instants) if "" != instant < latest[place]]
        if older:
            self._look_within(events, older, line_of)
        asked = [place for place in older if _time(latest[place]) - _time(instants[place]) >= ASKED_AFTER]
        if self._goes_on:
            asked = list(range(len(events)))
        self._latest = latest[-1]
        if asked:
            self._ask(events, [asked[index] for index in spread(len(asked))], line_of)

    def _look_within(self, events: Sequence[PlainEvent], older: Sequence[int], line_of: Callable[[int], int]) -> None:
        places: dict[tuple[object, ...], int] = {}
        for place, event in enumerate(events):
            places.setdefault(_use(event), place)
        again = [(places[_use(events[place])], place) for place in older]
        for first, place in [(first, place) for first, place in again if first < place][:MOST_TRIED]:
            if count := _alike(events, first, place):
                same = f"say what its lines {line_of(first):,} to {line_of(first + count - 1):,} say"
                raise AlreadyCounted(_told(line_of(place), line_of(place + count - 1), same))

    def _ask(self, events: Sequence[PlainEvent], samples: Sequence[int], line_of: Callable[[int], int]) -> None:
        found = [samples[first] for first, _ in self._runs(events, samples)]
        for sample in found[:MOST_NEAR]:
            near = range(max(0, sample - SAMPLES // 2), min(len(events), sample + SAMPLES // 2))
            for first, last in self._runs(events, near):
                run = events[near[first] : near[last] + 1]
                if len({event.time for event in run}) >= INSTANTS and self._is_before(run[0]):
                    raise AlreadyCounted(_told(line_of(near[first]), line_of(near[last]), "say what earlier ones say"))

    def _runs(self, events: Sequence[PlainEvent], places: Sequence[int]) -> list[tuple[int, int]]:
        """Which of these in a row stand in this source."""
        asked = [msgspec.structs.replace(events[place], source=_ANYBODY) for place in places]
        answer = self._client.overlaps(_ANYBODY, asked)
        return [(first, last) for source, first, last in runs(answer) if source == self._source]

    def _is_before(self, event: PlainEvent) -> bool:
        """Else what stands there is this very event: somebody else has sent it just now."""
        return (self._client.source(self._source).sequence or 0) < int(event.sequence or 0)


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


def _told(first: int, last: int, same: str) -> str:
    return (
        f"Lines {first:,} to {last:,} of this log {same}, in the same order, and would count twice: it was put "
        "together of logs, one of them twice; nothing of this part of the log was sent. If it is other use that only "
        "looks alike, say --overlap allow"
    )
