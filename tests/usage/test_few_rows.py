"""Few rows kept as plain values are the same rows: as columns, in a record, in the tail, many blocks at once."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.usage.few_rows import FewRows, as_batch, joined, texts_of
from flowtally.usage.records import HEAD_BYTES, Record, Torn, decode, encode, head_of, sum_of
from flowtally.usage.row_columns import record
from flowtally.usage.tail import TailBlock, together

AT: Final = 1_790_000_000_000
names = st.sampled_from(["", "a", "b", "שלום", "a'\0"])
row = st.fixed_dictionaries(
    {
        "account": names,
        "user": names,
        "id": st.text(max_size=3),
        "sequence": st.integers(0, 2**63 - 1),
        "time": st.integers(0, 2**42),
        "status": st.integers(0, 65_535),
        "bytes_up": st.integers(0, 2**53 - 1),
        "labels": st.none() | st.dictionaries(names, names, max_size=2),
        "digest": st.integers(-(2**63), 2**63 - 1),
    }
)
some = st.lists(row, min_size=1, max_size=4)


def fields_of(rows: list[dict[str, Any]]) -> dict[str, list[Any]]:
    return {name: [one[name] for one in rows] for name in rows[0]}


def few(rows: list[dict[str, Any]]) -> FewRows:
    return FewRows.of(len(rows), fields_of(rows))


def block(number: int, rows: Any) -> TailBlock:
    return TailBlock(number, AT + number, 202609, rows, 0, 0.0)


@given(some)
def test_they_are_the_columns_that_would_have_been_made_at_once(rows: list[dict[str, Any]]) -> None:
    kept, columns = few(rows), record(fields_of(rows))
    assert kept.num_rows == len(rows)
    assert as_batch(kept).equals(columns)
    assert as_batch(columns) is columns
    assert set(texts_of(kept, "account")) == set(texts_of(columns, "account")) == {one["account"] for one in rows}


@given(some)
def test_a_record_gives_them_back(rows: list[dict[str, Any]]) -> None:
    written = Record(7, AT, b"decided", few(rows))
    head, body = encode(written, 6)
    assert decode(head_of(7, head), body) == written
    assert body.endswith(written.rows.packed)


def test_a_record_of_them_with_another_byte_is_torn() -> None:
    head, body = encode(Record(7, AT, b"decided", few([{"account": "a", "bytes_up": 5}])), 6)
    for at in range(len(body)):
        with pytest.raises(Torn):
            decode(head_of(7, head), body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :])


@pytest.mark.parametrize("count", [1, 600])
def test_a_record_from_before_there_were_plain_values_is_read(count: int) -> None:
    rows = record(fields_of([{"account": "a", "bytes_up": 5}] * count))
    head, body = encode(Record(7, AT, b"decided", rows), 6)
    before = b"\x01" + head[1 : HEAD_BYTES - 8]
    read = decode(head_of(7, before + sum_of(before).to_bytes(8, "little")), body)
    assert read.decided == b"decided"
    assert read.rows.equals(rows)


def test_a_record_of_a_later_format_is_not_guessed_at() -> None:
    head, _ = encode(Record(7, AT, b"", None), 6)
    later = b"\x03" + head[1 : HEAD_BYTES - 8]
    with pytest.raises(Torn, match="in format 3"):
        head_of(7, later + sum_of(later).to_bytes(8, "little"))


@given(st.lists(st.tuples(some, st.booleans()), min_size=1, max_size=5))
def test_many_blocks_are_one_piece_however_each_is_kept(blocks: list[tuple[list[dict[str, Any]], bool]]) -> None:
    kept = [few(rows) if plain else record(fields_of(rows)) for rows, plain in blocks]
    made = together([block(number, rows) for number, rows in enumerate(kept, 1)])
    assert all(len(column.chunks) == 1 for column in made.columns)
    assert made.column("account").to_pylist() == [one["account"] for rows, _ in blocks for one in rows]
    assert made.column("block").to_pylist() == [number for number, (rows, _) in enumerate(blocks, 1) for _ in rows]
    assert made.column("received_at").cast(pa.int64()).to_pylist() == [
        AT + number for number in made.column("block").to_pylist()
    ]
    assert made.column("digest").to_pylist() == [one["digest"] for rows, _ in blocks for one in rows]


def test_blocks_that_have_not_the_same_columns_are_put_together_all_the_same() -> None:
    one, other = few([{"account": "a", "time": AT, "bytes_up": 1}]), few([{"account": "b", "time": AT, "requests": 2}])
    assert joined([one, other]) is None
    made = together([block(1, one), block(2, other)]).to_pydict()
    assert (made["account"], made["bytes_up"], made["requests"]) == (["a", "b"], [1, None], [None, 2])
