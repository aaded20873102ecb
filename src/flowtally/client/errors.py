"""What can go wrong for those who ask a server, or hand it usage.

FlowtallyError
└── ApiError                the server's refusal, with its stable code
    └── Unreachable         no answer at all, also not after retrying
SendingError                a meter or a numbered source cannot do what it was asked; nothing was lost by it
├── BufferFull              the event was not recorded
├── MeterClosed             the event was not recorded
├── Undelivered             carries the events a closing meter could not deliver
├── SpoolBusy               another meter has this spool file
├── InDoubt                 a numbered batch has no answer yet: settle or resume first
└── TwoWriters              somebody else numbers the same source
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flowtally.core.errors import FlowtallyError
from flowtally.protocol import PlainEvent


class ApiError(FlowtallyError):
    """The server's refusal. `problem` holds all members of the problem document; no text of it holds a secret."""

    def __init__(self, code: str, status: int, detail: str, problem: dict[str, Any] | None = None) -> None:
        super().__init__(detail)
        self.code = code
        self.status = status
        self.problem = problem or {}
        self.retry_after_s: int | None = None

    def __str__(self) -> str:
        return f"{self.detail} ({self.code})"


class Unreachable(ApiError):
    """There was no answer, also not after retrying."""

    def __init__(self, detail: str) -> None:
        super().__init__("unreachable", 0, detail)


class SendingError(Exception):
    """Base of what meters and numbered sources raise; what the server said is an ApiError."""


class BufferFull(SendingError):
    """The event was not recorded: as many wait for the server as the buffer holds. The cause says why they wait."""


class MeterClosed(SendingError):
    """The event was not recorded: the meter is closed, or belongs to another process or event loop."""


class Undelivered(SendingError):
    """Events without a receipt when their meter closed. Sending `events` again is safe, however often: they carry their
    ids, so what did arrive counts once. The cause is the server's last refusal."""

    def __init__(self, detail: str, count: int, events: Callable[[], list[PlainEvent]]) -> None:
        super().__init__(detail)
        self.count = count
        self._events = events

    @property
    def events(self) -> list[PlainEvent]:
        return self._events()


class SpoolBusy(SendingError):
    """Another meter has this spool file open: each process needs one of its own."""


class InDoubt(SendingError):
    """The last batch has no answer, so the next numbers are not known: `settle()` or `resume()` first."""


class TwoWriters(SendingError):
    """The server has other events under these numbers: two processes share the source's name, or a request of this one
    that was given up was heard after `resume`. Nothing of the batch is taken for counted: `resume` and read again."""
