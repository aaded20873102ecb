"""`journalctl` as a child that follows the journal: entries with their cursors, from after a cursor, never waiting.

The journal is read by the program that knows its files, however they are rotated, compressed or vacuumed. A cursor
names one entry for ever, so it is the position of a source. The child is started AT the cursor, not after it: if the
first entry is another one, the journal no longer has ours, and what stood between them was removed unread (`Hole`).
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Sequence
from typing import Final

import msgspec

from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.core.errors import ConfigError

PROGRAM: Final = "journalctl"
MAX_ENTRY_BYTES: Final = 1024 * 1024  # of JSON: a line of 64 KiB as numbers of bytes takes a quarter of it
_READ_BYTES: Final = 64 * 1024
_SAID_BYTES: Final = 2000
_MATCH: Final = re.compile(r"[A-Z_][A-Z0-9_]*=.*", re.DOTALL)
_REALTIME: Final = re.compile(r"(?:^|;)t=([0-9a-f]+)(?:;|$)")


class JournalFilter(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Which entries: those of `unit` that have all of `match` (`FIELD=value`). `directory` holds other journal files
    than the machine's own."""

    unit: str = ""
    match: tuple[str, ...] = ()
    directory: str = ""


class JournalRecord(msgspec.Struct, frozen=True):
    """`text` None: too long. `at_us`: when the journal took it, since 1970."""

    cursor: str
    at_us: int
    text: bytes | None


class Hole(msgspec.Struct, frozen=True):
    """Entries between these instants may have been removed before they were read."""

    from_us: int
    to_us: int


class _Json(msgspec.Struct):
    cursor: str = msgspec.field(name="__CURSOR")
    at: str = msgspec.field(name="__REALTIME_TIMESTAMP")
    message: str | list[int | str | list[int]] | None = msgspec.field(name="MESSAGE", default=None)


_decoder = msgspec.json.Decoder(_Json)


def arguments(where: JournalFilter, cursor: str, *, follow: bool, last: int = 0) -> list[str]:
    """What the child is asked; `last`: only so many entries. ConfigError for matches of no use."""
    for match in where.match:
        if not _MATCH.fullmatch(match):
            raise ConfigError(f"match {match!r} is not FIELD=value, the field in capital letters")
    if not (where.unit or where.match):
        raise ConfigError("say whose entries: unit, or match")
    return [
        "--output=json",
        "--output-fields=MESSAGE",
        "--all",  # else a field of more than 4 KiB is left out
        "--quiet",
        "--no-pager",
        *(["--follow", "--no-tail"] if follow else []),
        *([f"--lines={last}"] if last else []),
        *([f"--directory={where.directory}"] if where.directory else []),
        *([f"--cursor={cursor}"] if cursor else []),
        *([f"_SYSTEMD_UNIT={where.unit}"] if where.unit else []),
        *where.match,
    ]


def entry_of(line: bytes) -> JournalRecord | None:
    """One line of `--output=json`; None: it is no entry. A message is text, or the numbers of its bytes where it is not
    UTF-8 or has control characters, or a list of either where an entry has several. Never raises."""
    try:
        json = _decoder.decode(line)
        text = _bytes(json.message)
        return JournalRecord(json.cursor, int(json.at), None if len(text) > MAX_LINE_BYTES else text)
    except (msgspec.DecodeError, ValueError):
        return None


def _bytes(message: str | Sequence[int | str | list[int]] | None) -> bytes:
    if message is None or isinstance(message, str):
        return (message or "").encode("utf-8", "surrogatepass")
    if all(isinstance(one, int) for one in message):
        return bytes(one for one in message if isinstance(one, int))
    return b"\n".join(_bytes(one) for one in message if not isinstance(one, int))


def realtime_us(cursor: str) -> int:
    """When the entry was taken, as its cursor says; 0 where it does not."""
    found = _REALTIME.search(cursor)
    return int(found[1], 16) if found else 0


class Journalctl:
    """A running child. `poll` gives what it has written so far and never waits; `ended` is its exit code, None while it
    runs; `said` the end of its standard error. `hole` is set when the first entry is not the cursor's."""

    def __init__(
        self, where: JournalFilter, cursor: str, *, follow: bool = True, last: int = 0, program: str = PROGRAM
    ) -> None:
        """OSError where it cannot be started."""
        self.hole: Hole | None = None
        self.said = ""
        self._expected = cursor
        self._rest = bytearray()
        self._skipping = False
        self._child = subprocess.Popen(  # noqa: S603 - the machine's journalctl; its arguments were looked at
            [program, *arguments(where, cursor, follow=follow, last=last)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert self._child.stdout is not None
        assert self._child.stderr is not None
        self._out, self._err = self._child.stdout.fileno(), self._child.stderr.fileno()
        os.set_blocking(self._out, False)
        os.set_blocking(self._err, False)
        self._at_end = False

    @property
    def ended(self) -> int | None:
        """Only once everything it wrote was given."""
        if not self._at_end:
            return None
        return self._child.wait()

    def poll(self, most_bytes: int = 1 << 20) -> list[JournalRecord]:
        """What has come, up to about `most_bytes` of JSON."""
        self.said = (self.said + _read(self._err)[0].decode(errors="replace"))[-_SAID_BYTES:]
        found: list[JournalRecord] = []
        while most_bytes > 0 and not self._at_end:
            data, self._at_end = _read(self._out)
            if not data:
                break
            most_bytes -= len(data)
            found += self._entries(data)
        return found

    def close(self) -> None:
        """End it, and wait for it: it has nothing to keep."""
        if self._child.poll() is None:
            self._child.kill()
        self._child.wait()
        for pipe in (self._child.stdout, self._child.stderr):
            assert pipe is not None
            with contextlib.suppress(OSError):
                pipe.close()

    def _entries(self, data: bytes) -> list[JournalRecord]:
        *lines, rest = data.split(b"\n")
        found = []
        for line in lines:
            whole = bytes(self._rest) + line
            self._rest.clear()
            if self._skipping:
                self._skipping = False
            elif (entry := entry_of(whole)) and self._is_new(entry):
                found.append(entry)
        if not self._skipping:
            self._rest += rest
        if len(self._rest) > MAX_ENTRY_BYTES:  # its cursor is not known: it has no place of its own
            found.append(JournalRecord("", 0, None))
            self._rest.clear()
            self._skipping = True
        return found

    def _is_new(self, entry: JournalRecord) -> bool:
        expected, self._expected = self._expected, ""
        if not expected:
            return True
        if entry.cursor == expected:
            return False
        self.hole = Hole(realtime_us(expected), entry.at_us)
        return True


def _read(file: int) -> tuple[bytes, bool]:
    """What is there, and whether that was all there will ever be."""
    try:
        data = os.read(file, _READ_BYTES)
    except BlockingIOError:
        return b"", False
    return data, not data
