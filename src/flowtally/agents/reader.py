"""A log file as lines with byte offsets: plain, compressed or a pipe, from any offset, in bounded memory.

Offsets count bytes of the text: DEcompressed, in UTF-8, without a byte order mark at the beginning. So `access.log` and
the `access.log.1.xz` made of it agree. A last line without newline may be half a line and waits, in every kind of file,
unless the caller knows that the log is finished. A follower asks for `lines` of the same open file again and again.

Leaves to `unpack` what a file is, to `lines` what a line is, to a follower when to ask.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from io import BufferedReader
from pathlib import Path
from types import TracebackType
from typing import Final

from flowtally.agents.lines import CHECK_BYTES, MAX_LINE_BYTES, Lines, LogLine, digest
from flowtally.agents.unpack import LogDamaged, NotALog, Unpacked

HEAD_BYTES: Final = 1024  # how much of a line tells one log from another
HEAD_LINES: Final = 64  # how many there may be at the beginning that do not

Remember = Callable[[Iterable[bytes]], None]


class LogChanged(Exception):
    """The log is not the one that was read before: it has other bytes before the place where the import stopped.

    Cause: The log was rotated or written again under the same name.

    Do: If it is another log now, choose another `--source`. The rest of the old one can be imported from where it was
    moved to.
    """


class LogShort(LogChanged):
    """The log ends before the place where the import stopped.

    Cause: The log was emptied (`copytruncate`), or a shorter copy of it is read.

    Do: If it is another log now, choose another `--source`.
    """


class LogFile:
    """An open log. `done_bytes` of `total_bytes` (None for a pipe) tell progress in bytes of the file as stored."""

    def __init__(self, raw: BufferedReader, name: str) -> None:
        self.name = name
        self._raw = raw
        self.seekable = raw.seekable()
        self._keeps_mark = False
        self._text = Unpacked(raw, name)
        self._lines = Lines()

    @classmethod
    def open(cls, path: Path) -> LogFile:
        return cls(path.open("rb"), str(path))

    def __enter__(self) -> LogFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._raw.close()

    def fileno(self) -> int:
        return self._raw.fileno()

    @property
    def total_bytes(self) -> int | None:
        return os.fstat(self._raw.fileno()).st_size if self.seekable else None

    @property
    def done_bytes(self) -> int:
        return self._raw.tell() if self.seekable else self.offset

    @property
    def offset(self) -> int:
        """After the last line given."""
        return self._lines.offset

    @property
    def waiting(self) -> int:
        """Bytes after `offset` that `lines` has seen and not given."""
        return self._lines.waiting + self._text.pending

    @property
    def nuls(self) -> int:
        """NUL bytes that were left out of the lines given, since `start_at`."""
        return self._lines.nuls

    @property
    def kind(self) -> str:
        """`gzip`, `UTF-16` ...: what it is besides plain text in UTF-8; known after the first line."""
        encoding = "UTF-16" if self._text.encoding.startswith("utf-16") else ""
        return ", ".join(filter(None, (self._text.packing, encoding)))

    def head(self, *, finished: bool = False) -> bytes | None:
        """What tells this log from others: its first line, at most the first KiB of it; with the lines before it where
        it begins with some that may stand at the beginning of any log: comments, directives (`#Fields:`), lines without
        a digit. None while that is not there yet, whole. Only for files that can be read again; `lines` then begins
        anew."""
        self._rewind()
        found: list[bytes] = []
        for line in self._whole_lines(finished=finished):
            found += [line.text[:HEAD_BYTES].rstrip(b"\r\n")] if line.text else []
            if (line.text and _tells(line.text)) or len(found) == HEAD_LINES:
                break
        else:
            begun = self._lines.beginning()[:HEAD_BYTES]
            whole = len(begun) == HEAD_BYTES or finished
            found = [*found, begun] if whole and _tells(begun) else []
        self._rewind()
        return b"\n".join(found) if found else None

    def first_kilobyte(self) -> bytes:
        """The first line by which earlier versions knew a log: with a byte order mark and NUL bytes, and whatever is
        there of it. `lines` then begins anew."""
        self._rewind(keeps_mark=True)
        text = b""
        while len(text) < HEAD_BYTES and b"\n" not in text and (piece := self._text.read(finished=True)):
            text += piece
        self._rewind(keeps_mark=False)
        return text[:HEAD_BYTES].split(b"\n")[0].rstrip(b"\r\n")

    def count_mark(self) -> None:
        """Count a byte order mark in offsets, as earlier versions did: for a source they began. `lines` then begins
        anew."""
        self._rewind(keeps_mark=True)

    def rewind(self) -> None:
        """`lines` begins anew. Only for files that can be read again."""
        self._rewind()

    def check_packing(self) -> None:
        """Unpack all of it once: raises LogDamaged where its checksums do not hold. A digit may have changed anywhere
        in such a stream, long before the place where it shows. One that ends too early is no such one: what is there of
        it is right. Only for files that can be read again; `lines` then begins anew."""
        self._rewind()
        if self._text.read(finished=True) and self._text.packing:
            while self._text.read(finished=True):
                pass
        self._rewind()

    def start_at(self, offset: int, check: str, remember: Remember | None = None) -> None:
        """Go to `offset`; raises LogChanged unless the bytes before it are those `check` was made of. `remember` is
        given the lines before it."""
        if self.seekable:
            self._rewind()
        if remember is not None:
            lines = self._texts_before(offset)
            remember(lines)
            for _ in lines:
                pass
        if self.offset != offset or offset == 0:
            self._forward(offset)
        window = self._lines.window()
        if len(window) < min(offset, CHECK_BYTES):
            self._check_whole()
            raise LogShort(f"{self.name} ends before byte {offset}, up to which it was read: it was cut or replaced")
        if digest(window) != check:
            raise LogChanged(
                f"{self.name} differs before byte {offset} from what was read: it was rewritten or replaced"
            )
        self._lines.nuls = 0

    def check(self) -> str:
        """The digest of up to CHECK_BYTES before `offset`, for a later `start_at`."""
        return digest(self._lines.window())

    def verify(self) -> None:
        """Raises LogChanged where the file no longer has what was read up to `offset`: it was cut, or cut and written
        again. Only a file whose bytes are its text can be asked, others are taken for unchanged."""
        if not self._text.direct:
            return
        kept = self._lines.window()
        window = os.pread(self.fileno(), len(kept), self._text.place(self.offset - len(kept)))
        if len(window) < len(kept):
            raise LogShort(f"{self.name} was cut before byte {self.offset}, up to which it was read")
        if window != kept:
            raise LogChanged(f"{self.name} was rewritten: it differs before byte {self.offset} from what was read")

    def lines(self, *, finished: bool = False) -> Iterator[LogLine]:
        """The lines from where the log stands to what is there of it now. Raises LogDamaged after the last line that
        could be read, NotALog.

        Of a log that is `finished` a last line without newline is given too; of others it waits: it may be half a line.
        """
        if self._lines.waiting and self._text.direct:  # what stood there may have been NULs that were not written yet
            self._text.seek(self.offset)
            self._lines = self._at_same_place()
        yield from self._whole_lines(finished=finished)
        self._check_whole()
        if finished and (line := self._lines.rest()) is not None:
            yield line

    def _check_whole(self) -> None:
        if self._text.cut:
            raise LogDamaged(
                f"{self.name} ends in the middle of its {self._text.packing} stream, after {self.offset} bytes of "
                "whole lines: it was cut, or is still being written"
            )

    def _whole_lines(self, *, finished: bool = False) -> Iterator[LogLine]:
        while True:
            if (line := self._lines.next()) is not None:
                yield line
            elif piece := self._text.read(finished=finished):
                self._lines.feed(piece)
            else:
                return

    def _at_same_place(self) -> Lines:
        lines = Lines(self.offset, self._lines.window())
        lines.nuls = self._lines.nuls
        return lines

    def _rewind(self, *, keeps_mark: bool | None = None) -> None:
        self._keeps_mark = self._keeps_mark if keeps_mark is None else keeps_mark
        self._raw.seek(0)
        self._text = Unpacked(self._raw, self.name, keeps_mark=self._keeps_mark)
        self._lines = Lines()

    def _texts_before(self, offset: int) -> Iterator[bytes]:
        lines = self._whole_lines(finished=True)
        while self.offset < offset and (line := next(lines, None)) is not None:
            if line.text is not None:
                yield line.text

    def _forward(self, offset: int) -> None:
        """From the beginning to `offset`, or to the end where that comes before it."""
        if self.seekable:
            self._rewind()
        start = max(0, offset - CHECK_BYTES)
        piece = self._text.read(finished=True) if offset else b""
        at, window = 0, b""
        if self._text.direct:
            self._text.seek(start)
            at, piece = start, self._text.read()
        while piece:
            before = piece[: offset - at]
            window = (window + before)[-CHECK_BYTES:]
            at += len(before)
            if at == offset:
                break
            piece = self._text.read(finished=True)
        self._lines = Lines(offset, window)
        if piece:
            self._lines.feed(piece[len(before) :])


def _tells(text: bytes) -> bool:
    """Whether a line can be another one in every log: it says when, or from where."""
    return not text.startswith(b"#") and any(48 <= byte <= 57 for byte in text)


__all__ = [
    "CHECK_BYTES",
    "MAX_LINE_BYTES",
    "LogChanged",
    "LogDamaged",
    "LogFile",
    "LogLine",
    "LogShort",
    "NotALog",
    "digest",
]
