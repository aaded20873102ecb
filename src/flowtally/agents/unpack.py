"""What a file is, by its first bytes, and its text: gzip, xz, bzip2 and zstd of any number of members, UTF-8 and UTF-16
with a byte order mark. What is none of these is named. Bounded memory, one piece at a time.

What a file is called says nothing: pipes have no name, and rotated logs lose theirs. A stream that ends in the middle
of a member was cut or is still being written; nobody can tell which, so `cut` says so and reading may go on later.
"""

from __future__ import annotations

import codecs
import re
from io import BufferedReader
from typing import Final

from flowtally.agents.packings import BROKEN, MAGIC, PACKINGS, PIECE, UNPACKERS, PackedMembers
from flowtally.core.media import BOM

HEAD: Final = 512  # bytes that tell what a file is, or its first line where that is shorter
_PACKED: Final = 64 * 1024  # bytes read at a time

_ENCODINGS: Final = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}
_UNPACK: Final = "unpack it, and import what is in it"
_NAMED: Final = (
    (0, b"PK\x03\x04", "a zip archive", _UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a rar archive", _UNPACK),
    (0, b"\x04\x22\x4d\x18", "compressed by lz4", _UNPACK),
    (0, b"LZIP", "compressed by lzip", _UNPACK),
    (0, b"\x1f\x9d", "compressed by compress (.Z)", _UNPACK),
    (0, b"\x5d\x00\x00", "compressed by lzma", _UNPACK),
    (0, b"\xffN.sN", "compressed by snappy", _UNPACK),
    (0, b"LPKSHHRH", "a journal of systemd", "import what `journalctl -o cat` prints of it"),
    (0, b"SQLite format 3\x00", "an SQLite database", ""),
    (0, b"PAR1", "a Parquet file", ""),
    (0, b"\x7fELF", "a program", ""),
    (0, b"%PDF-", "a PDF document", ""),
    (0, b"\x89PNG", "a picture", ""),
    (0, b"\xd4\xc3\xb2\xa1", "recorded packets (pcap)", ""),
    (0, b"\x0a\x0d\x0d\x0a", "recorded packets (pcapng)", ""),
    (0, b"\xff\xfe\x00\x00", "text in UTF-32", "make it UTF-8: `iconv -f UTF-32 -t UTF-8`"),
    (0, b"\x00\x00\xfe\xff", "text in UTF-32", "make it UTF-8: `iconv -f UTF-32 -t UTF-8`"),
)  # fmt: skip
_NO_BOM: Final = "text in UTF-16 without a byte order mark"
_CONTROLS: Final = re.compile(rb"[\x01-\x08\x0e-\x1a\x1c-\x1f]")


class NotALog(Exception):
    """The file is no text that could be read line by line. The message says what it is.

    Cause: A wrong file, such as an archive or a picture.

    Do: Name the log itself. Archives must be unpacked first; files of gzip, bzip2, xz and zstd are read as they are.
    """


class LogDamaged(Exception):
    """The compressed log cannot be read on from here. What came before was read and counted.

    Cause: The file was cut off, or is still being compressed.

    Do: Run the same command again when the file is whole: it goes on where it is.
    """


class Unpacked:
    """The text of an open file. `packing` and `encoding` are known after the first piece; `pending` bytes were read and
    are too few to tell."""

    def __init__(self, raw: BufferedReader, name: str, *, keeps_mark: bool = False) -> None:
        """`keeps_mark`: a byte order mark of UTF-8 is a part of the text, as earlier versions counted it."""
        self.packing = ""
        self.encoding = ""
        self._raw = raw
        self._name = name
        self._keeps_mark = keeps_mark
        self._packed: PackedMembers | None = None
        self._start = self._head = b""
        self._is_head = True
        self._packing_known = False
        self._mark = 0
        self._decoder: codecs.IncrementalDecoder | None = None

    @property
    def pending(self) -> int:
        return len(self._start) + len(self._head)

    @property
    def cut(self) -> bool:
        """It ended in the middle of a compressed stream."""
        return self._packed is not None and self._packed.inside

    @property
    def direct(self) -> bool:
        """Any offset can be sought: the text is the file, but for the mark."""
        return not self._is_head and self._packed is None and self._decoder is None and self._raw.seekable()

    def seek(self, offset: int) -> None:
        self._raw.seek(self.place(offset))

    def place(self, offset: int) -> int:
        """Where in the file an offset is."""
        assert self.direct
        return self._mark + offset

    def read(self, *, finished: bool = False) -> bytes:
        """The next piece; empty where nothing more is there, or too little to tell what it is, unless it is
        `finished`. Raises NotALog, LogDamaged."""
        while True:
            if self._is_head:
                piece = self._first(finished)
                if self._is_head:
                    return b""
            else:
                piece = self._piece()
                if not piece:
                    return b""
            text = self._decoded(piece)
            if text:
                return text
            if not piece:
                return b""

    def _first(self, finished: bool) -> bytes:
        """Look at the beginning: what is it?"""
        while len(self._head) < HEAD and b"\n" not in self._head and (piece := self._piece()):
            self._head += piece
        head = self._head
        if not (len(head) >= HEAD or b"\n" in head or (finished and head)):
            return b""
        if fault := _fault(head, self.packing):
            raise NotALog(f"{self._name} is {fault}")
        self._is_head, self._head = False, b""
        self.encoding = _ENCODINGS.get(head[:2], "utf-8")
        if self.encoding != "utf-8":
            self._decoder = codecs.getincrementaldecoder(self.encoding)("surrogatepass")
            return head[2:]
        if head.startswith(BOM) and not self._keeps_mark:
            self._mark = len(BOM)
        return head[self._mark :]

    def _piece(self) -> bytes:
        """The next bytes without their packing."""
        if not self._packing_known:
            start = self._packed_start()
            if not self._packing_known or self._packed is None:
                return start
            self._packed.feed(start)
        if self._packed is None:
            return self._raw.read1(PIECE)
        try:
            return self._packed.read(lambda: self._raw.read1(_PACKED))
        except BROKEN as error:
            raise LogDamaged(
                f"{self._name}: the {self.packing} stream is broken: {error}; nothing of it can be relied on"
            ) from None

    def _packed_start(self) -> bytes:
        start, self._start = self._start, b""
        while len(start) < MAGIC and (piece := self._raw.read1(PIECE)):
            start += piece
        if len(start) < MAGIC and any(magic.startswith(start) for magic in PACKINGS):
            self._start = start  # it may become one of them
            return b""
        self._packing_known = True
        self.packing = next((name for magic, name in PACKINGS.items() if start.startswith(magic)), "")
        if self.packing:
            self._packed = PackedMembers(UNPACKERS[self.packing])
        return start

    def _decoded(self, piece: bytes) -> bytes:
        return self._decoder.decode(piece).encode("utf-8", "surrogatepass") if self._decoder else piece


def _fault(head: bytes, packing: str) -> str:
    """What it is, where it is no text, and what to do."""
    within = f", inside {packing}" if packing else ""
    for start, magic, what, remedy in _NAMED:
        if head.startswith(magic, start):
            return f"{what}{within}" + (f": {remedy}" if remedy else ", no log of lines")
    if packing and (inner := next((name for magic, name in PACKINGS.items() if head.startswith(magic)), "")):
        return f"compressed twice, {inner} inside {packing}: {_UNPACK}"
    if head[:2] in _ENCODINGS:
        return ""
    line = head.split(b"\n")[0]
    for encoding, text, other in (("UTF-16LE", line[::2], line[1::2]), ("UTF-16BE", line[1::2], line[::2])):
        if len(text) >= 4 and not other.strip(b"\0") and b"\0" not in text:
            return f"{_NO_BOM}: make it UTF-8: `iconv -f {encoding} -t UTF-8`"
    sample = head[:HEAD].replace(b"\0", b"")
    if _CONTROLS.search(sample.split(b"\n")[0]) and len(_CONTROLS.findall(sample)) * 10 >= len(sample):
        return f"binary data{within}, no log of lines"
    return ""
