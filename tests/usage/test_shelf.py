"""The shelf: what a block did to whom, whoever adds it up; and blocks that are no longer there are missed by nobody."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.usage.blocks import block

from flowtally.core.events import MAX_QUANTITY
from flowtally.usage import shelf
from flowtally.usage.shelf import Shelf, UseOf, add_up

rows = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from(["acme", "beta"]),
            "user": st.sampled_from(["", "usr_1"]),
            "product": st.sampled_from(["residential", "mobile"]),
            "series": st.sampled_from(["metered", "metered", "metered", "a vendor"]),
            "time": st.integers(0, 100),
            "bytes_up": st.integers(-50, 50),
            "bytes_down": st.integers(-50, 50),
            "requests": st.integers(-2, 2),
        }
    ),
    max_size=20,
)


def slowly(some: list[dict[str, Any]]) -> dict[tuple[str, str, str], UseOf]:
    groups = defaultdict(list)
    for row in some:
        if row["series"] == "metered":
            groups[row["account"], row["user"], row["product"]].append(row)
    found = {}
    for key, mine in groups.items():
        sizes = [row["bytes_up"] + row["bytes_down"] for row in mine]
        requests, times = [row["requests"] for row in mine], [row["time"] for row in mine]
        found[key] = UseOf(
            sum(size for size in sizes if size > 0),
            sum(size for size in sizes if size < 0),
            sum(one for one in requests if one > 0),
            sum(one for one in requests if one < 0),
            min(times),
            max(times),
        )
    return found


@pytest.mark.parametrize("small", [0, 1_000])
@given(some=rows)
def test_what_is_more_and_what_is_less_are_added_up_apart(small: int, some: list[dict[str, Any]]) -> None:
    """In both ways: row by row, and as columns."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf, "SMALL_ROWS", small)
        assert add_up(block(1, *some).rows) == slowly(some)


def test_sums_that_no_column_can_hold_are_exact() -> None:
    some = [{"bytes_up": MAX_QUANTITY, "bytes_down": MAX_QUANTITY}] * 2_000
    [use] = add_up(block(1, *some).rows).values()
    assert use.bytes_more == 2 * MAX_QUANTITY * 2_000 > 2**63


def numbers(found: list[tuple[int, Any]] | None) -> list[int] | None:
    return None if found is None else [number for number, _ in found]


def test_blocks_are_told_in_their_order_and_gaps_in_their_numbers_are_none() -> None:
    """A number that was burnt is no block."""
    it = Shelf()
    for number in (5, 6, 9):
        it.put(block(number, {}))
    assert numbers(it.since(4, 9)) == [5, 6, 9]
    assert numbers(it.since(5, 8)) == [6]
    assert numbers(it.since(9, 9)) == []
    assert numbers(it.since(12, 9)) == []


def test_blocks_of_before_the_first_are_not_here() -> None:
    it = Shelf()
    assert it.since(0, 1) is None
    it.put(block(5, {}))
    assert it.since(3, 5) is None


def test_what_does_not_fit_is_dropped_and_missed() -> None:
    it = Shelf(most_blocks=2)
    for number in (1, 2, 3):
        it.put(block(number, {}))
    assert it.since(0, 3) is None
    assert numbers(it.since(1, 3)) == [2, 3]


def test_bytes_are_bounded_and_what_was_added_up_needs_none() -> None:
    one = block(1, *[{"bytes_up": 1}] * 100)
    size = one.rows.get_total_buffer_size()
    it = Shelf(most_bytes=2 * size)
    it.put(one)
    it.put(block(2, *[{"bytes_up": 1}] * 100))
    assert it.measures() == {"blocks": 2.0, "bytes": 2.0 * size}
    it.since(0, 2)
    assert it.measures() == {"blocks": 2.0, "bytes": 0.0}
    for number in (3, 4, 5):
        it.put(block(number, *[{"bytes_up": 1}] * 100))
    assert it.measures()["bytes"] <= 2 * size
    assert it.since(0, 5) is None


def test_another_writer_begins_with_an_empty_one() -> None:
    it = Shelf()
    it.put(block(1, {}))
    it.clear()
    assert it.measures() == {"blocks": 0.0, "bytes": 0.0}
    assert it.since(0, 1) is None
