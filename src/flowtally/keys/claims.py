"""Claims that lie together: the keys of one source and one length as one text, which the index takes in one statement.

Owns how they are put together and ordered. Leaves to `key_index` what becomes of them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Final

import msgspec
import numpy as np

from flowtally.keys.values import Claim

PREFIX: Final = 5  # bytes of a key that keys which came together share: of a UUIDv7 these are 65 seconds
MANY: Final = 8  # of one source and length; fewer are not worth a statement of their own
_WORD: Final = 8  # bytes that are compared to order keys, after the one that says what they are

Digests = np.ndarray[Any, np.dtype[np.int64]]
_encode: Final = msgspec.json.Encoder().encode


class Packed(msgspec.Struct, frozen=True, eq=False):
    """Keys of a source, `width` bytes each, one after the other, with their digests."""

    source: int
    width: int
    keys: bytes
    digests: Digests

    def __len__(self) -> int:
        return len(self.digests)

    def come_together(self) -> bool:
        """Whether they lie close to each other, as keys do that carry their time first."""
        first = self._bytes()[:, :PREFIX]
        words = np.zeros((len(self), 8), dtype=np.uint8)
        words[:, : first.shape[1]] = first
        return is_close(len(np.unique(words.view(np.uint64))), len(self))

    def ordered(self) -> Packed:
        """The same, nearly in the order of their keys: as near as it takes for neighbours to lie together in a tree.
        Those that are alike keep their order."""
        table = self._bytes()
        words = np.zeros((len(self), _WORD), dtype=np.uint8)
        after = table[:, 1 : 1 + _WORD]
        words[:, : after.shape[1]] = after
        order = np.argsort(words.view(">u8").ravel(), kind="stable")
        return Packed(self.source, self.width, table[order].tobytes(), self.digests[order])

    def digests_json(self) -> str:
        return _encode(self.digests.tolist()).decode()

    def _bytes(self) -> Any:
        return np.frombuffer(self.keys, dtype=np.uint8).reshape(len(self), self.width)


def pack(claims: Iterable[Claim]) -> tuple[list[Packed], list[Claim]]:
    """By source and length of the key, each in the order they have; and those that are too few for it."""
    groups: dict[tuple[int, int], list[Claim]] = {}
    for claim in claims:
        groups.setdefault((claim[0], len(claim[1])), []).append(claim)
    packed: list[Packed] = []
    few: list[Claim] = []
    for (source, width), mine in groups.items():
        if len(mine) < MANY or not width:
            few += mine
        else:
            packed.append(Packed(source, width, b"".join([key for _, key, _ in mine]), _digests(mine)))
    return packed, few


def together(packed: Iterable[Packed]) -> list[Packed]:
    """The same with one for each source and length, in their order."""
    groups: dict[tuple[int, int], list[Packed]] = {}
    for one in packed:
        groups.setdefault((one.source, one.width), []).append(one)
    return [
        mine[0]
        if len(mine) == 1
        else Packed(source, width, b"".join([one.keys for one in mine]), np.concatenate([one.digests for one in mine]))
        for (source, width), mine in groups.items()
    ]


def is_close(places: int, count: int) -> bool:
    """Whether so many keys in so many places lie close to each other."""
    return places <= 1 + count // 16


def _digests(claims: Sequence[Claim]) -> Digests:
    return np.array([digest for _, _, digest in claims], dtype=np.int64)
