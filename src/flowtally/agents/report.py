"""What an import did: counts, and the first lines that gave trouble, with number and reason."""

from __future__ import annotations

from typing import Final

import msgspec

from flowtally.agents.reading import Unreadable, text_of
from flowtally.protocol import EventsAnswer, Receipt
from flowtally.texts import printable

SHOWN: Final = 10
EXCERPT_CHARS: Final = 160


class LineProblem(msgspec.Struct, frozen=True):
    """`line` counts from 1 over the whole log, resumed runs included. `reason` is a stable code."""

    line: int
    reason: str
    detail: str
    excerpt: str = ""


class ImportReport(msgspec.Struct, frozen=True):
    """Counts of this run: lines = events + unreadable + skipped; events = stored + duplicate + conflict + refused.

    `held` of the refused ones are kept by the server and count once the reason has passed; `held_for` counts them by
    reason, the first few. `resumed_at` is the byte offset where it began (0: at the beginning), after `resumed_lines`
    lines read by earlier runs. `skipped` are blank lines and those left out on purpose. `reasons` counts the unreadable
    ones by reason. `kind` is what the file is besides plain text (`gzip`, `UTF-16`). `waiting_bytes` follow the last
    newline and wait for theirs; `nul_bytes` stood where nothing was written, and were left out.
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
    kind: str = ""
    waiting_bytes: int = 0
    nul_bytes: int = 0

    @property
    def clean(self) -> bool:
        """Every line was read and every event is kept."""
        return not (self.unreadable or self.refused or self.conflict)


class Tally:
    """The running counts behind an ImportReport; the only thing in an import that changes in place."""

    def __init__(self) -> None:
        self.lines = self.events = self.stored = self.duplicate = self.conflict = self.refused = self.skipped = 0
        self.held = 0
        self.held_for: dict[str, int] = {}
        self.reasons: dict[str, int] = {}
        self.first_unreadable: list[LineProblem] = []
        self._refused: list[LineProblem] = []

    def count_unreadable(self, line: int, why: Unreadable, text: bytes | None) -> None:
        self.reasons[why.reason] = self.reasons.get(why.reason, 0) + 1
        if len(self.first_unreadable) < SHOWN:
            self.first_unreadable.append(LineProblem(line, why.reason, why.detail, excerpt(text or b"")))

    def count_answer(self, answer: EventsAnswer, lines: list[int]) -> None:
        """`lines[i]` is the number of the line that event i of the request came from."""
        self.stored += answer.stored
        self.duplicate += answer.duplicate
        self.conflict += answer.conflict
        self.refused += answer.refused
        self.held += answer.held
        for receipt in answer.receipts if answer.held else ():
            if receipt.retriable and (receipt.detail in self.held_for or len(self.held_for) < SHOWN):
                self.held_for[receipt.detail] = self.held_for.get(receipt.detail, 0) + 1
        for receipt in answer.receipts:
            if receipt.status in ("refused", "conflict") and len(self._refused) < SHOWN:
                self._refused.append(_problem(receipt, lines))

    def report(
        self,
        source: str,
        sequence: int,
        resumed_at: int,
        resumed_lines: int,
        *,
        kind: str = "",
        waiting_bytes: int = 0,
        nul_bytes: int = 0,
    ) -> ImportReport:
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
            kind=kind,
            waiting_bytes=waiting_bytes,
            nul_bytes=nul_bytes,
        )


def excerpt(text: bytes) -> str:
    """The beginning of a line, fit for a terminal: control characters are written out."""
    return printable(text_of(text[: 4 * EXCERPT_CHARS])[:EXCERPT_CHARS])


def _problem(receipt: Receipt, lines: list[int]) -> LineProblem:
    line = lines[receipt.index] if 0 <= receipt.index < len(lines) else 0
    return LineProblem(line, receipt.code or receipt.status, receipt.detail)
