"""Outbox: events that were recorded and have no receipt yet. Bounded, in order, one batch on its way at a time.

Pure bookkeeping: no thread, no lock, no clock and no network; a meter has those and hands in the time. A batch that got
no answer stays as it is and is taken again, so a retry carries the same bytes.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator
from typing import Final

import msgspec

from flowtally.client import calls
from flowtally.client.call import ClientCall
from flowtally.client.errors import ApiError
from flowtally.client.event_maker import read_line
from flowtally.protocol import MAX_BODY_BYTES, MAX_EVENTS, EventsAnswer, PlainEvent, Receipt

TOO_LARGE: Final = 413


class Limits(msgspec.Struct, frozen=True):
    """What waits at most (`max_`), what travels in one request (`batch_`), how long after a failure (`retry_`).

    The first event of a batch waits `batch_age_s` for company; a full batch goes at once. Pauses double from
    `retry_first_s` to `retry_max_s`; a server's `Retry-After` counts instead, up to `retry_after_max_s`.
    """

    max_events: int = 100_000
    max_bytes: int = 64 * 1024 * 1024
    batch_events: int = 5_000
    batch_bytes: int = 1024 * 1024
    batch_age_s: float = 1.0
    retry_first_s: float = 0.2
    retry_max_s: float = 30.0
    retry_after_max_s: float = 3600.0

    def __post_init__(self) -> None:
        if not 0 < self.batch_events <= MAX_EVENTS or not 0 < self.batch_bytes <= MAX_BODY_BYTES // 2:
            raise ValueError(f"a batch has 1 to {MAX_EVENTS} events and 1 to {MAX_BODY_BYTES // 2} bytes")
        if self.max_events < 1 or self.max_bytes < 1:
            raise ValueError("a buffer holds at least one event and one byte")


class Counts(msgspec.Struct, frozen=True):
    """recorded + resumed = stored + duplicate + conflict + refused + pending + given_up, at every moment.

    `resumed` events came from the spool of an earlier process; `given_up` were spooled or handed to the caller by
    `close`. `pending` holds what has no receipt yet."""

    recorded: int = 0
    resumed: int = 0
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    refused: int = 0
    pending: int = 0
    given_up: int = 0


class Batch:
    """What one request carries, in NDJSON lines; made once and sent until it has receipts."""

    def __init__(self, lines: list[bytes], *, resumed: bool = False) -> None:
        self.lines = lines
        self.resumed = resumed
        self._call: ClientCall[EventsAnswer] | None = None

    def __len__(self) -> int:
        return len(self.lines)

    @property
    def size_bytes(self) -> int:
        return sum(map(len, self.lines))

    @property
    def call(self) -> ClientCall[EventsAnswer]:
        if self._call is None:
            self._call = calls.send_events(b"\n".join(self.lines))
        return self._call

    def halves(self) -> list[Batch]:
        middle = len(self.lines) // 2
        return [Batch(half, resumed=self.resumed) for half in (self.lines[:middle], self.lines[middle:])]

    def notable(self, answer: EventsAnswer) -> Iterator[tuple[PlainEvent, Receipt]]:
        """The events that will never count, each with its receipt."""
        for receipt in answer.receipts:
            if receipt.status in ("conflict", "refused"):
                yield read_line(self.lines[receipt.index]), receipt


class Outbox:
    """Not thread-safe: its meter has the lock."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._waiting: deque[tuple[bytes, float]] = deque()  # line, when it was recorded
        self._flying: deque[Batch] = deque()  # taken, without receipts; the first one is on its way
        self._waiting_bytes = 0
        self._held = 0  # recorded here and without a receipt: waiting or flying
        self._held_bytes = 0
        self._failures = 0
        self._not_before_s = 0.0
        self.recorded = 0
        self.settled = 0  # of the recorded ones, in order
        self._resumed = 0
        self._given_up = 0
        self._answers = [0, 0, 0, 0]

    @property
    def counts(self) -> Counts:
        pending = len(self._waiting) + sum(map(len, self._flying))
        stored, duplicate, conflict, refused = self._answers
        return Counts(
            recorded=self.recorded,
            resumed=self._resumed,
            stored=stored,
            duplicate=duplicate,
            conflict=conflict,
            refused=refused,
            pending=pending,
            given_up=self._given_up,
        )

    @property
    def flying(self) -> bool:
        return bool(self._flying)

    def fits(self, line: bytes) -> bool:
        return self._held < self._limits.max_events and self._held_bytes + len(line) <= self._limits.max_bytes

    def add(self, line: bytes, now_s: float) -> bool:
        """Whether its meter's sender should be woken: the first event starts the clock, a full batch goes at once."""
        was_full = self._full()
        self._waiting.append((line, now_s))
        self._waiting_bytes += len(line)
        self._held += 1
        self._held_bytes += len(line)
        self.recorded += 1
        return len(self._waiting) == 1 or (self._full() and not was_full)

    def resume(self, batch: Batch) -> None:
        """Send what an earlier process left before anything else."""
        self._flying.append(batch)
        self._resumed += len(batch)

    def wait_s(self, now_s: float, *, hurry: bool) -> float | None:
        """How long until there is something to send: 0 is now, None is not before something is recorded."""
        if not self._flying and not self._waiting:
            return None
        due = now_s
        if not (self._flying or hurry or self._full()):
            due = self._waiting[0][1] + self._limits.batch_age_s
        return max(0.0, due - now_s, self._not_before_s - now_s)

    def take(self) -> Batch:
        """The batch to send now: the one without an answer again, or the next."""
        if not self._flying:
            self._flying.append(Batch(list(self._next_lines())))
        return self._flying[0]

    def settle(self, batch: Batch, answer: EventsAnswer) -> None:
        """Every event of the batch has its receipt."""
        assert self._flying[0] is batch
        self._flying.popleft()
        if not batch.resumed:
            self.settled += len(batch)
            self._held -= len(batch)
            self._held_bytes -= batch.size_bytes
        given = (answer.stored, answer.duplicate, answer.conflict, answer.refused)
        self._answers = [sum(pair) for pair in zip(self._answers, given, strict=True)]
        self._failures, self._not_before_s = 0, 0.0

    def failed(self, batch: Batch, error: ApiError, now_s: float) -> EventsAnswer | None:
        """No receipts: the batch stays, to be taken again after a pause, or in halves where it was too large.

        An event that alone is too large for the server is refused: the answer that says so."""
        assert self._flying[0] is batch
        if error.status == TOO_LARGE and len(batch) > 1:
            self._flying.popleft()
            self._flying.extendleft(reversed(batch.halves()))
            return None
        if error.status == TOO_LARGE and error.code == "too_large":
            event = read_line(batch.lines[0])
            return EventsAnswer(0, 0, 0, 1, [Receipt(0, event.source, event.id, "refused", error.code, error.detail)])
        self._not_before_s = now_s + self._pause_s(error)
        self._failures += 1
        return None

    def give_up(self) -> list[bytes]:
        """Everything without a receipt leaves; what was resumed is in its spool anyway."""
        lines = [line for batch in self._flying if not batch.resumed for line in batch.lines]
        lines += [line for line, _ in self._waiting]
        self._given_up += len(lines) + sum(len(batch) for batch in self._flying if batch.resumed)
        self._flying.clear()
        self._waiting.clear()
        self._waiting_bytes = self._held = self._held_bytes = 0
        return lines

    def _full(self) -> bool:
        return len(self._waiting) >= self._limits.batch_events or self._waiting_bytes >= self._limits.batch_bytes

    def _next_lines(self) -> Iterator[bytes]:
        room = self._limits.batch_bytes
        for number in range(min(len(self._waiting), self._limits.batch_events)):
            room -= len(self._waiting[0][0])
            if room < 0 and number:
                return
            line, _ = self._waiting.popleft()
            self._waiting_bytes -= len(line)
            yield line

    def _pause_s(self, error: ApiError) -> float:
        if error.retry_after_s is not None:
            return min(float(error.retry_after_s), self._limits.retry_after_max_s)
        doubled = self._limits.retry_first_s * float(2 ** min(self._failures, 30))
        # Chance keeps many meters from coming back in the same moment; it decides nothing else.
        return min(doubled, self._limits.retry_max_s) * random.uniform(0.5, 1.0)  # noqa: S311
