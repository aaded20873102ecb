"""Emptying the texts of users' rows: what is counted stays as it is, by every grouping but labels."""

from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.usage.blocks import block
from tests.usage.ways import emptied

from flowtally.core.errors import Unavailable
from flowtally.usage import definitions, erasing, projections
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.engine import Engine
from flowtally.usage.schema import TABLE, latest_migration
from flowtally.usage.store import UsageStore
from flowtally.usage.values import BUCKET_MS, Where

USERS: Final = ("usr_a", "usr_b", "usr_c", "")
EDGES: Final = (0, BUCKET_MS, 2 * BUCKET_MS + 7, 5 * BUCKET_MS)  # one of them cuts a bucket
DAY: Final = 86_400_000
ROW: Final = st.fixed_dictionaries(
    {
        "user": st.sampled_from(USERS),
        "account": st.sampled_from(["acme", "beta"]),
        "product": st.sampled_from(["residential", "mobile"]),
        "source": st.sampled_from(["gw", "edge"]),
        "status": st.sampled_from([200, 404]),
        "time": st.integers(0, 5 * BUCKET_MS - 1),
        "bytes_up": st.integers(-9, 9),
        "bytes_down": st.integers(0, 2**53 - 1),
        "labels": st.dictionaries(st.sampled_from(["country", "team"]), st.sampled_from(["de", "us"])),
        "reason": st.sampled_from(["", "goodwill"]),
    }
)
BLOCKS: Final = st.lists(st.tuples(st.integers(0, 40), st.lists(ROW, min_size=1, max_size=6)), min_size=1, max_size=4)


def heard(*_: object) -> None:
    """Who asks for progress and does nothing with it."""


def answers(store: UsageStore, *groupings: tuple[str, ...]) -> list[Any]:
    where = [
        Where(),
        Where(account="acme"),
        Where(users=("usr_a",)),
        Where(until_block=2),
        Where(without_users=("usr_b",)),
    ]
    return [store.sums(EDGES, one, by) for one in where for by in groupings]


def whole(store: UsageStore) -> list[Any]:
    """Everything that is asked but texts."""
    groupings = [(), ("user",), ("product",), ("status",), ("source",), ("account", "user", "product")]
    rows = store.read_rows(0, 5 * BUCKET_MS, Where(), limit=100).drop_columns(["labels", "reason"]).to_pylist()
    claims = [sorted(map(str, store.claims(number))) for number in range(1, 5)]
    return [answers(store, *groupings), rows, claims, store.totals(), store.moves(1, 0, 100)]


def files(store: ClickHouseStore) -> dict[tuple[str, str], int]:
    """Which file each of the active parts' is, by month and name: a link is the same one."""
    text = (
        "SELECT partition, path FROM system.parts WHERE active AND database = currentDatabase() AND table = {t:String}"
    )
    return {
        (month, str(file.relative_to(path))): file.stat().st_ino
        for month, path in store.engine.rows(text, {"t": TABLE})
        for file in Path(path).rglob("*")
        if file.is_file()
    }


def of_labels(store: UsageStore) -> dict[str, set[tuple[str, ...]]]:
    found = store.sums([0, 5 * BUCKET_MS], Where(), ("user", "label:country", "label:team"))
    return {user: {one.by[1:] for one in found if one.by[0] == user} for user in USERS}


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(blocks=BLOCKS, erased=st.sets(st.sampled_from(USERS[:3]), min_size=1))
def test_all_that_is_counted_is_the_same_before_and_after(
    store: UsageStore, blocks: list[tuple[int, list[dict[str, Any]]]], erased: set[str]
) -> None:
    if isinstance(store, ClickHouseStore):
        emptied(store)
    else:
        store.rows = []  # type: ignore[attr-defined]
    ids, day = count(1), 0
    for number, (days, rows) in enumerate(blocks, 1):
        day += days  # blocks of several months
        named = [{**row, "id": f"e{next(ids)}"} for row in rows]
        store.append(block(number, *named, received_at=day * DAY))
    before, labels = whole(store), of_labels(store)
    store.erase_texts(sorted(erased), heard)
    assert whole(store) == before
    assert store.with_texts(sorted(erased)) == []
    after = of_labels(store)
    for user in USERS:
        assert after[user] == ({("", "")} if user in erased and labels[user] else labels[user])
    if isinstance(store, ClickHouseStore):
        parts = {name for (name,) in store.engine.rows(f"SELECT DISTINCT _part FROM {TABLE}")}
        assert all(projections.agrees(store.engine, TABLE, part) for part in parts)


def test_corrections_keep_all_but_their_reasons(store: UsageStore) -> None:
    entry = {
        "kind": "correction",
        "refers_to": "gw\x00e1",
        "id": "c1",
        "bytes_up": -1,
        "place": 1,
        "reason": "ann rang",
    }
    store.append(block(1, {"user": "usr_a", "id": "e1", "labels": {"k": "v"}, "bytes_up": 5, "reason": "reset"}))
    store.append(block(2, {"user": "usr_a", "labels": {"k": "v"}, **entry}))
    assert store.with_texts(["usr_a", "usr_b"]) == ["usr_a"]
    store.erase_texts(["usr_a"], heard)
    found = store.read_rows(0, 1, Where(), limit=9).to_pylist()
    assert [(row["id"], row["kind"], row["bytes_up"], row["reason"]) for row in found] == [
        ("e1", "use", 5, "reset"),  # the rule by which it was counted
        ("c1", "correction", -1, ""),
    ]
    assert all(not row["labels"] for row in found)


def test_old_parts_are_gone_at_once_and_the_setting_is_as_before(flushed: ClickHouseStore) -> None:
    def shape() -> str:
        text = "SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
        return str(flushed.engine.rows(text, {"table": TABLE})[0][0])

    before = shape()
    for number in range(1, 4):
        flushed.append(block(number, {"user": "usr_a", "labels": {"k": "v"}}))
    steps: list[str] = []
    flushed.erase_texts(["usr_a"], lambda step, done, total: steps.append(step))
    assert erasing._old_parts(flushed.engine, TABLE) == 0
    assert "old files" in steps
    assert shape() == before


def test_parts_of_other_months_and_projections_are_not_written_anew(flushed: ClickHouseStore) -> None:
    flushed.append(block(1, {"user": "usr_b", "labels": {"k": "v"}}, received_at=DAY))
    flushed.append(block(2, {"user": "usr_a", "labels": {"k": "v"}}, received_at=40 * DAY))
    before = files(flushed)
    flushed.erase_texts(["usr_a"], heard)
    after = files(flushed)
    # What the engine notes of a part when it is moved, it writes otherwise when it is changed.
    noted = {"metadata_version.txt", "invalidated_system_columns.txt"}
    assert {one for one in before if one[1] not in noted} == {one for one in after if one[1] not in noted}
    anew = {one for one in before if one[1].endswith("data.bin") and before[one] != after[one]}
    assert anew == {("197002", "data.bin")}


def test_it_can_be_stopped_and_done_again(clickhouse: ClickHouseStore) -> None:
    clickhouse.append(block(1, {"user": "usr_a", "labels": {"k": "v"}}))

    def stop(step: str, *_: object) -> None:
        if step == "old files":
            raise InterruptedError

    with pytest.raises(InterruptedError):
        clickhouse.erase_texts(["usr_a"], stop)
    clickhouse.erase_texts(["usr_a"], heard)
    assert clickhouse.with_texts(["usr_a"]) == []
    assert erasing._old_parts(clickhouse.engine, TABLE) == 0


def test_an_erasure_that_the_engine_cannot_do_says_so_and_stands_in_nobodys_way(flushed: ClickHouseStore) -> None:
    flushed.append(block(1, {"user": "usr_a", "labels": {"k": "v"}}))
    engine: Engine = flushed.engine
    engine.command(
        f"ALTER TABLE {TABLE} UPDATE reason = toString(throwIf(user = 'usr_a')) WHERE 1 SETTINGS mutations_sync = 0"
    )
    with pytest.raises(Unavailable):
        flushed.erase_texts(["usr_a"], heard)
    flushed.erase_texts(["usr_a"], heard)
    assert flushed.with_texts(["usr_a"]) == []


def test_a_start_is_not_refused_for_what_an_erasure_that_was_killed_has_set(clickhouse: ClickHouseStore) -> None:
    clickhouse.append(block(1, {"user": "usr_a", "labels": {"k": "v"}}))
    clickhouse.engine.command(f"ALTER TABLE {TABLE} MODIFY SETTING old_parts_lifetime = 0")
    definitions.check(clickhouse.engine, latest_migration())
    clickhouse.erase_texts(["usr_a"], heard)
    [(shape,)] = clickhouse.engine.rows(f"SHOW CREATE TABLE {TABLE}")
    assert "old_parts_lifetime" not in shape


@pytest.mark.parametrize("account", ["acme", "o'hara\\", '日本 "x"'])
def test_of_an_account_all_texts_go_and_of_others_none(store: UsageStore, account: str) -> None:
    store.append(block(1, {"account": account, "id": "e1", "user": "usr_a", "labels": {"k": "v"}, "bytes_up": 5}))
    store.append(block(2, {"account": account, "id": "e2", "user": "", "labels": {"k": "v"}, "bytes_up": 6}))
    store.append(block(3, {"account": "other", "id": "e3", "user": "usr_b", "labels": {"k": "v"}, "bytes_up": 7}))
    assert store.accounts_with_texts([account, "other", "nobody"]) == sorted([account, "other"])
    store.erase_texts_of_accounts([account], heard)
    assert store.accounts_with_texts([account, "other"]) == ["other"]
    found = store.read_rows(0, 1, Where(), limit=9).to_pylist()
    assert [(row["id"], row["bytes_up"], bool(row["labels"])) for row in found] == [
        ("e1", 5, False), ("e2", 6, False), ("e3", 7, True),
    ]  # fmt: skip


def of_a_vendor(account: str, id: str, user: str = "usr_a", **more: Any) -> dict[str, Any]:
    return {"series": "thor", "account": account, "id": id, "user": user, "refers_to": f"day 1 {user}"} | more


def test_what_a_provider_said_of_an_erased_account_is_nobodys_and_adds_up_as_before(store: UsageStore) -> None:
    store.append(block(1, of_a_vendor("acme", "k1", bytes_down=5), of_a_vendor("other", "k2", bytes_down=6)))
    store.append(
        block(2, of_a_vendor("acme", "k3", kind="correction", bytes_down=-1, reason="said otherwise", place=1))
    )
    store.append(block(3, {"account": "acme", "id": "e1", "user": "usr_a", "bytes_up": 7}))
    before = [store.sums(EDGES, one, by) for one in (Where("thor"), Where()) for by in ((), ("product",), ("account",))]
    assert store.accounts_with_texts(["acme", "other"]) == ["acme", "other"]
    store.erase_texts_of_accounts(["acme"], heard)
    assert store.accounts_with_texts(["acme", "other"]) == ["other"]
    after = [store.sums(EDGES, one, by) for one in (Where("thor"), Where()) for by in ((), ("product",), ("account",))]
    assert after == before
    found = store.read_rows(0, 1, Where("thor"), limit=9).to_pylist()
    assert [(row["id"], row["user"], row["refers_to"], row["reason"], row["bytes_down"]) for row in found] == [
        ("k1", "", "", "", 5), ("k2", "usr_a", "day 1 usr_a", "", 6), ("k3", "", "", "", -1),
    ]  # fmt: skip
    assert store.sums(EDGES, Where("thor", "acme"), ("user",))[0].by == ("",)
    assert store.sums(EDGES, Where(account="acme"), ("user",))[0].by == ("usr_a",)
    if isinstance(store, ClickHouseStore):
        parts = {name for (name,) in store.engine.rows(f"SELECT DISTINCT _part FROM {TABLE}")}
        assert all(projections.agrees(store.engine, TABLE, part) for part in parts)
        assert erasing._old_parts(store.engine, TABLE) == 0


def test_a_users_erasure_is_not_about_a_vendors_sub_user_of_that_name(store: UsageStore) -> None:
    said = of_a_vendor("acme", "k1", kind="correction", reason="said otherwise")
    store.append(block(1, said, {"user": "usr_b", "id": "e1", "labels": {"k": "v"}}))
    assert store.with_texts(["usr_a", "usr_b"]) == ["usr_b"]
    store.erase_texts(["usr_a", "usr_b"], heard)
    [kept] = store.read_rows(0, 1, Where("thor"), limit=9).to_pylist()
    assert (kept["user"], kept["reason"]) == ("usr_a", "said otherwise")
