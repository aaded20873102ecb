"""Event keys against named rows: one each, with the same digest and block.

Both are digested first (`fingerprint`), so that memory is bounded; only where they differ each entry is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Final

from flowtally.care.finding import LISTED, Find, spans
from flowtally.care.job import Progress
from flowtally.keys.checks import KeyRows, KeysCheck
from flowtally.keys.key_bytes import key_of
from flowtally.usage import fingerprint
from flowtally.usage.checks.rows import Keyed, RowsCheck
from flowtally.usage.fingerprint import BucketDigests

DRILLED: Final = 64  # differing buckets of keys that are looked at entry by entry


class EventKeys:
    """One look at all keys, and all named rows of blocks up to `block`."""

    def __init__(self, rows: RowsCheck, keys: KeysCheck, block: int, find: Find, say: Progress) -> None:
        self._rows = rows
        self._keys = keys
        self._block = block
        self._find = find
        self._say = say

    def check(self) -> int:
        """How many named rows were looked at."""
        for said in self._keys.complaints():
            self._find("keys_file", "keys database", f"SQLite says: {said}")
        by_rows, by_keys, seen = self._rows.digest_named(self._block), BucketDigests(), 0
        total = int(by_rows.counts.sum())
        for some in self._keys.all_keys():
            if some.source is None:
                for key in some.keys[:LISTED]:
                    self._find("key_of_no_source", f"key {_id(key)!r}", f"its source {some.no} is not registered")
            else:
                entry = fingerprint.entries(some.source.name, some.keys)
                by_keys.add(entry, fingerprint.contents(entry, some.digests, some.blocks))
            seen += len(some.keys)
            self._say("keys", seen, total)
        differing = by_rows.differing(by_keys)
        self._compare_keys(differing[:DRILLED])
        if len(differing) > DRILLED:
            more = f"keys and rows differ in {len(differing)} of {fingerprint.BUCKETS} portions; {DRILLED} are listed"
            self._find("keys", "keys database", more)
        return total

    def _compare_keys(self, buckets: Sequence[int]) -> None:
        if not buckets:
            return
        rows: dict[tuple[str, bytes], list[Keyed]] = defaultdict(list)
        for row in self._rows.named_in(buckets, self._block):
            rows[row.source, key_of(row.id)].append(row)
        wanted = frozenset(buckets)
        for some in self._keys.all_keys():
            if some.source is not None:
                self._compare_some(some.source.name, some, wanted, rows)
            self._say("keys, one by one")
        for (source, key), missing in rows.items():
            blocks = sorted({row.block for row in missing})
            self._find("row_without_key", _event(source, key), f"has a row in block {spans(blocks)} and no key")
            self._twice(source, key, missing)

    def _compare_some(
        self, source: str, some: KeyRows, wanted: frozenset[int], rows: dict[tuple[str, bytes], list[Keyed]]
    ) -> None:
        buckets = fingerprint.entries(source, some.keys) % fingerprint.BUCKETS if some.keys else ()
        before = b""
        for at, bucket in enumerate(buckets):
            if int(bucket) not in wanted:
                continue
            key, digest, block = some.keys[at], some.digests[at], some.blocks[at]
            if key == before:
                self._find("two_keys", _event(source, key), "has two keys of different content")
                continue
            before = key
            mine = rows.pop((source, key), [])
            event = _event(source, key)
            if not mine:
                self._find("key_without_row", event, f"has a key of block {block} and no row")
                continue
            self._twice(source, key, mine)
            if all(row.digest != digest for row in mine):
                self._find("foreign_digest", event, f"its key has digest {digest}, its row {mine[0].digest}")
            if all(row.block != block for row in mine):
                self._find("wrong_block", event, f"its key says block {block}, its row is in block {mine[0].block}")

    def _twice(self, source: str, key: bytes, mine: Sequence[Keyed]) -> None:
        if len(mine) > 1:
            blocks = ", ".join(str(row.block) for row in sorted(mine, key=lambda row: row.block))
            self._find("counted_twice", _event(source, key), f"has {len(mine)} rows, in blocks {blocks}")


def _id(key: bytes) -> str:
    """The id a key was made of."""
    if key[:1] == b"\x00":
        digits = key[1:].hex()
        return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
    return key[1:].decode("utf-8", "replace")


def _event(source: str, key: bytes) -> str:
    return f"event {_id(key)!r} of source {source!r}"
