"""The store of samples: each once, the first value stays, in any order and however the requests are cut."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtally.core.errors import ConfigError, StoreDamaged
from flowtally.core.samples import MAX_SERIES
from flowtally.core.times import DAY_S
from flowtally.ledger.snapshot import complaints
from flowtally.samples.checks import check_chunks
from flowtally.samples.chunks import MAX_IN_CHUNK, SPAN_S
from flowtally.samples.store import FILE, Samples
from flowtally.samples.values import Measured

NOW = 1_773_576_000  # 2026-03-15T12:00:00Z
TODAY = NOW // DAY_S * DAY_S

Open = Callable[[], Samples]


@pytest.fixture
def opened(tmp_path: Path) -> Iterator[Open]:
    made: list[Samples] = []

    def open_one(keep_days: int = 400) -> Samples:
        made.append(Samples(tmp_path / FILE, keep_days=keep_days, max_future_s=300))
        return made[-1]

    yield open_one
    for one in made:
        one.close()


@pytest.fixture
def store(opened: Open) -> Samples:
    return opened()


def cpu(at: int, value: int, server: str = "a") -> Measured:
    return Measured(server, "cpu", at, value)


def told(store: Samples, *given: Measured, now: int = NOW) -> list[str]:
    return [one.code or one.status for one in store.add(given, now)]


def kept(
    store: Samples, server: str = "a", name: str = "cpu", start: int = 0, end: int = NOW + DAY_S
) -> dict[int, int]:
    times, values = store.read(server, name, start, end)
    return dict(zip(times.tolist(), values.tolist(), strict=True))


def test_before_the_first_sample_there_is_no_file(store: Samples) -> None:
    assert (store.names("a"), kept(store), store.measures()) == ([], {}, {"bytes_on_disk": 0.0})
    assert store.add([], NOW) == []
    assert store.forget("a", 0, NOW) == 0
    assert not store.path.exists()


def test_only_its_owner_reads_the_file(store: Samples) -> None:
    store.add([cpu(NOW, 1)], NOW)
    assert {one.stat().st_mode & 0o077 for one in store.path.parent.glob(f"{FILE}*")} == {0}


def test_the_same_again_counts_once_and_another_value_is_named_and_changes_nothing(store: Samples) -> None:
    assert told(store, cpu(NOW, 5)) == ["stored"]
    assert told(store, cpu(NOW, 5), cpu(NOW - 60, 5)) == ["duplicate", "stored"]
    [conflict] = store.add([cpu(NOW, 6)], NOW)
    assert conflict == ("conflict", "another_value", 5)
    assert kept(store) == {NOW - 60: 5, NOW: 5}


def test_within_one_request_too(store: Samples) -> None:
    assert told(store, cpu(NOW, 5), cpu(NOW, 5), cpu(NOW, 6)) == ["stored", "duplicate", "another_value"]


def test_servers_and_gauges_are_apart(store: Samples) -> None:
    store.add([cpu(NOW, 1), cpu(NOW, 2, "b"), Measured("a", "memory", NOW, 3)], NOW)
    assert (kept(store), kept(store, "b"), kept(store, "a", "memory")) == ({NOW: 1}, {NOW: 2}, {NOW: 3})
    assert (store.names("a"), store.names("b"), store.names("c")) == (["cpu", "memory"], ["cpu"], [])


def test_a_range_has_its_beginning_and_not_its_end(store: Samples) -> None:
    times = range(NOW - 3 * SPAN_S, NOW, 1800)
    store.add([cpu(at, at) for at in times], NOW)
    start, end = times[5], times[-3]
    assert kept(store, start=start, end=end) == {at: at for at in times if start <= at < end}


def test_what_is_stored_is_there_after_a_new_start(opened: Open) -> None:
    opened().add([cpu(NOW, 1)], NOW)
    assert kept(opened()) == {NOW: 1}
    assert told(opened(), cpu(NOW, 1)) == ["duplicate"]


def test_what_is_dated_too_late_or_too_early_is_refused(opened: Callable[[int], Samples]) -> None:
    store = opened(2)
    first = TODAY - 2 * DAY_S
    given = [cpu(at, 1) for at in (first - 1, first, NOW + 300, NOW + 301)]
    assert told(store, *given) == ["too_old", "stored", "stored", "time_in_future"]


def test_the_first_samples_of_a_day_take_what_is_too_old_away(opened: Callable[[int], Samples]) -> None:
    store = opened(2)
    store.add([cpu(TODAY - 2 * DAY_S, 1), cpu(NOW, 2), cpu(TODAY - 2 * DAY_S, 1, "gone")], NOW)
    store.add([cpu(NOW + 60, 3)], NOW + 60)
    assert len(kept(store)) == 3
    store.add([cpu(NOW + DAY_S, 4)], NOW + DAY_S)
    assert kept(store, end=NOW + 2 * DAY_S) == {NOW: 2, NOW + 60: 3, NOW + DAY_S: 4}
    assert store.names("gone") == []


def test_a_server_has_so_many_gauges(store: Samples) -> None:
    given = [Measured("a", f"g{number}", NOW, 1) for number in range(MAX_SERIES + 1)]
    assert told(store, *given) == ["stored"] * MAX_SERIES + ["too_many_series"]
    assert told(store, Measured("a", "g0", NOW + 1, 1), Measured("b", "cpu", NOW, 1)) == ["stored", "stored"]


def test_a_gauge_has_so_many_samples_in_six_hours(store: Samples) -> None:
    start = NOW // SPAN_S * SPAN_S - SPAN_S
    assert set(told(store, *(cpu(start + at, 1) for at in range(MAX_IN_CHUNK)))) == {"stored"}
    late = [cpu(start + MAX_IN_CHUNK, 1), cpu(start, 1), cpu(start + SPAN_S, 1)]
    assert told(store, *late) == ["too_many_samples", "duplicate", "stored"]


SAMPLES = st.lists(
    st.builds(cpu, st.integers(NOW - 3 * SPAN_S, NOW), st.integers(-3, 3), st.sampled_from(["a", "b"])), max_size=40
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SAMPLES, st.integers(0, 40))
def test_requests_may_be_cut_anywhere_and_sent_again(tmp_path: Path, given: list[Measured], cut: int) -> None:
    """Against the obvious: a dictionary that keeps the first."""
    (tmp_path / FILE).unlink(missing_ok=True)
    model: dict[tuple[str, int], int] = {}
    expected: list[str] = []
    for one in given:
        before = model.setdefault((one.server, one.at), one.value)
        first = (one.server, one.at) not in {(other.server, other.at) for other in given[: len(expected)]}
        expected.append("stored" if first else "duplicate" if before == one.value else "another_value")
    store = Samples(tmp_path / FILE, keep_days=400, max_future_s=300)
    try:
        assert told(store, *given[:cut]) + told(store, *given[cut:]) == expected
        again = ["duplicate" if model[one.server, one.at] == one.value else "another_value" for one in given]
        assert told(store, *given) == again
        found = {(server, at): value for server in ("a", "b") for at, value in kept(store, server).items()}
        assert found == model
    finally:
        store.close()
        for side in ("-wal", "-shm"):
            (tmp_path / f"{FILE}{side}").unlink(missing_ok=True)


def test_what_is_forgotten_is_nowhere_in_the_file(store: Samples) -> None:
    store.add([cpu(NOW - 60, 1), cpu(NOW, 2), cpu(NOW + 60, 3), cpu(NOW, 4, "b")], NOW)
    assert store.forget("a", NOW, NOW + 60) == 1
    assert (kept(store), kept(store, "b")) == ({NOW - 60: 1, NOW + 60: 3}, {NOW: 4})
    assert store.forget("a", 0, NOW + DAY_S) == 2
    assert kept(store) == {}


def test_a_request_that_fails_leaves_nothing_of_it(store: Samples, monkeypatch: pytest.MonkeyPatch) -> None:
    store.add([cpu(NOW, 1)], NOW)
    monkeypatch.setattr("flowtally.samples.store.pack", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        store.add([cpu(NOW + 1, 1), cpu(NOW - SPAN_S, 1)], NOW)
    monkeypatch.undo()
    assert kept(store) == {NOW: 1}
    assert told(store, cpu(NOW + 1, 1)) == ["stored"]


def test_a_file_of_a_later_version_is_refused(opened: Open) -> None:
    first = opened()
    first.add([cpu(NOW, 1)], NOW)
    first.close()
    with sqlite3.connect(first.path) as db:
        db.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="version 99"):
        opened().add([cpu(NOW, 1)], NOW)


def test_a_chunk_that_is_broken_is_named_and_the_others_are_read(store: Samples) -> None:
    store.add([cpu(NOW, 1), cpu(NOW, 2, "b")], NOW)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute("UPDATE chunks SET packed = zeroblob(30) WHERE series = 1")
    with pytest.raises(StoreDamaged):
        kept(store)
    assert kept(store, "b") == {NOW: 2}
    [fault] = check_chunks(store.path, lambda _: None)
    assert fault.where.startswith("server 'a', gauge 'cpu'")


def test_whole_chunks_are_found_whole_and_all_are_looked_at(store: Samples) -> None:
    store.add([cpu(NOW - number * SPAN_S, 1) for number in range(5)], NOW)
    looked: list[int] = []
    assert list(check_chunks(store.path, looked.append)) == []
    assert (sum(looked), complaints(store.path, quick=True)) == (5, [])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE chunks SET span = span + 1", "another time"),
        ("UPDATE chunks SET samples = samples + 1", "another length"),
        ("DELETE FROM series", "to no gauge"),
    ],
)
def test_what_is_changed_by_hand_is_found(store: Samples, change: str, said: str) -> None:
    store.add([cpu(NOW, 1)], NOW)
    store.close()
    with sqlite3.connect(store.path) as db:
        db.execute(change)
    [fault] = check_chunks(store.path, lambda _: None)
    assert said in fault.detail
