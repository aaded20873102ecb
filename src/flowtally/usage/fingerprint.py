"""Do two long lists hold the same, without sorting or keeping either? Each becomes one number per bucket.

An entry's bucket follows from its key, its number from key and content; numbers of a bucket are added up, so order does
not matter and an entry that is there twice shows. The engine digests rows in SQL, Python SQLite's keys: the same
functions, xxHash64 and ClickHouse's intHash64 (the finalizer of MurmurHash3 over its own constant), written twice.
Differing buckets are then looked at entry by entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import xxhash

BUCKETS: Final = 65_536  # of keys: 1,500 entries each where there are 100 million
NUMBERS: Final = 65_536  # consecutive numbers of a source in one bucket

Words = np.ndarray[Any, np.dtype[np.uint64]]

_DIGEST: Final = 11400714819323198485  # xxHash's primes; odd, so that nothing is lost in a multiplication
_BLOCK: Final = 14029467366897019727
_UUID: Final = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$"
# As `key_bytes.key_of` has it; the length keeps out a line break that `$` would let pass.
_KEY_SQL: Final = (
    f"if(length(id) = 36 AND match(id, '{_UUID}'), concat(unhex('00'), UUIDStringToNum(id)), concat(unhex('01'), id))"
)
ENTRY_SQL: Final = f"xxHash64(concat(toString(key_source), unhex('00'), {_KEY_SQL}))"
BUCKET_SQL: Final = f"{ENTRY_SQL} % {BUCKETS}"
CONTENT_SQL: Final = f"sum(intHash64({ENTRY_SQL} + reinterpretAsUInt64(digest) * {_DIGEST} + block * {_BLOCK}))"


def entries(source: str, keys: Sequence[bytes]) -> Words:
    """`ENTRY_SQL` of these keys of a source."""
    head = source.encode() + b"\x00"
    hashed = xxhash.xxh64_intdigest
    return np.array([hashed(head + key) for key in keys], dtype=np.uint64)


def contents(entry: Words, digests: Sequence[int], blocks: Sequence[int]) -> Words:
    """What `CONTENT_SQL` adds up."""
    digest = np.array(digests, dtype=np.int64).view(np.uint64)
    block = np.array(blocks, dtype=np.uint64)
    return int_hash(entry + digest * np.uint64(_DIGEST) + block * np.uint64(_BLOCK))


def of_numbers(first: int, last: int) -> int:
    """The numbers from `first` to `last`, both included, each once."""
    return int(int_hash(np.arange(first, last + 1, dtype=np.uint64)).sum(dtype=np.uint64))


def of_some(numbers: Sequence[int]) -> int:
    return int(int_hash(np.array(numbers, dtype=np.uint64)).sum(dtype=np.uint64))


def int_hash(values: Words) -> Words:
    """ClickHouse's `intHash64`."""
    mixed = values ^ np.uint64(0x4CF2D2BAAE6DA887)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xFF51AFD7ED558CCD)
    mixed ^= mixed >> np.uint64(33)
    mixed *= np.uint64(0xC4CEB9FE1A85EC53)
    mixed ^= mixed >> np.uint64(33)
    return mixed


class BucketDigests:
    """Entries added so far: per bucket how many, and the sum of their contents."""

    def __init__(self) -> None:
        self.counts = np.zeros(BUCKETS, dtype=np.uint64)
        self.sums = np.zeros(BUCKETS, dtype=np.uint64)

    def add(self, entry: Words, content: Words) -> None:
        bucket = (entry % np.uint64(BUCKETS)).astype(np.int64)
        np.add.at(self.counts, bucket, np.uint64(1))
        np.add.at(self.sums, bucket, content)

    def differing(self, other: BucketDigests) -> list[int]:
        """Buckets in which the two do not hold the same."""
        differ = (self.counts != other.counts) | (self.sums != other.sums)
        return [int(bucket) for bucket in np.flatnonzero(differ)]
