"""Every column of the table of usage has one author, however a row came to be."""

from __future__ import annotations

import re
from typing import Final

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.core.events import UsageEvent
from flowtally.ingest.columns import Columns
from flowtally.ingest.event_rows import EventRows
from flowtally.ingest.rows import TYPES, NewRow, batch_of
from flowtally.usage.schema import MADE

OF_THE_STORE: Final = {"block", "received_at", "entries", "keys", "ends_at", "first_block"}
NEVER_AN_EVENTS: Final = {"reason", "place"}

names = st.sampled_from(["", "a", "b", "שלום"])
labels = st.none() | st.dictionaries(st.sampled_from(["k", "l"]), names)
quantities = st.integers(0, 2**53 - 1)
rows = st.builds(
    NewRow, account=names, user=names, product=names, source=st.just("gw"), key_source=st.just("gw"), id=names,
    digest=st.integers(-(2**63), 2**63 - 1), time=st.integers(0, 2**42), status=st.integers(0, 65_535),
    bytes_up=quantities, bytes_down=quantities, requests=quantities, labels=labels.map(lambda it: it or {}),
    kind=st.just("use"),
)  # fmt: skip


def test_no_column_is_left_out_and_none_made_up() -> None:
    [made] = [one.text for one in MADE if one.table == "usage_events"]
    columns = set(re.findall(r"^ +`(\w+)` ", made, re.MULTILINE))
    assert columns - OF_THE_STORE == set(TYPES)
    assert columns >= OF_THE_STORE


@settings(deadline=None)
@given(st.lists(rows, max_size=5))
def test_an_event_and_a_row_that_says_the_same_are_the_same_columns(made: list[NewRow]) -> None:
    events = [
        UsageEvent(
            row.source, row.account, row.id, None, None, None, row.user, row.product, row.bytes_up, row.bytes_down,
            row.requests, row.status, dict(row.labels),
        )
        for row in made
    ]  # fmt: skip
    times = np.array([row.time for row in made], dtype=np.int64)
    of = EventRows.of(Columns.of(events), times, {}, np.array([row.digest for row in made], dtype=np.int64))
    of_events, of_rows = of.batch([user for _, users in of.groups for user in users], of.codes, {}), batch_of(made)
    assert of_rows.schema.names == list(TYPES)
    assert of_events.schema.names == [name for name in TYPES if name not in NEVER_AN_EVENTS]
    for name in of_events.schema.names:
        assert of_events.column(name).to_pylist() == of_rows.column(name).to_pylist()
        assert _plain(of_events.column(name).type) == _plain(of_rows.column(name).type) == _plain(TYPES[name])
    assert of_rows.column("reason").to_pylist() == [""] * len(made)


def _plain(kind: pa.DataType) -> pa.DataType:
    return kind.value_type if pa.types.is_dictionary(kind) else kind
