"""What a file is, by its first bytes, and its text: gzip, xz, bzip2 and zstd of any number of members, UTF-8 and UTF-16
with a byte order mark. What is none of these is named. Bounded memory, one piece at a time.

What a file is called says nothing: pipes have no name, and rotated logs lose theirs. A stream that ends in the middle
of a member was cut or is still being written; nobody can tell which, so `cut` says so and reading may go on later.
"""

from __future__ import annotations

import bz2
import codecs
import lzma
import re
import zlib
from collections.abc import Callable
from io import BufferedReader
from typing import Any, Final

import zstandard

from flowtally.agents.lines import BOM

PIECE: Final = 256 * 1024  # bytes made at a time
HEAD: Final = 512  # bytes that tell what a file is, or its first line where that is shorter
_PACKED: Final = 64 * 1024  # bytes read at a time
_STEP: Final = 4096  # compressed bytes taken at a time: what was made of them is lost where they turn out broken
_ZSTD_STEP: Final = 2048  # the same, and zstd may make 128 KiB of four of them
_XZ_MEMORY: Final = 1 << 29

PACKINGS: Final = {
    b"\x1f\x8b": "gzip",
    b"\xfd7zXZ\x00": "xz",
    b"BZh": "bzip2",
    b"\x28\xb5\x2f\xfd": "zstd",
    **{bytes([0x50 + number, 0x2A, 0x4D, 0x18]): "zstd" for number in range(16)},  # a frame to be skipped comes first
}
_MAGIC: Final = 6  # bytes of the longest of them
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
    """The file is no text that could be read line by line; the message names what it is."""


class LogDamaged(Exception):
    """The log cannot be read on: a cut or broken compressed stream. What came before was read."""


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
        self._packed: _Members | None = None
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
        except _BROKEN as error:
            raise LogDamaged(f"{self._name}: the {self.packing} stream is broken: {error}") from None

    def _packed_start(self) -> bytes:
        start, self._start = self._start, b""
        while len(start) < _MAGIC and (piece := self._raw.read1(PIECE)):
            start += piece
        if len(start) < _MAGIC and any(magic.startswith(start) for magic in PACKINGS):
            self._start = start  # it may become one of them
            return b""
        self._packing_known = True
        self.packing = next((name for magic, name in PACKINGS.items() if start.startswith(magic)), "")
        if self.packing:
            self._packed = _Members(_UNPACKERS[self.packing])
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


class _Members:
    """Compressed members one after the other. `inside`: in the middle of one."""

    def __init__(self, kind: type[_Unpacker]) -> None:
        self._kind = kind
        self._one: _Unpacker | None = None
        self._input = b""

    @property
    def inside(self) -> bool:
        return self._one is not None

    def feed(self, packed: bytes) -> None:
        self._input += packed

    def read(self, more: Callable[[], bytes]) -> bytes:
        """The next piece, empty where `more` gives nothing."""
        while True:
            if self._one is None:
                self._input = self._input.lstrip(b"\0")  # padding between members
            if not self._input and (self._one is None or self._one.hungry):
                self._input = more()
                if not self._input:
                    return b""
                continue
            self._one = self._one or self._kind()
            piece, self._input = self._one.step(self._input)
            if self._one.eof:
                self._one = None
            if piece:
                return piece


class _Unpacker:
    """One member: `step` makes a piece of some input and gives back the rest of it."""

    hungry = True

    def __init__(self) -> None:
        self._stream: Any = self._new()

    @property
    def eof(self) -> bool:
        return bool(self._stream.eof)

    def _new(self) -> Any:
        raise NotImplementedError

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        """As bz2 and lzma do it: they keep what they have not used."""
        piece = self._stream.decompress(packed, PIECE)
        self.hungry = self._stream.needs_input
        return piece, self._stream.unused_data if self._stream.eof else b""


class _Bzip2(_Unpacker):
    def _new(self) -> Any:
        return bz2.BZ2Decompressor()

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        try:
            return super().step(packed)
        except OSError as error:  # broken data, not a broken disk
            raise ValueError(str(error)) from None


class _Xz(_Unpacker):
    def _new(self) -> Any:
        return lzma.LZMADecompressor(lzma.FORMAT_XZ, memlimit=_XZ_MEMORY)


class _Gzip(_Unpacker):
    def _new(self) -> Any:
        return zlib.decompressobj(wbits=31)

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        piece = self._stream.decompress(packed[:_STEP], PIECE)
        self.hungry = len(piece) < PIECE
        left = self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail
        return piece, left + packed[_STEP:]


class _Zstd(_Unpacker):
    def _new(self) -> Any:
        return zstandard.ZstdDecompressor().decompressobj()

    def step(self, packed: bytes) -> tuple[bytes, bytes]:
        piece = self._stream.decompress(packed[:_ZSTD_STEP])
        rest = packed[_ZSTD_STEP:]
        return piece, self._stream.unused_data + rest if self._stream.eof else rest


_UNPACKERS: Final[dict[str, type[_Unpacker]]] = {"gzip": _Gzip, "xz": _Xz, "bzip2": _Bzip2, "zstd": _Zstd}
_BROKEN: Final = (zlib.error, lzma.LZMAError, zstandard.ZstdError, EOFError, ValueError)
