"""What container runtimes and journald put around each line: Docker's json-file, CRI, `journalctl -o json`.

Docker and CRI cut a long line into pieces of 16 KiB, each a line of its own, and mix stdout and stderr. The pieces of
one stream are joined here; a line of more than `MAX_LINE_BYTES` is unreadable, as everywhere. Who reads from the middle
of a log shows the lines before it first (`remember`), so that no line begins with its second piece.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable
from typing import Any, Final

from flowtally.agents.formats.declared import Wrapped
from flowtally.agents.formats.strictjson import NotJson, bytes_in, object_of
from flowtally.agents.formats.times import BadTime, Times, epoch_at
from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.reading import Unreadable

REMEMBERED: Final = 4096  # lines before a place that are looked at; pieces of one line are seldom more than four
_TIMES: Final = Times("iso8601")
_CRI: Final = re.compile(rb"(\S+) (stdout|stderr) ([PF])(?::\S*)?(?: (.*))?", re.DOTALL)
_TOO_LONG: Final = Unreadable("too_long", f"its pieces together are longer than {MAX_LINE_BYTES} bytes")


class Pieces:
    """Joins the pieces of a line, by stream."""

    def __init__(self) -> None:
        self._open: dict[str, list[bytes]] = {}
        self._bytes: dict[str, int] = {}

    def add(self, stream: str, piece: bytes, *, last: bool) -> bytes | Unreadable | None:
        """The whole line once its last piece is there."""
        size = self._bytes.get(stream, 0) + len(piece)
        if not last:
            self._bytes[stream] = size
            if size <= MAX_LINE_BYTES:
                self._open.setdefault(stream, []).append(piece)
            return None
        self._bytes.pop(stream, None)
        before = self._open.pop(stream, None)
        if size > MAX_LINE_BYTES:
            return _TOO_LONG
        return piece if before is None else b"".join([*before, piece])


class Container:
    """One log of a runtime; `unwrap` is of its kind."""

    def __init__(self) -> None:
        self._pieces = Pieces()

    def remember(self, lines: Iterable[bytes]) -> None:
        self._pieces = Pieces()
        for line in deque(lines, REMEMBERED):
            self.unwrap(line)

    def unwrap(self, line: bytes) -> Wrapped | Unreadable | None:
        raise NotImplementedError

    def _joined(self, stream: str, piece: bytes, time: str, *, last: bool) -> Wrapped | Unreadable | None:
        if len(stream) > 16:
            return Unreadable("not_this_format", "no stream of a container is called so")
        text = self._pieces.add(stream, piece, last=last)
        return _dated(text, time) if isinstance(text, bytes) else text


class Docker(Container):
    """`{"log":"...\\n","stream":"stdout","time":"2026-03-10T09:00:00.861234567Z"}`; a piece has no newline."""

    def unwrap(self, line: bytes) -> Wrapped | Unreadable | None:
        if not line.strip():
            return None
        try:
            found = object_of(line)
        except NotJson as error:
            return Unreadable("not_this_format", f"not a line of Docker's json-file: {error}")
        text, stream, time = found.get("log"), found.get("stream", ""), found.get("time", "")
        if not (isinstance(text, str) and isinstance(stream, str) and isinstance(time, str)):
            return Unreadable("not_this_format", "not a line of Docker's json-file: it has no text called log")
        piece = bytes_in(text)
        whole = piece.endswith(b"\n")
        return self._joined(stream, piece[:-1].removesuffix(b"\r") if whole else piece, time, last=whole)


class Cri(Container):
    """`2026-03-10T09:00:00.861234567Z stdout F ...`, of containerd and CRI-O; `P` is a piece."""

    def unwrap(self, line: bytes) -> Wrapped | Unreadable | None:
        match = _CRI.fullmatch(line)
        if match is None:
            return Unreadable("not_this_format", "not a line of a CRI log") if line.strip() else None
        time, stream = match[1].decode("ascii", "replace"), match[2].decode("ascii")
        return self._joined(stream, match[4] or b"", time, last=match[3] == b"F")


def journald(line: bytes) -> Wrapped | Unreadable | None:
    """An entry of `journalctl -o json`: MESSAGE is text, or a list of bytes where these are no UTF-8."""
    if not line.strip():
        return None
    try:
        found = object_of(line)
    except NotJson as error:
        return Unreadable("not_this_format", f"not an entry of journalctl -o json: {error}")
    text = _message(found.get("MESSAGE"))
    if text is None:
        return Unreadable("not_this_format", "its MESSAGE is not there, or too long for journalctl without --all")
    times = (found.get("_SOURCE_REALTIME_TIMESTAMP"), found.get("__REALTIME_TIMESTAMP"))
    time = next((time for time in times if isinstance(time, str)), "")
    try:
        return Wrapped(text, time_at=epoch_at(time, -3))
    except BadTime as error:
        return Wrapped(text, fault=f"the journal's time: {error}")


def _message(value: Any) -> bytes | None:
    if isinstance(value, str):
        return bytes_in(value)
    if isinstance(value, list) and all(isinstance(one, str) and one.isdigit() and int(one) < 256 for one in value):
        return bytes(int(one) for one in value)
    return None


def _dated(text: bytes, time: str) -> Wrapped:
    try:
        return Wrapped(text, time_at=_TIMES.at(time))
    except BadTime as error:
        return Wrapped(text, fault=f"the container's time: {error}")
