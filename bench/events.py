"""The events that are sent: the same ones for the same seed, whoever reads the file.

Two shapes. `even` is a day-to-day feed: 50 accounts with 200 users each, one event every 370 ms, 600,000 of them in
about 61 hours. `skewed` is a history: half of all events belong to one account, and each `lap` events cover the same 90
days, so that a 90-day question meets all that is stored; one more account, `SMALL`, has a hundredth of what `MIDDLE`
has. A user has one product. Nothing here is drawn from a clock.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Literal

import msgspec
import numpy as np

from flowtally.core.edges import parse_instant

Ids = Literal["numbered", "v7", "random"]
Array = np.ndarray[Any, Any]

ACCOUNTS: Final = 50
USERS: Final = 200
PRODUCTS: Final = ("residential", "mobile", "datacenter", "api")
BEGINS: Final = parse_instant("2026-01-01T00:00:00Z")
STEP_MS: Final = 370
HISTORY_MS: Final = 90 * 86_400_000
LARGEST: Final = "acc0"
MIDDLE: Final = f"acc{ACCOUNTS // 2}"
SMALL: Final = f"acc{ACCOUNTS}"
SHARE_OF_LARGEST: Final = 0.5
SHARE_OF_SMALL: Final = (1 - SHARE_OF_LARGEST) / (ACCOUNTS - 1) / 100
_KIND: Final[dict[Ids, int]] = {"numbered": 0, "v7": 1, "random": 2}


class Slice(msgspec.Struct, frozen=True):
    """Events `first` (from 0) and following of one source. `lap` 0: even; else skewed, 90 days every `lap` events."""

    ids: Ids
    source: str
    first: int
    count: int
    lap: int = 0
    seed: int = 1

    def lines(self) -> list[str]:
        rng = np.random.default_rng([self.seed, _KIND[self.ids], self.lap, self.first, *self.source.encode()])
        times = self._times()
        texts = np.datetime_as_string(times.astype("datetime64[ms]"), unit="ms").tolist()
        accounts = _accounts(rng, self.count, bool(self.lap))
        users = rng.integers(USERS, size=self.count).tolist()
        up = rng.integers(10_000, size=self.count).tolist()
        down = rng.integers(1_000_000, size=self.count).tolist()
        keys = self._keys(times, rng)
        head, products = f'{{"source": "{self.source}", "account": "acc', PRODUCTS
        return [
            f'{head}{account}", "time": "{text}Z", "user": "u{user}", "product": "{products[user % 4]}",'
            f' "bytes_up": {a}, "bytes_down": {b}, "status": 200, {key}}}'
            for account, text, user, a, b, key in zip(accounts, texts, users, up, down, keys, strict=True)
        ]

    def write(self, directory: Path) -> Path:
        """A file of newline-delimited JSON."""
        lap = f"-{self.lap}" if self.lap else ""
        path = directory / f"{self.ids}-{self.source}-{self.first}-{self.count}{lap}.ndjson"
        if not path.exists():
            path.write_text("\n".join(self.lines()))
        return path

    def _times(self) -> Array:
        index = np.arange(self.first, self.first + self.count, dtype=np.int64)
        return BEGINS + (index % self.lap * HISTORY_MS // self.lap if self.lap else index * STEP_MS)

    def _keys(self, times: Array, rng: np.random.Generator) -> list[str]:
        if self.ids == "numbered":
            return [f'"sequence": "{number}"' for number in range(self.first + 1, self.first + self.count + 1)]
        digits = uuids(self.ids, times, rng).tobytes().hex()
        texts = (digits[at : at + 32] for at in range(0, len(digits), 32))
        return [f'"id": "{t[:8]}-{t[8:12]}-{t[12:16]}-{t[16:20]}-{t[20:]}"' for t in texts]


def uuids(ids: Ids, times: Array, rng: np.random.Generator) -> Array:
    """A UUID per time, as rows of 16 bytes: version 7 of that instant (RFC 9562), or version 4."""
    raw = np.frombuffer(rng.bytes(16 * len(times)), dtype=np.uint8).reshape(-1, 16).copy()
    if ids == "v7":
        raw[:, :6] = times.astype(">u8").view(np.uint8).reshape(-1, 8)[:, 2:]
    raw[:, 6] = (raw[:, 6] & 0x0F) | (0x70 if ids == "v7" else 0x40)
    raw[:, 8] = (raw[:, 8] & 0x3F) | 0x80
    return raw


def held_keys(ids: Ids, count: int, seed: int) -> Iterator[Array]:
    """Keys that came before the first event, in portions, each in the order of an index."""
    rng = np.random.default_rng([seed, 99])
    for first in range(0, count, 500_000):
        index = np.arange(first, min(first + 500_000, count), dtype=np.int64)
        raw = uuids(ids, BEGINS - (count - index) * STEP_MS, rng)
        yield raw[np.argsort(raw[:, :8].copy().view(">u8").ravel(), kind="stable")]


def bodies(paths: Sequence[Path], batch: int) -> list[bytes]:
    """The lines of these files as request bodies of `batch` events."""
    found: list[bytes] = []
    for path in paths:
        lines = path.read_bytes().split(b"\n")
        found += [b"\n".join(lines[at : at + batch]) for at in range(0, len(lines), batch)]
    return found


def _accounts(rng: np.random.Generator, count: int, skewed: bool) -> list[int]:
    if not skewed:
        return list(rng.integers(ACCOUNTS, size=count).tolist())
    others, drawn = rng.integers(1, ACCOUNTS, size=count), rng.random(count)
    found = np.where(drawn < SHARE_OF_LARGEST, 0, np.where(drawn >= 1 - SHARE_OF_SMALL, ACCOUNTS, others))
    return list(found.tolist())
