"""Where one syslog message over TCP ends and the next begins (RFC 6587), for one connection. Pure.

Two ways are in use and neither is announced: a count of octets before each message (`63 <134>1 ...`), or a line feed
after it. The first bytes of a connection say which it is, and it stays so. A message becomes one line of the spool: a
trailing line end is not part of it, a line feed inside is written out as `\\n`. One that is too long is cut to one byte
more than a line may have, so that it is counted as unreadable and not forgotten. What stands after the last whole
message waits for the rest; at the end of the connection it is half a message and is not given.
"""

from __future__ import annotations

import re
from typing import Final, Literal

from flowtally.agents.reader import MAX_LINE_BYTES

Framing = Literal["auto", "octets", "lines"]
MAX_MESSAGE_BYTES: Final = 16 * 1024 * 1024  # a count beyond it is no count: the connection is of no use any more
_COUNTED: Final = re.compile(rb"[1-9]\d{0,8} <")
_MAY_BE_COUNTED: Final = re.compile(rb"[1-9]\d{0,8}(?: <?)?")
_COUNT: Final = re.compile(rb"([1-9]\d{0,8}) ")
_COUNT_BYTES: Final = 10


class Frames:
    """Feed it what was received; it gives whole messages. Keeps at most one line's bytes beside what it was fed.

    `lost` says why nobody can tell where the next message begins: there was no count of octets where one must be. The
    connection is of no use then."""

    def __init__(self, framing: Framing = "auto") -> None:
        self.lost = ""
        self._framing: Framing = framing
        self._rest = b""
        self._to_skip = 0  # octets of a counted message that is too long and was given already
        self._skipping = False  # the same of a line: to its end

    @property
    def pending_bytes(self) -> int:
        """Of a message that is not whole."""
        return len(self._rest)

    def feed(self, data: bytes) -> list[bytes]:
        """The messages that are whole now, without their ends; empty ones left out."""
        data = self._rest + data
        self._rest = b""
        if self._framing == "auto":
            if len(data) <= _COUNT_BYTES and _MAY_BE_COUNTED.fullmatch(data):
                self._rest = data
                return []
            self._framing = "octets" if _COUNTED.match(data) else "lines"
        return self._counted(data) if self._framing == "octets" else self._lines(data)

    def _lines(self, data: bytes) -> list[bytes]:
        *ended, rest = data.split(b"\n")
        if self._skipping and ended:
            ended, self._skipping = ended[1:], False
        found = [_line(one) for one in ended]
        if self._skipping:
            rest = b""
        elif len(rest) > MAX_LINE_BYTES + 1:  # one more: it may be the CR of a CR LF
            found.append(_line(rest))
            rest, self._skipping = b"", True
        self._rest = rest
        return [one for one in found if one]

    def _counted(self, data: bytes) -> list[bytes]:
        found: list[bytes] = []
        at = min(self._to_skip, len(data))
        self._to_skip -= at
        while at < len(data) and not self.lost:
            match = _COUNT.match(data, at)
            if match is None:
                if len(data) - at > _COUNT_BYTES or not data[at:].isdigit() or data[at : at + 1] == b"0":
                    self.lost = f"not a count of octets: {data[at : at + 20]!r}"
                break
            size, begins = int(match[1]), match.end()
            if size > MAX_MESSAGE_BYTES:
                self.lost = f"a message of {size} octets; at most {MAX_MESSAGE_BYTES} are taken"
                break
            piece = data[begins : begins + size]
            if len(piece) < size and len(piece) <= MAX_LINE_BYTES + 1:
                break
            found.append(_line(piece))
            at = begins + len(piece)
            self._to_skip = size - len(piece)
        self._rest = data[at:]
        return [one for one in found if one]


def _line(message: bytes) -> bytes:
    text = message.rstrip(b"\r\n\0").replace(b"\n", b"\\n")
    return text[: MAX_LINE_BYTES + 1]
