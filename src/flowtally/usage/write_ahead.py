"""Was a write-ahead log of SQLite damaged, or only cut off?

SQLite takes a log as far as its sums are right, and is silent about the rest: right after a power cut, where the last
transaction may be torn, and wrong after a byte was changed, where transactions that had been synced are dropped with
it. The two can be told apart, because each frame's sum goes on from that of the frame before: a frame that follows from
a transaction's last one was written after that transaction was synced. Only of the very last transaction nothing
can be told. Format: https://www.sqlite.org/fileformat2.html#walformat
"""

from __future__ import annotations

import struct
from functools import cache
from pathlib import Path
from typing import Any, Final

import numpy as np

_HEADER: Final = 32
_FRAME: Final = 24  # bytes before each page
_LITTLE, _BIG = 0x377F0682, 0x377F0683
_CHUNK: Final = 1024  # frames looked at together
_WORD: Final = 2**32

Words = np.ndarray[Any, np.dtype[np.uint32]]


def damage(log: Path) -> int | None:
    """At which byte something is not what was written although later transactions followed it. None where everything
    is as written, or only the end may be missing. Reads the file, which nobody writes meanwhile."""
    if not log.exists() or (size := log.stat().st_size) < _HEADER:
        return None
    with log.open("rb") as file:
        header = file.read(_HEADER)
        if not any(header):  # never synced, so nothing after it was
            return None
        page: int
        magic, _, page, _, salt_1, salt_2, *sums = struct.unpack(">8I", header)
        order = {_LITTLE: "<", _BIG: ">"}.get(magic)
        if order is None or _sums(header[:24], order) != tuple(sums):
            return 0
        count = (size - _HEADER) // (_FRAME + page)
        frames = _Frames(order, page, (salt_1, salt_2), (sums[0], sums[1]))
        bad: int | None = None
        ended = False  # the frame before ends a transaction, and is the bad one or comes after it
        for start in range(0, count, _CHUNK):
            chunk = np.frombuffer(file.read(min(_CHUNK, count - start) * (_FRAME + page)), np.uint8)
            follows, ends = frames.look_at(chunk.reshape(-1, _FRAME + page))
            for index, (right, end) in enumerate(zip(follows, ends, strict=True), start):
                if bad is not None and ended and right:
                    return _HEADER + bad * (_FRAME + page)
                if bad is None and not right:
                    bad = index
                ended = bad is not None and end
    return None


class _Frames:
    """`look_at` takes the frames in order."""

    def __init__(self, order: str, page: int, salts: tuple[int, int], sums: tuple[int, int]) -> None:
        self._order, self._salts = order, salts
        self._of_sums, self._of_words = _weights((8 + page) // 8)
        self._stored = self._right = np.array([sums], np.uint32)  # of the frame before: as it is, as it should be

    def look_at(self, frames: np.ndarray[Any, np.dtype[np.uint8]]) -> tuple[list[bool], list[bool]]:
        """Of each: does it follow from the one before, even if only the sum of that is damaged? Does it end a
        transaction?"""
        heads = frames[:, :_FRAME].copy().view(">u4").astype(np.uint32)
        words = np.concatenate([frames[:, :8], frames[:, _FRAME:]], axis=1).view(f"{self._order}u4").astype(np.uint32)
        own = words @ self._of_words
        stored = heads[:, 4:6]
        from_stored = np.concatenate([self._stored, stored[:-1]]) @ self._of_sums + own
        from_right = np.concatenate([self._right, from_stored[:-1]]) @ self._of_sums + own
        self._stored, self._right = stored[-1:], from_stored[-1:]
        ours = (heads[:, 2] == self._salts[0]) & (heads[:, 3] == self._salts[1])
        follows = ours & ((from_stored == stored).all(axis=1) | (from_right == stored).all(axis=1))
        return follows.tolist(), (heads[:, 1] != 0).tolist()


@cache
def _weights(pairs: int) -> tuple[Words, Words]:
    """The sums of so many pairs of words are linear: what the sums before and each word add to both of them."""
    after = ((1, 0), (0, 1))  # what a change of either sum does by the end: rows
    words = np.zeros((pairs * 2, 2), np.uint32)
    for pair in reversed(range(pairs)):
        second = after[1]
        first = tuple((a + b) % _WORD for a, b in zip(after[0], after[1], strict=True))
        words[pair * 2], words[pair * 2 + 1] = first, second
        # first sum += word + second sum; second sum += word + first sum
        after = (first, tuple((a + b) % _WORD for a, b in zip(first, second, strict=True)))  # type: ignore[assignment]
    return np.array(after, np.uint32), words


def _sums(content: bytes, order: str) -> tuple[int, int]:
    words = np.frombuffer(content, f"{order}u4").astype(np.uint32)
    first, second = (words @ _weights(len(words) // 2)[1]).tolist()
    return int(first), int(second)
