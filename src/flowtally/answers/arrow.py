"""A usage answer as an Arrow IPC stream: typed columns for whoever computes with it.

Owns the columns' types. Instants are `timestamp[ms]` in the answer's zone, groups are dictionaries of text (`status`
is a uint16), quantities are int64 as long as every value of the column fits, and decimal128(38, 0) where one does not:
exact either way, and a sum beyond 2^63 takes more than a thousand events of the largest size there is. What JSON says
beside the rows is in the schema's metadata, under `flowtally`, as the same JSON without its rows.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any, Final

import msgspec
import pyarrow as pa

from flowtally.core.edges import parse_instant
from flowtally.protocol import OverallUsageAnswer, UsageAnswer
from flowtally.protocol.usage import SHOWN_QUANTITIES

METADATA_KEY: Final = "flowtally"
INSTANTS: Final = ("start", "end")
_INT64: Final = range(-(2**63), 2**63)


def to_arrow(answer: UsageAnswer | OverallUsageAnswer, columns: Sequence[str]) -> bytes:
    """The rows' `columns` as one stream; an answer without rows still has its schema."""
    instants: dict[str, int] = {}
    arrays = {name: _column(name, [row[name] for row in answer.rows], answer.timezone, instants) for name in columns}
    beside = {name: value for name, value in msgspec.to_builtins(answer).items() if name != "rows"}
    table = pa.table(arrays).replace_schema_metadata({METADATA_KEY: msgspec.json.encode(beside)})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _column(name: str, values: list[Any], zone: str, instants: dict[str, int]) -> Any:
    if name in INSTANTS:
        return pa.array([_instant(text, instants) for text in values], pa.timestamp("ms", zone))
    if name in SHOWN_QUANTITIES:
        return whole_numbers(values)
    if name == "status":
        return pa.array(values, pa.uint16())
    if name == "others":
        return pa.array(values, pa.int64())
    return pa.array(values, pa.string()).dictionary_encode()


def whole_numbers(values: Sequence[int | None]) -> Any:
    """int64 where all fit, else decimal128(38, 0). None: not known."""
    if all(value is None or value in _INT64 for value in values):
        return pa.array(values, pa.int64())
    return pa.array([None if value is None else Decimal(value) for value in values], pa.decimal128(38, 0))


def _instant(text: str, known: dict[str, int]) -> int:
    at = known.get(text)
    if at is None:
        at = known[text] = parse_instant(text)
    return at
