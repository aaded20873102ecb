"""Rows copied into another store are the same rows, whatever they hold, and a copy that differs is told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random
from typing import Any, Final

import pytest
from tests.clickhouse import ClickHouse
from tests.usage.blocks import block
from tests.usage.test_compaction import JANUARY, compact

from flowtally.core.errors import ConfigError, CopyDiffers
from flowtally.usage import copying
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.values import Where

SEED: Final = 20261129
FEBRUARY: Final = JANUARY + 40 * 86_400_000
TEXTS: Final = ("", "a", "é日本🧦", "tab\tnl\nquote'\"\\", "v\x00\x9b", "x" * 300, "{p:String}", "-- ;")
PLACES: Final = [("acme", ""), ("acme", "u"), ("beta", "é日本🧦"), ("", "")]


@pytest.fixture(scope="module")
def target_url(clickhouse_server: ClickHouse) -> Iterator[str]:
    url = clickhouse_server.new_url()
    yield url
    copying.take_away(url)


def said(*_: object) -> None:
    """Nobody listens."""


def fill(store: ClickHouseStore, chance: Random) -> None:
    """Two months; the first is compacted afterwards."""
    for number in range(1, 25):
        at = JANUARY if number < 13 else FEBRUARY
        rows = [row(number, index, chance) for index in range(chance.choice([1, 2, 3, 30]))]
        store.append(block(number, *rows, received_at=at + number))
    store.settle()
    compact(store)


def row(number: int, index: int, chance: Random) -> dict[str, Any]:
    account, user = chance.choice(PLACES)
    return {
        "account": account,
        "user": user,
        "id": f"{number}-{index}-{chance.choice(TEXTS)}",
        "digest": chance.randrange(-(2**63), 2**63),
        "source": chance.choice(TEXTS),
        "key_source": chance.choice(["gw", "gw2"]),
        "time": chance.choice([0, 1, JANUARY, 253_402_300_799_999]),
        "status": chance.randrange(65536),
        "bytes_up": chance.choice([0, -(2**63), 2**63 - 1, 7]),
        "bytes_down": chance.randrange(2**53),
        "kind": chance.choice(["use", "correction", "adjustment"]),
        "labels": {text: chance.choice(TEXTS) for text in chance.sample(TEXTS, chance.randrange(4))},
        "position": chance.choice(TEXTS),
        "reason": chance.choice(TEXTS),
        "place": chance.randrange(2**32),
    }


def dump(store: ClickHouseStore) -> list[tuple[Any, ...]]:
    names = [name for name, _ in copying._columns(store.engine)]
    text = f"SELECT {', '.join('toString(' + name + ')' for name in names)} FROM usage_events"
    return sorted(store.engine.rows(text))


@pytest.mark.parametrize("clickhouse", ["chdb"], indirect=True)
def test_every_row_is_the_same_and_blocks_with_keys_are_in_one_part(
    clickhouse: ClickHouseStore, target_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    print(f"seed {SEED}")
    fill(clickhouse, Random(SEED))
    monkeypatch.setattr(copying, "ROWS", 10)
    monkeypatch.setattr(copying, "BLOCKS", 5)
    portions = list(copying._portions(clickhouse.engine))
    assert {one.month for one in portions} == {202601, 202602}
    assert any("keys = 0" in one.only for one in portions)
    target = copying.open_empty(target_url)
    try:
        copying.copy(clickhouse, target, said)
        assert dump(target) == dump(clickhouse)
        assert (target.totals(), target.twice()) == (clickhouse.totals(), "")
        target.guard.expect()
        for store in (clickhouse, target):
            assert store.compacted_to() == 12
        everywhere = Where(series="metered")
        asked = ((0, 2**45 // 900_000 * 900_000), everywhere, ("account", "user", "product"))
        assert target.sums(*asked) == clickhouse.sums(*asked)
        assert target.rows_check.broken(said)[1] == []
        with pytest.raises(ConfigError, match="this database is not empty, it has installation"):
            copying.check_empty(target_url)
        for spoil, named in (
            ("INSERT INTO usage_events SELECT * FROM usage_events WHERE block < 13 LIMIT 1", "202601"),
            ("ALTER TABLE usage_events UPDATE labels = map('a', 'b') WHERE block = 14", "202602"),
            ("ALTER TABLE usage_events DELETE WHERE block > 12", r"months \[202601\]"),
        ):
            target.engine.command(f"{spoil} SETTINGS mutations_sync = 2" if "ALTER" in spoil else spoil)
            assert re.search(named, copying.differences(clickhouse.engine, target.engine, said))
        with pytest.raises(CopyDiffers, match="are not those of the backup"):
            copying.copy(clickhouse, target, said)
    finally:
        target.close()


def test_of_two_who_restore_into_a_database_one_gets_it(clickhouse_server: ClickHouse) -> None:
    url = clickhouse_server.new_url()
    copying.check_empty(url)
    first = copying.open_empty(url)
    with pytest.raises(ConfigError, match="not empty"):
        copying.open_empty(url)
    assert first.totals().rows == 0
    first.engine.command(f"CREATE TABLE {copying.MARKER} (holder String) ENGINE = MergeTree ORDER BY holder")
    with pytest.raises(ConfigError, match="no table can be made there"):
        copying.open_empty(url)
    first.close()
    copying.take_away(url)
    copying.check_empty(url)
