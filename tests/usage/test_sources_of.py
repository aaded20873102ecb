"""In which other sources an event stands that says the same: the list and the engine tell the same."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block
from tests.usage.test_compaction import JANUARY, compact
from tests.usage.ways import emptied

from flowtally.core.corrections import reference
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import BUCKET_MS, CountedUse

USES = st.builds(
    CountedUse,
    st.sampled_from(["acme", "beta"]),
    st.sampled_from(["", "u1", "ü'\\"]),
    st.integers(1000, 1002),
    st.integers(0, 1),
    st.integers(0, 1),
    st.integers(0, 1),
    st.sampled_from([0, 200, 65_535]),
)
KEYS = st.one_of(
    st.tuples(st.sampled_from(["1", 'b"\\\n', "ü"]), st.just(0)), st.tuples(st.just("a"), st.integers(1, 2))
)
ROWS = st.lists(
    st.tuples(USES, st.sampled_from(["s1", "s2"]), KEYS), max_size=8, unique_by=lambda row: (row[1], row[2])
)


def row_of(use: CountedUse, source: str, key: tuple[str, int]) -> dict[str, Any]:
    return msgspec.structs.asdict(use) | {"source": source, "key_source": source, "id": key[0], "sequence": key[1]}


def correction_of(row: dict[str, Any], number: int, factor: int) -> dict[str, Any]:
    refers = reference(row["source"], id=row["id"], sequence=row["sequence"])
    taken = {name: -factor * row[name] for name in ("bytes_up", "bytes_down", "requests")}
    own = {"kind": "correction", "refers_to": refers, "key_source": "fix", "id": f"c{number}", "sequence": 0}
    return row | own | taken


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    ROWS,
    st.lists(st.tuples(st.integers(0, 7), st.sampled_from([1, 1, -1, 0])), max_size=4),
    st.lists(USES, max_size=5),
    st.sampled_from(["s1", "s2", "s3"]),
)
def test_engine_and_list_find_the_same(
    written: ClickHouseStore,
    rows: Sequence[tuple[CountedUse, str, tuple[str, int]]],
    corrected: Sequence[tuple[int, int]],
    asked: Sequence[CountedUse],
    without: str,
) -> None:
    stored = [row_of(*row) for row in rows]
    fixes = [correction_of(stored[at], n, factor) for n, (at, factor) in enumerate(corrected) if at < len(stored)]
    emptied(written)
    both = MemoryStore(), written
    for store in both:
        for number, some in enumerate((stored, fixes), start=1):
            if some:
                store.append(block(number, *some))
    wanted = [*asked, *(row[0] for row in rows)]
    told = [store.sources_of(wanted, without) for store in both]
    assert told[0] == told[1]


def test_what_is_compacted_is_in_no_source_any_more(written: ClickHouseStore) -> None:
    use = CountedUse("acme", "u1", JANUARY, 1, 2, 1, 200)
    written.append(block(1, row_of(use, "s1", ("a", 0)), received_at=JANUARY + 1))
    assert (written.sources_of([use], "s2"), written.compacted_until()) == ({use: ["s1"]}, 0)
    written.settle()
    compact(written)
    assert written.sources_of([use], "s2") == {}
    assert JANUARY < written.compacted_until() <= JANUARY + BUCKET_MS


def test_one_of_a_part_that_has_no_numbers_is_found_beside_one_that_was_voided(written: ClickHouseStore) -> None:
    """The part's skip index knows one number, 0, which the voided one has, too."""
    use = CountedUse("acme", "u1", 1000, 1, 2, 1, 200)
    rows = [row_of(use, "s1", ("a", 0)), row_of(use, "s1", ("b", 0)), row_of(use, "s2", ("a", 0))]
    written.append(block(1, *rows))
    written.append(block(2, correction_of(rows[0], 1, 1), correction_of(rows[2], 2, 1)))
    assert written.sources_of([use], "") == {use: ["s1"]}
