"""The line of the log for each request. There are as many as requests, so it is made without the steps of other lines.

Owns both ways: through structlog, like every line; and the quick one of a server, for values that no step would change.
What the quick one writes is learnt from the steps themselves, so both say the same to the letter.
"""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

import structlog
from structlog.typing import EventDict, Processor

log = structlog.get_logger("flowtally.access")

PLAIN: Final = re.compile(r"[A-Za-z0-9._:/~@+-]{0,500}")  # together: nothing to quote, escape or shorten
_TEXTS: Final = {name: f"zz{name}zz" for name in ("method", "path", "client", "request_id", "credential", "timestamp")}
_NUMBERS: Final[dict[str, Any]] = {"status": 999_999_999_991, "ms": 999_999_999.25}


class RequestLine(NamedTuple):
    """What is said of a request. `credential` is empty where nobody showed one; `quiet` ones are asked all the time."""

    method: str
    path: str
    status: int
    ms: float
    client: str
    request_id: str
    credential: str = ""
    quiet: bool = False


class RequestLines:
    """Says them like every other line."""

    def __init__(self, log: Any = log) -> None:
        self._log = log

    def say(self, line: RequestLine) -> None:
        method, path, status, ms, client, request_id, credential, quiet = line
        who = {"credential": credential} if credential else {}
        (self._log.debug if quiet else self._log.info)(
            "request",
            method=method,
            path=path,
            status=status,
            ms=ms,
            client=client,
            request_id=request_id,
            **who,
        )


class QuickRequestLines(RequestLines):
    """Says them by templates. `steps` are those of every line,
    `level` is the least that is written, `write` takes whole lines, and `log` what is not plain."""

    def __init__(self, steps: Sequence[Processor], level: int, write: Callable[[str], None], log: Any = log) -> None:
        super().__init__(log)
        self._write = write
        self._levels = {False: level <= logging.INFO, True: level <= logging.DEBUG}
        self._templates = {
            (quiet, known): _template(steps, quiet=quiet, known=known)
            for quiet in (False, True)
            for known in (False, True)
        }
        self._second, self._stamp = -1, ""

    def say(self, line: RequestLine) -> None:
        method, path, status, ms, client, request_id, credential, quiet = line
        if not self._levels[quiet]:
            return
        if PLAIN.fullmatch(f"{path}{client}{request_id}{credential}") is None:
            super().say(line)  # rare
            return
        template = self._templates[quiet, credential != ""]
        self._write(template.format(method, path, client, request_id, credential, self._now(), status, ms))

    def _now(self) -> str:
        """As structlog's own stamp: the fraction of a second is left out where it is nothing."""
        second, microsecond = divmod(time.time_ns() // 1000, 1_000_000)
        if second != self._second:
            self._stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._second = second
        return f"{self._stamp}.{microsecond:06}Z" if microsecond else f"{self._stamp}Z"


def _template(steps: Sequence[Processor], *, quiet: bool, known: bool) -> str:
    """The line of a request as the steps make it, with the number of a value where it stands."""
    line: EventDict = {**{name: (_TEXTS | _NUMBERS)[name] for name in RequestLine._fields[:7]}, "event": "request"}
    if not known:
        del line["credential"]
    made: Any = line
    for step in steps:
        made = step(None, "debug" if quiet else "info", made)
        if isinstance(made, dict) and "timestamp" in made:
            made["timestamp"] = _TEXTS["timestamp"]
    text = str(made).replace("{", "{{").replace("}", "}}")
    for number, mark in enumerate((*_TEXTS.values(), *map(repr, _NUMBERS.values()))):
        text = text.replace(mark, f"{{{number}}}")
    return f"{text}\n"
