"""Readings of counters through the real door, over both stores: what they add, whose it is, then faults."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.conftest import NOW
from tests.ingest.conftest import Death, Services, named

from flowtally.core.corrections import Quantities
from flowtally.core.edges import format_instant
from flowtally.core.errors import NotFound, SourceKindMismatch, SourceNotYours, TooLarge, TooManyNew, UnsupportedMedia
from flowtally.keys.values import KnownCounter
from flowtally.ledger.erasing import erasures
from flowtally.ledger.people import accounts, credentials, users
from flowtally.protocol import ReadingReceipt
from flowtally.usage.values import Where

dies = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
START = NOW - 3_600_000


def reading(up: int | None, at_s: float = 0, counter: str = "c", **more: Any) -> dict[str, Any]:
    time = format_instant(START + int(at_s * 1000))
    return {
        "source": "box",
        "counter": counter,
        "account": "acme",
        "time": time,
        "bytes_down": 0,
        "bytes_up": up,
    } | more


def told(services: Services, *asked: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.status, one.code) for one in services.meter(*asked).receipts]


def one(services: Services, asked: dict[str, Any]) -> ReadingReceipt:
    [receipt] = services.meter(asked).receipts
    return receipt


def used(services: Services, account: str = "acme") -> int:
    found = services.store.sums([0, 2**47], Where(account=account))
    return found[0].bytes_up if found else 0


def known(services: Services, source: str = "box") -> dict[str, KnownCounter]:
    """What the keys say of the counters of a source, but for when they were last seen."""
    found = services.keys.source(source)
    page = services.keys.counter_page(found.no, "", "", 10_000) if found else []
    return {one.counter: msgspec.structs.replace(one, source=0, seen_at=0) for one in page}


# -- what a reading adds ----------------------------------------------------------------------------------------------


def test_the_first_reading_counts_nothing_and_the_next_one_what_came_since(services: Services) -> None:
    first = one(services, reading(500, 0, bytes_down=1_000, requests=0))
    assert (first.status, first.code, first.added, first.after) == (
        "stored",
        "baseline",
        Quantities(0, 0, 0),
        Quantities(500, 1_000, 0),
    )
    second = one(services, reading(700, 10, bytes_down=1_005, requests=2))
    assert (second.code, second.added, second.before) == ("", Quantities(200, 5, 2), Quantities(500, 1_000, 0))
    assert (second.id, used(services)) == ("c/2", 200)
    services.whole()


def test_use_is_dated_at_the_reading_and_grouped_as_it_says(services: Services) -> None:
    services.meter(reading(0, 0), reading(7, 1800, user="ann", product="mobile", labels={"k": "v"}))
    by = ("user", "product", "source", "label:k")
    edges = [START, START + 1_800_000, START + 1_800_001]
    [_, row] = services.store.sums(edges, Where(account="acme"), by)
    assert (row.span, row.by[1:], row.bytes_up) == (1, ("mobile", "box", "v"), 7)


def test_several_readings_of_a_counter_in_a_request_are_in_order(services: Services) -> None:
    assert told(services, reading(5, 0), reading(9, 10), reading(9, 20), reading(2, 30), reading(3, 40)) == [
        ("stored", "baseline"),
        ("stored", ""),
        ("duplicate", "no_change"),
        ("stored", "reset"),
        ("stored", ""),
    ]
    assert used(services) == 7


def test_counters_that_stand_still_leave_no_rows(services: Services) -> None:
    many = [reading(5, 0, f"c{index}") for index in range(50)]
    services.meter(*many)
    rows = services.store.totals().rows
    for second in range(10, 60, 10):
        answer = services.meter(*({**one, "time": reading(0, second)["time"]} for one in many))
        assert (answer.stored, answer.duplicate) == (0, 50)
    assert services.store.totals().rows == rows
    assert {one.standing.time for one in known(services).values()} == {START + 50_000}
    services.whole()


def test_a_lost_answer_and_two_pollers_count_once(services: Services) -> None:
    services.meter(reading(0, 0))
    assert told(services, reading(10, 10)) == [("stored", "")]
    assert told(services, reading(10, 10)) == [("duplicate", "no_change")]  # sent again
    assert told(services, reading(9, 9.5), reading(11, 10.5), reading(10, 10)) == [
        ("duplicate", "late"),
        ("stored", ""),
        ("duplicate", "late"),
    ]
    assert used(services) == 11


def test_many_sending_at_once_are_one_block_and_none_counts_twice(services: Services) -> None:
    services.meter(reading(0, 0))
    block = services.keys.committed().block

    async def ask() -> list[Any]:
        door = services.door
        sends = [
            door.meter(msgspec.json.encode(reading(up, up)), "application/json", None, services.credential)
            for up in range(1, 41)
        ]
        return await asyncio.wait_for(asyncio.gather(*sends), 60)

    answers = asyncio.run(ask())
    assert sum(one.stored for one in answers) + sum(one.duplicate for one in answers) == 40
    assert used(services) == 40
    assert services.keys.committed().block - block < 20
    services.whole()


def test_closing_by_name_closes_what_is_open_and_begins_so(services: Services) -> None:
    services.meter(reading(1, 0, "nas/1"), reading(1, 0, "nas/2"), reading(1, 0, "nas2/1"), reading(1, 50, "nas/3"))
    services.meter(reading(2, 10, "nas/2", final=True))
    closing = {"source": "box", "closes": "nas/", "time": reading(0, 30)["time"]}
    assert one(services, closing) == ReadingReceipt(0, "box", "nas/", "stored", "missing_stop", closed=1)
    assert {name: one.standing.end for name, one in known(services).items()} == {
        "nas/1": "missing_stop",
        "nas/2": "final",
        "nas/3": "",  # it was read after that: whoever closes did not know of it
        "nas2/1": "",
    }
    assert one(services, closing).closed == 0
    assert told(services, reading(4, 60, "nas/1")) == [("stored", "reopened")]
    assert used(services) == 4


def test_closing_sees_what_the_request_did_before(services: Services) -> None:
    closing = {"source": "box", "closes": "", "time": reading(0, 30)["time"]}
    codes = told(services, reading(1, 0, "a"), reading(1, 0, "b", user="new"), closing, closing, reading(3, 40, "a"))
    assert codes[2:] == [("stored", "missing_stop"), ("duplicate", "no_change"), ("stored", "reopened")]
    services.whole()


# -- what may not be --------------------------------------------------------------------------------------------------


def test_what_is_refused_does_not_move_the_counter_so_the_next_reading_has_it(services: Services) -> None:
    services.meter(reading(0, 0))
    assert told(services, reading(5, 10, account="nobody")) == [("refused", "unknown_account")]
    with services.ledger.begin() as tx:
        accounts.change_account(tx, "beta", status="closed", now=1)
    assert told(services, reading(5, 10, account="beta")) == [("refused", "account_closed")]
    assert told(services, reading(5, 7200)) == [("refused", "time_in_future")]
    assert told(services, reading(5, 20)) == [("stored", "")]
    assert used(services) == 5


def test_where_users_are_not_made_an_unknown_one_is_refused(services: Services) -> None:
    services.open(create_unknown_users=False)
    with services.ledger.begin() as tx:
        users.ensure_users(tx, [("acme", "ann")], NOW)
    assert told(services, reading(0, 0, user="bob"), reading(0, 0, user="ann")) == [
        ("refused", "unknown_user"),
        ("stored", "baseline"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"bytes_up": -1},
        {"bytes_up": 2**53},
        {"bytes_up": "7"},
        {"bytes_up": None, "bytes_down": None},
        {"bytes_up": 2**32, "width": 32},
        {"width": 16},
        {"counter": ""},
        {"counter": "c" * 201},
        {"counter": "a\nb"},
        {"account": ""},
        {"epoch": "e" * 65},
        {"epoch_derived": True},
        {"epoch": "boot 7", "epoch_derived": True},
        {"interval_s": 0},
        {"labels": {"": "x"}},
        {"closes": "c"},
        {"unknown": 1},
    ],
)
def test_what_is_no_reading_is_refused_alone(light: Services, wrong: dict[str, Any]) -> None:
    assert told(light, reading(1, 0, "first"), reading(1, 0) | wrong, reading(1, 0, "last")) == [
        ("stored", "baseline"),
        ("refused", "invalid_reading"),
        ("stored", "baseline"),
    ]


def test_times_that_cannot_be_are_refused(light: Services) -> None:
    assert told(light, reading(1) | {"time": "yesterday"}, reading(1) | {"time": "1969-12-31T23:59:59Z"}) == [
        ("refused", "bad_time"),
        ("refused", "bad_time"),
    ]


def test_a_source_takes_events_or_readings_never_both(services: Services) -> None:
    services.meter(reading(1))
    with pytest.raises(SourceKindMismatch, match="for readings of counters; these are named events"):
        services.send(*named("e1", source="box"))
    services.send(*named("e1"))
    with pytest.raises(SourceKindMismatch, match="'gw' is named; these are readings"):
        services.meter(reading(1) | {"source": "gw"})


def test_a_source_of_counters_is_its_senders(services: Services) -> None:
    with services.ledger.begin() as tx:
        mine, other = (credentials.issue(tx, "ingest", None, name, NOW)[0] for name in ("mine", "other"))
    services.meter(reading(1), credential=mine)
    with pytest.raises(SourceNotYours):
        services.meter(reading(2, 10), credential=other)


def test_a_credential_of_an_account_learns_nothing_of_anothers_counter(services: Services) -> None:
    with services.ledger.begin() as tx:
        beta = credentials.issue(tx, "ingest", "beta", "beta", NOW)[0]
    services.meter(reading(1, 0, "b", account="beta"), credential=beta)
    services.meter(reading(10, 0, "a"))  # an administrator, into the same source
    assert one(services, reading(11, 10, "a")).added == Quantities(1, 0, 0)

    def asked(*readings: dict[str, Any]) -> list[ReadingReceipt]:
        return services.meter(*readings, credential=beta).receipts

    [theirs, mine] = asked(reading(12, 20, "a"), reading(12, 20, "a", account="beta"))
    assert (theirs.code, mine.code) == ("not_your_account", "not_your_account")
    assert (mine.before, mine.after) == (None, None)
    [closing] = asked({"source": "box", "closes": "", "time": reading(0, 30)["time"]})
    assert closing.closed == 1
    assert known(services)["a"].standing.end == ""


def test_counters_of_a_source_and_of_an_account_are_bounded(services: Services) -> None:
    services.open(max_counters_per_source=3, max_counters_per_account=4)
    many = [reading(1, 0, f"c{index}") for index in range(5)]
    assert [code for _, code in told(services, *many)] == ["baseline"] * 3 + ["too_many_counters"] * 2
    others = [one | {"source": "two"} for one in many]
    assert [code for _, code in told(services, *others)] == ["baseline"] + ["too_many_counters"] * 4
    assert [status for status, _ in told(services, *(one | {"time": reading(0, 9)["time"]} for one in many))] == [
        *["duplicate"] * 3,
        *["refused"] * 2,
    ]
    services.close()
    services.open(max_counters_per_source=3, max_counters_per_account=4)
    assert told(services, reading(1, 0, "new")) == [("refused", "too_many_counters")]


def test_a_request_is_bounded(light: Services) -> None:
    with pytest.raises(TooLarge, match="10000"):
        light.meter(*({} for _ in range(10_001)))
    with pytest.raises(TooLarge, match="closes"):
        light.meter(*({"source": "box", "closes": "", "time": reading(0)["time"]} for _ in range(101)))
    light.close()
    light.open(max_new_users_per_request=2)
    with pytest.raises(TooManyNew):
        light.meter(*(reading(1, 0, f"c{index}", user=f"u{index}") for index in range(3)))
    assert known(light) == {}
    assert light.keys.source("box") is None


def test_one_a_line_is_taken_too(light: Services) -> None:
    body = b"\n".join(msgspec.json.encode(reading(1, 0, name)) for name in "ab")

    async def ask(kind: str) -> Any:
        return await light.door.meter(body, kind, None, light.credential)

    assert asyncio.run(ask("application/x-ndjson")).stored == 2
    with pytest.raises(UnsupportedMedia):
        asyncio.run(ask("application/cloudevents+json"))


# -- whose it is ------------------------------------------------------------------------------------------------------


def test_a_counter_that_is_anothers_now_counts_for_that_one_and_says_so(services: Services) -> None:
    services.meter(reading(0, 0, user="ann"), reading(5, 10, user="ann"))
    assert told(services, reading(9, 20, user="bob")) == [("stored", "moved")]
    assert told(services, reading(9, 30, user="cid")) == [("duplicate", "no_change")]
    assert told(services, reading(10, 40, account="beta")) == [("stored", "moved")]
    assert (used(services), used(services, "beta")) == (9, 1)


def test_a_new_user_of_many_readings_is_one_user(services: Services) -> None:
    codes = told(services, reading(0, 0, user="ann"), reading(5, 10, user="ann"), reading(9, 20, user="ann"))
    assert codes == [("stored", "baseline"), ("stored", ""), ("stored", "")]
    [row] = services.store.sums([0, 2**47], Where(account="acme"), ("user",))
    assert (known(services)["c"].standing.user, row.bytes_up) == (row.by[0], 9)


def test_what_is_closed_of_an_erased_user_bears_no_text(services: Services) -> None:
    services.meter(reading(0, 0, user="ann"))
    with services.ledger.begin() as tx:
        erasures.erase_user(tx, "acme", "ann", now=services.clock())
    services.door.forget_names("acme")
    services.meter({"source": "box", "closes": "", "time": reading(0, 30)["time"]})
    rows = services.store.read_rows(0, 2**47, Where(account="acme"), limit=9).to_pylist()
    assert [row["reason"] for row in rows] == ["baseline", ""]


# -- looked up and put right ------------------------------------------------------------------------------------------


def test_a_reading_is_looked_up_by_its_row_and_can_be_corrected(services: Services) -> None:
    services.meter(reading(500, 0), reading(40, 10))
    found = services.door.event("box", "c/2", services.credential)
    assert (found.bytes_up, found.reason, found.sequence) == (40, "reset", None)
    services.correct({"id": "v1", "corrects": {"source": "box", "id": "c/2"}, "void": True})
    assert used(services) == 0
    assert told(services, reading(50, 20)) == [("stored", "")]
    assert used(services) == 10


def listed(services: Services, prefix: str = "", who: Any = None, limit: int = 100) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = services.door.counters("box", prefix, who or services.credential, cursor, limit)
        found += page.items
        if (cursor := page.next) is None:
            return found


def test_counters_are_listed_as_they_stand_to_whom_they_concern(services: Services) -> None:
    with services.ledger.begin() as tx:
        mine, other, beta = (
            credentials.issue(tx, "ingest", account, name, NOW)[0]
            for account, name in ((None, "mine"), (None, "other"), ("beta", "beta"))
        )
    services.meter(reading(5, 0, "a/1", user="ann"), reading(5, 0, "a/2"), reading(5, 0, "b"), credential=mine)
    services.meter(reading(2, 10, "a/1", user="ann", interval_s=10), reading(7, 10, "b", final=True), credential=mine)
    [first, second, last] = listed(services, who=mine)
    assert (first.counter, first.user, first.bytes_up, first.state, first.flag) == ("a/1", "ann", 2, "open", "reset")
    assert (first.flagged_at, first.rows, first.interval_s) == (first.time, 2, 10)
    assert (second.flag, second.flagged_at) == ("baseline", second.time)
    assert (last.state, last.bytes_up) == ("final", 7)
    assert listed(services, limit=1) == [first, second, last]
    assert listed(services, "a/", limit=1) == [first, second]
    assert listed(services, "zz") == []
    with pytest.raises(NotFound):
        listed(services, who=other)
    with pytest.raises(NotFound):
        listed(services, who=beta)
    services.door.hand_over("box", beta.sender or "")
    assert listed(services, who=beta) == []
    services.meter(reading(5, 20, "of beta", account="beta"), credential=beta)
    assert [one.counter for one in listed(services, who=beta)] == ["of beta"]


def test_changes_count_the_flags_of_each_commit(services: Services) -> None:
    services.meter(reading(5, 0, "a"), reading(5, 0, "b"))
    services.meter(reading(2, 10, "a"), reading(6, 10, "b"), reading(8, 20, "b", final=True), reading(9, 30, "b"))
    assert [one.flags for one in services.store.moves(1, 0, 9)] == [{"baseline": 2}, {"reset": 1, "after_final": 1}]


# -- faults -----------------------------------------------------------------------------------------------------------


@dies
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_death_before_or_after_the_journal_has_it_is_settled_by_the_next_start(
    services: Services, where: str
) -> None:
    services.meter(reading(0, 0), reading(4, 0, "d"))
    before = known(services)
    again = [reading(10, 10), reading(12, 20), reading(3, 60), reading(9, 10, "d", final=True), reading(1, 10, "e")]
    getattr(services.journal, where).append(Death())
    services.die_metering(*again)
    services.open()
    services.whole()
    if where == "before":
        assert known(services) == before
    first = {name: one.standing for name, one in known(services).items()}
    services.meter(*again)
    after = {name: one.standing for name, one in known(services).items()}
    assert used(services) == 12 + 3 + 5
    assert where == "before" or first == after
    services.whole()


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_failing_journal_is_settled_and_the_same_readings_count_once(services: Services, where: str) -> None:
    services.meter(reading(0, 0))
    getattr(services.journal, where).append(OSError("the disk does not answer"))
    if where == "before":
        with pytest.raises(Exception, match="try again"):
            services.meter(reading(10, 10))
    else:
        services.meter(reading(10, 10))
    services.meter(reading(10, 10), reading(11, 20))
    assert used(services) == 11
    services.whole()


def test_keys_made_anew_from_the_rows_know_the_counters(services: Services) -> None:
    services.send(*named("e1", "e2"))
    services.meter(
        reading(100, 0, epoch="a"), reading(150, 10, epoch="a"), reading(9, 0, "d", user="ann", interval_s=10)
    )
    services.meter(reading(7, 30, epoch="b"), reading(12, 20, "d", user="ann", final=True))
    services.meter(reading(155, 20, epoch="a"))
    before = known(services)
    services.close()
    for path in services.data.glob("**/keys.db*"):
        path.unlink()
    services.open(rebuild_keys=True)
    assert known(services) == before
    assert services.keys.source("box").kind == "counters"
    assert services.keys.source("gw").kind == "named"
    assert told(services, reading(155, 20, epoch="a"), reading(9, 40, epoch="b"), reading(13, 50, "d", user="ann")) == [
        ("duplicate", "late"),
        ("stored", ""),
        ("stored", "after_final"),
    ]
    services.whole()
