"""Whether a batch stands on the server already, under another source: asked with samples of it before it is sent.

A concatenation of logs, a copy that lost its first line, a log that an agent shipped: each is another log by its first
line, and every event of it would count again. Two events may be alike by chance, neighbours in a row are not: a batch
is refused where at least `RUN` events in a row stand in one other source, or all of them where there are fewer, unless
these are nobody's and of no bytes, as health checks are. In a large batch samples are looked for, and where one is
found, its neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from flowtally.client import ApiError, Client
from flowtally.protocol import MAX_OVERLAPS, OverlapsAnswer, PlainEvent

SAMPLES: Final = min(50, MAX_OVERLAPS)
RUN: Final = 3
MOST_NEAR: Final = 4  # places of one batch that are looked at more closely
CANNOT_ASK: Final = ("forbidden", "not_found", "method_not_allowed")  # no right to, or a server of an earlier version


class AlreadyCounted(Exception):
    """Events of this log were counted already: they stand in another source, or in this one under other numbers.
    Nothing of these lines was sent.

    Cause: The same log was imported before under another source, an agent reads it, or it was copied into itself.

    Do: Go on with the source that has them. If they must count a second time, say `--overlap allow`.
    """


def check_overlap(client: Client, source: str, events: Sequence[PlainEvent], line_of: Callable[[int], int]) -> bool:
    """Raises AlreadyCounted, and the client's ApiError. False where it could not be asked."""
    picked = spread(len(events))
    try:
        found = _found(client, source, events, picked)
        near = [] if len(picked) == len(events) else [first for _, first, _ in found][:MOST_NEAR]
        for index in near:
            around = range(max(0, index - SAMPLES // 2), min(len(events), index + SAMPLES // 2))
            found += _found(client, source, events, around)
    except ApiError as error:
        if error.code not in CANNOT_ASK:
            raise
        return False
    if len(events) < RUN and not any(event.user or event.bytes_up or event.bytes_down for event in events):
        return True
    for other, first, last in found:
        if last - first + 1 >= min(RUN, len(events)):
            raise AlreadyCounted(_told(source, other, line_of(first), line_of(last)))
    return True


def spread(count: int) -> list[int]:
    """At most `SAMPLES` of so many indices, evenly spread, the first and the last among them."""
    if count <= SAMPLES:
        return list(range(count))
    return [index * (count - 1) // (SAMPLES - 1) for index in range(SAMPLES)]


def runs(answer: OverlapsAnswer) -> Iterator[tuple[str, int, int]]:
    """What was asked about in a row and stands in one other source: its name (empty: of another sender), the first and
    the last index."""
    open_runs: dict[str, tuple[int, int]] = {}
    for overlap in sorted(answer.overlaps, key=lambda one: one.index):
        for name in [*overlap.sources, *([""] if overlap.other_senders else [])]:
            first, last = open_runs.get(name, (overlap.index, overlap.index - 1))
            if last != overlap.index - 1:
                yield name, first, last
                first = overlap.index
            open_runs[name] = (first, overlap.index)
    for name, (first, last) in open_runs.items():
        yield name, first, last


def _found(
    client: Client, source: str, events: Sequence[PlainEvent], picked: Sequence[int]
) -> list[tuple[str, int, int]]:
    """As `runs`, with the indices of the batch where neighbours were asked about. Of samples that lie apart a run has
    all that lies between them."""
    if not picked:
        return []
    answer = client.overlaps(source, [events[index] for index in picked])
    found = []
    for name, first, last in runs(answer):
        apart = picked[-1] - picked[0] >= len(picked)
        is_run = not apart or last - first + 1 >= RUN
        found.append((name, picked[first], picked[last] if is_run else picked[first]))
    return found


def _told(source: str, other: str, first: int, last: int) -> str:
    where = f"source {other!r}" if other else "a source of another sender"
    lines = f"Lines {first:,} to {last:,} of this log stand" if first != last else f"Line {first:,} of this log stands"
    return (
        f"{lines} in {where} already, and would count twice as {source!r}; nothing of this part of the log was sent. "
        "If it is other use that only looks alike, say --overlap allow"
    )
