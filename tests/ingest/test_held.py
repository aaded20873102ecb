"""What the world may still allow is held: kept under its number, stored once when the reason has passed."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from typing import Any, Final

import msgspec
import pytest
from tests.ingest.conftest import Death, Services, gather, named, numbered, run
from tests.ingest.test_commit_protocol import io_error, restore, snapshot, uses

from flowtally.core.errors import (
    AtomicRefused,
    DoubleCounted,
    FlowtallyError,
    HoldsFull,
    NotFound,
    NotYourAccount,
    SourceNotYours,
    Unavailable,
)
from flowtally.ingest import queue
from flowtally.ingest.sweeps import AFTER_FAILURE_S, PAGE, Sweeps
from flowtally.ledger.people import accounts, credentials, managed
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import HeldFilter

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
FUTURE: Final = "2026-03-15T13:00:00Z"  # an hour after the clock
HOUR_MS: Final = 3_600_000


def appear(services: Services, account: str = "later") -> None:
    with services.ledger.begin() as tx:
        accounts.create_account(tx, account, now=0)


def held(services: Services, **asked: Any) -> list[tuple[str, int, str]]:
    page = services.door.held(HeldFilter(**asked), services.credential, None, 1000)
    return [(one.source, one.sequence, one.code) for one in page.items]


def until(done: Callable[[], bool]) -> None:
    for _ in range(2_000):
        if done():
            return
        time.sleep(0.01)
    raise AssertionError("it never came")


def by_hand(services: Services) -> None:
    """From here on nothing is looked at again by itself."""
    services.door._committer.sweeps.next = lambda *_: None  # type: ignore[method-assign]


def together(
    services: Services, *sent: tuple[list[dict[str, Any]], bool], by: dict[int, Credential] | None = None
) -> Any:
    """Requests (events, whether all or nothing; `by`: of these credentials) as one block, and what became of each."""
    gather(services.door, len(sent))

    async def ask() -> Any:
        taking = [
            services.door.take(
                msgspec.json.encode(events), "application/json", None, (by or {}).get(number, services.credential),
                atomic=atomic, receipts_all=True,
            )
            for number, (events, atomic) in enumerate(sent)
        ]  # fmt: skip
        return await asyncio.wait_for(asyncio.gather(*taking, return_exceptions=True), 20)

    with pytest.MonkeyPatch.context() as patched:  # the writer waits for as many, however long nobody has come
        patched.setattr(queue, "TOGETHER_S", 1000)
        return asyncio.run(ask())


# -- held, and stored when the reason has passed ----------------------------------------------------------------------


def test_a_number_is_taken_and_the_rest_of_the_log_goes_on(services: Services) -> None:
    found = services.send(
        *numbered(1, 1), *numbered(2, 2, account="later"), *numbered(3, 3, time=FUTURE), *numbered(4, 4)
    )
    assert [(one.status, one.code, one.retriable) for one in found.receipts] == [
        ("stored", "", False),
        ("refused", "unknown_account", True),
        ("refused", "time_in_future", True),
        ("stored", "", False),
    ]
    assert (found.stored, found.refused, found.held) == (2, 2, 2)
    assert services.door.source("log", services.credential).sequence == 4
    assert held(services) == [("log", 2, "unknown_account"), ("log", 3, "time_in_future")]
    told = services.door.metrics()
    assert (told["held_events"], told["held_bytes"] > 100) == (2, True)
    services.whole()


def test_it_is_stored_by_itself_once_its_account_appears(services: Services) -> None:
    services.send(*numbered(1, 1), *numbered(2, 3, account="later", user="ann", labels={"k": "v"}), *numbered(4, 4))
    appear(services)
    services.door.look_again("later")
    until(lambda: not held(services))
    assert uses(services) == 4
    found = services.door.event("log", "2", services.credential)
    assert (found.status, found.account, found.user, found.labels) == ("stored", "later", "ann", {"k": "v"})
    assert found.block == 2
    assert services.statuses(*numbered(1, 1), *numbered(2, 3, account="later", user="ann")) == ["duplicate"] * 3
    told = services.door.metrics()
    assert (told["held_events"], told["held_bytes"], told["held_events_released"]) == (0, 0, 2)
    services.whole()


@pytest.mark.usefixtures("looks_often")
def test_it_is_stored_by_itself_once_its_instant_comes(services: Services) -> None:
    services.send(*numbered(1, 1), *numbered(2, 2, time=FUTURE))
    services.clock.at += HOUR_MS - 300_001
    time.sleep(0.2)  # it looks by itself, every 50 ms here, and leaves it
    assert held(services) == [("log", 2, "time_in_future")]
    services.clock.at += 1
    until(lambda: not held(services))
    assert uses(services) == 2
    assert services.store.appended[-1].received_at == services.clock.at
    services.whole()


def test_it_is_stored_by_itself_once_its_user_appears(light: Services) -> None:
    light.open(create_unknown_users=False)
    light.send(*numbered(1, 1), *numbered(2, 2, user="ann"))
    assert held(light) == [("log", 2, "unknown_user")]
    with light.ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", now=light.clock.at)
    light.door.forget_names("acme")
    until(lambda: not held(light))
    assert light.door.event("log", "2", light.credential).user == "ann"


@pytest.mark.usefixtures("looks_often")
def test_it_is_stored_after_a_start_though_nobody_told_of_the_account(services: Services) -> None:
    services.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    services.close()
    appear(services)
    services.open()
    until(lambda: not held(services))
    assert uses(services) == 2
    services.whole()


@pytest.mark.usefixtures("looks_often")
def test_it_waits_on_for_the_next_reason(light: Services) -> None:
    light.send(*numbered(1, 1), *numbered(2, 2, account="later", time=FUTURE))
    assert held(light) == [("log", 2, "unknown_account")]
    appear(light)
    light.door.look_again("later")
    until(lambda: held(light) == [("log", 2, "time_in_future")])
    light.clock.at += HOUR_MS
    until(lambda: not held(light))


@pytest.mark.parametrize("account", ["a/b", ".", ".."])
def test_an_account_that_can_never_be_is_refused_for_good(light: Services, account: str) -> None:
    found = light.send(*numbered(1, 1), *numbered(2, 2, account=account), *numbered(3, 3))
    assert [(one.status, one.code, one.retriable) for one in found.receipts] == [
        ("stored", "", False),
        ("refused", "invalid_event", False),
        ("stored", "", False),
    ]
    assert (held(light), found.held) == ([], 0)
    light.whole()


def test_an_account_that_appeared_and_was_closed_ends_it_as_a_refusal(light: Services) -> None:
    by_hand(light)
    light.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    appear(light)
    with light.ledger.begin() as tx:
        accounts.change_account(tx, "later", status="closed", now=1)
    assert light.statuses(*numbered(2, 2, account="later")) == ["refused"]
    told = light.door.event("log", "2", light.credential)
    assert (told.code, bool(told.retriable), held(light)) == ("account_closed", False, [])
    light.whole()


# -- the same number sent again ---------------------------------------------------------------------------------------


def test_sent_again_it_is_stored_or_still_held_and_other_content_is_a_conflict(services: Services) -> None:
    by_hand(services)
    services.send(*numbered(1, 1), *numbered(2, 2, account="later", bytes_up=7))
    for again in range(2):
        sent = [*numbered(1, 1), *numbered(2, 2, account="later", bytes_up=7 + again)]
        found = services.send(*sent)
        expected = [("refused", "unknown_account", True), ("conflict", "other_content", False)][again]
        assert (found.receipts[1].status, found.receipts[1].code, found.receipts[1].retriable) == expected
        assert found.held == 1 - again
    appear(services)
    assert services.statuses(*numbered(2, 2, account="later", bytes_up=8)) == ["conflict"]
    assert services.statuses(*numbered(2, 4, account="later", bytes_up=7)) == ["stored"] * 3
    assert services.statuses(*numbered(2, 2, account="later", bytes_up=7)) == ["duplicate"]
    assert services.door.source("log", services.credential).position == "p4"
    assert uses(services) == 4
    services.whole()


def test_what_came_first_is_what_is_stored(light: Services) -> None:
    """As with named events, time and labels are no content: what was received first counts."""
    by_hand(light)
    light.send(*numbered(1, 1), *numbered(2, 2, time=FUTURE, labels={"a": "b"}))
    again = numbered(2, 2, time="2026-03-01T00:00:00Z", labels={"c": "d"})
    assert light.statuses(*again) == ["refused"]
    light.clock.at += HOUR_MS
    assert light.statuses(*again) == ["stored"]
    told = light.door.event("log", "2", light.credential)
    assert (told.time, told.labels) == (FUTURE, {"a": "b"})


def test_several_requests_of_one_block_see_what_the_ones_before_held(light: Services) -> None:
    light.send(*numbered(1, 1))

    async def all_at_once() -> list[Any]:
        bodies = [
            numbered(2, 2, account="later"),
            numbered(2, 3, account="later"),
            numbered(2, 2, account="later", bytes_up=9),
        ]
        taking = [
            light.door.take(msgspec.json.encode(one), "application/json", None, light.credential, receipts_all=True)
            for one in bodies
        ]
        return await asyncio.gather(*taking)

    found = asyncio.run(all_at_once())
    assert [[one.status for one in answer.receipts] for answer in found] == [
        ["refused"],
        ["refused", "refused"],
        ["conflict"],
    ]
    assert held(light) == [("log", 2, "unknown_account"), ("log", 3, "unknown_account")]


def test_what_an_atomic_request_seemed_to_store_is_held_for_the_next_one(services: Services) -> None:
    """Names are taken for new until they are claimed; this one was stored with other content."""
    by_hand(services)
    services.send(*numbered(1, 1), *named("x"))
    refused, found = together(
        services,
        ([*numbered(2, 2), *named("x", bytes_up=9)], True),
        ([*numbered(2, 2, account="later"), *numbered(3, 3)], False),
    )
    assert isinstance(refused, AtomicRefused)
    assert ([one.status for one in found.receipts], found.held) == (["refused", "stored"], 1)
    assert held(services) == [("log", 2, "unknown_account")]
    assert services.door.metrics()["held_events"] == 1
    services.whole()


def test_what_an_atomic_request_seemed_to_forbid_makes_a_source(services: Services) -> None:
    services.send(*numbered(1, 1), *named("x", bytes_up=9))
    refused, found = together(
        services,
        ([*numbered(2, 2), *named("x")], True),
        ([*named("x", bytes_up=9), *named("f", source="fresh")], True),
    )
    assert isinstance(refused, AtomicRefused)
    assert [one.status for one in found.receipts] == ["duplicate", "stored"]
    services.close()
    services.open()
    assert services.door.source("fresh", services.credential).sequence is None
    assert services.statuses(*named("f", source="fresh")) == ["duplicate"]
    services.whole()


# -- an operator ------------------------------------------------------------------------------------------------------


def test_an_operator_has_them_looked_at_now(light: Services) -> None:
    by_hand(light)
    light.send(*numbered(1, 1), *numbered(2, 4, account="later"), *numbered(5, 5, account="other"))
    appear(light)
    answer = run(light.door.retry_held(HeldFilter(account="later")))
    assert (answer.stored, answer.refused, answer.held) == (3, 0, 0)
    answer = run(light.door.retry_held(HeldFilter()))
    assert (answer.stored, answer.refused, answer.held) == (0, 0, 1)
    assert run(light.door.retry_held(HeldFilter(source="who"))).held == 0


def test_what_is_dropped_is_refused_for_good_with_the_reason(services: Services) -> None:
    by_hand(services)
    services.send(*numbered(1, 1), *numbered(2, 3, account="later"))
    answer = run(services.door.drop_held(HeldFilter(source="log", sequence=2), "a typing error", services.credential))
    assert (answer.stored, answer.refused, answer.held) == (0, 1, 0)
    appear(services)
    found = services.send(*numbered(2, 3, account="later"))
    assert [(one.status, one.code, one.detail, one.retriable) for one in found.receipts] == [
        ("refused", "dropped", "a typing error", False),
        ("stored", "", "", False),
    ]
    services.close()
    services.open()
    assert services.door.event("log", "2", services.credential).code == "dropped"
    assert services.correct({"id": "c", "corrects": {"source": "log", "id": "2"}, "void": True}).refused == 1
    services.whole()


def test_a_held_event_cannot_be_corrected_yet(light: Services) -> None:
    light.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    [receipt] = light.correct({"id": "c", "corrects": {"source": "log", "id": "2"}, "void": True}).receipts
    assert (receipt.status, receipt.code) == ("refused", "refused_event")
    assert "held (unknown_account)" in receipt.detail


# -- who may see it ---------------------------------------------------------------------------------------------------


def test_each_sees_its_own(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine, yours = (credentials.issue(tx, "ingest", None, name, 0)[0] for name in ("mine", "yours"))
        acme, beta = (credentials.issue(tx, "account", name, name, 0)[0] for name in ("acme", "beta"))
    light.send(*numbered(1, 1), *numbered(2, 2, time=FUTURE), credential=mine)
    light.send(*numbered(1, 1, source="b", account="beta"), *numbered(2, 2, source="b", time=FUTURE), credential=yours)
    light.send(*numbered(3, 3, source="b", account="nobody"), credential=yours)

    def seen(credential: Any, **asked: Any) -> list[tuple[str, int]]:
        page = light.door.held(HeldFilter(**asked), credential, None, 1000)
        return [(one.source, one.sequence) for one in page.items]

    assert seen(light.credential) == [("log", 2), ("b", 2), ("b", 3)]
    assert seen(mine) == [("log", 2)]
    assert seen(yours) == seen(yours, source="b") == [("b", 2), ("b", 3)]
    assert seen(mine, source="b") == []
    assert seen(acme) == [("log", 2), ("b", 2)]
    assert seen(beta) == []
    with pytest.raises(NotFound):
        seen(beta, account="acme")
    with pytest.raises(NotFound):
        light.door.event("log", "2", beta)
    assert light.door.event("log", "2", acme).retriable


def test_pages_go_on_where_they_ended(light: Services) -> None:
    light.send(*numbered(1, 1), *numbered(2, 8, account="later"))
    seen, cursor = [], None
    while True:
        page = light.door.held(HeldFilter(), light.credential, cursor, 3)
        seen += [one.sequence for one in page.items]
        cursor = page.next
        if cursor is None:
            break
    assert seen == list(range(2, 9))


# -- bounds -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "bound"),
    [
        ({"max_held_per_source": 2}, "source"),
        ({"max_held_per_account": 2}, "account"),
        ({"max_held_events": 2}, "events"),
        ({"max_held_bytes": 250}, "bytes"),
    ],
)
def test_at_a_bound_the_request_stops_before_the_event(
    light: Services, settings: dict[str, object], bound: str
) -> None:
    light.open(**settings)
    sent = [*numbered(1, 2), *numbered(3, 6, account="later"), *numbered(7, 7), *named("late")]
    with pytest.raises(HoldsFull) as caught:
        light.send(*sent)
    told = caught.value
    assert (told.status, told.extra["source"], told.extra["sequence"]) == (503, "log", 4)
    assert (told.extra["reason"], told.extra["bound"]) == ("unknown_account", bound)
    assert (told.extra["stored"], told.extra["refused"], told.extra["held"]) == (2, 2, 2)
    assert told.retry_after_s > 0
    source = light.door.source("log", light.credential)
    assert (source.sequence, source.position) == (4, "p4")
    with pytest.raises(HoldsFull):  # and again, changing nothing
        light.send(*sent)
    assert held(light) == [("log", 3, "unknown_account"), ("log", 4, "unknown_account")]
    appear(light)
    light.door.look_again("later")
    until(lambda: not held(light))
    assert light.statuses(*sent) == ["duplicate"] * 4 + ["stored"] * 4
    assert uses(light) == 8
    light.whole()


def test_atomic_keeps_nothing(light: Services) -> None:
    light.send(*numbered(1, 1))
    with pytest.raises(AtomicRefused) as caught:
        light.send(*numbered(2, 2), *numbered(3, 3, account="later"), atomic=True)
    assert caught.value.extra["receipts"][0].retriable  # type: ignore[index]
    assert (held(light), light.door.source("log", light.credential).sequence) == ([], 1)


# -- sources that are not there ---------------------------------------------------------------------------------------


def test_a_request_of_which_nothing_can_be_stored_registers_nothing(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine, yours = (credentials.issue(tx, "ingest", None, name, 0)[0] for name in ("mine", "yours"))
    found = light.send(*numbered(1, 2, account="nobody"), *numbered(3, 3, bytes_up=-1), credential=mine)
    assert [(one.status, one.retriable) for one in found.receipts] == [("refused", True)] * 2 + [("refused", False)]
    assert found.held == 0
    with pytest.raises(NotFound):
        light.door.source("log", light.credential)
    light.send(*named("1", account="nobody"), credential=mine)
    light.send(*named("1", source="log"), credential=yours)  # named, and another's
    assert light.send(*named("1"), credential=yours).stored == 1
    with pytest.raises(SourceNotYours):
        light.send(*named("2"), credential=mine)


def test_no_refusal_of_a_whole_request_registers_a_source(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine = credentials.issue(tx, "ingest", None, "mine", 0)[0]
        bound = credentials.issue(tx, "ingest", "acme", "bound", 0)[0]
    for sent, atomic, credential in (
        (numbered(5, 6), False, mine),  # a gap
        ([*numbered(1, 1), *named("1", account="nobody", source="log2")], True, mine),
        (numbered(1, 1, account="beta"), False, bound),
        ([*numbered(1, 1), *numbered(2, 2, account="beta")], False, bound),
    ):
        with pytest.raises(FlowtallyError):
            light.send(*sent, atomic=atomic, credential=credential)
    light.correct(
        {"source": "fix", "id": "c", "corrects": {"source": "gw", "id": "none"}, "void": True}, credential=mine
    )
    for name in ("log", "log2", "fix"):
        with pytest.raises(NotFound):
            light.door.source(name, light.credential)
    assert light.statuses(*named("1", source="log"), *named("1", source="fix")) == ["stored", "stored"]
    light.close()
    light.open()
    assert light.door.source("log", light.credential).sequence is None


def test_two_senders_of_a_source_that_neither_made_do_not_shut_each_other_out(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine, yours = (credentials.issue(tx, "ingest", None, name, 0)[0] for name in ("mine", "yours"))
    light.open()

    async def all_at_once() -> list[Any]:
        sent = [(numbered(1, 1, account="nobody"), mine), (numbered(1, 1), yours), (named("1", source="log"), mine)]
        taking = [light.door.take(msgspec.json.encode(events), "application/json", None, who) for events, who in sent]
        return await asyncio.gather(*taking, return_exceptions=True)

    first, second, third = asyncio.run(all_at_once())
    assert (first.refused, second.stored, type(third).__name__) == (1, 1, "SourceNotYours")


def test_a_source_is_whose_event_was_stored_first_though_another_was_refused_in_the_same_block(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine = credentials.issue(tx, "ingest", None, "mine", 0)[0]
    refused, stored = together(light, (numbered(1, 1, account="nobody"), False), (numbered(1, 1), False), by={0: mine})
    assert (refused.refused, stored.stored) == (1, 1)
    assert light.keys.source("log").owner == light.credential.sender
    with pytest.raises(SourceNotYours):
        light.send(*numbered(2, 2), credential=mine)


def test_what_a_credential_may_never_send_is_refused_with_the_request(light: Services) -> None:
    with light.ledger.begin() as tx:
        bound = credentials.issue(tx, "ingest", "acme", "bound", 0)[0]
    light.send(*numbered(1, 1), credential=bound)
    for foreign in ("beta", "nobody"):
        with pytest.raises(NotYourAccount) as caught:
            light.send(*numbered(2, 2), *numbered(3, 3, account=foreign), credential=bound)
        assert (caught.value.extra["index"], caught.value.extra["sequence"]) == (1, 1)
    assert (light.door.source("log", bound).sequence, held(light)) == (1, [])
    assert light.send(*named("1", account="beta"), credential=bound).receipts[0].code == "not_your_account"


def test_use_of_a_suspended_account_is_stored(light: Services) -> None:
    by_hand(light)
    light.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    appear(light)
    with light.ledger.begin() as tx:
        accounts.change_account(tx, "later", status="suspended", now=1)
    assert light.statuses(*numbered(2, 3, account="later")) == ["stored", "stored"]


# -- faults and deaths ------------------------------------------------------------------------------------------------


def test_an_insert_that_fails_holds_nothing_and_takes_no_number(services: Services) -> None:
    services.open()
    services.journal.before.append(ConnectionError("no engine"))
    sent = [*numbered(1, 1), *numbered(2, 2, account="later"), *named("1")]
    with pytest.raises(Unavailable):
        services.send(*sent)
    assert held(services) == []
    with pytest.raises(NotFound):
        services.door.source("log", services.credential)
    assert services.statuses(*sent) == ["stored", "refused", "stored"]
    assert held(services) == [("log", 2, "unknown_account")]
    services.whole()


def test_a_doubt_that_is_settled_keeps_what_is_held_and_ends_what_was(services: Services) -> None:
    by_hand(services)
    services.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    appear(services)
    services.journal.after.append(TimeoutError("no answer"))
    assert services.statuses(*numbered(2, 2, account="later"), *numbered(3, 3), *numbered(4, 4, account="nobody")) == [
        "stored",
        "stored",
        "refused",
    ]
    assert held(services) == [("log", 4, "unknown_account")]
    assert services.door.metrics()["held_events"] == 1
    services.whole()


def test_keys_that_cannot_be_written_hold_what_the_journal_has_and_nothing_else(light: Services) -> None:
    light.send(*numbered(1, 1))
    sent = [*numbered(2, 2), *numbered(3, 3, account="later")]
    light.fail_keys("BEGIN", io_error())
    with pytest.raises(Unavailable):
        light.send(*sent)
    assert held(light) == []
    light.fail_keys("COMMIT", io_error())
    assert light.statuses(*sent) == ["stored", "refused"]  # the journal holds it
    assert held(light) == [("log", 3, "unknown_account")]
    light.whole()


def test_a_block_that_failed_before_the_journal_had_it_leaves_nothing_to_an_erasure(light: Services) -> None:
    """Its events are not held, and their numbers not taken."""
    light.send(*numbered(1, 1, user="ann"))
    real, faults = light.door._resolver.use_products, [RuntimeError("no ledger")]
    light.door._resolver.use_products = lambda products: (  # type: ignore[method-assign]
        _raise(faults.pop()) if faults else real(products)
    )
    sent = [*numbered(2, 2), *numbered(3, 3, user="ann", time=FUTURE)]
    with pytest.raises(Unavailable):
        light.send(*sent)
    light.door.between_blocks(lambda keys: keys.tag_held("acme", ["ann"], "usr_ann"))
    assert light.door.forget_held(["usr_ann"]) == 0
    assert light.door.metrics()["held_events"] == 0
    assert light.statuses(*sent) == ["stored", "refused"]
    assert light.send(*sent).receipts[1].retriable
    assert (held(light), light.door.metrics()["held_events"]) == ([("log", 3, "time_in_future")], 1)
    light.whole()


@dies
def test_death_between_the_two_commits_keeps_what_is_held(services: Services) -> None:
    services.send(*numbered(1, 1))
    services.journal.after.append(Death())
    sent = [*numbered(2, 2), *numbered(3, 3, account="later", labels={"k": "v"}), *numbered(4, 4)]
    services.die(*sent)
    services.open()
    services.whole()
    assert held(services) == [("log", 3, "unknown_account")]
    assert services.statuses(*sent) == ["duplicate", "refused", "duplicate"]
    appear(services)
    services.door.look_again("later")
    until(lambda: not held(services))
    assert services.door.event("log", "3", services.credential).labels == {"k": "v"}
    assert uses(services) == 4
    services.whole()


@dies
def test_death_between_the_two_commits_of_what_was_held_ends_the_hold(services: Services) -> None:
    by_hand(services)
    services.send(*numbered(1, 1), *numbered(2, 3, account="later"))
    appear(services)
    services.journal.after.append(Death())
    services.die(*numbered(2, 3, account="later"), *numbered(4, 5))
    assert services.store.totals().rows == 1
    services.open()
    assert (held(services), uses(services)) == ([], 5)
    source = services.door.source("log", services.credential)
    assert (source.sequence, source.position) == (5, "p5")
    assert services.statuses(*numbered(2, 3, account="later"), *numbered(4, 6)) == ["duplicate"] * 4 + ["stored"]
    services.whole()


@dies
def test_death_between_the_two_commits_of_what_stored_itself_ends_the_hold(services: Services) -> None:
    services.send(*numbered(1, 1), *numbered(2, 3, account="later"))
    services.close()
    appear(services)
    services.open()
    services.journal.after.append(Death())
    services.door.look_again("later")
    services.door._committer._thread.join(10)
    services.crash()
    assert services.store.totals().rows == 1
    services.open()
    assert (held(services), uses(services)) == ([], 3)
    source = services.door.source("log", services.credential)
    assert (source.sequence, source.position) == (3, "p3")
    services.whole()


@dies
def test_death_before_the_journal_has_it_leaves_no_trace(services: Services) -> None:
    services.open()
    services.journal.before.append(Death())
    services.die(*numbered(1, 1), *numbered(2, 2, account="later"))
    services.open()
    assert held(services) == []
    with pytest.raises(NotFound):
        services.door.source("log", services.credential)
    services.whole()


@dies
def test_the_owner_of_a_new_source_survives_death_at_its_first_block(services: Services) -> None:
    with services.ledger.begin() as tx:
        mine = credentials.issue(tx, "ingest", None, "mine", 0)[0]
    services.open()
    services.journal.after.append(Death())
    services.credential, admin = mine, services.credential
    services.die(*numbered(1, 2))
    services.open()
    assert services.send(*numbered(1, 3)).stored == 1
    services.credential = admin


# -- keys and rows of different times ---------------------------------------------------------------------------------


@pytest.mark.usefixtures("looks_often")
def test_keys_older_than_the_row_that_filled_the_hole(services: Services) -> None:
    services.send(*numbered(1, 1), *numbered(2, 3, account="later"), *numbered(4, 4))
    snapshot(services, "older")
    services.open()
    by_hand(services)
    appear(services)
    assert services.statuses(*numbered(3, 3, account="later"), *numbered(4, 5)) == ["stored", "duplicate", "stored"]
    restore(services, "older")
    services.open()
    until(lambda: not held(services))
    assert uses(services) == 5
    assert services.door.source("log", services.credential).position == "p5"
    services.whole()


def test_rebuilt_keys_take_a_later_row_as_filling_the_hole(services: Services) -> None:
    by_hand(services)
    services.send(*numbered(1, 1), *numbered(2, 4, account="later"), *numbered(5, 5))
    appear(services)
    services.send(*numbered(3, 3, account="later"))
    services.close()
    for one in services.data.glob("keys.db*"):
        one.unlink()
    services.open(rebuild_keys=True)
    sent = [*numbered(1, 1), *numbered(2, 4, account="later"), *numbered(5, 6)]
    assert services.statuses(*sent) == ["duplicate", "refused", "duplicate", "refused", "duplicate", "stored"]
    assert held(services) == []
    services.whole()


def test_a_number_with_two_rows_is_no_filled_hole(light: Services) -> None:
    light.send(*numbered(1, 2))
    light.send(*numbered(3, 3))
    light.close()
    inner: Any = light.store.inner
    inner.rows = [*inner.rows, {**inner.rows[0], "block": 3}]
    for one in light.data.glob("keys.db*"):
        one.unlink()
    with pytest.raises(DoubleCounted, match="number 1"):
        light.open(rebuild_keys=True)


def test_a_keys_file_of_an_earlier_version_is_opened_and_holds(light: Services) -> None:
    light.send(*numbered(1, 1), *named("1"))
    light.close()
    (light.data / "journal.db").unlink()
    with sqlite3.connect(light.data / "keys.db") as db:
        db.executescript(
            "ALTER TABLE committer DROP COLUMN journaled; DROP TABLE counters; DROP TABLE held;"
            "DROP INDEX sources_announced; ALTER TABLE sources DROP COLUMN announced; PRAGMA user_version = 2"
        )
    light.open()
    assert light.statuses(*numbered(1, 1), *numbered(2, 2, account="later")) == ["duplicate", "refused"]
    assert held(light) == [("log", 2, "unknown_account")]


def test_what_cannot_be_looked_at_does_not_stop_the_writer(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    light.send(*numbered(1, 1), *numbered(2, 2, account="later"))
    asked: list[object] = []

    def gone(*_: object) -> Any:
        asked.append(None)
        raise Unavailable("the keys cannot be read")

    with monkeypatch.context() as broken:
        broken.setattr(light.keys, "held_page", gone)
        light.door.look_again("later")
        until(lambda: bool(asked))
    assert light.statuses(*numbered(3, 3)) == ["stored"]
    assert light.door.ready() == (True, "ready")


def test_a_bad_page_is_given_up_and_others_go_on(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    from flowtally.ingest import queue, sweeps

    monkeypatch.setattr(sweeps, "AFTER_FAILURE_S", 0.0)
    monkeypatch.setattr(queue, "IDLE_S", 0.02)
    light.send(*numbered(1, 1), *numbered(2, 2, account="later", id="bad"), *numbered(3, 3, account="later", id="x"))
    light.journal.poison = "bad"
    appear(light)
    light.door.look_again("later")
    until(lambda: held(light) == [("log", 2, "unknown_account")])
    light.journal.poison = None
    run(light.door.retry_held(HeldFilter()))
    assert held(light) == []
    light.whole()


def test_pages_are_as_large_as_ever_once_what_failed_has_passed() -> None:
    """The ledger was away for a while: what is held then is no block of one event for ever."""
    now = [0.0]
    sweeps = Sweeps(lambda: now[0])
    sweeps.look_again("later")

    def limit() -> int:
        now[0] += AFTER_FAILURE_S
        page = sweeps.next(0, None)
        assert page is not None
        return page.limit

    assert limit() == PAGE
    for _ in range(4):
        sweeps.failed((1, 1))
    assert limit() == 1
    for done in range(40):
        limit()
        sweeps.went((1, done + 1))
    assert limit() == PAGE
    sweeps.failed((1, 50))
    sweeps.went(None)  # the rest fits into one
    sweeps.look_again("later")
    assert limit() == PAGE


def _raise(error: Exception) -> None:
    raise error
