"""Does writing work? What readiness answers while blocks are written, fail, and can be written again."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.ingest.child import Child
from tests.ingest.conftest import Services, named, numbered
from tests.small_disk import small_disk

from flowtally.core.errors import FlowtallyError, QueueFull, SequenceGap, Settling, StorageFull, Unavailable
from flowtally.ingest import standing
from flowtally.ingest.standing import WriterState


class Steady:
    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


def soon(holds: Callable[[], bool], patience_s: float = 10) -> bool:
    end = time.monotonic() + patience_s
    while not (held := holds()) and time.monotonic() < end:
        time.sleep(0.02)
    return held


# -- What is remembered -----------------------------------------------------------------------------------------------


def turn(one: WriterState, *refusals: FlowtallyError, wrote: bool = False, in_doubt: bool = False) -> str | None:
    one.begins()
    if wrote:
        one.wrote()
    one.ends(refusals, in_doubt=in_doubt)
    return one.why_not()


def test_the_last_turn_says_whether_the_next_will_do() -> None:
    one = WriterState(Steady())
    assert one.why_not() is None
    assert turn(one, SequenceGap("the request's own fault")) is None
    assert turn(one, QueueFull("a bound that others need not meet")) is None
    assert turn(one, StorageFull("no room")) == "no room"
    assert turn(one, SequenceGap("the request's own fault")) == "no room"
    assert turn(one) == "no room"  # nothing was written: duplicates only
    assert turn(one, Unavailable("one poisoned request among others"), wrote=True) is None
    assert turn(one, Settling("in doubt"), wrote=True, in_doubt=True) == "a write is being settled"
    assert turn(one, wrote=True) is None


def test_a_write_that_takes_very_long_is_told_and_one_as_usual_is_not() -> None:
    now = Steady()
    one = WriterState(now)
    one.begins()
    now.at = standing.STUCK_S
    assert one.why_not() is None
    now.at += 3
    assert one.why_not() == "a write has been under way for 18 s"
    one.wrote()
    one.ends([], in_doubt=False)
    assert one.why_not() is None


def test_a_store_that_passes_a_try_and_fails_again_is_tried_less_and_less_often() -> None:
    now = Steady()
    one = WriterState(now)
    waits = []
    for _ in range(9):
        turn(one, Unavailable("the try does not see why"))
        began = now.at
        while not one.should_try():
            now.at += 1
        waits.append(now.at - began)
        one.heals()
        assert one.why_not() is None
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60, 60]
    turn(one, wrote=True)
    turn(one, Unavailable("once"))
    now.at += 1
    assert one.should_try()


# -- A whole committer ------------------------------------------------------------------------------------------------


@pytest.fixture
def tries_soon(looks_often: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(standing, "TRY_EVERY_S", 0.05)


def test_it_is_ready_in_the_middle_of_both_commits_and_of_what_follows(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[bool, str]] = []
    services.open()
    append, move, commit = services.store.append, services.keys.move, services.journal.commit

    def looking(work: Callable[..., None]) -> Callable[..., None]:
        def look(*given: Any) -> None:
            seen.append(services.door.ready())
            work(*given)
            seen.append(services.door.ready())

        return look

    monkeypatch.setattr(services.store, "append", looking(append))
    monkeypatch.setattr(services.keys, "move", looking(move))
    monkeypatch.setattr(services.journal, "commit", looking(commit))
    services.send(*named("1"))
    assert seen == [(True, "ready")] * 6


@pytest.mark.usefixtures("tries_soon")
def test_it_is_not_ready_while_every_commit_fails_and_ready_by_itself_when_none_would(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert light.send(*named("1")).stored == 1

    def broken(*_: object) -> None:
        raise OSError("a secret path")

    tries: list[None] = []

    def try_in_vain() -> None:
        tries.append(None)
        broken()

    commit, try_writing = light.journal.commit, light.journal.inner.try_writing
    monkeypatch.setattr(light.journal, "commit", broken)
    monkeypatch.setattr(light.journal.inner, "try_writing", try_in_vain)
    with pytest.raises(Unavailable):
        light.send(*named("2"))
    ready, why = light.door.ready()
    assert not ready
    assert "OSError" in why
    assert "secret" not in why
    assert light.door.metrics()["writing"] == 0
    assert soon(lambda: len(tries) >= 2)  # tries of its own come to nothing as well
    assert not light.door.ready()[0]
    assert light.statuses(*named("1")) == ["duplicate"]  # nothing was written: it proves nothing
    assert not light.door.ready()[0]
    monkeypatch.setattr(light.journal, "commit", commit)
    monkeypatch.setattr(light.journal.inner, "try_writing", try_writing)
    assert soon(lambda: light.door.ready()[0])  # nobody sends anything
    assert light.door.metrics()["writing"] == 1
    assert light.statuses(*named("2")) == ["stored"]
    light.whole()


@pytest.mark.usefixtures("tries_soon")
def test_a_request_that_the_store_refuses_for_its_content_says_nothing_about_others(light: Services) -> None:
    light.open()
    light.journal.poison = "bad"
    with pytest.raises(Unavailable):
        light.send(*named("bad"))
    assert soon(lambda: light.door.ready()[0])
    assert light.send(*named("good")).stored == 1
    assert light.door.ready()[0]


def test_a_try_writes_everywhere_and_leaves_nothing(services: Services) -> None:
    services.send(*named("1"))
    before = services.store.totals(), services.door._journal.blocks()
    for _ in range(2):
        services.keys.try_writing()
        services.journal.try_writing()
    assert (services.store.totals(), services.door._journal.blocks()) == before
    services.whole()


def full() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("database or disk is full")
    error.sqlite_errorcode = sqlite3.SQLITE_FULL
    return error


@pytest.mark.usefixtures("tries_soon")
def test_keys_without_room_are_told_at_once_and_follow_when_there_is_some(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flowtally.ingest.committer.SETTLE_AGAIN_S", (30.0,))
    services.send(*numbered(1, 1))
    services.fail_keys("COMMIT", *(full() for _ in range(4)))
    began = time.monotonic()
    assert services.statuses(*numbered(2, 4)) == ["stored"] * 3  # the journal has them
    with pytest.raises(StorageFull, match="settled when there is room"):
        services.send(*numbered(2, 4))
    with pytest.raises(StorageFull):
        services.send(*numbered(2, 4))
    assert time.monotonic() - began < 5
    assert "room" in services.door.ready()[1]
    assert soon(lambda: services.door.ready()[0])
    assert services.statuses(*numbered(1, 5)) == ["duplicate"] * 4 + ["stored"]
    services.whole()


@pytest.mark.system
def test_a_full_disk_under_the_keys_alone_is_told_at_once_and_nothing_is_lost_or_counted_twice(tmp_path: Path) -> None:
    with small_disk(8 << 20) as disk:
        keys = f"sqlite:///{disk}/keys.db"
        with Child(tmp_path / "data", keys_url=keys, min_free_bytes=0) as child:
            assert child.send(*named("0"))["stored"] == 1
            ballast = disk / "ballast"
            _fill(ballast)
            acknowledged = ["0"]
            for number in range(1, 400):  # what the log has room for is still stored
                began = time.monotonic()
                answer = child.send(*named(f"{number}"))
                took_s = time.monotonic() - began
                if "error" in answer:
                    break
                acknowledged.append(f"{number}")
            assert answer["error"] == "storage_full", answer
            assert took_s < 2
            assert child.ask("ready")["ready"] is False
            ballast.unlink()
            assert soon(lambda: child.ask("ready")["ready"])
            assert child.send(*named(*acknowledged))["duplicate"] == len(acknowledged)
            again = child.send(*named(f"{number}"))
            assert again["stored"] + again["duplicate"] == 1
            total = child.ask("total")
            assert total["rows"] == total["acknowledged"] == total["bytes_up"] == len(acknowledged) + 1
            child.stop()


@pytest.mark.parametrize(
    ("breaking", "mending"),
    [
        (
            "ALTER TABLE usage_events MODIFY SETTING parts_to_delay_insert = 1, parts_to_throw_insert = 1",
            "ALTER TABLE usage_events RESET SETTING parts_to_delay_insert, parts_to_throw_insert",
        ),
        ("RENAME TABLE usage_events TO elsewhere", "RENAME TABLE elsewhere TO usage_events"),
        (
            "ALTER TABLE usage_events MODIFY SETTING table_readonly = 1",
            "ALTER TABLE usage_events RESET SETTING table_readonly",
        ),
    ],
    ids=["too many parts", "no table", "read-only"],
)
def test_an_engine_that_takes_no_rows_keeps_nobody_waiting_and_is_told_until_it_does(
    tmp_path: Path, breaking: str, mending: str
) -> None:
    with Child(tmp_path / "data") as child:
        assert child.send(*named("1"))["stored"] == 1
        assert child.ask("settle") == {"done": True}
        child.ask("command", text=breaking)
        assert child.send(*named("2"))["stored"] == 1  # the journal has it
        assert soon(lambda: not child.ask("ready")["ready"])
        assert "cannot be flushed" in child.ask("ready")["why"]
        assert child.send(*named("1", "2", "3"))["stored"] == 1
        child.ask("command", text=mending)
        assert soon(lambda: child.ask("ready")["ready"], 30)
        assert child.send(*named("1", "2", "3"))["duplicate"] == 3
        assert child.ask("total")["rows"] == child.ask("total")["acknowledged"] == 3
        child.stop()


def test_room_is_kept_where_the_keys_are_too(tmp_path: Path) -> None:
    with small_disk(8 << 20) as disk, Child(tmp_path / "data", keys_url=f"sqlite:///{disk}/keys.db") as child:
        assert child.send(*named("1")).get("error") == "storage_full"  # 64 MiB are to be kept free


def _fill(path: Path) -> None:
    with path.open("wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12, 1):
            try:
                while True:
                    file.write(bytes(size))
            except OSError:
                continue
