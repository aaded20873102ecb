"""A record of the journal as bytes: what one block decided, with a sum over every byte of it. Pure.

Owns the format (`RECORD_FORMAT`), and says `Torn` of anything that is not what was written. A record is two texts: a
head of fixed size, which says whose record it is and is enough for a list, and a body: what the block decided, then its
rows as a stream of Arrow. Leaves to `journal` where they lie, to the writer what `decided` means.
"""

from __future__ import annotations

import struct
from typing import Any, Final

import msgspec
import pyarrow as pa
import xxhash

RECORD_FORMAT: Final = 1
COMPRESSED_FROM: Final = 500  # rows: below, compressing costs time and saves nothing that matters
# format, has rows, rows, block, the block of the record before, received_at, bytes decided, bytes of rows, sum of these
_HEAD: Final = struct.Struct("<BBIqqqQQQ")
_SUM: Final = struct.Struct("<Q")
HEAD_BYTES: Final = _HEAD.size + _SUM.size
_PLAIN: Final = pa.ipc.IpcWriteOptions()
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression="lz4")


class Record(msgspec.Struct, frozen=True):
    """What a block decided: `rows` as in `values.Block`, or None; `decided`: whatever the writer needs besides."""

    block: int
    received_at: int
    decided: bytes
    rows: Any


class Head(msgspec.Struct, frozen=True):
    """`before`: the block of the record that was committed before this one, 0 for the first of all."""

    block: int
    before: int
    received_at: int
    rows: int
    has_rows: bool
    decided_bytes: int
    rows_bytes: int
    sum: int


class Torn(Exception):
    """The bytes are not those of a record as it was written."""


def encode(record: Record, before: int) -> tuple[bytes, bytes]:
    """Head and body of a record that is committed after the block `before`."""
    rows = b"" if record.rows is None else _stream(record.rows)
    count = 0 if record.rows is None else record.rows.num_rows
    body = record.decided + rows
    told = (RECORD_FORMAT, record.rows is not None, count, record.block, before, record.received_at)
    head = _HEAD.pack(*told, len(record.decided), len(rows), sum_of(body))
    return head + _SUM.pack(sum_of(head)), body


def head_of(block: int, head: bytes) -> Head:
    """Torn unless it is the head of this block's record."""
    if not isinstance(head, bytes) or len(head) != HEAD_BYTES or _SUM.unpack(head[-8:]) != (sum_of(head[:-8]),):
        raise Torn("its head is not what was written")
    format, has_rows, rows, of, before, received_at, decided_bytes, rows_bytes, body_sum = _HEAD.unpack(head[:-8])
    if format != RECORD_FORMAT or of != block:
        raise Torn(f"its head is that of block {of}, in format {format}")
    return Head(of, before, received_at, rows, bool(has_rows), decided_bytes, rows_bytes, body_sum)


def decode(head: Head, body: bytes) -> Record:
    """Torn unless the body is the one that this head was made with."""
    if not isinstance(body, bytes) or len(body) != head.decided_bytes + head.rows_bytes or sum_of(body) != head.sum:
        raise Torn("its content is not what was written")
    rows = _batch(pa.py_buffer(body).slice(head.decided_bytes)) if head.has_rows else None
    return Record(head.block, head.received_at, body[: head.decided_bytes], rows)


def sum_of(content: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(content))


def _stream(rows: Any) -> bytes:
    sink = pa.BufferOutputStream()
    options = _COMPRESSED if rows.num_rows >= COMPRESSED_FROM else _PLAIN
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_batch(rows)
    return bytes(sink.getvalue())


def _batch(stream: Any) -> Any:
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch()
