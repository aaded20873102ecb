"""Reconciliations over the memory store and a real ledger: what is asked, of which spans, and what is said."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from tests.conftest import NOW
from tests.core.reconciling.planting import START, World, each
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.usage.blocks import block
from tests.usage.ways import opened_in_a_way

from flowtally.answers import reconciled
from flowtally.answers.claim_sheet import claim_csv, claim_text
from flowtally.answers.kept_reconciliations import read_answer
from flowtally.answers.moment import latest
from flowtally.answers.reconciled import show_reconciliation
from flowtally.answers.reconciliation import ReconciliationQuestion, compare
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, NotFound, UnknownAccount
from flowtally.core.reconciling.calendars import VendorCalendar
from flowtally.core.reconciling.cut import QUARTER_MS
from flowtally.core.reconciling.facts import Tolerances
from flowtally.core.reconciling.names import NameRule
from flowtally.core.reconciling.rules import NamePair, ReconciliationRules, write_rules
from flowtally.core.reported import Grain
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.core.words import Unit
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, users
from flowtally.ledger.providers import connected, stretches
from flowtally.ledger.providers.stretches import Stretch
from flowtally.protocol import ReconciliationAnswer
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import Commit

ASKED = parse_instant("2026-03-14T06:00:00Z")


class Scene:
    """An account with a provider: what is measured, what is told, and the question."""

    def __init__(self, ledger: Ledger, usage: MemoryStore) -> None:
        self.ledger, self.usage = ledger, usage
        self.questions: list[tuple[str, int]] = []  # series and spans of each sum
        ask = usage.sums

        def sums(edges: Sequence[int], where: Any, by: Sequence[str] = (), **more: Any) -> Any:
            self.questions.append((where.series, len(edges) - 1))
            return ask(edges, where, by, **more)

        usage.sums = sums  # type: ignore[method-assign]
        with ledger.begin() as tx:
            accounts.create_account(tx, "acme", now=0)
            connected.add_provider(tx, "acme", "thor", "thordata", secrets={}, settings={}, since=0, now=1)

    def measure(self, user: str, time: int, amount: int, **row: Any) -> None:
        with self.ledger.begin() as tx:
            user_id = users.ensure_users(tx, [("acme", user)], 0)["acme", user]
        self._add({"user": user_id, "time": time, "bytes_up": amount // 3, "bytes_down": amount - amount // 3, **row})

    def measure_world(self, world: World) -> None:
        with self.ledger.begin() as tx:
            ids = users.ensure_users(tx, [("acme", name) for name in world.names], 0)
        for name, quarters in world.quarters.items():
            for number, amount in enumerate(quarters):
                at = START - DAY_MS + number * QUARTER_MS
                self._add({"user": ids["acme", name], "time": at, "bytes_down": amount})

    def bill(self, user: str, time: int, amount: int, **row: Any) -> None:
        self._add({"series": "thor", "user": user, "time": time, "bytes_down": amount, **row})

    def bill_days(self, bill: Mapping[str, Sequence[int]], start: int = START) -> None:
        for user, days in bill.items():
            for day, amount in enumerate(days):
                self.bill(user, start + day * DAY_MS, amount)

    def tell(
        self, start: int, end: int, *, zone: str = "UTC", grain: Grain = "day", at: int = ASKED, step: int = 1
    ) -> None:
        with self.ledger.begin() as tx:
            provider = connected.read_provider(tx, "thor")
            stretches.put_stretch(tx, provider, Stretch(start, end, grain, zone, step, at))

    def rule(self, **rules: Any) -> None:
        with self.ledger.begin() as tx:
            connected.change_provider(tx, "thor", now=2, rules=write_rules(ReconciliationRules(**rules)))

    def ask(
        self,
        provider: str = "thor",
        account: str = "acme",
        quantity: Unit = "bytes",
        most: int = reconciled.MAX_DISPUTED,
        **question: Any,
    ) -> ReconciliationAnswer:
        self.questions.clear()
        asked = ReconciliationQuestion(account, provider, quantity, **question)
        with self.ledger.read() as tx:
            return show_reconciliation(compare(tx, self.usage, asked, latest(self.usage, NOW)), most)

    def _add(self, row: dict[str, Any]) -> None:
        usual = {"series": "metered", "account": "acme", "product": "residential", "source": "gw", "status": 0}
        counts = {"bytes_up": 0, "bytes_down": 0, "requests": 1, "block": 1, "received_at": 1, "labels": {}}
        self.usage.rows.append({**usual, **counts, **row})


@pytest.fixture
def scene(app_ledger: Ledger, usage: MemoryStore) -> Scene:
    return Scene(app_ledger, usage)


@pytest.fixture
def world() -> World:
    return World(7, 12, 3)


def days(count: int) -> int:
    return START + count * DAY_MS


def test_a_bill_that_matches_takes_a_question_for_each_side_and_no_more(scene: Scene, world: World) -> None:
    scene.measure_world(world)
    scene.bill_days(world.bill())
    scene.tell(START, days(9))
    answer = scene.ask()
    assert (answer.match, answer.total.difference, len(answer.spans), len(answer.users)) == ("matches", 0, 9, 3)
    assert scene.questions == [("thor", 9), ("metered", 9)]
    assert (answer.start, answer.end, answer.zone) == ("2026-03-01T00:00:00Z", "2026-03-10T00:00:00Z", "UTC")
    assert (answer.cut, answer.disputed, answer.oddities) == (None, [], [])


@pytest.mark.parametrize("offset", ["+05:30", "+05:45", "-03:30", "+12:45", "+08:00"])
def test_the_calendar_of_a_long_range_is_found_to_the_quarter_hour(scene: Scene, offset: str) -> None:
    """By whole hours +06:00 would leave less than a quarter of what UTC leaves of a vendor in India, and be wrong."""
    away = VendorCalendar(offset).bound("1970-01-01")
    world = World(7, 72, 1)
    scene.measure_world(world)
    bill = world.bill(offset=-away, share_ppm=50_000)
    scene.bill_days(each(bill, lambda amount: amount + 1))
    scene.tell(START, days(72), at=days(80))
    answer = scene.ask(start="2026-03-01")
    assert (len(answer.spans), answer.cut and answer.cut.outcome, answer.match) == (72, "claimed", "matches")
    assert answer.cut is not None
    assert answer.cut.best is not None
    assert answer.cut.best.offset == offset
    assert [one.match for one in answer.spans] == ["matches"] * 72


def test_another_calendar_takes_one_question_by_quarter_hours_and_one_by_its_days(scene: Scene, world: World) -> None:
    scene.measure_world(world)
    scene.bill_days(world.bill(offset=8 * HOUR_MS, share_ppm=50_000))
    scene.tell(START, days(11))
    answer = scene.ask()
    assert scene.questions[:4] == [("thor", 11), ("metered", 11), ("metered", 13 * 96), ("metered", 11)]
    assert answer.match == "matches"
    assert answer.cut is not None
    assert answer.cut.best is not None
    assert (answer.cut.outcome, answer.cut.best.offset) == ("claimed", "+08:00")
    assert (answer.overhead.outcome, answer.overhead.middle) == ("claimed", 49_999)
    assert answer.total.unexplained == 0
    assert answer.total.cut != 0


def test_days_are_those_of_the_vendors_zone_and_dates_are_of_it(scene: Scene) -> None:
    """Midnight at +08:00 is 16:00 the day before."""
    eastern = START - 8 * HOUR_MS
    for at in (eastern - 1, eastern, eastern + DAY_MS - 1, eastern + DAY_MS):
        scene.measure("ann", at, 10)
    scene.bill("ann", eastern, 20)
    scene.tell(eastern, eastern + DAY_MS, zone="+08:00")
    answer = scene.ask(start="2026-03-01", end="2026-03-02")
    assert [(span.start, span.end) for span in answer.spans] == [
        ("2026-03-01T00:00:00+08:00", "2026-03-02T00:00:00+08:00")
    ]
    assert (answer.total.measured, answer.total.billed, answer.match) == (20, 20, "matches")


def test_what_the_vendor_was_not_asked_about_is_not_taken_for_nothing(scene: Scene) -> None:
    for day in range(4):
        scene.measure("ann", days(day), 10)
    scene.bill_days({"ann": [10, 0, 10, 10]})
    scene.tell(START, days(1))
    scene.tell(days(2), days(4), at=ASKED + 1)
    answer = scene.ask(start="2026-03-01", end="2026-03-05")
    assert [span.told for span in answer.spans] == [True, False, True, True]
    assert [span.asked_at for span in answer.spans][:3] == ["2026-03-14T06:00:00Z", None, "2026-03-14T06:00:00.001Z"]
    assert (answer.total.measured, answer.match) == (30, "matches")


def test_hours_that_were_told_are_added_up_to_days_and_round_more(scene: Scene) -> None:
    for hour in range(24):
        scene.measure("ann", START + hour * HOUR_MS, 15)
        scene.bill("ann", START + hour * HOUR_MS, 10)
    scene.tell(START, days(1), grain="hour", step=10)
    answer = scene.ask()
    assert (answer.total.rounding, answer.total.rounding_bound, answer.match) == (-120, 240, "matches")


def test_names_are_mapped_by_the_rules_of_the_provider_and_products_are_its_own(scene: Scene) -> None:
    scene.rule(
        products=["residential"],
        names=[NamePair(billed="sub7", measured="bob")],
        rewriting=[NameRule("billed", "prefix", "customer-")],
    )
    for user in ("ann", "bob", "eve"):
        scene.measure(user, START, 10)
        scene.measure(user, START, 99, product="mobile")
    for user in ("customer-ann", "sub7", "zoe"):
        scene.bill(user, START, 10)
    scene.tell(START, days(1))
    answer = scene.ask()
    named = {one.user: (one.measured_users, one.billed_users) for one in answer.users}
    assert named == {
        "ann": (["ann"], ["customer-ann"]),
        "bob": (["bob"], ["sub7"]),
        "eve": (["eve"], []),
        "zoe": ([], ["zoe"]),
    }
    assert (answer.total.only_billed, answer.total.only_measured, answer.match) == (10, -10, "beyond")
    assert (answer.total.left_over, [span.match for span in answer.spans]) == (20, ["beyond"])
    assert [(one.user, one.sides.difference) for one in answer.disputed] == [("eve", -10), ("zoe", 10)]
    assert re.search("^left over, too much and too little added up +20 B$", claim_text(answer), re.MULTILINE)


def test_two_users_of_one_name_are_told_apart_on_the_claim_sheet(scene: Scene) -> None:
    """Our bob is their sub7, and nobody knows whom they call bob."""
    scene.rule(names=[NamePair(billed="sub7", measured="bob")])
    scene.measure("bob", START, 10)
    scene.measure("amy", START, 5)
    scene.bill("sub7", START, 30)
    scene.bill("bob", START, 70)
    scene.tell(START, days(1))
    answer = scene.ask()
    assert [(one.user, one.measured_users, one.billed_users) for one in answer.disputed] == [
        ("amy", ["amy"], []),
        ("bob", [], ["bob"]),
        ("bob", ["bob"], ["sub7"]),
    ]
    rows = csv.DictReader(claim_csv(answer).decode().splitlines())
    assert [(row["scope"], row["user"], row["vendor_user"], row["measured"], row["billed"]) for row in rows] == [
        ("span", "", "", "15", "100"),
        ("user", "amy", "", "5", "0"),
        ("user", "bob", "bob", "0", "70"),
        ("user", "bob", "sub7", "10", "30"),
    ]


def test_what_the_vendor_bills_of_a_product_that_did_not_go_through_it_is_disputed(scene: Scene) -> None:
    """The rule says which use of ours is its. A bill is never cut: what it has too much would go with it."""
    scene.rule(products=["residential"])
    scene.measure("ann", START, 10)
    scene.measure("ann", START, 99, product="mobile")
    scene.bill("ann", START, 10, product="vendor's own word")
    scene.bill("ann", START, 70, product="mobile")
    scene.tell(START, days(1))
    answer = scene.ask()
    assert (answer.total.measured, answer.total.billed, answer.total.unexplained) == (10, 80, 70)
    assert answer.match == "beyond"


def test_the_last_days_may_be_late_and_are_not_disputed(scene: Scene) -> None:
    """Ten came in after the vendor was asked; a figure that grew by five an hour before may go on. Older days may not,
    and what is told for the first time has not grown."""
    after = ASKED + HOUR_MS
    for day in (0, 12):
        scene.measure("ann", days(day), 100, received_at=1)
        scene.measure("ann", days(day), 10, received_at=after, block=9)
        scene.bill("ann", days(day), 85, received_at=1)
        scene.bill("ann", days(day), 5, received_at=ASKED - HOUR_MS, block=5, kind="correction")
        scene.bill("ann", days(day), 0, received_at=ASKED - HOUR_MS, block=5)
    scene.usage.rows.append(scene.usage.rows[0] | {"received_at": ASKED, "block": 6, "bytes_up": 0, "bytes_down": 0})
    scene.tell(START, days(13))
    answer = scene.ask(start="2026-03-01")
    first, last = answer.spans[0], answer.spans[-1]
    assert (first.settled, first.sides.late, first.sides.unexplained) == (True, 0, -20)
    assert (last.settled, last.sides.late, last.sides.unexplained) == (False, -15, -5)
    assert [one.start for one in answer.disputed] == ["2026-03-01T00:00:00Z"]


def test_a_day_that_was_told_while_it_went_on_and_never_again_may_move_for_ever(scene: Scene) -> None:
    """Nobody could ask for twelve days, and the vendor keeps less. What came in here since is late, not owed."""
    came = {1: days(1) + 2 * HOUR_MS, 2: days(1) + 12 * HOUR_MS, 3: days(19)}
    for day in range(16):
        early, late = (1, 1 if day == 0 else 2) if day < 2 else (3, 3)
        scene.measure("ann", days(day) + HOUR_MS, 10, block=early, received_at=came[early])
        scene.measure("ann", days(day) + 9 * HOUR_MS, 1000, block=late, received_at=came[late])
        scene.bill("ann", days(day), {0: 900, 1: 10, 2: 0}.get(day, 1010), block=early, received_at=came[early])
    scene.tell(START, days(2), at=days(1) + 6 * HOUR_MS)
    scene.tell(days(3), days(16), at=days(20))
    answer = scene.ask(start="2026-03-01", asked_again_days=2)
    assert [(one.told, one.settled, one.match) for one in answer.spans[:4]] == [
        (True, False, "beyond"),  # its figure was asked for 6 hours after its end
        (True, False, "matches"),
        (False, True, "matches"),
        (True, True, "matches"),
    ]
    assert [(one.sides.late, one.sides.unexplained) for one in answer.spans[:2]] == [(0, -110), (-1000, 0)]
    assert answer.disputed == []
    assert "2 spans that may still move: nothing is claimed of it" in claim_text(answer)
    assert [one.settled for one in scene.ask(start="2026-03-01").spans[:2]] == [True, False]


def test_a_correction_of_a_day_that_may_still_move_is_no_correction_of_the_others(scene: Scene) -> None:
    for day in range(3):
        scene.measure("ann", days(day), 100)
        scene.measure("ann", days(day), -30, kind="correction", received_at=500, block=5)
        scene.bill("ann", days(day), 100)
    scene.tell(START, days(1))
    scene.tell(days(1), days(2), at=days(2) - 1)
    scene.tell(days(2), days(3))
    answer = scene.ask(corrected_since="1970-01-01T00:00:00.400Z")
    assert [(one.settled, one.sides.corrected) for one in answer.spans] == [(True, 30), (False, 0), (True, 30)]


def test_corrections_count_from_the_instant_that_is_asked_for(scene: Scene) -> None:
    scene.measure("ann", START, 100)
    scene.measure("ann", START, -30, kind="correction", received_at=500, block=5)
    scene.measure("bob", START, 40, received_at=500, block=5)  # late, and no correction
    scene.bill("ann", START, 100)
    scene.bill("bob", START, 45, received_at=500, block=5)
    scene.bill("bob", START, -5, received_at=500, block=5, kind="correction")
    scene.tell(START, days(1))
    assert scene.ask().total.unexplained == 30
    answer = scene.ask(corrected_since="1970-01-01T00:00:00.400Z")
    assert (answer.total.corrected, answer.total.unexplained, answer.match) == (30, 0, "matches")
    assert answer.corrected_since == "1970-01-01T00:00:00.400Z"
    assert scene.ask(corrected_since="1970-01-01T00:00:00.500Z").total.corrected == 0


def test_a_vendor_that_tells_no_days_is_compared_from_look_to_look(scene: Scene) -> None:
    for hour in range(0, 72, 6):
        scene.measure(f"u{hour % 4}", START + hour * HOUR_MS, 10)
        scene.bill("", START + hour * HOUR_MS, 10)
        scene.tell(START + hour * HOUR_MS, START + (hour + 6) * HOUR_MS, grain="pull", at=START + (hour + 6) * HOUR_MS)
    answer = scene.ask()
    assert (answer.grain, len(answer.spans), answer.match) == ("pull", 3, "matches")
    assert [one.billed_users for one in answer.users] == [[""]]


def test_requests_are_compared_with_requests_and_bytes_with_bytes_whatever_was_told(scene: Scene) -> None:
    scene.measure("ann", START, 5000, requests=7)
    scene.measure("ann", days(1), 0, requests=5)
    scene.bill("ann", START, 0, requests=8)
    scene.tell(START, days(2))
    answer = scene.ask(quantity="requests")
    assert (answer.quantity, answer.total.measured, answer.total.billed) == ("requests", 12, 8)
    nothing = scene.ask(quantity="requests", start="2026-03-02")
    assert (nothing.total.measured, nothing.total.billed, nothing.match) == (5, 0, "beyond")
    assert scene.ask(quantity="bytes").total.measured == 5000


def test_a_question_about_nothing_says_so(scene: Scene) -> None:
    with pytest.raises(BadRange, match="told provider 'thor' of no usage yet"):
        scene.ask()
    scene.tell(START, days(3))
    with pytest.raises(BadRange, match="told nothing of the time from 2026-02-01T00:00:00Z"):
        scene.ask(start="2026-02-01", end="2026-02-05")
    with pytest.raises(BadRange, match="No whole day"):
        scene.ask(start="2026-03-01T01:00:00Z", end="2026-03-01T23:00:00Z")
    with pytest.raises(BadRange, match="empty"):
        scene.ask(start="2026-03-02", end="2026-03-02")
    with pytest.raises(BadRange, match="at most 800"):
        scene.ask(start="1990-01-01", end="2026-03-02")
    with pytest.raises(NotFound):
        scene.ask("nobody")
    with pytest.raises(UnknownAccount):
        scene.ask(account="nobody")


def test_the_claim_sheet_says_what_is_beyond_tolerance_and_how_it_was_obtained(scene: Scene, world: World) -> None:
    scene.rule(tolerances=Tolerances(span_per_mille=20, whole_per_mille=1))
    bill = world.bill(share_ppm=50_000, step=1024)
    bill["u1"][4] = 0
    scene.measure_world(world)
    scene.bill_days({**bill, "=strange": [5 * 1024] * 12})
    scene.tell(START, days(11), step=1024)
    answer = scene.ask()
    [lost] = [one for one in answer.disputed if one.user == "u1"]
    assert lost.start == "2026-03-05T00:00:00Z"
    rows = claim_csv(answer).decode().splitlines()
    assert rows[0].startswith("start,end,user,vendor_user,measured,billed,difference,cut,overhead,corrected")
    assert len(rows) == 1 + len(answer.disputed) + sum(one.match == "beyond" for one in answer.spans if one.settled)
    assert any(
        row.startswith("2026-03-01T00:00:00Z,2026-03-02T00:00:00Z,'=strange,'=strange,0,5120,5120") for row in rows
    )
    page = claim_text(answer)
    assert "CLAIM SHEET: account acme at thordata (provider thor)" in page
    assert "As a whole, the bill does not match" in page
    assert "asked from 2026-03-14T06:00:00Z to 2026-03-14T06:00:00Z" in page
    assert "in steps of 1.024 kB" in page
    assert "overhead: 5.00 %" in page
    assert "1 span that may still move" in page
    assert "2026-03-05  user u1: not billed at all" in page
    assert max(map(len, page.splitlines())) < 160


def test_a_bill_without_claims_has_a_sheet_that_says_so(scene: Scene) -> None:
    scene.measure("ann", START, 10)
    scene.bill("ann", START, 10)
    scene.tell(START, days(1))
    page = claim_text(scene.ask())
    assert "As a whole, the bill matches.\n" in page
    assert page.endswith(
        "\nNeither all users together nor a single one are beyond the tolerance on any day that stands still.\n"
    )
    assert claim_csv(scene.ask()).decode().count("\n") == 1


def test_what_was_kept_before_it_was_told_how_much_is_left_over_still_opens(scene: Scene) -> None:
    scene.measure("ann", START, 10)
    scene.bill("zoe", START, 30)
    scene.tell(START, days(1))
    answer = scene.ask()
    kept = msgspec.to_builtins(answer)
    for one in (kept["total"], *(cell["sides"] for of in ("spans", "users", "disputed") for cell in kept[of])):
        del one["left_over"]
    for cell in kept["disputed"]:
        del cell["measured_users"], cell["billed_users"]
    read = read_answer(json.dumps(kept))
    assert (answer.total.left_over, read.total.left_over) == (40, 20)  # the least that it can have been
    assert read.users == answer.users
    assert [(one.measured_users, one.billed_users) for one in read.disputed] == [(["ann"], []), ([], ["zoe"])]


def test_each_of_the_shown_differences_is_the_sum_of_its_parts(scene: Scene, world: World) -> None:
    scene.measure_world(world)
    scene.bill_days(each(world.bill(offset=HOUR_MS), lambda amount: amount * 103 // 100 // 1000 * 1000))
    scene.tell(START, days(12), step=1000)
    answer = scene.ask()
    shown = [answer.total, *(one.sides for one in answer.spans), *(one.sides for one in answer.users)]
    for sides in (*shown, *(one.sides for one in answer.disputed)):
        explained = sides.cut + sides.overhead + sides.corrected + sides.late + sides.rounding
        assert sides.difference == explained + sides.only_billed + sides.only_measured + sides.unexplained
        assert sides.difference == sides.billed - sides.measured


def test_the_engine_is_asked_what_the_memory_is_asked(scene: Scene, world: World, database_url: str) -> None:  # noqa: F811
    """Another calendar, overhead, a stranger, late use and a correction since; half of the rows in the tail."""
    scene.measure_world(world)
    scene.bill_days({**world.bill(offset=-2 * HOUR_MS, share_ppm=30_000), "strange": [9] * 12})
    scene.measure("u0", START + 5 * HOUR_MS, -50, kind="correction", block=3)
    scene.measure("u0", days(11), 70, block=3)
    scene.tell(START, days(12))
    question: dict[str, Any] = {"start": "2026-03-01", "corrected_since": "1970-01-01T00:00:02Z"}
    for row in scene.usage.rows:
        row["received_at"] = row["block"] * 1000
    scene.usage.rows[-1]["received_at"] = ASKED + 1
    scene.usage.rows[-1]["block"] = 4
    answer = scene.ask(**question)
    with opened_in_a_way("half", database_url) as engine:
        for number in (1, 3, 4):
            rows = [row for row in scene.usage.rows if row["block"] == number]
            bare = [{name: row[name] for name in row if name not in ("block", "received_at")} for row in rows]
            engine.append(block(number, *bare, received_at=rows[0]["received_at"]))
            engine.publish(Commit(number, rows[0]["received_at"]))
        scene.usage = engine  # type: ignore[assignment]
        told = scene.ask(**question)
    assert answer.cut is not None
    assert answer.cut.outcome == "claimed"
    assert answer.total.only_billed == 108
    assert (answer.total.corrected, answer.total.late) == (50, -70)
    assert told == answer


def test_a_day_beyond_tolerance_is_claimed_also_where_no_user_is(scene: Scene) -> None:
    """Three users of whom each may be 1,000 off, as all of them together may, and each is 900."""
    scene.rule(tolerances=Tolerances(span_amount=1000, whole_amount=1000))
    for user in ("ann", "bob", "eve"):
        scene.measure(user, days(1), 1000)
        scene.bill(user, days(1), 1900)
    scene.tell(START, days(3))
    answer = scene.ask()
    assert answer.disputed == []
    [row] = csv.DictReader(claim_csv(answer).decode().splitlines())
    assert (row["start"], row["scope"], row["user"], row["measured"], row["billed"], row["unexplained"]) == (
        *("2026-03-02T00:00:00Z", "span", "", "3000", "5700", "2700"),
    )
    assert (row["left_over"], row["asked_at"]) == ("2700", "2026-03-14T06:00:00Z")
    page = claim_text(answer)
    assert "\nBEYOND TOLERANCE, of all users in one span: 1\n" in page
    assert re.search(r"^2026-03-02  \(all\) +3.0 kB +5.7 kB +2.7 kB +2.7 kB +2026-03-14T06:00:00Z$", page, re.MULTILINE)
    assert page.endswith("\nNo single user is beyond the tolerance on any day that stands still.\n")


def test_of_very_many_disputed_days_of_users_the_largest_are_told_and_a_file_has_all_or_is_refused(
    scene: Scene,
) -> None:
    for day in range(4):
        scene.bill("eve", days(day), (5, 100, 7, 50)[day])
    scene.measure("ann", START, 1)
    scene.tell(START, days(4))
    answer = scene.ask(start="2026-03-01", most=2)
    assert [(one.start[:10], one.sides.billed) for one in answer.disputed if one.user == "eve"] == [
        ("2026-03-02", 100),
        ("2026-03-04", 50),
    ]
    assert answer.disputed_in_all == 5
    assert "BEYOND TOLERANCE, of one user in one span: 5; the 2 largest" in claim_text(answer)
    with pytest.raises(BadRange, match="5 days of a user are beyond tolerance; at most 2 are written"):
        claim_csv(answer)
    whole = claim_csv(scene.ask(start="2026-03-01", most=5)).decode().splitlines()
    assert [row["billed"] for row in csv.DictReader(whole) if row["user"] == "eve"] == ["5", "100", "7", "50"]
