"""What keeps a log readable: lines are bounded, show what a terminal would obey, and many alike are cut short.

Steps on every line's way, ours and those of libraries. Who hands a text in from outside need not think of it.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import Final

import structlog
from structlog.typing import EventDict

from flowtally.core.texts import printable

VALUE_CHARS: Final = 500
TRACE_CHARS: Final = 8_000  # its end says what happened, so the middle is left out
FIELDS: Final = 20
BURST: Final = 10  # lines alike
WINDOW_S: Final = 60.0  # in
REMEMBERED: Final = 1_000  # kinds of lines
SAME: Final = ("event", "level", "code", "dialect", "cause", "error")  # what makes two lines alike, and a trace's end


def bounded(_logger: object, _method: str, line: EventDict) -> EventDict:
    """Each value on one line and of a bounded length; a trace keeps its lines."""
    return {name: _shown(name, value) for name, value in list(line.items())[:FIELDS]}


def _shown(name: str, value: object) -> object:
    if value is None or isinstance(value, (bool, int, float)) or name.startswith("_"):
        return value
    text = value if isinstance(value, str) else repr(value)
    if len(text) <= VALUE_CHARS and text.isprintable():  # nearly always
        return text
    if name not in ("exception", "stack"):
        return printable(text, VALUE_CHARS)
    if len(text) > TRACE_CHARS:
        text = f"{text[: TRACE_CHARS // 4]}\n...\n{text[-TRACE_CHARS // 4 * 3 :]}"
    return "\n".join(printable(one, VALUE_CHARS) for one in text.split("\n"))


class Bursts:
    """Of lines alike, from warnings on, at most BURST in each WINDOW_S; the next one after that says how many were left
    out. Any thread. Stands in the way of our lines as a step, and of libraries' as a filter of their handler."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._seen: dict[tuple[str, ...], tuple[float, int]] = {}  # since when, and how many

    def __call__(self, _logger: object, _method: str, line: EventDict) -> EventDict:
        if line.get("level") in ("debug", "info"):
            return line
        trace = str(line.get("exception", "")).rstrip().rpartition("\n")[2]
        left_out = self._left_out((*(str(line.get(name, ""))[:100] for name in SAME), trace[:100]))
        if left_out is None:
            raise structlog.DropEvent
        return {**line, "left_out": left_out} if left_out else line

    def filter(self, record: logging.LogRecord) -> bool:
        return self._left_out((record.name, record.levelname, str(record.msg)[:100])) is not None

    def _left_out(self, kind: tuple[str, ...]) -> int | None:
        """How many like it were left out before this one; None where it is left out itself."""
        now = self._now()
        with self._lock:
            since, count = self._seen.get(kind, (now, 0))
            before = 0
            if now - since >= WINDOW_S:
                since, before, count = now, max(0, count - BURST), 0
            if kind not in self._seen and len(self._seen) >= REMEMBERED:
                self._seen.clear()  # simple, rare, and no worse than a restart
            self._seen[kind] = (since, count + 1)
        return before if count < BURST else None
