"""The verbs of a usage store: the same sentences hold for the list and for the engine."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from tests.usage.blocks import block

from flowtally.core.errors import BadRange
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.queries import MAX_CUTS
from flowtally.usage.store import UsageStore
from flowtally.usage.values import BUCKET_MS, Changes, ClaimedRow, StoreTotals, Sum, Where

LAST: Final = 253_402_300_799_999  # the last millisecond of the year 9999
ODD: Final = ("it's", "a\\b", "tab\t", "new\nline", 'say "x"', "{series:String}", "", "nul\x00", "ü😀", "\\'", "%s")


# -- append and sums --------------------------------------------------------------------------------------------------


def test_a_span_has_its_start_and_not_its_end(store: UsageStore) -> None:
    store.append(block(1, {"time": 10, "bytes_up": 1}, {"time": 20, "bytes_up": 2}, {"time": 30, "bytes_up": 4}))
    assert store.sums([10, 20, 30], Where()) == [Sum(0, (), 1, 0, 1), Sum(1, (), 2, 0, 1)]


def test_spans_without_rows_are_left_out(store: UsageStore) -> None:
    store.append(block(1, {"time": 5 * BUCKET_MS, "bytes_down": 7}))
    edges = [index * BUCKET_MS for index in range(10)]
    assert store.sums(edges, Where()) == [Sum(5, (), 0, 7, 1)]


def test_groups_come_in_order_of_span_and_then_of_values(store: UsageStore) -> None:
    rows = [{"time": time, "user": user} for time in (BUCKET_MS, 0) for user in ("b", "ä", "a", "B")]
    store.append(block(1, *rows))
    found = store.sums([0, BUCKET_MS, 2 * BUCKET_MS], Where(), ("user",))
    assert [(one.span, one.by) for one in found] == [
        (span, (user,)) for span in (0, 1) for user in ("B", "a", "b", "ä")
    ]


def test_status_is_text_and_a_missing_label_is_empty(store: UsageStore) -> None:
    store.append(block(1, {"status": 404, "labels": {"country": "de"}}, {"status": 65_535}))
    found = store.sums([0, 1], Where(), ("status", "label:country"))
    assert [one.by for one in found] == [("404", "de"), ("65535", "")]


def test_the_same_dimension_may_be_asked_twice(store: UsageStore) -> None:
    store.append(block(1, {"user": "u"}))
    assert store.sums([0, 1], Where(), ("user", "user")) == [Sum(0, ("u", "u"), 0, 0, 1)]


def test_sums_beyond_64_bits_are_exact(store: UsageStore) -> None:
    most = 2**63 - 1
    rows = [{"bytes_up": most, "bytes_down": -most, "requests": most} for _ in range(5)]
    store.append(block(1, *rows))
    for by in ((), ("user",), ("status",)):
        for edges in ([0, BUCKET_MS], [0, 5]):
            [found] = store.sums(edges, Where(), by)
            assert (found.bytes_up, found.bytes_down, found.requests) == (5 * most, -5 * most, 5 * most)


def test_filters_keep_other_series_accounts_users_and_products_out(store: UsageStore) -> None:
    rows = [
        {"series": series, "account": account, "user": user, "product": product}
        for series in ("metered", "thordata")
        for account in ("acme", "beta")
        for user in ("", "u1", "u2")
        for product in ("mobile", "api")
    ]
    store.append(block(1, *rows))
    cases: list[tuple[Where, int]] = [
        (Where(), 12),
        (Where(series="nobody"), 0),
        (Where(without_users=("u1", "nobody")), 8),
        (Where(without_users=("", "u1"), users=("u1", "u2")), 4),
        (Where(without_users=("", "u1", *(f"many{n}" for n in range(500)))), 4),
        (Where(account="acme"), 6),
        (Where(account="acme", users=("u1", "")), 4),
        (Where(account="acme", users=()), 0),
        (Where(products=("api",)), 6),
        (Where(without_products=("api", "nothing")), 6),
        (Where(account="acme", without_products=("mobile",), users=("u1",)), 1),
        (Where(account="acme", users=("u1", "u2"), products=("api", "nothing")), 2),
    ]
    for where, expected in cases:
        for edges in ([0, BUCKET_MS], [0, 1], [-1, 1]):
            assert sum(one.requests for one in store.sums(edges, where)) == expected, (where, edges)


def test_any_text_is_found_again_as_it_was(store: UsageStore) -> None:
    for number, text in enumerate(ODD, 1):
        names = {"account": text, "user": text, "product": text, "source": text, "key_source": text, "id": text}
        store.append(block(number, names | {"labels": {text: text}, "position": text}, {"account": "other"}))
    for number, text in enumerate(ODD, 1):
        where = Where(account=text, users=("x", text), products=(text, "'"))
        by = ("account", "user", "product", "source", f"label:{text}")
        assert store.sums([0, BUCKET_MS], where, by) == [Sum(0, (text,) * 5, 0, 0, 1)]
        found = store.find(text, id=text, sequence=None, block=None)
        assert found is not None, text
        assert (found.id, found.account, found.user, found.labels) == (text, text, text, {text: text})
        assert (text, text) in {(row.id, row.position) for row in store.claims(number)}


def test_more_sums_than_the_limit_are_refused_and_not_cut_off(store: UsageStore) -> None:
    store.append(block(1, *({"time": index, "user": f"u{index}"} for index in range(6))))
    for edges, by in (([0, BUCKET_MS], ("user",)), ([0, 1, 2, 3, 4, 5, 6], ()), ([0, 9], ("user", "status"))):
        assert len(store.sums(edges, Where(), by, limit=6)) == 6
        with pytest.raises(BadRange, match="more than 5"):
            store.sums(edges, Where(), by, limit=5)


# -- what changed, one event, what recovery asks ------------------------------------------------------------------


def test_changes_after_a_cursor_name_each_account_once(store: UsageStore) -> None:
    assert store.changed_since(0) == store.changed_since(0, 1)
    store.append(block(3, {"account": "b"}, {"account": "a"}, {"account": "b"}))
    store.append(block(7, {"account": "b", "series": "thordata"}))
    found = store.changed_since(0)
    assert (found.cursor, found.accounts) == (7, (("metered", "a"), ("metered", "b"), ("thordata", "b")))
    assert store.changed_since(3).accounts == (("thordata", "b"),)
    assert store.changed_since(7) == Changes(7, ())


def test_a_limit_on_changes_cuts_between_blocks_and_loses_nobody(store: UsageStore) -> None:
    for number in range(1, 6):
        store.append(block(number, {"account": f"a{number}"}, {"account": f"b{number}"}))
    seen: list[tuple[str, str]] = []
    cursor = 0
    while (changes := store.changed_since(cursor, 3)).cursor != cursor:
        assert len(changes.accounts) <= 4
        seen += changes.accounts
        cursor = changes.cursor
    assert sorted(seen) == sorted(("metered", f"{name}{number}") for name in "ab" for number in range(1, 6))


def test_an_event_is_found_by_its_key_and_only_by_it(store: UsageStore) -> None:
    row = {"id": "e1", "time": LAST, "bytes_up": 2**53 - 1, "user": "u", "labels": {"k": "v"}, "status": 0}
    store.append(block(4, row, {"id": "n", "sequence": 2**63 - 1, "source": "x", "key_source": "x"}))
    found = store.find("gw", id="e1", sequence=None, block=4)
    assert found is not None
    assert (found.time, found.bytes_up, found.user, found.labels) == (LAST, 2**53 - 1, "u", {"k": "v"})
    assert (found.status, found.block, found.received_at, found.sequence) == (0, 4, 4000, 0)
    numbered = store.find("x", id=None, sequence=2**63 - 1, block=None)
    assert numbered is not None
    assert numbered.id == "n"
    for source, id, number, at in (("gw", "e1", None, 5), ("x", "e1", None, None), ("gw", None, 9, None)):
        assert store.find(source, id=id, sequence=number, block=at) is None


def test_totals_of_nothing_are_zero(store: UsageStore) -> None:
    assert store.totals() == StoreTotals(0, 0, 0)
    assert store.blocks_after(0) == []
    assert store.claims(1) == []
    assert store.damage() == []
    assert store.repair_projections(0) == []


def test_totals_and_blocks_say_what_was_appended(store: UsageStore) -> None:
    store.append(block(2, {}, {}, received_at=1_700_000_000_123))
    store.append(block(9, {}, received_at=1_700_000_000_123))
    assert store.totals() == StoreTotals(3, 9, 1_700_000_000_123)
    assert store.blocks_after(0) == [2, 9]
    assert store.blocks_after(2) == [9]
    assert store.blocks_after(9) == []


def test_claims_give_back_all_that_the_keys_must_know(store: UsageStore) -> None:
    named = {"id": "e", "digest": -(2**63)}
    numbered = {"key_source": "log", "id": "kept", "sequence": 7, "mark": 2**63 - 1, "position": "p" * 4096}
    store.append(block(1, named, numbered, received_at=5))
    store.append(block(2, {"id": "another"}))
    assert sorted(store.claims(1), key=lambda row: row.sequence) == [
        ClaimedRow("gw", "e", 0, -(2**63), 0, "", 5, "residential"),
        ClaimedRow("log", "kept", 7, 0, 2**63 - 1, "p" * 4096, 5, "residential"),
    ]


# -- any rows, any edges: the engine is the reference, exactly ----------------------------------------------------

_series: Final = count(1)
_BY: Final = ("user", "product", "account", "status", "source", "label:k", "label:it's")

near = st.integers(0, 12 * BUCKET_MS)
times = st.one_of(
    near,
    near.map(lambda at: at // BUCKET_MS * BUCKET_MS),
    near.map(lambda at: at // BUCKET_MS * BUCKET_MS + BUCKET_MS - 1),
    st.sampled_from([0, 1, LAST, 10_413_791_999_999, 10_413_792_000_000]),  # the engine's calendar ends with 2299
    st.integers(0, LAST),
)
edges = st.one_of(
    times,
    st.integers(-86_400_000, 13 * BUCKET_MS),
    st.sampled_from([-86_400_000, -BUCKET_MS, -1, LAST, -BUCKET_MS - 1]),
    st.integers(-96, 13).map(lambda bucket: bucket * BUCKET_MS),
)
quantities = st.one_of(st.integers(0, 9), st.integers(-(2**63), 2**63 - 1))
names = st.sampled_from(["", "a", "b", "it's"])
a_row = st.fixed_dictionaries(
    {
        "account": names,
        "user": names,
        "product": names,
        "source": names,
        "time": times,
        "status": st.sampled_from([0, 200, 404, 65_535]),
        "bytes_up": quantities,
        "bytes_down": quantities,
        "requests": quantities,
        "labels": st.dictionaries(st.sampled_from(["k", "it's"]), names),
    }
)
some = st.one_of(st.none(), st.lists(names, max_size=3).map(tuple))


class World:
    """Both stores with the same rows. Each example has a series of its own, so none sees another's rows."""

    def __init__(self, engine: ClickHouseStore, rows: Sequence[dict[str, Any]], blocks: int) -> None:
        self.engine, self.reference = engine, MemoryStore()
        self.series = f"series {next(_series)}"
        for index in range(blocks):
            mine = [row | {"series": self.series} for row in rows[index::blocks]]
            if mine:
                number = engine.totals().last_block + 1
                engine.append(block(number, *mine))
                self.reference.append(block(number, *mine))

    def agree(self, cuts: Sequence[int], where: Where, by: Sequence[str]) -> None:
        where = replace(where, series=self.series)
        assert self.engine.sums(cuts, where, by) == self.reference.sums(cuts, where, by)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(a_row, min_size=1, max_size=12),
    cuts=st.lists(edges, min_size=2, max_size=9, unique=True).map(sorted),
    by=st.lists(st.sampled_from(_BY), max_size=4, unique=True),
    where=st.builds(Where, account=st.one_of(st.none(), names), users=some, products=some),
    blocks=st.integers(1, 2),
)
def test_the_engine_answers_exactly_as_the_reference(
    written: ClickHouseStore,
    rows: list[dict[str, Any]],
    cuts: list[int],
    by: list[str],
    where: Where,
    blocks: int,
) -> None:
    world = World(written, rows, blocks)
    world.agree(cuts, where, by)
    world.agree([cuts[0] // BUCKET_MS * BUCKET_MS, LAST], Where(), by)
    whole = written.sums([cuts[0], cuts[-1]], Where(series=world.series))
    parts = written.sums(cuts, Where(series=world.series), by)
    assert sum(one.bytes_up for one in parts) == sum(one.bytes_up for one in whole)


def test_every_grouping_agrees_over_aligned_cut_and_mixed_edges(written: ClickHouseStore) -> None:
    rows = [
        {"time": index * 123_457, "account": "ab"[index % 2], "user": f"u{index % 3}", "status": index % 4}
        | {"labels": {"k": str(index % 5)}, "bytes_up": index, "product": f"p{index % 7}", "source": f"s{index % 2}"}
        for index in range(200)
    ]
    world = World(written, rows, 2)
    aligned = [index * BUCKET_MS for index in range(-2, 30)]
    unaligned = [index * 777_777 + 1 for index in range(30)]
    for size in range(len(_BY) + 1):
        for cuts in (aligned, unaligned, sorted({*aligned, *unaligned})):
            world.agree(cuts, Where(), _BY[:size])
            world.agree(cuts, Where(account="a"), _BY[size:])


def test_more_cut_buckets_than_are_worth_a_projection_are_answered_alike(written: ClickHouseStore) -> None:
    rows = [{"time": index * 60_000_000_007, "bytes_down": index} for index in range(100)]
    world = World(written, rows, 1)
    for many in (MAX_CUTS - 1, MAX_CUTS + 3):
        world.agree([index * BUCKET_MS + 5 for index in range(many)], Where(), ("user",))


def test_a_hundred_thousand_spans_are_one_question(written: ClickHouseStore) -> None:
    world = World(written, [{"time": index * 9_000_007} for index in range(100)], 1)
    world.agree([index * BUCKET_MS for index in range(100_001)], Where(), ("user",))
    world.agree([index * BUCKET_MS for index in range(100_001)], Where(), ("status",))
