"""Corrections, changes and what explains a balance: the same sentences hold for the list and for the engine."""

from __future__ import annotations

from itertools import count
from typing import Any, Final

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block
from tests.usage.test_store import ODD

from flowtally.core.corrections import reference, referred
from flowtally.usage import entries
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Commit, EventKey, StoredEvent, Where

LAST: Final = 253_402_300_799_999


def event(id: str, **more: Any) -> dict[str, Any]:
    return {"id": id, "time": 1000, "bytes_up": 10, **more}


def correction(id: str, of: str, **more: Any) -> dict[str, Any]:
    refers = reference("gw", id=of, sequence=0)
    return {"id": id, "kind": "correction", "refers_to": refers, "key_source": "fix", "time": 1000, **more}


def the(store: UsageStore, id: str, at: int = 1) -> StoredEvent:
    [found] = store.events_of([EventKey("gw", id=id, block=at)]).values()
    return found


# -- events and their corrections -------------------------------------------------------------------------------------


def test_events_are_found_by_their_keys_and_only_by_them(store: UsageStore) -> None:
    numbered = {"source": "log", "key_source": "log", "sequence": 7, "id": "kept"}
    store.append(block(1, event("a"), event("b"), numbered))
    store.append(block(2, event("c"), {**numbered, "sequence": 8}))
    wanted = [
        EventKey("gw", id="a", block=1),
        EventKey("gw", id="c", block=2),
        EventKey("log", sequence=7),
        EventKey("log", sequence=8),
    ]
    strangers = [
        EventKey("gw", id="a", block=2),  # in another block
        EventKey("log", id="a", block=1),  # of another source
        EventKey("gw", sequence=7),
        EventKey("log", id="kept", block=1),  # a numbered event is not found by its id
        EventKey("gw", id="d", block=1),
    ]
    found = store.events_of([*wanted, *strangers[:3], strangers[4]])
    assert {key: (one.source, one.id, one.sequence, one.block) for key, one in found.items()} == {
        wanted[0]: ("gw", "a", 0, 1),
        wanted[1]: ("gw", "c", 0, 2),
        wanted[2]: ("log", "kept", 7, 1),
        wanted[3]: ("log", "kept", 8, 2),
    }
    assert store.events_of([]) == {}


def test_corrections_come_in_order_of_commit_and_of_place(store: UsageStore) -> None:
    store.append(block(1, event("a"), event("b")))
    store.append(block(2, correction("y", "a", place=2, bytes_up=1), correction("x", "a", place=1, bytes_up=-4)))
    store.append(block(3, correction("w", "a", place=1, reason="why"), correction("v", "b", place=2)))
    a, b = the(store, "a"), the(store, "b")
    found = store.corrections_of([a, b])
    assert [(one.id, one.block, one.bytes_up, one.reason) for one in found[a.reference]] == [
        ("x", 2, -4, ""),
        ("y", 2, 1, ""),
        ("w", 3, 0, "why"),
    ]
    assert [one.id for one in found[b.reference]] == ["v"]
    assert store.corrections_of([]) == {}


def test_a_correction_is_never_found_as_an_event(store: UsageStore) -> None:
    store.append(block(1, event("a")))
    store.append(block(2, correction("a", "a", key_source="gw")))
    assert store.find("gw", id="a", sequence=None, block=2) is None
    assert store.events_of([EventKey("gw", id="a", block=2)]) == {}
    assert the(store, "a").block == 1


def test_a_correction_is_found_by_its_own_key_with_all_it_says(store: UsageStore) -> None:
    store.append(block(1, event("a", user="usr_1", time=7)))
    mine = {"key_source": "desk", "user": "usr_1", "time": 7}
    store.append(block(2, correction("c", "a", bytes_down=-4, reason="twice", **mine)))
    found = store.entry("desk", "c", 2)
    assert found is not None
    assert (found.event.source, found.event.user, found.event.time, found.event.bytes_down) == ("gw", "usr_1", 7, -4)
    entry = found.entry
    assert (entry.kind, entry.source, entry.id, entry.reason, entry.block) == ("correction", "desk", "c", "twice", 2)
    assert (referred(entry.refers_to).source, referred(entry.refers_to).id) == ("gw", "a")
    for source, id, number in (("gw", "c", 2), ("desk", "a", 2), ("desk", "c", 1), ("gw", "a", 1)):
        assert store.entry(source, id, number) is None


def test_hundreds_are_found_at_once(store: UsageStore) -> None:
    many = 2 * entries.CHUNK + 1
    store.append(block(1, *(event(f"e{i}", time=i) for i in range(many))))
    store.append(block(2, *(correction(f"c{i}", f"e{i}", time=i, place=i + 1) for i in range(many))))
    found = store.events_of([EventKey("gw", id=f"e{i}", block=1) for i in range(many)])
    assert len(found) == many
    corrected = store.corrections_of(list(found.values()))
    assert all([entry.id for entry in corrected[one.reference]] == [one.id.replace("e", "c")] for one in found.values())


def test_any_text_names_an_event(store: UsageStore) -> None:
    texts = [text for text in ODD if text]  # an event has a source and an id
    refers = {text: reference(text, id=text, sequence=0) for text in texts}
    for number, text in enumerate(texts):
        names = {"account": text, "source": text, "key_source": text, "id": text}
        store.append(block(2 * number + 1, event("e") | names))
        entry_of = correction(f"c{number}", "e") | {"account": text, "refers_to": refers[text], "reason": text}
        store.append(block(2 * number + 2, entry_of))
    for number, text in enumerate(texts):
        [found] = store.events_of([EventKey(text, id=text, block=2 * number + 1)]).values()
        [entry] = store.corrections_of([found])[refers[text]]
        assert (entry.id, entry.reason) == (f"c{number}", text)
        assert (referred(refers[text]).source, referred(refers[text]).id) == (text, text)


def test_corrections_are_found_by_the_primary_key(flushed: ClickHouseStore) -> None:
    flushed.append(block(1, *(event(f"e{i}", time=i * 1000) for i in range(50_000))))
    query = entries.corrections_of([the(flushed, "e7")])
    plan = "\n".join(row[0] for row in flushed.engine.rows(f"EXPLAIN indexes = 1 {query.text}", query.parameters))
    assert "time in 1-element set" in plan
    assert "Granules: 1/" in plan


# -- commits and changes ----------------------------------------------------------------------------------------------


def test_the_last_commit_up_to_a_block_or_an_instant(store: UsageStore) -> None:
    assert store.last_commit() == Commit(0, 0)
    assert store.next_block(0) is None
    store.append(block(2, event("a"), received_at=2000))
    store.append(block(5, event("b"), received_at=2000))
    store.append(block(9, event("c"), received_at=3000))
    assert store.last_commit() == Commit(9, 3000)
    assert store.last_commit(block=8) == Commit(5, 2000)
    assert store.last_commit(block=1) == Commit(0, 0)
    assert store.last_commit(at=2999) == Commit(5, 2000)
    assert store.last_commit(at=1999) == Commit(0, 0)
    assert [store.next_block(after) for after in (0, 2, 8, 9)] == [2, 5, 9, None]


def test_moves_say_per_block_and_account_what_came(store: UsageStore) -> None:
    store.append(block(1, event("a"), event("b", time=5, bytes_down=3), event("c", account="beta")))
    store.append(
        block(2, correction("x", "a", bytes_up=-4, requests=-1), correction("y", "a", kind="adjustment", time=9))
    )
    flagged = [event(reason, reason=reason[:-1]) for reason in ("reset1", "reset2", "late1")]
    store.append(block(3, *flagged, event("g")))
    first, beta, second, third = store.moves(1, 0, 10, late_before=6)
    assert (first.flags, second.flags, third.flags) == ({}, {}, {"reset": 2, "late": 1})
    assert (first.block, first.account, first.use, first.late, first.earliest, first.latest) == (
        1,
        "acme",
        2,
        1,
        5,
        1000,
    )
    assert (first.bytes_up, first.bytes_down, first.requests, first.received_at) == (20, 3, 2, 1000)
    assert (beta.account, beta.use, beta.late) == ("beta", 1, 0)
    assert (second.use, second.corrections, second.adjustments, second.earliest) == (0, 1, 1, 9)
    assert (second.bytes_up, second.requests) == (-4, 0)
    assert store.moves(1, 1, 1) == [store.moves(1, 0, 10)[1]]
    assert [one.block for one in store.moves(1, 0, 10, account="acme")] == [1, 2, 3]
    assert [one.block for one in store.moves(2, 0, 10)] == [2, 3]
    assert store.moves(4, 0, 10) == []


# -- any rows: the engine is the reference, exactly -------------------------------------------------------------------

_accounts: Final = count(1)
quantities = st.one_of(st.integers(-9, 9), st.integers(-(2**62), 2**62))
a_row = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["use", "correction", "adjustment"]),
        "product": st.sampled_from(["", "mobile", "it's"]),
        "user": st.sampled_from(["", "u"]),
        "time": st.one_of(st.integers(0, 50), st.sampled_from([0, LAST])),
        "bytes_up": quantities,
        "bytes_down": quantities,
        "requests": quantities,
        "reason": st.sampled_from(["", "", "reset", "late"]),
    }
)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    rows=st.lists(a_row, min_size=1, max_size=12),
    blocks=st.integers(1, 3),
    cuts=st.lists(st.integers(0, 60), min_size=2, max_size=6, unique=True).map(sorted),
    products=st.one_of(st.none(), st.just(("mobile", "it's"))),
    without=st.sampled_from([(), ("u",)]),
    limit=st.integers(1, 5),
)
def test_the_engine_explains_exactly_as_the_reference(
    written: ClickHouseStore,
    rows: list[dict[str, Any]],
    blocks: int,
    cuts: list[int],
    products: tuple[str, ...] | None,
    without: tuple[str, ...],
    limit: int,
) -> None:
    account = f"account {next(_accounts)}"
    reference = MemoryStore()
    start = last = written.totals().last_block
    for index in range(blocks):
        mine = [row | {"account": account, "id": f"{n}"} for n, row in enumerate(rows) if n % blocks == index]
        if mine:
            last += 1
            for store in (written, reference):
                store.append(block(last, *mine))
    where = Where(account=account, products=products, without_users=without)
    for until in range(start, last + 1):
        assert written.parts(cuts, where, until) == reference.parts(cuts, where, until)
        for charge in ("bytes", "requests"):
            found = written.largest(cuts[0], LAST + 1, where, until, charge, limit)
            assert found == reference.largest(cuts[0], LAST + 1, where, until, charge, limit)
        for only in (account, None):
            moved = written.moves(start + 1, 0, 99, account=only, until_block=until)
            assert moved == reference.moves(start + 1, 0, 99, account=only, until_block=until)
        following = [written.next_block(after, until_block=until) for after in range(start, last + 1)]
        assert following == [reference.next_block(after, until_block=until) for after in range(start, last + 1)]
    moved = written.moves(start + 1, 0, 99, account=account, late_before=25)
    assert moved == reference.moves(start + 1, 0, 99, account=account, late_before=25)
    assert written.moves(start + 1, 0, limit) == reference.moves(start + 1, 0, limit)


def test_rows_of_an_older_schema_are_read_as_before(database_url: str) -> None:
    engine = Engine(database_url)
    before = ClickHouseStore(engine)
    before.append(block(1, event("a"), correction("c", "a", bytes_up=-1)))
    before.settle()
    engine.command("ALTER TABLE usage_events DROP COLUMN reason, DROP COLUMN place SETTINGS mutations_sync = 2")
    engine.command("TRUNCATE TABLE schema_migrations SYNC")
    store = ClickHouseStore(engine)
    a = the(store, "a")
    assert [(one.id, one.reason, one.place) for one in store.corrections_of([a])[a.reference]] == [("c", "", 0)]
    store.append(block(2, correction("d", "a", reason="why", place=1)))
    assert [one.reason for one in store.corrections_of([a])[a.reference]] == ["", "why"]
    assert [one.bytes_up for one in store.sums([0, 900_000], Where())] == [9]
    store.close()


def test_numbers_of_blocks_may_lie_far_apart(store: UsageStore) -> None:
    """As after a restore, which leaves out all numbers that may have been given before."""
    far = 10**12
    numbers = [1, 2, far + 2, far + 3, 3 * far]
    for at, number in enumerate(numbers):
        store.append(block(number, event(f"e{at}", time=at), received_at=at * 1_000))
    assert [store.next_block(after) for after in (0, 2, far, far + 3, 3 * far)] == [1, far + 2, far + 2, 3 * far, None]
    assert [one.block for one in store.moves(1, 0, 10)] == [1, 2]
    assert [one.block for one in store.moves(far, 0, 10, until_block=far + 2)] == [far + 2]
    asked = (1, 2, 3, far, far + 2, far + 3, 2 * far, 3 * far, 9 * far)
    assert [store.last_commit(block=one).block for one in asked] == [
        max(number for number in numbers if number <= one) for one in asked
    ]
    for until in asked:
        found = store.sums([0, 10], Where(account="acme", until_block=until))
        assert sum(one.requests for one in found) == sum(number <= until for number in numbers)
    assert [one.block for one in store.block_sums([0, 10], Where(account="acme"), after=(2, 0))] == numbers[2:]
