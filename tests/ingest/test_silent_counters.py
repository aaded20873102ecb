"""Counters that nobody reads any more: closed, forgotten, and known again out of their rows."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import NOW
from tests.ingest.conftest import Services
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


def let_it_look(services: Services) -> None:
    """Until it has looked for silent counters, at this instant."""
    committer, looked = services.door._committer, threading.Event()
    look = committer._look_for_silence
    committer._look_for_silence = lambda: (look(), looked.set())  # type: ignore[assignment, func-returns-value, method-assign]
    assert looked.wait(20)
    committer._look_for_silence = look  # type: ignore[method-assign]


def pass_time(services: Services, seconds: float) -> None:
    services.clock.at += int(seconds * 1000)


def now(services: Services, up: int, counter: str = "c", **more: Any) -> dict[str, Any]:
    """A reading of this moment."""
    return reading(up, (services.clock() - NOW) / 1000 + 3600, counter, **more)


def state(services: Services, counter: str = "c") -> str | None:
    found = known(services).get(counter)
    return None if found is None else found.standing.end


def test_a_counter_that_is_silent_for_three_intervals_is_closed_and_the_next_reading_opens_it(
    services: Services,
) -> None:
    services.meter(now(services, 5, interval_s=10), now(services, 5, "unwatched"))
    pass_time(services, 29)
    services.meter(now(services, 1, "other"))
    assert state(services) == ""
    pass_time(services, 2)
    until(lambda: state(services) == "missing_stop")
    assert state(services, "unwatched") == ""
    [*_, row] = services.store.moves(1, 0, 99)
    assert (row.use, row.flags, row.bytes_up) == (1, {"missing_stop": 1}, 0)
    receipt = one(services, now(services, 9, interval_s=10))
    assert (receipt.code, receipt.added and receipt.added.bytes_up) == ("reopened", 4)
    assert (state(services), used(services)) == ("", 4)
    services.whole()


def test_reading_a_counter_that_stands_still_keeps_it_open(services: Services) -> None:
    services.meter(now(services, 5, interval_s=10))
    for _ in range(8):
        pass_time(services, 20)
        assert told(services, now(services, 5, interval_s=10)) == [("duplicate", "no_change")]
        let_it_look(services)
    assert state(services) == ""
    pass_time(services, 31)
    until(lambda: state(services) == "missing_stop")


def test_a_server_that_was_away_heard_nothing_and_closes_nothing_for_it(services: Services) -> None:
    services.meter(now(services, 5, interval_s=10))
    services.close()
    pass_time(services, 3600)
    services.open()
    services.meter(now(services, 1, "other"))
    let_it_look(services)
    assert state(services) == ""
    pass_time(services, 31)
    until(lambda: state(services) == "missing_stop")


def test_a_late_reading_counts_and_leaves_what_was_closed_closed(services: Services) -> None:
    services.meter(now(services, 5))
    services.meter({"source": "box", "closes": "", "time": now(services, 0)["time"]})
    pass_time(services, 60)
    late = now(services, 7) | {"time": reading(0, 3599)["time"]}
    assert told(services, late, late) == [("stored", "late"), ("duplicate", "late")]
    assert (state(services), used(services)) == ("missing_stop", 2)


@pytest.mark.parametrize("final", [True, False])
def test_what_is_forgotten_is_known_again_when_it_is_read(services: Services, final: bool) -> None:
    for up in range(0, 21, 2):
        pass_time(services, 10)
        services.meter(now(services, up, user="ann", epoch="a"))
    if final:
        services.meter(now(services, 20, user="ann", epoch="a", final=True))
    before = known(services)["c"]
    pass_time(services, (CLOSED_KEPT_MS if final else OPEN_KEPT_MS) / 1000 + 1)
    until(lambda: known(services) == {})
    codes = [("duplicate", "after_final" if final else "no_change"), ("stored", "after_final" if final else "")]
    assert told(services, now(services, 20, user="ann", epoch="a"), now(services, 25, user="ann", epoch="a")) == codes
    assert used(services) == 25
    after = known(services)["c"].standing
    assert (after.number, after.run.values[0], after.user) == (before.standing.number + 1, 25, before.standing.user)
    services.whole()


def test_what_is_forgotten_and_stands_still_is_looked_up_once(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.meter(now(services, 5))
    pass_time(services, OPEN_KEPT_MS / 1000 + 1)
    until(lambda: known(services) == {})
    asked: list[int] = []
    inner = services.store.inner.positions

    def positions(keys: Any) -> Any:
        asked.append(len(keys))
        return inner(keys)

    monkeypatch.setattr(services.store.inner, "positions", positions)
    for _ in range(3):
        pass_time(services, 10)
        assert told(services, now(services, 5)) == [("duplicate", "no_change")]
    assert asked == [1]


def test_a_restart_of_a_forgotten_counter_is_no_first_reading(services: Services) -> None:
    services.meter(now(services, 100, epoch="a", from_zero=True, final=True))
    pass_time(services, DAY_S + 1)
    until(lambda: known(services) == {})
    again = [now(services, 100, epoch="a", from_zero=True), now(services, 30, epoch="b", from_zero=True)]
    assert told(services, *again) == [("duplicate", "after_final"), ("stored", "")]
    assert used(services) == 130


def test_what_is_forgotten_makes_room(services: Services) -> None:
    services.close()
    services.open(max_counters_per_source=2)
    for number in range(5):
        assert told(
            services, now(services, 1, f"a{number}", final=True), now(services, 1, f"b{number}", final=True)
        ) == [
            ("stored", "baseline"),
            ("stored", "baseline"),
        ]
        assert told(services, now(services, 1, "more")) == [("refused", "too_many_counters")]
        pass_time(services, DAY_S + 1)
        until(lambda: known(services) == {})


def test_many_that_fall_silent_at_once_are_closed_a_page_at_a_time(light: Services, monkeypatch: Any) -> None:
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
