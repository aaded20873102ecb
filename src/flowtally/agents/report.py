"""What an import did: counts, the lines that gave trouble, with number and reason, and what was read (`look`)."""

from __future__ import annotations

from typing import Final, Protocol

import msgspec

from flowtally.agents.lines import MAX_LINE_BYTES, LogLine
from flowtally.agents.look import Look, Looking, excerpt
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.core.edges import parse_instant
from flowtally.protocol import EventsAnswer, NeverPaidEvents, Receipt

SHOWN: Final = 10
MOST_REASONS: Final = 50
_TOO_LONG: Final = Unreadable("too_long", f"longer than {MAX_LINE_BYTES} bytes")
_CUT: Final = Unreadable("cut", "its end was lost: NUL bytes follow")


class Reads(Protocol):
    """Who makes entries of lines: a `Mapper`."""

    def read(self, line: bytes) -> Line: ...


class LineProblem(msgspec.Struct, frozen=True):
    """`line` counts from 1 over the whole log, resumed runs included. `reason` is a stable code."""

    line: int
    reason: str
    detail: str
    excerpt: str = ""


class SourceState(msgspec.Struct, frozen=True):
    """How the whole source stands, runs before this one included: of its events so many are stored, held (they count
    once the reason has passed) and refused for good; where `more_refused`, at least so many, and at most so many are
    stored."""

    stored: int
    held: int
    refused: int
    more_refused: bool = False


class ImportReport(msgspec.Struct, frozen=True):
    """Counts of this run: lines = events + unreadable + skipped; events = stored + duplicate + conflict + refused, all
    0 in a dry run, where nothing is sent.

    `held` of the refused ones are kept by the server and count once the reason has passed; `held_for` counts them by
    reason, the first few, and `first_held` has a line of each. `resumed_at` is the byte offset where it began (0: at
    the beginning), after `resumed_lines` lines read by earlier runs. `skipped` are blank lines, those left out on
    purpose and, in a second reading, those that the first could read. `reasons` counts the unreadable ones by reason,
    `refused_for` the refused ones and those in conflict by code; of each reason there is a line among the first ones.
    `kind` is what the file is besides plain text (`gzip`, `UTF-16`). `waiting_bytes` follow the last newline and wait
    for theirs; `nul_bytes` stood where nothing was written, and were left out. `read` is what the lines said. `means`
    says which field of the format each meaning is read from, where the format tells, `notes` what it cannot know.
    `never_paid`: events of this run that are stored, now or before, and dated before anything that could pay for them
    began; `more_never_paid` of the answers' were left out.
    `state` is asked of the server at the end: None where it could not be. `damage`: why the log
    could not be read on.
    """

    source: str
    lines: int
    events: int
    stored: int
    duplicate: int
    conflict: int
    refused: int
    unreadable: int
    skipped: int
    resumed_at: int
    resumed_lines: int
    sequence: int
    reasons: dict[str, int]
    first_unreadable: tuple[LineProblem, ...]
    first_refused: tuple[LineProblem, ...]
    held: int = 0
    held_for: dict[str, int] = {}
    first_held: tuple[LineProblem, ...] = ()
    refused_for: dict[str, int] = {}
    file: str = ""
    kind: str = ""
    waiting_bytes: int = 0
    nul_bytes: int = 0
    read: Look = Look()
    means: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    state: SourceState | None = None
    damage: str = ""
    dry_run: bool = False
    never_paid: tuple[NeverPaidEvents, ...] = ()
    more_never_paid: int = 0

    @property
    def clean(self) -> bool:
        """Every line was read and every event of the source is kept."""
        waits = self.state is not None and self.state.held
        return not (self.unreadable or self.refused or self.conflict or waits or self.damage)


class Tally:
    """The running counts behind an ImportReport; the only thing in an import that changes in place."""

    def __init__(self, looking: Looking | None = None) -> None:
        """`looking` where the run ends some day: a follower would look for ever."""
        self.lines = self.events = self.stored = self.duplicate = self.conflict = self.refused = self.skipped = 0
        self.held = 0
        self.held_for: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.refused_for: dict[str, int] = {}
        self._never_paid: dict[tuple[str, ...], NeverPaidEvents] = {}
        self._more_never_paid = 0
        self._looking = looking
        self.first_unreadable: list[LineProblem] = []
        self._refused: list[LineProblem] = []
        self._held: list[LineProblem] = []

    def take(self, line: LogLine, reads: Reads, before: int) -> LineReading | None:
        """Read one line, after `before` lines of earlier runs, and count it; what it says where it is an event."""
        for part in line.cut:
            self.lines += 1
            self._count_unreadable(before + self.lines, _CUT, part)
        self.lines += 1
        read = _TOO_LONG if line.text is None else reads.read(line.text)
        if isinstance(read, LineReading):
            self.events += 1
            if self._looking is not None:
                self._looking.add(before + self.lines, line.text or b"", read)
            return read
        if read is None:
            self.skipped += 1
        else:
            self._count_unreadable(before + self.lines, read, line.text)
        return None

    def _count_unreadable(self, line: int, why: Unreadable, text: bytes | None) -> None:
        _count(self.reasons, why.reason)
        if len(self.first_unreadable) < SHOWN or self.reasons[why.reason] == 1:
            self.first_unreadable.append(LineProblem(line, why.reason, why.detail, excerpt(text or b"")))

    def count_answer(self, answer: EventsAnswer, lines: list[tuple[int, bytes]]) -> None:
        """`lines[i]` is the number of the line that event i of the request came from, and its text."""
        self.stored += answer.stored
        self.duplicate += answer.duplicate
        self.conflict += answer.conflict
        self.refused += answer.refused
        self.held += answer.held
        self._count_never_paid(answer)
        for receipt in answer.receipts:
            if receipt.retriable and answer.held:
                if receipt.detail in self.held_for or len(self.held_for) < SHOWN:
                    _count(self.held_for, receipt.detail)
                if self.held_for.get(receipt.detail) == 1:
                    self._held.append(_problem(receipt, lines))
            elif receipt.status in ("refused", "conflict"):
                code = receipt.code or receipt.status
                _count(self.refused_for, code)
                if len(self._refused) < SHOWN or self.refused_for.get(code) == 1:
                    self._refused.append(_problem(receipt, lines))

    def _count_never_paid(self, answer: EventsAnswer) -> None:
        self._more_never_paid += answer.more_never_paid
        for one in answer.never_paid:
            key = (one.account, one.user, one.pool, one.before)
            before = self._never_paid.get(key)
            if before is None and len(self._never_paid) == MOST_REASONS:
                self._more_never_paid += 1
            elif before is None:
                self._never_paid[key] = one
            else:
                self._never_paid[key] = msgspec.structs.replace(
                    one,
                    events=before.events + one.events,
                    amount=before.amount + one.amount,
                    first=min(before.first, one.first, key=parse_instant),
                )

    def report(self, source: str, sequence: int, resumed_at: int, resumed_lines: int) -> ImportReport:
        return ImportReport(
            source=source,
            lines=self.lines,
            events=self.events,
            stored=self.stored,
            duplicate=self.duplicate,
            conflict=self.conflict,
            refused=self.refused,
            unreadable=sum(self.reasons.values()),
            skipped=self.skipped,
            resumed_at=resumed_at,
            resumed_lines=resumed_lines,
            sequence=sequence,
            reasons=dict(self.reasons),
            first_unreadable=tuple(self.first_unreadable),
            first_refused=tuple(self._refused),
            held=self.held,
            held_for=dict(self.held_for),
            first_held=tuple(self._held),
            refused_for=dict(self.refused_for),
            read=self._looking.look() if self._looking is not None else Look(),
            never_paid=tuple(self._never_paid.values()),
            more_never_paid=self._more_never_paid,
        )


def _count(counts: dict[str, int], name: str) -> None:
    if name in counts or len(counts) < MOST_REASONS:
        counts[name] = counts.get(name, 0) + 1


def _problem(receipt: Receipt, lines: list[tuple[int, bytes]]) -> LineProblem:
    line, text = lines[receipt.index] if 0 <= receipt.index < len(lines) else (0, b"")
    return LineProblem(line, receipt.code or receipt.status, receipt.detail, excerpt(text))
