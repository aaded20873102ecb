"""The file of samples, read beside the running writer: is every chunk what it says?

Owns its connections, which cannot write; reads are cut into short transactions, or the write-ahead log would grow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

from flowtally.core.errors import StoreDamaged
from flowtally.samples.chunks import span_of, unpack
from flowtally.samples.store import connect_to_read

CHUNKS: Final = 2_000  # at a time


class ChunkFault(NamedTuple):
    """A chunk that is not what was written."""

    where: str
    detail: str


def check_chunks(path: Path, looked: Callable[[int], None]) -> Iterator[ChunkFault]:
    """Every chunk that is not what it says. `looked` is told how many were read, now and then. sqlite3.DatabaseError
    where the file cannot be read."""
    last = 0
    if not path.exists() or not path.stat().st_size:
        return
    with closing(connect_to_read(path)) as db:
        while rows := db.execute(
            "SELECT c.rowid, s.server, s.name, c.span, c.samples, c.packed FROM chunks c LEFT JOIN series s ON s.no ="
            " c.series WHERE c.rowid > ? ORDER BY c.rowid LIMIT ?",
            (last, CHUNKS),
        ).fetchall():
            for _, server, name, span, count, packed in rows:
                if fault := _fault(server, span, count, packed):
                    yield ChunkFault(f"server {server!r}, gauge {name!r}, six hours {span}", fault)
            last = rows[-1][0]
            looked(len(rows))


def _fault(server: str | None, span: int, count: int, packed: bytes) -> str:
    if server is None:
        return "belongs to no gauge"
    try:
        times = unpack(span, count, packed)[0].tolist()
    except StoreDamaged as error:
        return error.detail
    if not times or span_of(times[-1]) != span:
        return "has samples of another time"
    return "" if all(one < other for one, other in pairwise(times)) else "has two samples of one second"
