"""Readings of counters through the real door, over both stores: what they add, whose it is, then faults."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from tests.conftest import NOW
from tests.ingest.conftest import Death, House, named

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


def told(house: House, *asked: dict[str, Any]) -> list[tuple[str, str]]:
    return [(one.status, one.code) for one in house.meter(*asked).receipts]


def one(house: House, asked: dict[str, Any]) -> ReadingReceipt:
    [receipt] = house.meter(asked).receipts
    return receipt


def used(house: House, account: str = "acme") -> int:
    found = house.store.sums([0, 2**47], Where(account=account))
    return found[0].bytes_up if found else 0


def known(house: House, source: str = "box") -> dict[str, KnownCounter]:
    """What the keys say of the counters of a source, but for when they were last seen."""
    found = house.keys.source(source)
    page = house.keys.counter_page(found.no, "", "", 10_000) if found else []
    return {one.counter: msgspec.structs.replace(one, source=0, seen_at=0) for one in page}


# -- what a reading adds ----------------------------------------------------------------------------------------------


def test_the_first_reading_counts_nothing_and_the_next_one_what_came_since(house: House) -> None:
    first = one(house, reading(500, 0, bytes_down=1_000, requests=0))
    assert (first.status, first.code, first.added, first.after) == (
        "stored",
        "baseline",
        Quantities(0, 0, 0),
        Quantities(500, 1_000, 0),
    )
    second = one(house, reading(700, 10, bytes_down=1_005, requests=2))
    assert (second.code, second.added, second.before) == ("", Quantities(200, 5, 2), Quantities(500, 1_000, 0))
    assert (second.id, used(house)) == ("c/2", 200)
    house.whole()


def test_use_is_dated_at_the_reading_and_grouped_as_it_says(house: House) -> None:
    house.meter(reading(0, 0), reading(7, 1800, user="ann", product="mobile", labels={"k": "v"}))
    by = ("user", "product", "source", "label:k")
    edges = [START, START + 1_800_000, START + 1_800_001]
    [_, row] = house.store.sums(edges, Where(account="acme"), by)
    assert (row.span, row.by[1:], row.bytes_up) == (1, ("mobile", "box", "v"), 7)


def test_several_readings_of_a_counter_in_a_request_are_in_order(house: House) -> None:
    assert told(house, reading(5, 0), reading(9, 10), reading(9, 20), reading(2, 30), reading(3, 40)) == [
        ("stored", "baseline"),
        ("stored", ""),
        ("duplicate", "no_change"),
        ("stored", "reset"),
        ("stored", ""),
    ]
    assert used(house) == 7


def test_counters_that_stand_still_leave_no_rows(house: House) -> None:
    many = [reading(5, 0, f"c{index}") for index in range(50)]
    house.meter(*many)
    rows = house.store.totals().rows
    for second in range(10, 60, 10):
        answer = house.meter(*({**one, "time": reading(0, second)["time"]} for one in many))
        assert (answer.stored, answer.duplicate) == (0, 50)
    assert house.store.totals().rows == rows
    assert {one.standing.time for one in known(house).values()} == {START + 50_000}
    house.whole()


def test_a_lost_answer_and_two_pollers_count_once(house: House) -> None:
    house.meter(reading(0, 0))
    assert told(house, reading(10, 10)) == [("stored", "")]
    assert told(house, reading(10, 10)) == [("duplicate", "no_change")]  # sent again
    assert told(house, reading(9, 9.5), reading(11, 10.5), reading(10, 10)) == [
        ("duplicate", "late"),
        ("stored", ""),
        ("duplicate", "late"),
    ]
    assert used(house) == 11


def test_many_sending_at_once_are_one_block_and_none_counts_twice(house: House) -> None:
    house.meter(reading(0, 0))
    block = house.keys.committed().block

    async def ask() -> list[Any]:
        door = house.door
        sends = [
            door.meter(msgspec.json.encode(reading(up, up)), "application/json", None, house.credential)
            for up in range(1, 41)
        ]
        return await asyncio.wait_for(asyncio.gather(*sends), 60)

    answers = asyncio.run(ask())
    assert sum(one.stored for one in answers) + sum(one.duplicate for one in answers) == 40
    assert used(house) == 40
    assert house.keys.committed().block - block < 20
    house.whole()


def test_closing_by_name_closes_what_is_open_and_begins_so(house: House) -> None:
    house.meter(reading(1, 0, "nas/1"), reading(1, 0, "nas/2"), reading(1, 0, "nas2/1"), reading(1, 50, "nas/3"))
    house.meter(reading(2, 10, "nas/2", final=True))
    closing = {"source": "box", "closes": "nas/", "time": reading(0, 30)["time"]}
    assert one(house, closing) == ReadingReceipt(0, "box", "nas/", "stored", "missing_stop", closed=1)
    assert {name: one.standing.end for name, one in known(house).items()} == {
        "nas/1": "missing_stop",
        "nas/2": "final",
        "nas/3": "",  # it was read after that: whoever closes did not know of it
        "nas2/1": "",
    }
    assert one(house, closing).closed == 0
    assert told(house, reading(4, 60, "nas/1")) == [("stored", "reopened")]
    assert used(house) == 4


def test_closing_sees_what_the_request_did_before(house: House) -> None:
    closing = {"source": "box", "closes": "", "time": reading(0, 30)["time"]}
    codes = told(house, reading(1, 0, "a"), reading(1, 0, "b", user="new"), closing, closing, reading(3, 40, "a"))
    assert codes[2:] == [("stored", "missing_stop"), ("duplicate", "no_change"), ("stored", "reopened")]
    house.whole()


# -- what may not be --------------------------------------------------------------------------------------------------


def test_what_is_refused_does_not_move_the_counter_so_the_next_reading_has_it(house: House) -> None:
    house.meter(reading(0, 0))
    assert told(house, reading(5, 10, account="nobody")) == [("refused", "unknown_account")]
    with house.ledger.begin() as tx:
        accounts.change_account(tx, "beta", status="closed", now=1)
    assert told(house, reading(5, 10, account="beta")) == [("refused", "account_closed")]
    assert told(house, reading(5, 7200)) == [("refused", "time_in_future")]
    assert told(house, reading(5, 20)) == [("stored", "")]
    assert used(house) == 5


def test_where_users_are_not_made_an_unknown_one_is_refused(house: House) -> None:
    house.open(create_unknown_users=False)
    with house.ledger.begin() as tx:
        users.ensure_users(tx, [("acme", "ann")], NOW)
    assert told(house, reading(0, 0, user="bob"), reading(0, 0, user="ann")) == [
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
def test_what_is_no_reading_is_refused_alone(light: House, wrong: dict[str, Any]) -> None:
    assert told(light, reading(1, 0, "first"), reading(1, 0) | wrong, reading(1, 0, "last")) == [
        ("stored", "baseline"),
        ("refused", "invalid_reading"),
        ("stored", "baseline"),
    ]


def test_times_that_cannot_be_are_refused(light: House) -> None:
    assert told(light, reading(1) | {"time": "yesterday"}, reading(1) | {"time": "1969-12-31T23:59:59Z"}) == [
        ("refused", "bad_time"),
        ("refused", "bad_time"),
    ]


def test_a_source_takes_events_or_readings_never_both(house: House) -> None:
    house.meter(reading(1))
    with pytest.raises(SourceKindMismatch, match="for readings of counters; these are named events"):
        house.send(*named("e1", source="box"))
    house.send(*named("e1"))
    with pytest.raises(SourceKindMismatch, match="'gw' is named; these are readings"):
        house.meter(reading(1) | {"source": "gw"})


def test_a_source_of_counters_is_its_senders(house: House) -> None:
    with house.ledger.begin() as tx:
        mine, other = (credentials.issue(tx, "ingest", None, name, NOW)[0] for name in ("mine", "other"))
    house.meter(reading(1), credential=mine)
    with pytest.raises(SourceNotYours):
        house.meter(reading(2, 10), credential=other)


def test_a_credential_of_an_account_learns_nothing_of_anothers_counter(house: House) -> None:
    with house.ledger.begin() as tx:
        beta = credentials.issue(tx, "ingest", "beta", "beta", NOW)[0]
    house.meter(reading(1, 0, "b", account="beta"), credential=beta)
    house.meter(reading(10, 0, "a"))  # an administrator, into the same source
    assert one(house, reading(11, 10, "a")).added == Quantities(1, 0, 0)

    def asked(*readings: dict[str, Any]) -> list[ReadingReceipt]:
        return house.meter(*readings, credential=beta).receipts

    [theirs, mine] = asked(reading(12, 20, "a"), reading(12, 20, "a", account="beta"))
    assert (theirs.code, mine.code) == ("not_your_account", "not_your_account")
    assert (mine.before, mine.after) == (None, None)
    [closing] = asked({"source": "box", "closes": "", "time": reading(0, 30)["time"]})
    assert closing.closed == 1
    assert known(house)["a"].standing.end == ""


def test_counters_of_a_source_and_of_an_account_are_bounded(house: House) -> None:
    house.open(max_counters_per_source=3, max_counters_per_account=4)
    many = [reading(1, 0, f"c{index}") for index in range(5)]
    assert [code for _, code in told(house, *many)] == ["baseline"] * 3 + ["too_many_counters"] * 2
    others = [one | {"source": "two"} for one in many]
    assert [code for _, code in told(house, *others)] == ["baseline"] + ["too_many_counters"] * 4
    assert [status for status, _ in told(house, *(one | {"time": reading(0, 9)["time"]} for one in many))] == [
        *["duplicate"] * 3,
        *["refused"] * 2,
    ]
    house.close()
    house.open(max_counters_per_source=3, max_counters_per_account=4)
    assert told(house, reading(1, 0, "new")) == [("refused", "too_many_counters")]


def test_a_request_is_bounded(light: House) -> None:
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


def test_one_a_line_is_taken_too(light: House) -> None:
    body = b"\n".join(msgspec.json.encode(reading(1, 0, name)) for name in "ab")

    async def ask(kind: str) -> Any:
        return await light.door.meter(body, kind, None, light.credential)

    assert asyncio.run(ask("application/x-ndjson")).stored == 2
    with pytest.raises(UnsupportedMedia):
        asyncio.run(ask("application/cloudevents+json"))


# -- whose it is ------------------------------------------------------------------------------------------------------


def test_a_counter_that_is_anothers_now_counts_for_that_one_and_says_so(house: House) -> None:
    house.meter(reading(0, 0, user="ann"), reading(5, 10, user="ann"))
    assert told(house, reading(9, 20, user="bob")) == [("stored", "moved")]
    assert told(house, reading(9, 30, user="cid")) == [("duplicate", "no_change")]
    assert told(house, reading(10, 40, account="beta")) == [("stored", "moved")]
    assert (used(house), used(house, "beta")) == (9, 1)


def test_a_new_user_of_many_readings_is_one_user(house: House) -> None:
    codes = told(house, reading(0, 0, user="ann"), reading(5, 10, user="ann"), reading(9, 20, user="ann"))
    assert codes == [("stored", "baseline"), ("stored", ""), ("stored", "")]
    [row] = house.store.sums([0, 2**47], Where(account="acme"), ("user",))
    assert (known(house)["c"].standing.user, row.bytes_up) == (row.by[0], 9)


def test_what_is_closed_of_an_erased_user_bears_no_text(house: House) -> None:
    house.meter(reading(0, 0, user="ann"))
    with house.ledger.begin() as tx:
        erasures.erase_user(tx, "acme", "ann", now=house.clock())
    house.door.forget_names("acme")
    house.meter({"source": "box", "closes": "", "time": reading(0, 30)["time"]})
    rows = house.store.read_rows(0, 2**47, Where(account="acme"), limit=9).to_pylist()
    assert [row["reason"] for row in rows] == ["baseline", ""]


# -- looked up and put right ------------------------------------------------------------------------------------------


def test_a_reading_is_looked_up_by_its_row_and_can_be_corrected(house: House) -> None:
    house.meter(reading(500, 0), reading(40, 10))
    found = house.door.event("box", "c/2", house.credential)
    assert (found.bytes_up, found.reason, found.sequence) == (40, "reset", None)
    house.correct({"id": "v1", "corrects": {"source": "box", "id": "c/2"}, "void": True})
    assert used(house) == 0
    assert told(house, reading(50, 20)) == [("stored", "")]
    assert used(house) == 10


def listed(house: House, prefix: str = "", who: Any = None, limit: int = 100) -> list[Any]:
    found: list[Any] = []
    cursor: str | None = None
    while True:
        page = house.door.counters("box", prefix, who or house.credential, cursor, limit)
        found += page.items
        if (cursor := page.next) is None:
            return found


def test_counters_are_listed_as_they_stand_to_whom_they_concern(house: House) -> None:
    with house.ledger.begin() as tx:
        mine, other, beta = (
            credentials.issue(tx, "ingest", account, name, NOW)[0]
            for account, name in ((None, "mine"), (None, "other"), ("beta", "beta"))
        )
    house.meter(reading(5, 0, "a/1", user="ann"), reading(5, 0, "a/2"), reading(5, 0, "b"), credential=mine)
    house.meter(reading(2, 10, "a/1", user="ann", interval_s=10), reading(7, 10, "b", final=True), credential=mine)
    [first, second, last] = listed(house, who=mine)
    assert (first.counter, first.user, first.bytes_up, first.state, first.flag) == ("a/1", "ann", 2, "open", "reset")
    assert (first.flagged_at, first.rows, first.interval_s) == (first.time, 2, 10)
    assert (second.flag, second.flagged_at) == ("baseline", second.time)
    assert (last.state, last.bytes_up) == ("final", 7)
    assert listed(house, limit=1) == [first, second, last]
    assert listed(house, "a/", limit=1) == [first, second]
    assert listed(house, "zz") == []
    with pytest.raises(NotFound):
        listed(house, who=other)
    with pytest.raises(NotFound):
        listed(house, who=beta)
    house.door.hand_over("box", beta.sender or "")
    assert listed(house, who=beta) == []
    house.meter(reading(5, 20, "of beta", account="beta"), credential=beta)
    assert [one.counter for one in listed(house, who=beta)] == ["of beta"]


def test_changes_count_the_flags_of_each_commit(house: House) -> None:
    house.meter(reading(5, 0, "a"), reading(5, 0, "b"))
    house.meter(reading(2, 10, "a"), reading(6, 10, "b"), reading(8, 20, "b", final=True), reading(9, 30, "b"))
    assert [one.flags for one in house.store.moves(1, 0, 9)] == [{"baseline": 2}, {"reset": 1, "after_final": 1}]


# -- faults -----------------------------------------------------------------------------------------------------------


@dies
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_death_between_insert_and_commit_is_settled_from_the_rows(house: House, where: str) -> None:
    house.meter(reading(0, 0), reading(4, 0, "d"))
    before = known(house)
    again = [reading(10, 10), reading(12, 20), reading(3, 60), reading(9, 10, "d", final=True), reading(1, 10, "e")]
    getattr(house.store, where).append(Death())
    house.die_metering(*again)
    house.open()
    house.whole()
    if where == "before":
        assert known(house) == before
    first = {name: one.standing for name, one in known(house).items()}
    house.meter(*again)
    after = {name: one.standing for name, one in known(house).items()}
    assert used(house) == 12 + 3 + 5
    assert where == "before" or first == after
    house.whole()


@pytest.mark.parametrize("where", ["before", "after"])
def test_a_failing_engine_is_settled_and_the_same_readings_count_once(house: House, where: str) -> None:
    house.meter(reading(0, 0))
    getattr(house.store, where).append(OSError("the engine does not answer"))
    if where == "before":
        with pytest.raises(Exception, match="try again"):
            house.meter(reading(10, 10))
    else:
        house.meter(reading(10, 10))
    house.meter(reading(10, 10), reading(11, 20))
    assert used(house) == 11
    house.whole()


def test_keys_made_anew_from_the_rows_know_the_counters(house: House) -> None:
    house.send(*named("e1", "e2"))
    house.meter(reading(100, 0, epoch="a"), reading(150, 10, epoch="a"), reading(9, 0, "d", user="ann", interval_s=10))
    house.meter(reading(7, 30, epoch="b"), reading(12, 20, "d", user="ann", final=True))
    house.meter(reading(155, 20, epoch="a"))
    before = known(house)
    house.close()
    for path in house.data.glob("**/keys.db*"):
        path.unlink()
    house.open(rebuild_keys=True)
    assert known(house) == before
    assert house.keys.source("box").kind == "counters"
    assert house.keys.source("gw").kind == "named"
    assert told(house, reading(155, 20, epoch="a"), reading(9, 40, epoch="b"), reading(13, 50, "d", user="ann")) == [
        ("duplicate", "late"),
        ("stored", ""),
        ("stored", "after_final"),
    ]
    house.whole()
