"""Every row of an account as a file, Parquet or CSV: events and corrections with names resolved, by time.

Owns the columns and the writing, slice by slice: memory holds one slice, which is one row group of a Parquet file,
however long the export is. It is one moment: rows up to the last commit when it began, names as they were then.
Only where a user is erased meanwhile its name is missing from there on; `user_id` never changes.

The rows are counted and summed as they are written. Should they not be what one sum over the whole said, the export
breaks off without its end rather than pass for complete (law 9): a Parquet file without its footer cannot be read.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final, Protocol

import msgspec
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from flowtally.answers.moment import Moment, latest
from flowtally.answers.series import read_series
from flowtally.answers.statement import harmless
from flowtally.core.edges import load_zone, parse_bound, parse_instant
from flowtally.core.errors import BadRange, MissingRows
from flowtally.core.events import METERED
from flowtally.core.times import BEGINNING, END_OF_TIME
from flowtally.core.words import ExportFormat
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.known import Known
from flowtally.ledger.people import accounts, users
from flowtally.protocol import HeldEvent
from flowtally.usage.values import Extent, Place, Where
from flowtally.usage.verbs import Commits, Rows

SLICE_ROWS: Final = 65_536
_MS: Final = pa.timestamp("ms", "UTC")
SCHEMA: Final = pa.schema(
    [
        ("time", _MS),
        ("received_at", _MS),
        ("block", pa.int64()),
        ("kind", pa.string()),
        ("refers_to", pa.string()),
        ("reason", pa.string()),
        ("source", pa.string()),
        ("id", pa.string()),
        ("sequence", pa.int64()),  # null: a named event
        ("account", pa.string()),
        ("user", pa.string()),
        ("user_id", pa.string()),
        ("product", pa.string()),
        ("status", pa.int32()),
        ("bytes_up", pa.int64()),
        ("bytes_down", pa.int64()),
        ("requests", pa.int64()),
        ("labels", pa.map_(pa.string(), pa.string())),
        ("entries", pa.int64()),  # 1, or how many a compacted row stands for
        ("until", _MS),  # of a compacted row: all it stands for is dated before; null: it is one entry, dated `time`
    ]
)


class ExportUsage(Rows, Commits, Protocol):
    """What planning an export asks: how many rows, up to which commit."""


class Export(msgspec.Struct, frozen=True):
    """What will be written: rows of `where` with start <= time < end, and how much they are together."""

    start: int
    end: int
    where: Where
    block: int
    extent: Extent
    known: Known | None = None


class RowWriter(Protocol):
    """Turns slices into pieces of a file."""

    def write(self, slice_: Any) -> bytes: ...

    def end(self) -> bytes: ...


def plan_export(
    tx: Tx,
    usage: ExportUsage,
    account_id: str,
    start: str | None,
    end: str | None,
    now: int,
    series: str = METERED,
    moment: Moment | None = None,
) -> Export:
    """The export of a range (dates in the account's zone or RFC 3339; none: everything) as of `moment` (None: now).
    UnknownAccount, NotFound (a series), BadRange."""
    known = None if moment is None else moment.known
    account = accounts.read_account(tx, account_id, known)
    zone = load_zone(account.timezone)
    since = BEGINNING if start is None else parse_bound(start, zone)
    until = END_OF_TIME if end is None else parse_bound(end, zone)
    if since >= until:
        raise BadRange(f"The range is empty: from {start} to {end}")
    read_series(tx, [series], (), account.id)
    block = (moment or latest(usage, now)).block
    where = Where(series=series, account=account.id, until_block=block)
    return Export(since, until, where, block, usage.extent(since, until, where), known)


def write_export(export: Export, usage: Rows, ledger: Ledger, form: ExportFormat) -> Iterator[bytes]:
    """The file, piece by piece. MissingRows where the rows do not add up to what was announced."""
    writer: RowWriter = ParquetWriter() if form == "parquet" else CsvWriter()
    written = Extent(0, 0, 0, 0)
    for rows in slices(export, usage, SLICE_ROWS):
        written = _add(written, rows)
        piece = writer.write(_named(rows, ledger, export))
        if piece:
            yield piece
    if written != export.extent:
        raise MissingRows(f"the export has {written}, the sums say {export.extent}")
    yield writer.end()


def write_held(pages: Iterable[Sequence[HeldEvent]], form: ExportFormat) -> Iterator[bytes]:
    """Held events as a file of the same columns, of the kind `held` and no entry each: they count for nothing yet."""
    writer: RowWriter = ParquetWriter() if form == "parquet" else CsvWriter()
    for page in pages:
        if piece := writer.write(_held_table(page)) if page else b"":
            yield piece
    yield writer.end()


def _held_table(events: Sequence[HeldEvent]) -> Any:
    rows = [
        msgspec.structs.asdict(one)
        | {"time": parse_instant(one.time), "received_at": parse_instant(one.held_at), "reason": one.detail}
        | {"kind": "held", "refers_to": "", "user_id": "", "status": one.http_status, "entries": 0}
        | {"labels": list(one.labels.items())}
        for one in events
    ]
    columns = [pa.array([row.get(field.name) for row in rows], field.type) for field in SCHEMA]
    return pa.table(columns, schema=SCHEMA)


def slices(export: Export, usage: Rows, size: int) -> Iterator[Any]:
    """The rows as tables of at most `size` rows, by time."""
    after: Place | None = None
    while True:
        rows = usage.read_rows(export.start, export.end, export.where, after=after, limit=size)
        if rows.num_rows:
            yield rows
        if rows.num_rows < size:
            return
        [last] = rows.slice(rows.num_rows - 1).to_pylist()
        after = (last["time"], last["block"], last["key_source"], last["sequence"], last["id"], last["kind"])


class ParquetWriter:
    """One row group per slice, zstd."""

    def __init__(self) -> None:
        self._sink = _Sink()
        self._file = pq.ParquetWriter(self._sink, SCHEMA, compression="zstd")

    def write(self, slice_: Any) -> bytes:
        self._file.write_table(slice_, row_group_size=slice_.num_rows)
        return self._sink.take()

    def end(self) -> bytes:
        self._file.close()
        return self._sink.take()


class CsvWriter:
    """RFC 4180, UTF-8, one header line; labels as one JSON object, text that a spreadsheet would run disarmed."""

    def __init__(self) -> None:
        self._head = _csv_lines([SCHEMA.names])

    def write(self, slice_: Any) -> bytes:
        columns = [_csv_column(field.type, slice_.column(field.name)) for field in SCHEMA]
        return self._take_head() + _csv_lines(zip(*columns, strict=True))

    def end(self) -> bytes:
        return self._take_head()

    def _take_head(self) -> bytes:
        head, self._head = self._head, b""
        return head


class _Sink(io.RawIOBase):
    """A file that only remembers what was written since it was last asked."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        piece = bytes(data)
        self._pieces.append(piece)
        self._size += len(piece)
        return len(piece)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        pieces, self._pieces = self._pieces, []
        return b"".join(pieces)


def _named(rows: Any, ledger: Ledger, export: Export) -> Any:
    """The rows as SCHEMA says, users under the names they had at the export's moment, sub-users under the vendor's."""
    whole, ours = rows.column("user"), export.where.series == METERED
    ids = whole.combine_chunks().dictionary_encode()
    distinct = ids.dictionary.to_pylist()
    names = {one: one for one in distinct}
    if ours:
        with ledger.read() as tx:
            names = users.names_of(tx, distinct, export.known)
    called = pa.array([names.get(one, "") for one in distinct], pa.string())
    sequence = rows.column("sequence")
    named = pc.equal(sequence, pa.scalar(0, sequence.type))
    compacted = pc.greater(rows.column("ends_at"), 0)
    made = {
        "user": called.take(ids.indices),
        "user_id": whole if ours else pa.array([None] * rows.num_rows, pa.string()),
        "sequence": pc.if_else(named, pa.scalar(None, sequence.type), sequence),
        "id": pc.if_else(compacted, "", rows.column("id")),
        "until": pc.if_else(compacted, rows.column("ends_at"), pa.scalar(None, pa.int64())),
    }
    columns = [made[field.name] if field.name in made else rows.column(field.name) for field in SCHEMA]
    return pa.table(
        [column.cast(field.type) for column, field in zip(columns, SCHEMA, strict=True)],
        schema=SCHEMA,
    )


def _add(written: Extent, rows: Any) -> Extent:
    return Extent(
        written.rows + _sum(rows.column("entries")),
        written.bytes_up + _sum(rows.column("bytes_up")),
        written.bytes_down + _sum(rows.column("bytes_down")),
        written.requests + _sum(rows.column("requests")),
    )


def _sum(column: Any) -> int:
    """A sum of 64-bit numbers need not fit 64 bits."""
    return int(pc.sum(column.cast(pa.decimal128(38, 0))).as_py() or 0)


def _csv_column(kind: Any, column: Any) -> list[Any]:
    if pa.types.is_timestamp(kind):  # always with milliseconds: so that it sorts as text
        return list(pc.strftime(column, "%Y-%m-%dT%H:%M:%SZ").to_pylist())
    if pa.types.is_map(kind):
        return [msgspec.json.encode(dict(one)).decode() if one else "" for one in column.to_pylist()]
    if pa.types.is_string(kind) and pc.any(pc.match_substring_regex(column, r"^[=+\-@\t\r]")).as_py():
        return [harmless(value) for value in column.to_pylist()]
    return list(column.to_pylist())


def _csv_lines(rows: Iterable[Iterable[Any]]) -> bytes:
    text = io.StringIO(newline="")
    csv.writer(text).writerows(rows)
    return text.getvalue().encode()
