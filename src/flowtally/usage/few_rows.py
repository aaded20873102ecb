"""Few rows of a block as plain values, packed into one text: the same for the journal, the tail and whoever reads them.

Columns of Arrow cost by column, not by row: for one event they took half of the writer's time. So a small block keeps
its rows as values, and they become columns where somebody needs these, which most of the time is a flush: then those of
many blocks at once. Owns the form of the text, which lies in records of the journal. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import msgspec

from flowtally.usage.row_columns import column, record

FEW: Final = 24  # rows; of more, columns cost less until they stand in the table

Fields = dict[str, list[Any]]  # values by column
_encode: Final = msgspec.msgpack.Encoder().encode
_decoder: Final = msgspec.msgpack.Decoder(Fields)


class FewRows(msgspec.Struct, frozen=True):
    """Rows as `values.Block` has them, with as much of a record batch as those ask for who have either. `packed`: of
    each column a list of its values."""

    num_rows: int
    packed: bytes

    @classmethod
    def of(cls, count: int, fields: Mapping[str, Sequence[Any]]) -> FewRows:
        return cls(count, _encode(fields))

    def fields(self) -> Fields:
        return _decoder.decode(self.packed)

    def batch(self) -> Any:
        return record(self.fields())

    def column(self, name: str) -> Any:
        return column(name, self.fields()[name])

    def get_total_buffer_size(self) -> int:
        return len(self.packed)


def as_batch(rows: Any) -> Any:
    """Rows of a block as a pyarrow.RecordBatch, however they are kept."""
    return rows.batch() if isinstance(rows, FewRows) else rows


def texts_of(rows: Any, name: str) -> Sequence[str]:
    """The texts of a column that has few of them, each once or more."""
    if isinstance(rows, FewRows):
        return rows.fields()[name]
    names = rows.column(name)
    found: list[str] = (names.dictionary if hasattr(names, "dictionary") else names.unique()).to_pylist()
    return found


def joined(some: Sequence[FewRows]) -> Any:
    """Their rows as one record batch, in their order; None where they have not the same columns."""
    whole, *others = [rows.fields() for rows in some]
    if any(fields.keys() != whole.keys() for fields in others):
        return None
    for fields in others:
        for name, values in fields.items():
            whole[name] += values
    return record(whole)
