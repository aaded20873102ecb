"""A line of the log as tests print it: its words in order of their names, and a trace in plain lines.

structlog's own for a terminal lays each line out in columns, which took a tenth of a small question to an application;
and where Rich is installed it prints every local variable of every frame, which takes half a second for each trace.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, Final

from structlog.processors import format_exc_info

QUOTED: Final = frozenset(" \t=\r\n\"'")


def write_line(logger: Any, method: str, said: MutableMapping[str, Any]) -> str:
    """A processor of structlog, the last one."""
    said = format_exc_info(logger, method, said)
    more = [said.pop("stack", None), said.pop("exception", None)]
    head = f"{said.pop('timestamp', '')} [{said.pop('level', '')}] {said.pop('event', '')}"
    line = " ".join([head, *(f"{name}={_word(said[name])}" for name in sorted(said))])
    return "\n".join([line, *(one for one in more if one)])


def _word(value: object) -> str:
    return value if isinstance(value, str) and QUOTED.isdisjoint(value) else repr(value)
