"""Corrections through the real door, over both stores: a bookkeeper's sentences, then faults."""

from __future__ import annotations

import asyncio
import threading
from functools import partial
from typing import Any

import msgspec
import pytest
from tests.ingest.conftest import TIME, Death, Services, named, numbered, soon

from flowtally.core.corrections import EventRef, Quantities
from flowtally.core.errors import NotAsExpected, NotFound, SourceNotYours, Unavailable
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import accounts, credentials
from flowtally.protocol import CorrectionReceipt
from flowtally.usage.values import Where

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
E1 = {"source": "gw", "id": "e1"}


def right(id: str, event: dict[str, str] = E1, **said: Any) -> dict[str, Any]:
    return {"id": id, "corrects": event, **said}


def free(id: str, account: str = "acme", **said: Any) -> dict[str, Any]:
    return {"id": id, "account": account, "time": TIME, "reason": "goodwill", **said}


def told(services: Services, *asked: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.status, one.code) for one in services.correct(*asked).receipts]


def one(services: Services, asked: dict[str, Any]) -> CorrectionReceipt:
    [receipt] = services.correct(asked).receipts
    return receipt


def used(services: Services, account: str = "acme") -> tuple[int, int, int]:
    found = services.store.sums([0, 2**47], Where(account=account))
    return (found[0].bytes_up, found[0].bytes_down, found[0].requests) if found else (0, 0, 0)


# -- what a correction does -------------------------------------------------------------------------------------------


def test_the_right_quantities_become_the_difference_to_what_the_event_stands_at(services: Services) -> None:
    services.send(*named("e1", bytes_up=10, bytes_down=100, user="ann", labels={"k": "v"}, status=200))
    first = one(services, right("c1", bytes_down=60))
    assert (first.added, first.before, first.after) == (
        Quantities(0, -40, 0),
        Quantities(10, 100, 1),
        Quantities(10, 60, 1),
    )
    second = one(services, right("c2", bytes_up=0, bytes_down=80, requests=3))
    assert second.added == Quantities(-10, 20, 2)
    assert used(services) == (0, 80, 3)
    services.whole()


def test_a_correction_falls_wherever_the_event_fell(services: Services) -> None:
    event = named("e1", bytes_up=10, user="ann", product="mobile", status=404, labels={"k": "v"})
    services.send(*event)
    services.correct(right("c1", source="desk", bytes_up=4))
    by = ("user", "product", "source", "status", "label:k")
    [row] = services.store.sums([0, 2**47], Where(), by)
    assert row.by[1:] == ("mobile", "gw", "404", "v")
    assert row.bytes_up == 4
    [day] = services.store.sums([0, 2**46, 2**47], Where(), ())
    assert day.bytes_up == 4


def test_a_void_takes_all_back_and_a_second_void_says_so(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    assert one(services, right("c1", void=True)).added == Quantities(-10, 0, -1)
    again = one(services, right("c2", void=True))
    assert (again.status, again.code, again.added) == ("stored", "already_void", Quantities(0, 0, 0))
    assert used(services) == (0, 0, 0)
    assert one(services, right("c3", bytes_up=7, requests=1)).after == Quantities(7, 0, 1)
    services.whole()


def test_what_is_right_already_is_stored_as_nothing_and_says_so(light: Services) -> None:
    light.send(*named("e1", bytes_up=10))
    assert told(light, right("c1", bytes_up=10)) == [("stored", "no_change")]


def test_a_retry_is_a_duplicate_for_ever_and_tells_what_it_did(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    first = one(services, right("c1", bytes_up=4, expects={"bytes_up": 10}))
    services.correct(right("c2", bytes_up=5))
    services.close()
    services.open()
    again = one(services, right("c1", bytes_up=4, expects={"bytes_up": 10}))
    assert (again.status, again.added, again.before, again.after) == (
        "duplicate",
        first.added,
        first.before,
        first.after,
    )
    assert one(services, right("c1", bytes_up=9)).code == "other_content"
    assert one(services, right("c1", {"source": "gw", "id": "e2"}, bytes_up=4)).status == "conflict"
    assert used(services)[0] == 5


def test_the_same_key_twice_in_a_request_counts_once(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    asked = (right("c1", bytes_up=4), right("c1", bytes_up=4), right("c1", bytes_up=5), free("a", bytes_up=1))
    assert told(services, *asked, free("a", bytes_up=1)) == [
        ("stored", ""),
        ("duplicate", ""),
        ("conflict", "other_content"),
        ("stored", ""),
        ("duplicate", ""),
    ]
    assert used(services)[0] == 5


def test_later_corrections_of_a_request_see_the_earlier_ones(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    asked = [right(f"c{number}", bytes_up=number) for number in (8, 3, 30)]
    receipts = services.correct(*asked, right("v", void=True, expects={"bytes_up": 30})).receipts
    assert [one.added.bytes_up for one in receipts if one.added] == [-2, -5, 27, -30]
    found = services.door.event("gw", "e1", services.credential)
    assert [(one.id, one.added.bytes_up, one.after.bytes_up) for one in found.corrections] == [
        ("c8", -2, 8),
        ("c3", -5, 3),
        ("c30", 27, 30),
        ("v", -30, 0),
    ]
    assert found.sum == Quantities(0, 0, 0)
    assert one(services, asked[1]).after == Quantities(3, 0, 1)


def test_what_is_expected_is_looked_at_and_nothing_stored_where_it_is_not_so(services: Services) -> None:
    services.send(*named("e1", "e2", bytes_up=10))
    with pytest.raises(NotAsExpected) as caught:
        services.correct(
            right("c1", {"source": "gw", "id": "e2"}, void=True), right("c2", void=True, expects={"bytes_up": 9})
        )
    present = {"bytes_up": 10, "bytes_down": 0, "requests": 1}
    assert dict(caught.value.extra) == {"index": 1, "source": "gw", "id": "e1", "present": present}
    assert used(services) == (20, 0, 2)
    assert told(services, right("c2", void=True, expects=present)) == [("stored", "")]


def test_numbered_events_are_corrected_by_their_number(services: Services) -> None:
    services.send(*numbered(1, 2), *numbered(3, 3, account="nobody"), *numbered(4, 4, id="kept"))
    log = [{"source": "log", "id": id} for id in ("2", "3", "4", "5", "0", "kept")]
    assert told(services, *(right(f"c{index}", event, bytes_up=9) for index, event in enumerate(log))) == [
        ("stored", ""),
        ("refused", "refused_event"),
        ("stored", ""),
        ("refused", "unknown_event"),
        ("refused", "unknown_event"),
        ("refused", "unknown_event"),
    ]
    assert used(services) == (19, 0, 3)
    assert services.send(*numbered(4, 5)).stored == 1
    found = services.door.event("log", "2", services.credential)
    assert (found.bytes_up, found.sum) == (1, Quantities(9, 0, 1))


@pytest.mark.parametrize("number", [2**63 - 1, 2**63, 10**19 - 1, 10**40])
def test_a_number_that_no_event_can_have_is_an_unknown_event(services: Services, number: int) -> None:
    services.send(*numbered(1, 2))
    assert told(services, right("c1", {"source": "log", "id": str(number)}, void=True)) == [
        ("refused", "unknown_event")
    ]
    with pytest.raises(NotFound):
        services.door.event("log", str(number), services.credential)


def test_an_unknown_event_is_refused_and_its_correction_can_come_again(services: Services) -> None:
    assert told(services, right("c1", void=True)) == [("refused", "unknown_event")]
    services.send(*named("e1"))
    assert told(services, right("c1", void=True)) == [("stored", "")]
    assert told(services, right("c2", {"source": "corrections", "id": "c1"}, void=True)) == [
        ("refused", "unknown_event")
    ]


def test_a_correction_is_no_event(services: Services) -> None:
    services.send(*named("e1", bytes_up=5))
    services.correct(right("e1", source="gw", bytes_up=2) | {"id": "e9"})
    found = services.door.event("gw", "e1", services.credential)
    assert (found.bytes_up, found.status) == (5, "stored")
    assert services.statuses(*named("e9")) == ["conflict"]


def test_a_correction_is_shown_by_its_own_key(services: Services) -> None:
    services.send(*named("e1", bytes_up=5, user="ann", labels={"k": "v"}), *numbered(1, 1, bytes_up=9))
    services.correct(right("c1", bytes_up=2, reason="twice"), right("c2", {"source": "log", "id": "1"}, void=True))
    found = services.door.event("corrections", "c1", services.credential)
    assert (found.kind, found.source, found.id, found.reason) == ("correction", "corrections", "c1", "twice")
    assert (found.bytes_up, found.bytes_down, found.requests, found.sum) == (-3, 0, 0, None)
    assert (found.user, found.labels, found.status, found.block) == ("ann", {"k": "v"}, "stored", 2)
    assert found.corrects == EventRef("gw", "e1")
    event = services.door.event("gw", "e1", services.credential)
    assert (event.kind, event.corrects, event.time) == ("use", None, found.time)
    assert services.door.event("corrections", "c2", services.credential).corrects == EventRef("log", "1")


def test_an_adjustment_is_shown_by_its_own_key(services: Services) -> None:
    services.correct(free("g1", bytes_down=-7, user="ann", product="mobile"))
    found = services.door.event("corrections", "g1", services.credential)
    assert (found.kind, found.corrects, found.reason, found.bytes_down) == ("adjustment", None, "goodwill", -7)
    assert (found.account, found.user, found.product) == ("acme", "ann", "mobile")
    with pytest.raises(NotFound):
        services.door.event("corrections", "g2", services.credential)


def test_an_event_that_is_still_waiting_can_be_corrected(light: Services) -> None:
    """Its block is being written while the correction is read: the correction comes after it all the same."""
    light.open()
    light.journal.may_write.clear()

    async def both() -> Any:
        body, asked = msgspec.json.encode(named("e1", bytes_up=9)), msgspec.json.encode(right("c1", bytes_up=2))
        event = asyncio.ensure_future(light.door.take(body, "application/json", None, light.credential))
        await soon(lambda: light.journal.writing == 1)
        correction = asyncio.ensure_future(light.door.correct(asked, "application/json", None, light.credential))
        await soon(lambda: light.door._queue._count == 1)
        light.journal.may_write.set()
        return await asyncio.gather(event, correction)

    stored, corrected = asyncio.run(both())
    assert (stored.stored, corrected.receipts[0].after) == (1, Quantities(2, 0, 1))
    assert used(light) == (2, 0, 1)


def test_events_and_corrections_that_wait_together_keep_their_order(light: Services) -> None:
    """event, correction, event again (a retry), correction: each block sees the ones before it."""
    light.send(*named("e0"))

    def waits(requests: int) -> bool:
        return light.door._queue._count == requests

    async def all_at_once() -> list[Any]:
        def take(*ids: str) -> Any:
            body = msgspec.json.encode(named(*ids, bytes_up=9))
            return light.door.take(body, "application/json", None, light.credential, receipts_all=True)

        def correct(id: str, **said: Any) -> Any:
            body = msgspec.json.encode(right(id, **said))
            return light.door.correct(body, "application/json", None, light.credential)

        # The first block is there for all, and its writer not done with it until the others wait.
        sources, go_on = light.door._committer.sources, threading.Event()
        done = sources.move
        sources.move = lambda advances: go_on.wait(20) and done(advances)  # type: ignore[assignment]
        asked = [asyncio.ensure_future(take("e1"))]
        await soon(lambda: light.keys.committed().block == 2)
        for waiting, one in ((1, correct("c1", bytes_up=5)), (2, take("e1", "e2")), (3, correct("c2", void=True))):
            asked.append(asyncio.ensure_future(one))
            await soon(partial(waits, waiting))
        go_on.set()
        return await asyncio.gather(*asked)

    first, fixed, again, void = asyncio.run(all_at_once())
    assert [one.status for one in (*first.receipts, *again.receipts)] == ["stored", "duplicate", "stored"]
    assert (fixed.receipts[0].added, void.receipts[0].added) == (Quantities(-4, 0, 0), Quantities(-5, 0, -1))
    light.whole()


# -- free adjustments -------------------------------------------------------------------------------------------------


def test_a_free_adjustment_may_go_below_zero_and_has_its_own_time(services: Services) -> None:
    receipt = one(services, free("a1", bytes_down=-50, user="ann", product="mobile"))
    assert (receipt.added, receipt.before, receipt.after) == (Quantities(0, -50, 0), None, None)
    assert used(services) == (0, -50, 0)
    assert told(services, free("a1", bytes_down=-50, user="ann", product="mobile")) == [("duplicate", "")]
    assert told(services, free("a1", bytes_down=-51, user="ann", product="mobile")) == [("conflict", "other_content")]
    services.whole()


def test_an_adjustment_that_the_world_does_not_allow_is_refused(light: Services) -> None:
    with light.ledger.begin() as tx:
        accounts.change_account(tx, "beta", status="closed", now=1)
    asked = (
        free("1", "nobody", bytes_up=1),
        free("2", "beta", bytes_up=1),
        free("3", time="2026-03-16T00:00:00Z", bytes_up=1),
    )
    assert told(light, *asked) == [
        ("refused", "unknown_account"),
        ("refused", "account_closed"),
        ("refused", "time_in_future"),
    ]


# -- who may ----------------------------------------------------------------------------------------------------------


def test_a_source_corrects_its_own_events_and_nobody_elses(light: Services) -> None:
    with light.ledger.begin() as tx:
        mine, yours = (credentials.issue(tx, "ingest", None, name, 0)[0] for name in ("mine", "yours"))
        bound = credentials.issue(tx, "ingest", "beta", "bound", 0)[0]
    light.send(*named("e1"), credential=mine)
    light.send(*named("b1", source="bound", account="beta"), credential=bound)

    def code(asked: dict[str, Any], who: Any) -> str:
        return light.correct(asked, credential=who).receipts[0].code

    assert code(right("1", source="fix", void=True), mine) == ""
    assert code(right("1", source="theirs", void=True), yours) == "unknown_event"
    assert code(right("2", source="beta-fix", event={"source": "bound", "id": "b1"}, void=True), bound) == ""
    assert code(free("2", source="fix", bytes_up=1), mine) == "adjustment_needs_admin"
    with pytest.raises(SourceNotYours):
        light.correct(right("3", source="fix", void=True), credential=yours)
    assert code(right("3", source="fix", bytes_up=1), light.credential) == ""


# -- faults -----------------------------------------------------------------------------------------------------------


def test_an_insert_that_fails_after_it_became_visible_went_forward(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    services.journal.after.append(TimeoutError("no answer"))
    assert told(services, right("c1", bytes_up=4), free("a1", bytes_up=1)) == [("stored", ""), ("stored", "")]
    assert told(services, right("c1", bytes_up=4), free("a1", bytes_up=1)) == [("duplicate", ""), ("duplicate", "")]
    assert used(services)[0] == 5
    services.whole()


def test_an_insert_that_fails_before_leaves_nothing_claimed(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    services.journal.before.append(ConnectionError("no engine"))
    with pytest.raises(Unavailable):
        services.correct(right("c1", bytes_up=4))
    assert used(services)[0] == 10
    assert one(services, right("c1", bytes_up=4)).added == Quantities(-6, 0, 0)
    services.whole()


@dies
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_death_before_or_after_the_journal_has_it_is_settled_by_the_next_start(
    services: Services, where: str
) -> None:
    services.send(*named("e1", bytes_up=10))
    getattr(services.journal, where).append(Death())
    services.die_correcting(right("c1", bytes_up=4), right("c2", bytes_up=7))
    services.open()
    services.whole()
    assert used(services)[0] == (7 if where == "after" else 10)
    expected = "duplicate" if where == "after" else "stored"
    assert told(services, right("c1", bytes_up=4), right("c2", bytes_up=7)) == [(expected, ""), (expected, "")]
    assert used(services)[0] == 7
    services.whole()


def test_keys_made_anew_from_the_rows_know_the_corrections(services: Services) -> None:
    services.send(*named("e1", bytes_up=10))
    services.correct(right("c1", bytes_up=4))
    services.close()
    for path in services.data.glob("**/keys.db*"):
        path.unlink()
    services.open(rebuild_keys=True)
    assert told(services, right("c1", bytes_up=4), right("c1", bytes_up=5)) == [
        ("duplicate", ""),
        ("conflict", "other_content"),
    ]
    services.whole()


# -- what is said about a user that was erased ------------------------------------------------------------------------


def test_a_correction_looked_up_before_an_erasure_brings_no_label_and_no_reason_back(services: Services) -> None:
    services.send(*named("e1", bytes_up=10, user="ann", labels={"k": "v"}), *named("e2", user="bob", labels={"k": "v"}))
    with services.ledger.begin() as tx:  # the labels of what is stored are still there: the writer reads them
        erasures.erase_user(tx, "acme", "ann", now=services.clock())
    services.door.forget_names("acme")
    other = {"source": "gw", "id": "e2"}
    services.correct(right("c1", bytes_up=4, reason="ann rang"), right("c2", other, bytes_up=5, reason="bob rang"))
    rows = {row["id"]: row for row in services.store.read_rows(0, 2**47, Where(), limit=9).to_pylist()}
    assert (dict(rows["c1"]["labels"]), rows["c1"]["reason"], rows["c1"]["bytes_up"]) == ({}, "", -6)
    assert (dict(rows["c2"]["labels"]), rows["c2"]["reason"]) == ({"k": "v"}, "bob rang")


def test_a_correction_of_an_erased_accounts_use_has_no_label_and_no_reason(services: Services) -> None:
    services.send(*named("e1", bytes_up=10, user="ann", labels={"k": "v"}), *named("e2", user="", labels={"k": "v"}))
    with services.ledger.begin() as tx:
        accounts.change_account(tx, "acme", status="closed", now=services.clock())
        erased_accounts.erase_account(tx, "acme", now=services.clock())
    other = {"source": "gw", "id": "e2"}
    asked = (right("c1", bytes_up=4, reason="ann rang"), right("c2", other, bytes_up=5, reason="they rang"))
    assert told(services, *asked) == [("stored", ""), ("stored", "")]
    assert told(services, free("c3", bytes_up=1)) == [("refused", "account_closed")]
    rows = {row["id"]: row for row in services.store.read_rows(0, 2**47, Where(), limit=9).to_pylist()}
    assert [(dict(rows[id]["labels"]), rows[id]["reason"]) for id in ("c1", "c2")] == [({}, ""), ({}, "")]
