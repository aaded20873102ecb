"""Two answers compared: what says the same is the same, and what does not is told with its place and by how much."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.comparing import HIDDEN, MAX_VALUE, MOST_DIFFERING, Differs, as_text, compare, hide

KEYS = ("date", "name")

# ours | theirs | what differs: place, ours, theirs, by
TABLE: list[tuple[Any, Any, list[tuple[str, str | None, str | None, str | None]]]] = [
    (5, "5", []),
    ("5.00", Decimal("5"), []),
    ("-0", 0, []),
    (1, True, [("", "1", "true", None)]),
    (0, None, [("", "0", "null", None)]),
    ("", None, [("", '""', "null", None)]),
    ("a", "b", [("", '"a"', '"b"', None)]),
    (Decimal("1.50"), 2, [("", "1.50", "2", "0.5")]),
    (7, "x", [("", "7", '"x"', None)]),
    ({"a": 1, "b": 2}, {"b": 2, "a": 1}, []),
    ({"a": 1}, {"a": 1, "b": None}, [("b", None, "null", None)]),
    ({"a": {"b": 3}}, {"a": {}}, [("a.b", "3", None, None)]),
    ({"a": {}}, {"a": []}, [("a", "{}", "[]", None)]),
    (["x", 2], ["2", "x"], []),
    (["x", "x"], ["x"], [("[]", '"x"', None, None)]),
    ([{"date": "1", "n": 1}, {"date": "2", "n": 2}], [{"date": 2, "n": 2}, {"date": 1, "n": 1}], []),
    ([{"date": "1", "n": 1}], [{"date": "1", "n": 4}], [("[1].n", "1", "4", "3")]),
    ([], [{"date": "1", "n": 4}], [("[1]", None, '{"date":"1","n":4}', None)]),
    # Two days of one name: they are told apart by the day.
    (
        [{"date": "1", "name": "a"}, {"date": "2", "name": "a"}],
        [{"date": "2", "name": "a"}, {"date": "1", "name": "b"}],
        [("[1].name", '"a"', '"b"', None)],
    ),
    # Nothing names these rows: their place does.
    ([{"n": 1}, {"n": 2}], [{"n": 2}], [("[0].n", "1", "2", "1"), ("[1]", '{"n":2}', None, None)]),
    ([{"date": "1"}, {"date": "1", "n": 2}], [{"date": "1"}, {"date": "1", "n": 3}], [("[1].n", "2", "3", "1")]),
]


@pytest.mark.parametrize(("ours", "theirs", "differing"), TABLE)
def test_what_differs_is_told(ours: Any, theirs: Any, differing: list[Any]) -> None:
    found = compare(ours, theirs, keys=KEYS)
    assert found.fields == tuple(Differs(*one) for one in differing)
    assert found.count == len(differing)


def test_members_that_are_never_the_same_are_left_out_wherever_they_stand() -> None:
    ours, theirs = ({"trace": one, "data": [{"date": 1, "trace": one}]} for one in ("a", "b"))
    assert compare(ours, theirs, keys=KEYS, ignored={"trace"}).count == 0


def test_only_the_first_are_told_and_all_are_counted_up_to_a_bound() -> None:
    found = compare(list(range(300)), [], most=7)
    assert (len(found.fields), found.count) == (7, 300)
    assert compare(list(range(MOST_DIFFERING + 5)), [], most=7).count == MOST_DIFFERING


def test_a_long_value_is_cut_and_what_no_terminal_should_see_is_written_out() -> None:
    [field] = compare({"a\x1b": "x" * 500}, {"a\x1b": "\u202e"}).fields
    assert (field.place, field.theirs) == ("a\\x1b", '"\\u202e"')
    assert field.ours is not None
    assert len(field.ours) == MAX_VALUE


@pytest.mark.parametrize(
    "text",
    ["1e400", "1e-400", "9" * 4000, "1e999999999999", '"' + "9" * 60 + '"', "-1e40", '"\\ud800"', '{"\\ud800": 1}'],
)
def test_strange_values_are_compared_as_they_are(text: str) -> None:
    value, same = (json.loads(text, parse_float=Decimal) for _ in range(2))
    assert compare(value, same).count == 0
    found = compare({"a": value}, {"a": 1})
    assert found.count == 1
    assert found.fields[0].ours is not None
    found.fields[0].ours.encode()


def test_what_nobody_may_keep_is_hidden_wherever_it_stands() -> None:
    said = {"password": "p1", "list": [{"password": {"a": "p2"}, "of p1": "p1 and more"}], "n": 1}
    shown = hide(said, {"password"}, lambda text: text.replace("p1", "-"))
    assert shown == {"password": HIDDEN, "list": [{"password": HIDDEN, "of -": "- and more"}], "n": 1}
    assert said["password"] == "p1"


def test_a_value_is_shown_as_it_was_written() -> None:
    said = '{"mb":1453.10,"n":18446744073709551615,"name":"é"}'
    assert as_text(json.loads(said, parse_float=Decimal)) == said
    assert as_text([2**70]) == f"[{2**70}]"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(JSON)
def test_everything_is_the_same_as_itself(value: Any) -> None:
    assert compare(value, value, keys=KEYS).count == 0


@given(JSON, JSON)
def test_both_ways_differ_as_often_and_by_the_opposite(ours: Any, theirs: Any) -> None:
    one, other = compare(ours, theirs, keys=KEYS), compare(theirs, ours, keys=KEYS)
    assert one.count == other.count
    mine = {(each.place, each.ours, each.theirs): each.by for each in one.fields}
    for each in other.fields:
        if len(one.fields) == one.count and each.by is not None:
            by = mine[each.place, each.theirs, each.ours]
            assert by is not None
            assert Decimal(by) == -Decimal(each.by)


@given(st.dictionaries(st.text(), st.integers(-(10**39), 10**39), min_size=1), st.randoms())
def test_named_rows_may_stand_in_any_order(rows: dict[str, int], chance: Any) -> None:
    ours = [{"date": date, "n": n} for date, n in rows.items()]
    theirs = [{"n": str(row["n"]), "date": row["date"]} for row in ours]
    chance.shuffle(theirs)
    assert compare(ours, theirs, keys=KEYS).count == 0
