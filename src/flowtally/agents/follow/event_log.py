"""What the agent says: one line an event on standard error, for people or as JSON. A trouble is told when it begins and
when it is over, not each time it is met.

Names of events are stable; their facts are shown so that no character of a log or a server drives a terminal. A
standard error that cannot be written to (a full disk) is no reason to stop. Never handed a secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Hashable
from datetime import UTC, datetime
from typing import IO, Final, Literal

from flowtally.core.texts import printable

Level = Literal["info", "warning", "error"]
MAX_FACT_CHARS: Final = 500
MAX_TOLD: Final = 100_000  # troubles remembered; beyond it they may be told again


class EventLog:
    """`clock` gives the instant a line is dated with."""

    def __init__(
        self, stream: IO[str] | None = None, *, as_json: bool = False, clock: Callable[[], datetime] | None = None
    ) -> None:
        self._stream = stream or sys.stderr
        self._as_json = as_json
        self._clock = clock or (lambda: datetime.now(UTC))
        self._told: dict[Hashable, str] = {}

    def info(self, event: str, **facts: object) -> None:
        self._write("info", event, facts)

    def warn(self, event: str, **facts: object) -> None:
        self._write("warning", event, facts)

    def once(self, key: Hashable, event: str, *, level: Level = "warning", **facts: object) -> None:
        """Tell a trouble unless it was told under this key and is not over."""
        if key in self._told:
            return
        if len(self._told) >= MAX_TOLD:
            self._told.clear()
        self._told[key] = event
        self._write(level, event, facts)

    def over(self, key: Hashable, event: str = "", **facts: object) -> None:
        """The trouble has passed: say so if it was told, and tell it again when it comes back."""
        if self._told.pop(key, None) is not None and event:
            self._write("info", event, facts)

    def _write(self, level: Level, event: str, facts: dict[str, object]) -> None:
        shown = {name: _shown(value) for name, value in facts.items() if value not in ("", None)}
        at = self._clock().isoformat(timespec="milliseconds").replace("+00:00", "Z")
        if self._as_json:
            line = json.dumps({**shown, "event": event, "level": level, "timestamp": at}, ensure_ascii=False)
        else:
            line = " ".join(
                [at, f"[{level:<7}]", event, *(f"{name}={_quoted(value)}" for name, value in shown.items())]
            )
        try:
            self._stream.write(line + "\n")
            self._stream.flush()
        except (OSError, ValueError):
            pass


def _shown(value: object) -> object:
    return value if isinstance(value, (int, float)) else printable(str(value), MAX_FACT_CHARS)


def _quoted(value: object) -> str:
    text = str(value)
    return repr(text) if " " in text or "=" in text or not text else text
