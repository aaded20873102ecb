"""Counters that nobody reads any more: closed, forgotten, and known again out of their rows."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import NOW
from tests.ingest.conftest import House
from tests.ingest.test_readings import known, one, reading, told, used

from flowtally.ingest import queue, silence
from flowtally.ingest.revival import _last_rows
from flowtally.keys.counter_states import CLOSED_KEPT_MS, OPEN_KEPT_MS, row_id

DAY_S = 86_400


@pytest.fixture(autouse=True)
def _at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(silence, "LOOK_EVERY_S", 0.0)
    monkeypatch.setattr(queue, "IDLE_S", 0.02)


def until(done: Callable[[], bool]) -> None:
    for _ in range(1500):
        if done():
            return
        time.sleep(0.02)
    raise AssertionError("it never came")


def pass_time(house: House, seconds: float) -> None:
    house.clock.at += int(seconds * 1000)


def now(house: House, up: int, counter: str = "c", **more: Any) -> dict[str, Any]:
    """A reading of this moment."""
    return reading(up, (house.clock() - NOW) / 1000 + 3600, counter, **more)


def state(house: House, counter: str = "c") -> str | None:
    found = known(house).get(counter)
    return None if found is None else found.standing.end


def test_a_counter_that_is_silent_for_three_intervals_is_closed_and_the_next_reading_opens_it(house: House) -> None:
    house.meter(now(house, 5, interval_s=10), now(house, 5, "unwatched"))
    pass_time(house, 29)
    house.meter(now(house, 1, "other"))
    assert state(house) == ""
    pass_time(house, 2)
    until(lambda: state(house) == "missing_stop")
    assert state(house, "unwatched") == ""
    [*_, row] = house.store.moves(1, 0, 99)
    assert (row.use, row.flags, row.bytes_up) == (1, {"missing_stop": 1}, 0)
    receipt = one(house, now(house, 9, interval_s=10))
    assert (receipt.code, receipt.added and receipt.added.bytes_up) == ("reopened", 4)
    assert (state(house), used(house)) == ("", 4)
    house.whole()


def test_reading_a_counter_that_stands_still_keeps_it_open(house: House) -> None:
    house.meter(now(house, 5, interval_s=10))
    for _ in range(8):
        pass_time(house, 20)
        assert told(house, now(house, 5, interval_s=10)) == [("duplicate", "no_change")]
        time.sleep(0.05)
    assert state(house) == ""
    pass_time(house, 31)
    until(lambda: state(house) == "missing_stop")


def test_a_server_that_was_away_heard_nothing_and_closes_nothing_for_it(house: House) -> None:
    house.meter(now(house, 5, interval_s=10))
    house.close()
    pass_time(house, 3600)
    house.open()
    house.meter(now(house, 1, "other"))
    time.sleep(0.2)
    assert state(house) == ""
    pass_time(house, 31)
    until(lambda: state(house) == "missing_stop")


def test_a_late_reading_counts_and_leaves_what_was_closed_closed(house: House) -> None:
    house.meter(now(house, 5))
    house.meter({"source": "box", "closes": "", "time": now(house, 0)["time"]})
    pass_time(house, 60)
    late = now(house, 7) | {"time": reading(0, 3599)["time"]}
    assert told(house, late, late) == [("stored", "late"), ("duplicate", "late")]
    assert (state(house), used(house)) == ("missing_stop", 2)


@pytest.mark.parametrize("final", [True, False])
def test_what_is_forgotten_is_known_again_when_it_is_read(house: House, final: bool) -> None:
    for up in range(0, 21, 2):
        pass_time(house, 10)
        house.meter(now(house, up, user="ann", epoch="a"))
    if final:
        house.meter(now(house, 20, user="ann", epoch="a", final=True))
    before = known(house)["c"]
    pass_time(house, (CLOSED_KEPT_MS if final else OPEN_KEPT_MS) / 1000 + 1)
    until(lambda: known(house) == {})
    codes = [("duplicate", "after_final" if final else "no_change"), ("stored", "after_final" if final else "")]
    assert told(house, now(house, 20, user="ann", epoch="a"), now(house, 25, user="ann", epoch="a")) == codes
    assert used(house) == 25
    after = known(house)["c"].standing
    assert (after.number, after.run.values[0], after.user) == (before.standing.number + 1, 25, before.standing.user)
    house.whole()


def test_what_is_forgotten_and_stands_still_is_looked_up_once(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.meter(now(house, 5))
    pass_time(house, OPEN_KEPT_MS / 1000 + 1)
    until(lambda: known(house) == {})
    asked: list[int] = []
    inner = house.store.inner.positions

    def positions(keys: Any) -> Any:
        asked.append(len(keys))
        return inner(keys)

    monkeypatch.setattr(house.store.inner, "positions", positions)
    for _ in range(3):
        pass_time(house, 10)
        assert told(house, now(house, 5)) == [("duplicate", "no_change")]
    assert asked == [1]


def test_a_restart_of_a_forgotten_counter_is_no_first_reading(house: House) -> None:
    house.meter(now(house, 100, epoch="a", from_zero=True, final=True))
    pass_time(house, DAY_S + 1)
    until(lambda: known(house) == {})
    again = [now(house, 100, epoch="a", from_zero=True), now(house, 30, epoch="b", from_zero=True)]
    assert told(house, *again) == [("duplicate", "after_final"), ("stored", "")]
    assert used(house) == 130


def test_what_is_forgotten_makes_room(house: House) -> None:
    house.close()
    house.open(max_counters_per_source=2)
    for number in range(5):
        assert told(house, now(house, 1, f"a{number}", final=True), now(house, 1, f"b{number}", final=True)) == [
            ("stored", "baseline"),
            ("stored", "baseline"),
        ]
        assert told(house, now(house, 1, "more")) == [("refused", "too_many_counters")]
        pass_time(house, DAY_S + 1)
        until(lambda: known(house) == {})


def test_many_that_fall_silent_at_once_are_closed_a_page_at_a_time(light: House, monkeypatch: Any) -> None:
    monkeypatch.setattr(silence, "PAGE", 7)
    light.meter(*(now(light, 1, f"c{number}", interval_s=1) for number in range(40)))
    pass_time(light, 4)
    until(lambda: all(found.standing.end for found in known(light).values()))
    assert {found.standing.number for found in known(light).values()} == {2}
    light.whole()


class _Keys:
    """Keys of counters with so many rows, in a block each."""

    def __init__(self, rows: dict[str, int]) -> None:
        self.ids = {f"\x01{row_id(name, n)}".encode(): n for name, last in rows.items() for n in range(1, last + 1)}

    def claimed(self, source: int, keys: list[bytes]) -> dict[bytes, tuple[int, int]]:
        return {key: (0, self.ids[key] * 10) for key in keys if key in self.ids}


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.text("ab/1", min_size=1, max_size=3), st.integers(0, 70)))
def test_the_last_row_of_a_counter_is_found_by_its_keys(rows: dict[str, int]) -> None:
    wanted = {name: (last, last * 10) for name, last in rows.items() if last}
    assert _last_rows(_Keys(rows), 1, list(rows)) == wanted  # type: ignore[arg-type]
