"""The commit protocol under faults: what was acknowledged is there once, whatever failed and wherever."""

from __future__ import annotations

import asyncio
import gzip
import shutil
import sqlite3
import time
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.ingest.conftest import TIME, Death, Services, named, numbered, soon

from flowtally.core.errors import (
    AtomicRefused,
    FlowtallyError,
    FlushBehind,
    KeysBroken,
    MissingRows,
    QueueFull,
    SequenceGap,
    Settling,
    SourceKindMismatch,
    SourceNotYours,
    StorageFull,
    Unavailable,
    Unprocessable,
    WriterBusy,
)
from flowtally.core.events import UsageEvent
from flowtally.core.texts import is_text
from flowtally.ingest import admission
from flowtally.ledger.people import accounts, credentials, users
from flowtally.protocol import EventsAnswer
from flowtally.usage.values import Unflushed, Where

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")


def uses(services: Services) -> int:
    """How many events are counted."""
    return sum(one.requests for one in services.store.sums([0, 2**47], Where()))


# -- nothing goes wrong -----------------------------------------------------------------------------------------------


def test_events_are_stored_once_and_a_retry_is_a_duplicate_even_with_a_new_time(services: Services) -> None:
    assert services.statuses(*named("1", "2", "1")) == ["stored", "stored", "duplicate"]
    assert services.statuses(*named("1", time="2026-03-02T00:00:00Z", labels={"a": "b"})) == ["duplicate"]
    assert services.statuses(*named("2", bytes_up=2)) == ["conflict"]
    assert uses(services) == 2
    assert [record.block for record in services.journal.committed] == [1]  # what is there already is no block
    services.whole()


def test_numbers_are_counted_once_and_the_server_says_where_to_go_on(services: Services) -> None:
    assert services.statuses(*numbered(1, 3)) == ["stored"] * 3
    assert services.statuses(*numbered(2, 5)) == ["duplicate", "duplicate", "stored", "stored"]
    with pytest.raises(SequenceGap) as caught:
        services.send(*numbered(7, 8))
    assert caught.value.extra["sequence"] == 5
    found = services.door.source("log", services.credential)
    assert (found.sequence, found.position) == (5, "p5")
    assert uses(services) == 5


def test_everything_is_as_it_was_after_a_restart(services: Services) -> None:
    services.send(*named("1", "2"), *numbered(1, 3))
    services.close()
    services.open()
    assert services.statuses(*named("1", "3"), *numbered(2, 4)) == [
        "duplicate",
        "stored",
        "duplicate",
        "duplicate",
        "stored",
    ]
    assert uses(services) == 7
    services.whole()


def test_an_event_can_be_asked_for_with_what_happened_to_it(services: Services) -> None:
    services.send(*named("1", user="alice", labels={"k": "v"}), *numbered(1, 1), *numbered(2, 2, account="nobody"))
    stored = services.door.event("gw", "1", services.credential)
    assert (stored.status, stored.user, stored.labels, stored.block) == ("stored", "alice", {"k": "v"}, 1)
    assert services.door.event("log", "1", services.credential).sequence == 1
    refused = services.door.event("log", "2", services.credential)
    assert (refused.status, refused.code) == ("refused", "unknown_account")
    for source, id in (("gw", "2"), ("log", "3"), ("nobody", "1")):
        with pytest.raises(FlowtallyError, match="no event"):
            services.door.event(source, id, services.credential)


def test_many_at_once_share_blocks_and_each_gets_its_own_answer(services: Services) -> None:
    async def ask(index: int) -> list[str]:
        body = msgspec.json.encode(named(str(index), str(index // 2), source="many"))
        found = await services.door.take(body, "application/json", None, services.credential, receipts_all=True)
        return [receipt.id for receipt in found.receipts]

    async def all_at_once() -> list[list[str]]:
        return await asyncio.gather(*(ask(index) for index in range(200)))

    assert asyncio.run(all_at_once()) == [[str(index), str(index // 2)] for index in range(200)]
    assert uses(services) == 200
    assert len(services.store.appended) < 200
    services.whole()


def test_atomic_stores_all_or_nothing(light: Services) -> None:
    light.send(*named("1"))
    with pytest.raises(AtomicRefused):
        light.send(*named("2"), *named("1", bytes_up=5), atomic=True)
    assert light.statuses(*named("2")) == ["stored"]


def test_a_source_belongs_to_who_wrote_it_first_and_keeps_its_kind(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine, yours = (credentials.issue(tx, "ingest", None, name, 0)[0] for name in ("mine", "yours"))
    light.send(*named("1"), credential=mine)
    with pytest.raises(SourceNotYours):
        light.send(*named("1"), credential=yours)
    with pytest.raises(SourceKindMismatch):
        light.send(*numbered(1, 1, source="gw"), credential=mine)
    assert light.send(*named("2")).stored == 1  # an admin
    with pytest.raises(FlowtallyError, match="no source"):
        light.door.source("gw", yours)


def test_what_the_process_observed_itself_is_stored_once_and_is_its_senders(light: Services) -> None:
    async def record(*events: dict[str, Any]) -> EventsAnswer:
        return await light.door.record("flowtally:api", [UsageEvent(**one) for one in events])

    assert asyncio.run(record(*named("1", "2"))).stored == 2
    again = asyncio.run(record(*named("2", "3", account="nobody")))
    assert (again.stored, again.conflict, again.refused) == (0, 1, 1)
    assert [receipt.code for receipt in again.receipts][1] == "unknown_account"
    with light.ledger.begin() as tx:
        other = credentials.issue(tx, "ingest", None, "other", 0)[0]
    with pytest.raises(SourceNotYours):
        light.send(*named("4"), credential=other)
    light.whole()


# -- the journal's commit or that of the keys fails -------------------------------------------------------------------


def test_a_commit_of_the_journal_that_fails_after_it_was_durable_went_forward(services: Services) -> None:
    services.open()
    services.journal.after.append(TimeoutError("no answer"))
    assert services.statuses(*named("1"), *numbered(1, 2)) == ["stored"] * 3
    assert services.statuses(*named("1", "2"), *numbered(2, 3)) == ["duplicate", "stored", "duplicate", "stored"]
    assert uses(services) == 5
    services.whole()


def test_a_commit_of_the_journal_that_fails_before_leaves_nothing_claimed(services: Services) -> None:
    services.open()
    services.journal.before.append(io_error())
    with pytest.raises(Unavailable):
        services.send(*named("1"), *numbered(1, 2))
    assert uses(services) == 0
    assert services.statuses(*named("1"), *numbered(1, 2)) == ["stored"] * 3
    services.whole()


def test_keys_whose_commit_fails_after_that_of_the_journal_follow_from_the_record(services: Services) -> None:
    services.send(*named("0"))
    services.fail_keys("COMMIT", io_error())
    assert services.statuses(*named("1", "2")) == ["stored", "stored"]
    assert services.statuses(*named("1", "2", "3")) == ["duplicate", "duplicate", "stored"]
    services.whole()


def test_while_the_keys_cannot_follow_what_is_acknowledged_is_counted_and_nothing_else_is_written(
    services: Services,
) -> None:
    services.send(*named("0"), *numbered(1, 1))
    services.fail_keys("COMMIT", *(io_error() for _ in range(6)))
    sent = [*named("1"), *numbered(2, 2), *numbered(3, 3, bytes_up=-1), *numbered(4, 4, account="nobody")]
    assert services.statuses(*sent, *named("n", source="new")) == ["stored"] * 2 + ["refused"] * 2 + ["stored"]
    assert uses(services) == 5
    assert services.store.published().block == 2
    assert services.keys.committed().block == 1
    assert services.door.ready()[0] is False
    with pytest.raises(Settling):
        services.send(*named("2"))
    with pytest.raises(Settling):
        services.door.between_blocks(lambda keys: keys)
    assert [record.block for record in services.journal.committed] == [1, 2]
    again = [*named("1", "2"), *numbered(2, 5), *named("n", source="new")]
    assert services.statuses(*again) == [
        *("duplicate", "stored", "duplicate", "refused", "conflict", "stored", "duplicate")
    ]
    assert services.door.event("log", "3", services.credential).code == "invalid_event"
    assert services.door.ready() == (True, "ready")
    services.whole()


def test_what_comes_with_requests_of_one_turn_waits_for_the_keys_too(light: Services) -> None:
    """They are several blocks where one has to wait for another; the keys fall behind with the first of them."""
    light.open()
    light.journal.may_write.clear()

    async def ask(*events: dict[str, Any]) -> Any:
        return await light.door.take(msgspec.json.encode(events), "application/json", None, light.credential)

    async def all_at_once() -> list[Any]:
        first = asyncio.ensure_future(ask(*named("0")))
        await soon(lambda: light.journal.writing == 1)
        light.fail_keys("COMMIT", *(io_error() for _ in range(6)))
        others = [asyncio.ensure_future(ask(*events)) for events in (named("1"), named("2"))]
        await soon(lambda: light.door._queue.events == 2)
        light.journal.poison = "2"
        light.journal.may_write.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    first, *others = asyncio.run(all_at_once())
    assert first.stored == 1
    assert all(isinstance(one, Unavailable) for one in others)
    light.journal.poison = None
    for _ in range(3):
        try:
            assert light.statuses(*named("0", "1", "2")) == ["duplicate", "stored", "stored"]
            break
        except Settling:
            continue
    light.whole()


def test_the_number_of_a_block_that_was_never_sent_to_the_journal_is_used(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    services.send(*named("0"))
    with monkeypatch.context() as broken:
        broken.setattr(services.keys, "move", _fail)
        for _ in range(2):
            with pytest.raises(Unavailable):
                services.send(*named("1"), *numbered(1, 2), *named("n", source="new"))
    assert services.keys.source("new") is None
    assert services.statuses(*named("1"), *numbered(1, 2)) == ["stored"] * 3
    assert [block.number for block in services.store.appended] == [1, 2]
    services.whole()


def test_while_it_cannot_be_known_nothing_else_is_written_and_then_all_goes_on(services: Services) -> None:
    services.send(*named("0"))
    services.journal.after.append(TimeoutError("no answer"))
    services.journal.asking += [ConnectionError("gone")] * 7
    with pytest.raises(Settling):
        services.send(*named("1"))
    assert services.door.ready() == (False, "a write is being settled")
    with pytest.raises(Settling):
        services.send(*named("2"))
    assert len(services.journal.committed) == 2
    assert len(services.store.appended) == 1
    assert services.statuses(*named("1", "2")) == ["duplicate", "stored"]
    assert services.door.ready() == (True, "ready")
    services.whole()


def test_both_commits_may_fail_several_times(services: Services) -> None:
    services.send(*named("0"))
    for attempt in range(3):
        services.journal.before.append(io_error())
        services.journal.asking.append(io_error())
        services.fail_keys("COMMIT", io_error())
        with pytest.raises(Unavailable):
            services.send(*named("1"))
        services.journal.after.append(TimeoutError("no answer"))
        services.fail_keys("COMMIT", io_error(), io_error())
        assert services.statuses(*named(f"after {attempt}")) == ["stored"]
    assert services.statuses(*named("1")) == ["stored"]
    assert uses(services) == 5
    services.whole()


@pytest.mark.usefixtures("looks_often")
def test_a_doubt_is_settled_though_nobody_asks_again(light: Services) -> None:
    """A server that is not ready gets no requests: it must not wait for one."""
    light.send(*named("0"))
    light.journal.after.append(TimeoutError("no answer"))
    light.journal.asking += [ConnectionError("gone")] * 4
    with pytest.raises(Settling):
        light.send(*named("1"))
    for _ in range(300):
        if light.door.ready()[0]:
            break
        time.sleep(0.02)
    assert light.door.ready() == (True, "ready")
    light.whole()


def test_refusals_of_a_source_without_rows_in_the_doubtful_block_are_kept_with_its_mark(services: Services) -> None:
    services.send(*numbered(1, 1))
    services.journal.after.append(TimeoutError("no answer"))
    found = services.send(*numbered(2, 2, bytes_up=-1), *numbered(3, 3, account="nobody"), *named("1"))
    assert [receipt.status for receipt in found.receipts] == ["refused", "refused", "stored"]
    assert services.door.source("log", services.credential).sequence == 3
    assert services.statuses(*numbered(1, 4)) == ["duplicate", "refused", "conflict", "stored"]
    services.whole()


def test_one_request_the_journal_refuses_does_not_block_the_others(light: Services) -> None:
    light.open()
    light.journal.poison = "bad"

    async def all_at_once() -> list[Any]:
        async def ask(id: str) -> Any:
            body = msgspec.json.encode(named(id, source=f"source of {id}"))
            return await light.door.take(body, "application/json", None, light.credential)

        return await asyncio.gather(*map(ask, ["a", "bad", "b", "c"]), return_exceptions=True)

    for _ in range(2):
        answers = asyncio.run(all_at_once())
        assert [isinstance(one, Unavailable) for one in answers] == [False, True, False, False]
    assert uses(light) == 3
    assert [one.duplicate for one in answers if not isinstance(one, Unavailable)] == [1, 1, 1]
    light.whole()


def test_a_burnt_number_is_never_used_again(services: Services) -> None:
    services.send(*named("0"))
    for _ in range(2):
        services.journal.before.append(io_error())
        with pytest.raises(Unavailable):
            services.send(*named("1"))
    assert services.keys.committed().skipped == services.door._journal.burnt() == 3
    services.close()
    services.open()
    services.send(*named("1"))
    assert [block.number for block in services.store.appended] == [1, 4]
    services.close()
    services.open()
    services.send(*named("2"))
    assert [block.number for block in services.store.appended] == [1, 4, 5]
    services.whole()


# -- the process dies -------------------------------------------------------------------------------------------------


@dies
def test_death_between_the_two_commits_loses_nothing_and_counts_nothing_twice(services: Services) -> None:
    services.send(*named("0"))
    services.journal.after.append(Death())
    bad, early = numbered(3, 3, bytes_up=-1), numbered(4, 4, account="nobody")
    services.die(*named("1", "2"), *numbered(1, 2), *bad, *early, *named("3", account="nobody"))
    assert services.store.totals().rows == 1
    services.open()
    assert services.store.totals().rows == 5
    services.whole()
    assert services.door.source("log", services.credential).sequence == 4
    assert services.door.source("log", services.credential).position == "p4"
    sent = [*named("1", "2"), *numbered(1, 3), *early, *numbered(5, 5), *named("3")]
    wanted = ["duplicate"] * 4 + ["refused", "refused", "stored", "stored"]
    assert services.statuses(*sent) == wanted
    refused = services.door.event("log", "3", services.credential)
    assert (refused.status, refused.code) == ("refused", "invalid_event")
    assert services.keys.source("log").owner == services.credential.sender
    held = services.door.event("log", "4", services.credential)
    assert (held.status, held.code, held.retriable) == ("refused", "unknown_account", True)
    services.whole()


@dies
def test_death_before_the_journal_has_it_leaves_everything_to_the_retry(services: Services) -> None:
    services.send(*named("0"))
    services.journal.before.append(Death())
    services.die(*named("1"), *numbered(1, 2))
    services.open()
    assert services.statuses(*named("1"), *numbered(1, 2)) == ["stored"] * 3
    services.whole()


@dies
def test_death_while_settling_is_settled_by_the_next_start(services: Services) -> None:
    services.send(*named("0"))
    services.journal.after.append(TimeoutError("no answer"))
    services.journal.asking.append(Death())
    services.die(*named("1"))
    services.open()
    assert services.statuses(*named("1")) == ["duplicate"]
    services.whole()


def test_the_lease_keeps_a_second_writer_out(light: Services) -> None:
    light.open()
    first = light.ingest
    with pytest.raises(WriterBusy):
        light.open()
    light.ingest = first
    assert light.send(*named("1")).stored == 1


# -- keys and rows that do not belong together ------------------------------------------------------------------------


def snapshot(services: Services, name: str) -> None:
    services.close()
    shutil.copy(services.data / "keys.db", services.data / name)


def restore(services: Services, name: str) -> None:
    services.crash()
    for suffix in ("", "-wal", "-shm"):
        (services.data / f"keys.db{suffix}").unlink(missing_ok=True)
    shutil.copy(services.data / name, services.data / "keys.db")


def test_keys_older_than_the_rows_are_brought_up_to_them(services: Services) -> None:
    services.send(*named("1"), *numbered(1, 2))
    snapshot(services, "older")
    services.send(*named("2"), *numbered(3, 4))
    services.send(*numbered(5, 5), *named("n", source="new"))
    restore(services, "older")
    services.open()
    services.whole()
    sent = [*named("1", "2", "3"), *named("n", source="new"), *numbered(4, 6)]
    assert services.statuses(*sent) == [
        "duplicate",
        "duplicate",
        "stored",
        "duplicate",
        "duplicate",
        "duplicate",
        "stored",
    ]
    assert services.door.source("log", services.credential).position == "p6"
    services.whole()


def lose_the_rows(services: Services, first_block: int) -> None:
    """What stands in the list from this block on is gone, as a tail is with its process."""
    inner: Any = services.store.inner
    inner.rows = [row for row in inner.rows if row["block"] < first_block]


def test_rows_that_only_the_journal_has_are_there_again_after_a_death(light: Services) -> None:
    light.send(*named("1"), *numbered(1, 2))
    light.send(*named("2"), *numbered(3, 4))
    light.send(*numbered(5, 5, bytes_up=-1))  # a block without rows
    light.crash()
    lose_the_rows(light, 2)
    light.open()
    assert uses(light) == 6
    light.whole()
    assert light.store.published().block == 2
    assert light.keys.committed().block == 3
    assert light.statuses(*named("1", "2", "3"), *numbered(4, 6)) == [
        *("duplicate", "duplicate", "stored", "duplicate", "refused", "stored")
    ]
    assert [block.number for block in light.store.appended] == [1, 2, 2, 4]
    light.whole()


def test_keys_set_back_to_an_earlier_moment_follow_the_journal_with_all_that_no_row_has(light: Services) -> None:
    """What a power cut leaves of them; rows and keys may both have lost."""
    light.send(*named("1"), *numbered(1, 2))
    with light.keys.begin(durable=True):
        pass
    with sqlite3.connect(light.data / "keys.db") as db, sqlite3.connect(light.data / "earlier") as copy:
        db.backup(copy)
    events = [*numbered(3, 3, bytes_up=-1), *numbered(4, 4, account="nobody"), *numbered(5, 5)]
    light.send(*events, *named("n", source="new"))
    light.send(*numbered(6, 6, bytes_up=-1))
    light.meter({"source": "meter", "counter": "c", "account": "acme", "time": TIME, "bytes_up": 5})
    wanted = [light.door.event("log", str(number), light.credential) for number in range(1, 7)]
    before = light.keys.committed()
    restore(light, "earlier")
    lose_the_rows(light, 2)
    light.open()
    light.whole()
    now = light.keys.committed()
    assert (now.block, now.rows_total) == (before.block, before.rows_total)
    assert [light.door.event("log", str(number), light.credential) for number in range(1, 7)] == wanted
    assert light.keys.source("new").owner == light.keys.source("meter").owner == light.credential.sender
    assert light.keys.source("meter").kind == "counters"
    assert set(light.keys.counters(light.keys.source("meter").no, ["c"])) == {"c"}
    assert light.statuses(*numbered(3, 7), *named("n", source="new")) == [
        *("refused", "conflict", "duplicate", "refused", "stored", "duplicate")
    ]
    light.whole()


def test_keys_older_than_the_journal_reaches_are_refused_by_name(light: Services) -> None:
    light.send(*named("1"), *numbered(1, 1))
    snapshot(light, "older")
    light.open()
    light.send(*numbered(2, 2, bytes_up=-1))  # of which no row tells
    light.close()  # and the journal forgets it
    light.open()
    light.send(*named("2"))
    restore(light, "older")
    for _ in range(2):
        with pytest.raises(KeysBroken, match=r"ends at block 1, .* block 3 comes after block 2: .* an older copy"):
            light.open()


def test_a_journal_that_is_gone_is_named_where_it_had_rows(light: Services) -> None:
    light.send(*named("1"))
    light.close()
    (light.data / "journal.db").unlink()
    light.open()  # all of it stood in the table
    light.send(*named("2", "3"))
    light.crash()
    lose_the_rows(light, 2)
    for one in light.data.glob("journal.db*"):
        one.unlink()
    for _ in range(2):
        with pytest.raises(MissingRows, match="3 usage rows were acknowledged, 1 are there; the journal is not there"):
            light.open()


def test_more_unflushed_than_may_be_is_told_and_reading_goes_on(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    light.open(max_unflushed_rows=2)
    light.send(*named("1", "2"))
    with monkeypatch.context() as behind:
        behind.setattr(light.store.inner, "unflushed", lambda: Unflushed(first=1, blocks=1, rows=2, bytes=99, oldest=0))
        with pytest.raises(FlushBehind, match=r"2 rows \(99 bytes\) wait .*reading goes on") as caught:
            light.send(*named("3"))
        assert caught.value.retry_after_s > 0
        assert light.door.ready()[0] is False
        assert light.door.metrics()["tail_rows"] == 2
        assert uses(light) == 2
    assert light.statuses(*named("1", "3")) == ["duplicate", "stored"]  # without a restart
    assert light.door.ready() == (True, "ready")


def as_version_4_left_it(services: Services, in_doubt: int) -> None:
    """Killed with an insert under way: the keys end before that block, and what comes with it is only announced."""
    (services.data / "journal.db").unlink()
    with sqlite3.connect(services.data / "keys.db") as db:
        [(rows,)] = db.execute("SELECT rows_total FROM committer").fetchall()
        there = sum(row["block"] >= in_doubt for row in services.store.inner.rows)  # type: ignore[attr-defined]
        db.execute("UPDATE committer SET block = ?, rows_total = ?, clean = 0", (in_doubt - 1, rows - there))
        db.execute("UPDATE sources SET announced = ?, mark = 0 WHERE name IN ('log', 'never')", (in_doubt,))
        db.execute("UPDATE held SET announced = ?", (in_doubt,))
        db.execute("DELETE FROM keys WHERE block >= ?", (in_doubt,))
        db.execute("ALTER TABLE committer DROP COLUMN journaled")
        db.execute("PRAGMA user_version = 4")


@pytest.mark.parametrize("came", [True, False])
def test_a_directory_that_version_4_left_uncleanly_is_settled_from_its_rows_once(light: Services, came: bool) -> None:
    light.send(*named("1"))
    light.send(*numbered(1, 1), *numbered(2, 2, account="nobody"), *numbered(3, 3))
    light.close()
    as_version_4_left_it(light, 2)
    if not came:
        lose_the_rows(light, 2)
    light.open()
    light.whole()
    place = light.keys.committed()
    assert (place.journaled, place.block, place.skipped) == (True, 2 if came else 1, 0 if came else 2)
    source = light.keys.source("log")
    assert (source and (source.owner, source.mark)) == ((light.credential.sender, 3) if came else None)
    wanted = ["duplicate", "refused", "duplicate"] if came else ["stored", "refused", "stored"]
    sent = [*numbered(1, 1), *numbered(2, 2, account="nobody"), *numbered(3, 3)]
    assert light.statuses(*sent) == wanted
    assert light.door.event("log", "2", light.credential).code == "unknown_account"
    assert light.store.appended[-1].number == (2 if came else 3)
    light.crash()
    light.open()  # nothing is skipped now that every block is in the journal
    assert light.keys.committed().skipped == place.skipped
    assert light.statuses(*sent) == ["duplicate", "refused", "duplicate"]
    light.whole()


def test_keys_newer_than_the_rows_stop_the_start(make_services: Any) -> None:
    from flowtally.usage.memory import MemoryStore

    services = make_services(MemoryStore())
    services.send(*named("1"))
    kept = list(services.store.inner.rows)
    services.send(*named("2"))
    services.close()
    services.store.inner.rows = kept
    with pytest.raises(MissingRows, match="Block 2 was acknowledged"):
        services.open()


def test_fewer_rows_than_were_acknowledged_stop_the_start(light: Services) -> None:
    light.send(*named("1", "2"))
    light.send(*named("3"))
    light.close()
    inner: Any = light.store.inner
    inner.rows = inner.rows[1:]
    for _ in range(2):
        with pytest.raises(MissingRows, match="3 usage rows were acknowledged, 2 are there"):
            light.open()


def test_more_rows_than_were_acknowledged_stop_the_start(light: Services) -> None:
    light.send(*named("1", "2"))
    light.close()
    inner: Any = light.store.inner
    inner.rows = [*inner.rows, inner.rows[0]]
    with pytest.raises(MissingRows):
        light.open()


def test_new_keys_beside_rows_stop_the_start_and_can_be_made_from_the_rows(services: Services) -> None:
    services.send(*named("1"), *numbered(1, 2), *numbered(3, 3, account="nobody"))
    services.send(*numbered(4, 4))
    services.close()
    for one in services.data.glob("keys.db*"):
        one.unlink()
    for _ in range(2):
        with pytest.raises(KeysBroken, match="FLOWTALLY_REBUILD_KEYS=true"):
            services.open()
    services.open(rebuild_keys=True)
    services.whole()
    assert services.statuses(*named("1"), *numbered(2, 5)) == [
        "duplicate",
        "duplicate",
        "refused",
        "duplicate",
        "stored",
    ]
    services.close()
    services.open()
    services.whole()


@dies
def test_a_rebuild_that_was_cut_short_goes_on_at_the_next_start(
    services: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    for id in "123":
        services.send(*named(id))
    services.close()
    for one in services.data.glob("keys.db*"):
        one.unlink()
    seen: list[int] = []

    def claims(block: int, ask: Any = services.store.inner.claims) -> Any:
        seen.append(block)
        if len(seen) == 2:
            raise Death
        return ask(block)

    monkeypatch.setattr(services.store, "claims", claims)
    with pytest.raises(Death):
        services.open(rebuild_keys=True)
    services.open()
    assert services.statuses(*named("1", "2", "3")) == ["duplicate"] * 3
    services.whole()


# -- refusals ---------------------------------------------------------------------------------------------------------


def test_a_refused_number_stays_refused_for_its_first_reason_though_the_world_changes(services: Services) -> None:
    with services.ledger.begin() as tx:
        accounts.create_account(tx, "shut", now=0)
        accounts.change_account(tx, "shut", status="closed", now=1)
    sent = [*numbered(1, 1), *numbered(2, 2, account="shut"), *numbered(3, 3, bytes_up=-1)]
    for right in (sent, sent, [*numbered(1, 3)]):
        found = services.send(*right)
        assert [(receipt.status, receipt.code) for receipt in found.receipts][1:] == [
            ("refused", "account_closed"),
            ("refused", "invalid_event"),
        ]
        assert [receipt.retriable for receipt in found.receipts] == [False] * 3
        services.close()
        services.open()


def test_a_request_of_refused_numbers_alone_moves_the_mark_and_no_row_comes(services: Services) -> None:
    services.send(*numbered(1, 1))
    assert services.statuses(*numbered(2, 3, bytes_up=-1)) == ["refused"] * 2
    assert services.door.source("log", services.credential).sequence == 3
    assert len(services.store.appended) == 1
    assert services.statuses(*numbered(4, 4)) == ["stored"]
    services.close()
    services.open()
    assert services.statuses(*numbered(2, 4)) == ["refused", "refused", "duplicate"]
    services.whole()


def test_a_refused_named_event_is_not_claimed(light: Services) -> None:
    assert light.statuses(*named("1", account="later")) == ["refused"]
    with light.ledger.begin() as tx:
        accounts.create_account(tx, "later", now=0)
    assert light.statuses(*named("1", account="later")) == ["stored"]


def test_a_known_event_is_a_duplicate_though_its_account_is_closed_now(light: Services) -> None:
    light.send(*named("1"))
    with light.ledger.begin() as tx:
        accounts.change_account(tx, "acme", status="closed", now=1)
    assert light.statuses(*named("1", "2")) == ["duplicate", "refused"]
    assert light.statuses(*named("1", bytes_up=9)) == ["conflict"]


def test_the_clock_rule_refuses_the_future_and_not_the_past(light: Services) -> None:
    late, early = named("1", time="2026-03-15T12:05:00.001Z"), named("2", time="2026-03-15T12:05:00Z")
    assert light.statuses(*late, *early, *named("3", time="1970-01-01T00:00:00Z")) == ["refused", "stored", "stored"]
    light.clock.at += 1
    assert light.statuses(*late) == ["stored"]


# -- bounds -----------------------------------------------------------------------------------------------------------


def test_a_full_queue_says_so_and_takes_nothing(light: Services) -> None:
    light.open(max_waiting_events=3)
    light.journal.may_write.clear()

    async def ask(*ids: str) -> Any:
        body = msgspec.json.encode(named(*ids))
        return await light.door.take(body, "application/json", None, light.credential)

    async def all_at_once() -> list[Any]:
        first = asyncio.ensure_future(ask("a"))
        await soon(lambda: light.journal.writing == 1)  # the next ones wait
        others = [asyncio.ensure_future(ask(*ids)) for ids in ("bc", "d", "e")]
        await soon(lambda: any(one.done() for one in others))
        light.journal.may_write.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    answers = asyncio.run(all_at_once())
    assert [isinstance(one, QueueFull) for one in answers] == [False, False, False, True]
    assert answers[3].retry_after_s >= 1
    assert uses(light) == 4
    light.whole()


def test_what_waits_is_bounded_by_its_bytes_before_compression(light: Services) -> None:
    light.open(max_waiting_bytes=100_000)
    light.journal.may_write.clear()

    async def ask(id: str) -> Any:
        body = gzip.compress(msgspec.json.encode(named(id, labels={"pad": "x" * 200})) + b" " * 60_000)
        return await light.door.take(body, "application/json", "gzip", light.credential)

    async def all_at_once() -> list[Any]:
        first = asyncio.ensure_future(ask("a"))
        await soon(lambda: light.journal.writing == 1)
        others = [asyncio.ensure_future(ask(id)) for id in "bc"]
        await soon(lambda: any(one.done() for one in others))
        light.journal.may_write.set()
        return await asyncio.gather(first, *others, return_exceptions=True)

    answers = asyncio.run(all_at_once())
    assert sum(isinstance(one, QueueFull) for one in answers) == 1


def test_names_with_control_characters_are_refused_one_by_one(light: Services) -> None:
    bad = [
        *named("1", source="a\x00"),
        *named("2", account="acme\x00"),
        *named("3", user="\x1b"),
        *named("4", product="\n"),
    ]
    bad += [*named("\x00"), *named("5", labels={"a\x1b": "b"}), *named("6", labels={"a": "\u202eb"})]
    found = light.send(*bad, *named("an id, of any 'text'"))
    assert [receipt.code for receipt in found.receipts] == ["invalid_event"] * 5 + ["bad_labels"] * 2 + [""]
    with pytest.raises(FlowtallyError, match="control character"):
        light.send(*numbered(1, 1, source="a\x00"))
    light.whole()


def test_a_refused_number_keeps_no_text_that_cannot_be_kept(light: Services) -> None:
    events = numbered(1, 3)
    events[1] = events[1] | {"id": "\x1b[2J", "\x1bunknown": 1}
    events[2] = events[2] | {"id": "\x9b"}
    assert light.send(*events).refused == 2
    for number in ("2", "3"):
        kept = light.door.event("log", number, light.credential)
        assert kept.id == number
        assert (kept.status, is_text(kept.detail)) == ("refused", True)
    light.whole()


@pytest.mark.parametrize("make", [lambda: numbered(1, 2), lambda: named("1", "2")])
def test_a_position_that_cannot_be_kept_refuses_the_request(
    light: Services, make: Callable[[], list[dict[str, Any]]]
) -> None:
    """Its events are as they should be, and a refused number is gone for good."""
    events = make()
    with pytest.raises(Unprocessable, match="position"):
        light.send(*events[:-1], events[-1] | {"position": "line\x00"})
    assert light.send(*events).stored == 2


def test_what_an_earlier_version_took_is_a_duplicate_and_can_be_looked_up_and_voided(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids and labels were kept whatever they held; names could have controls of the direction of text."""
    old = named("\x00\x1b id", user="\u202eeve", labels={"a\x1b,": "b\x07"})
    with monkeypatch.context() as before:
        before.setattr(admission, "_text_faults", lambda *_: ())
        before.setattr(admission, "_labels_fit", lambda _: True)
        before.setattr(users, "check_text", lambda field, text, **_: text)
        assert light.send(*old).stored == 1
    assert light.send(*old, *named("\x00 new")).receipts[0].status == "duplicate"
    assert light.send(old[0] | {"bytes_up": 77}).conflict == 1
    assert light.door.event("gw", "\x00\x1b id", light.credential).labels == {"a\x1b,": "b\x07"}
    void = {"id": "fix", "corrects": {"source": "gw", "id": "\x00\x1b id"}, "void": True}
    assert light.correct(void).stored == 1
    light.whole()


def test_an_empty_queue_takes_a_request_larger_than_itself(light: Services) -> None:
    light.open(max_waiting_events=3)
    assert light.send(*named(*map(str, range(10)))).stored == 10


def test_no_room_is_told_before_anything_is_written(light: Services) -> None:
    light.open(min_free_bytes=2**52)
    with pytest.raises(StorageFull) as caught:
        light.send(*named("1"))
    assert caught.value.retry_after_s > 0
    assert light.door.ready()[0] is False
    assert light.store.appended == []


def test_the_instant_of_receipt_never_goes_back(services: Services) -> None:
    start = services.clock.at
    received = []
    for id, at in (("1", start), ("2", start - 60_000), ("3", start + 5)):
        services.clock.at = at
        services.send(*named(id))
        received.append(services.store.appended[-1].received_at)
    assert received == [start, start, start + 5]
    services.close()
    services.clock.at = start - 60_000
    services.open()
    services.send(*named("4"))
    assert services.store.appended[-1].received_at == start + 5


def test_a_caller_that_went_away_leaves_its_events_stored(light: Services) -> None:
    async def go_away() -> None:
        body = msgspec.json.encode(named("1"))
        waiting = asyncio.ensure_future(light.door.take(body, "application/json", None, light.credential))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.sleep(0.1)

    light.open()
    asyncio.run(go_away())
    assert light.statuses(*named("1")) == ["duplicate"]


def test_what_waits_is_written_before_a_stop_and_then_the_door_is_closed(light: Services) -> None:
    light.open()
    door = light.door

    async def close_while_waiting() -> Any:
        body = msgspec.json.encode(named("1"))
        waiting = asyncio.ensure_future(door.take(body, "application/json", None, light.credential))
        await asyncio.sleep(0)
        await asyncio.to_thread(door.close)
        with pytest.raises(Unavailable):
            await door.take(body, "application/json", None, light.credential)
        return await waiting

    assert asyncio.run(close_while_waiting()).stored == 1
    light.ingest = None
    light.open()
    assert light.statuses(*named("1")) == ["duplicate"]


@pytest.mark.parametrize(("store", "step"), [("_keys", "mark_clean"), ("_journal", "forget"), ("_usage", "settle")])
def test_a_stop_that_cannot_be_a_clean_one_ends_all_the_same(
    light: Services, monkeypatch: pytest.MonkeyPatch, store: str, step: str
) -> None:
    """It only saves work at the next start; a full disk must not keep the server from ending."""

    def full(*_: object, **__: object) -> None:
        raise StorageFull("no room")

    light.send(*named("1"))
    monkeypatch.setattr(getattr(light.door, store) if store != "_usage" else light.store, step, full)
    light.close()
    assert light.open().started_clean is False
    assert light.statuses(*named("1", "2")) == ["duplicate", "stored"]
    light.whole()


def io_error() -> sqlite3.OperationalError:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
    return error


def _fail(*_: object) -> None:
    raise OSError("it fails")
