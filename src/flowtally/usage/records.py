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
COMPRESSED_FROM: Final = 500  # rows: from here on column by column; below, what Arrow says around them is most of it
_NO_ROWS, _WHOLE, _BY_COLUMN = 0, 1, 2  # how the stream of rows is compressed
# format, compression, rows, block, the block of the record before, received_at, bytes decided, bytes of rows, bytes of
# their stream, sum of the body
_HEAD: Final = struct.Struct("<BBIqqqQQQQ")
_SUM: Final = struct.Struct("<Q")
HEAD_BYTES: Final = _HEAD.size + _SUM.size
_PLAIN: Final = pa.ipc.IpcWriteOptions()
_COMPRESSED: Final = pa.ipc.IpcWriteOptions(compression="lz4")
_LZ4: Final = pa.Codec("lz4")


class Record(msgspec.Struct, frozen=True):
    """What a block decided: `rows` as in `values.Block`, or None; `decided`: whatever the writer needs besides."""

    block: int
    received_at: int
    decided: bytes
    rows: Any


class Head(msgspec.Struct, frozen=True):
    """`before`: the block of the record that was committed before this one, 0 for the first of all."""

    format: int
    compression: int
    rows: int
    block: int
    before: int
    received_at: int
    decided_bytes: int
    rows_bytes: int
    stream_bytes: int
    sum: int


class Torn(Exception):
    """The bytes are not those of a record as it was written."""


def encode(record: Record, before: int) -> tuple[bytes, bytes]:
    """Head and body of a record that is committed after the block `before`."""
    compression, count, stream_bytes = _NO_ROWS, 0, 0
    rows: bytes | memoryview = b""
    if record.rows is not None:
        count = record.rows.num_rows
        compression = _BY_COLUMN if count >= COMPRESSED_FROM else _WHOLE
        stream = _stream(record.rows, _COMPRESSED if compression == _BY_COLUMN else _PLAIN)
        stream_bytes = stream.size
        rows = _LZ4.compress(stream, asbytes=True) if compression == _WHOLE else memoryview(stream)
    body = b"".join((record.decided, rows))  # the one copy: of large blocks it has some 20 MB
    head = _HEAD.pack(
        *(RECORD_FORMAT, compression, count, record.block, before, record.received_at),
        *(len(record.decided), len(rows), stream_bytes, sum_of(body)),
    )
    return head + _SUM.pack(sum_of(head)), body


def head_of(block: int, head: bytes) -> Head:
    """Torn unless it is the head of this block's record."""
    if not isinstance(head, bytes) or len(head) != HEAD_BYTES or _SUM.unpack(head[-8:]) != (sum_of(head[:-8]),):
        raise Torn("its head is not what was written")
    told = Head(*_HEAD.unpack(head[:-8]))
    if told.format != RECORD_FORMAT or told.block != block:
        raise Torn(f"its head is that of block {told.block}, in format {told.format}")
    return told


def decode(head: Head, body: bytes) -> Record:
    """Torn unless the body is the one that this head was made with."""
    if not isinstance(body, bytes) or len(body) != head.decided_bytes + head.rows_bytes or sum_of(body) != head.sum:
        raise Torn("its content is not what was written")
    stream = pa.py_buffer(body).slice(head.decided_bytes)
    if head.compression == _WHOLE:
        stream = _LZ4.decompress(stream, head.stream_bytes)
    rows = None if head.compression == _NO_ROWS else _batch(stream)
    return Record(head.block, head.received_at, body[: head.decided_bytes], rows)


def sum_of(content: bytes) -> int:
    return int(xxhash.xxh3_64_intdigest(content))


def _stream(rows: Any, options: Any) -> Any:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema, options=options) as writer:
        writer.write_batch(rows)
    return sink.getvalue()


def _batch(stream: Any) -> Any:
    with pa.ipc.open_stream(stream) as reader:
        return reader.read_next_batch()
