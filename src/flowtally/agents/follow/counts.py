"""What one input has done since it began, and what troubles it; for metrics and for the log. Plain numbers."""

from __future__ import annotations

from typing import Any

import msgspec

from flowtally.protocol import EventsAnswer


class LineCounts(msgspec.Struct):
    """Lines = events + unreadable + skipped, as they were read; lines that were read again count again. Of events the
    answers of the server: `held` are kept by it and count later, `refused` are not."""

    lines: int = 0
    skipped: int = 0
    unreadable: dict[str, int] = {}
    stored: int = 0
    duplicate: int = 0
    conflict: int = 0
    refused: int = 0
    held: int = 0
    files: int = 0  # that were begun
    cuts: int = 0  # files that were cut while they were read (copytruncate)
    holes: int = 0  # spans that were removed before they were read
    failures: int = 0  # requests and readings that have to be done again
    last_stored_at: float = 0.0  # seconds since 1970

    def answered(self, answer: EventsAnswer, now_s: float) -> None:
        self.stored += answer.stored
        self.duplicate += answer.duplicate
        self.conflict += answer.conflict
        self.held += answer.held
        self.refused += answer.refused - answer.held
        if answer.stored or answer.held:
            self.last_stored_at = now_s

    def facts(self) -> dict[str, Any]:
        return msgspec.structs.asdict(self)
