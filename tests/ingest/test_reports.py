"""What a provider says, through the one writer: each key stands at what was said last, whatever dies in between."""

from __future__ import annotations

import asyncio
import random
import re
import sqlite3
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, Final

import pytest
from tests.conftest import NOW
from tests.ingest.conftest import TIME, Death, Services, named, numbered, run
from tests.ingest.said import Bookkeeper, a_statement, added_up, figure, said
from tests.soak import seeds

from flowtally.core.errors import Conflict, NotFound, SourceKindMismatch, SourceNotYours, Unavailable, UnknownAccount
from flowtally.core.reported import Unsayable, UseSaid
from flowtally.core.times import DAY_MS, END_OF_TIME
from flowtally.ingest.report_plan import ReportAnswer, id_of, source_of
from flowtally.ledger.people import accounts, credentials
from flowtally.usage.values import Move, Where

dies: Final = pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
STEPS: Final = 40
ACME: Final = ("acme", "thor")
WHOSE: Final = (ACME, ("acme", "fox"), ("beta", "thor2"))


def rows_of(services: Services, account: str = "acme", series: str = "thor") -> list[Any]:
    """All rows of a series, in order of commit."""
    found = services.store.read_rows(0, END_OF_TIME, Where(series, account), limit=100_000).to_pylist()
    return sorted((SimpleNamespace(**one) for one in found), key=lambda row: row.block)


def key(day: int = 0, user: str = "bob") -> str:
    return figure(day, user).key


# -- whatever is said, and whatever happens ---------------------------------------------------------------------------


class Player:
    """Providers that say anything, over an installation that fails at any moment."""

    def __init__(self, services: Services, seed: int) -> None:
        self.services, self.chance = services, random.Random(seed)
        self.keepers = {whose: Bookkeeper() for whose in WHOSE}
        self.events = 0

    def step(self) -> None:
        self.chance.choice([self.say, self.say, self.say, self.say_again, self.say_at_once, self.send, self.fault])()

    def say(self) -> None:
        whose, one = self.chance.choice(WHOSE), a_statement(self.chance)
        before = self.keepers[whose].changes
        self.keepers[whose].hear(one)
        told = self.services.report(one, *whose)
        assert told.new + told.changed + told.gone == self.keepers[whose].changes - before
        assert told.new + told.changed + told.same == len(one.figures)

    def say_again(self) -> None:
        whose, one = self.chance.choice(WHOSE), a_statement(self.chance)
        self.keepers[whose].hear(one)
        self.services.report(one, *whose)
        assert self.services.report(one, *whose) == ReportAnswer(same=len(one.figures))

    def say_at_once(self) -> None:
        """Two of a series: one of them comes first."""
        whose, some = self.chance.choice(WHOSE), [a_statement(self.chance) for _ in range(2)]
        run(self._both(whose, some))
        standing = added_up(rows_of(self.services, *whose))
        for first, second in (some, some[::-1]):
            keeper = self.keepers[whose].copy()
            keeper.hear(first)
            keeper.hear(second)
            if keeper.standing() == standing:
                self.keepers[whose] = keeper
                return
        raise AssertionError(f"neither came first: {some}")

    async def _both(self, whose: tuple[str, str], some: Sequence[UseSaid]) -> None:
        await asyncio.gather(*(self.services.door.report(*whose, one) for one in some))

    def send(self) -> None:
        self.events += 1
        assert self.services.statuses(*named(f"e{self.events}")) == ["stored"]

    def fault(self) -> None:
        kind = self.chance.choice(["before", "after", "keys", "restart", "crash", "death", "early death"])
        whose, one = self.chance.choice(WHOSE), a_statement(self.chance)
        keeper, journal = self.keepers[whose].copy(), self.services.journal
        keeper.hear(one)
        changes = keeper.changes > self.keepers[whose].changes
        if kind in ("restart", "crash"):
            self.services.close() if kind == "restart" else self.services.crash()
            self.services.open()
            return
        self.services.open() if self.services.ingest is None else None
        if not changes:
            self.services.report(one, *whose)
        elif kind == "before":
            journal.before.append(ConnectionError("no disk"))
            with pytest.raises(Unavailable):
                self.services.report(one, *whose)
            return
        elif kind == "after":
            journal.after.append(TimeoutError("no answer"))
            self.services.report(one, *whose)
        elif kind == "keys":
            self.services.fail_keys("COMMIT", sqlite3.OperationalError("disk I/O error"))
            self.services.report(one, *whose)
        else:  # between journal and keys, or before the journal has it: then it is as if nothing had been said
            (journal.after if kind == "death" else journal.before).append(Death())
            self.services.die_reporting(one, *whose)
            self.services.open()
            if kind == "early death":
                return
        self.keepers[whose] = keeper

    def compare(self) -> None:
        self.services.whole()
        for whose, keeper in self.keepers.items():
            rows = rows_of(self.services, *whose)
            assert added_up(rows) == keeper.standing()
            assert len(rows) == keeper.changes
            used = self.services.store.sums([0, END_OF_TIME], Where(whose[1], whose[0]))
            assert sum(one.bytes_down for one in used) == keeper.total("bytes")
        assert sum(one.requests for one in self.services.store.sums([0, END_OF_TIME], Where())) == self.events


def play(services: Services, seed: int, steps: int) -> None:
    player = Player(services, seed)
    for _ in range(steps):
        player.step()
    player.compare()


@pytest.mark.soak
@dies
@pytest.mark.parametrize("seed", seeds(6, 24))
def test_each_key_stands_at_what_was_said_last(light: Services, seed: int) -> None:
    play(light, seed, STEPS)


@pytest.mark.soak
@dies
@pytest.mark.parametrize("seed", seeds(1, 4, 100))
def test_and_so_it_does_over_the_engine(services: Services, seed: int) -> None:
    """With its rows in each of the ways they may lie."""
    play(services, seed, STEPS // 2)


# -- what it is among everything else ---------------------------------------------------------------------------------


def test_a_statement_is_a_block_of_its_own_and_one_that_changes_nothing_is_none(light: Services) -> None:
    assert light.report(said(figure(1, "bob", 7), figure(2, "eve", 5))) == ReportAnswer(new=2)
    assert light.report(said(figure(1, "bob", 7), figure(2, "eve", 5))) == ReportAnswer(same=2)
    assert light.report(said(figure(1, "bob", 8))) == ReportAnswer(changed=1, gone=1)
    assert light.report(said()) == ReportAnswer(gone=1)
    assert light.report(said()) == ReportAnswer()
    assert [(row.block, row.kind, row.bytes_down) for row in rows_of(light)] == [
        *((1, "use", 7), (1, "use", 5)),
        *((2, "correction", 1), (2, "correction", -5), (3, "correction", -8)),
    ]
    light.whole()


def test_it_is_not_among_what_was_measured(services: Services) -> None:
    services.send(*named("a"))
    services.report(said(figure(1, "bob", 7)))
    services.report(said(figure(1, "bob", 9)))
    [metered] = services.store.sums([0, END_OF_TIME], Where())
    assert (metered.bytes_up, metered.bytes_down) == (1, 0)
    [one] = services.store.sums([0, END_OF_TIME], Where("thor", "acme"), ("user", "product", "source"))
    assert (one.by, one.bytes_down, one.requests) == (("bob", "residential", "provider:thor"), 9, 0)
    moves: list[Move] = services.store.moves(2, 0, 10)
    assert [(one.series, one.use, one.corrections, one.bytes_down) for one in moves] == [
        ("thor", 1, 0, 7),
        ("thor", 0, 1, 2),
    ]


def test_what_came_between_reading_and_writing_is_read_again(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it was under a key that this statement has not: from now on it says that this is nothing."""
    light.open()
    plan, others = light.door._plan_report, [said(figure(2, "eve", 3), of="eve"), said(figure(3, "eve", 4), of="eve")]

    def late(*given: Any) -> Any:
        planned = plan(*given)
        if others:
            with monkeypatch.context() as usual:
                usual.setattr(light.door, "_plan_report", plan)
                asyncio.run(light.door.report(*ACME, others.pop()))
        return planned

    monkeypatch.setattr(light.door, "_plan_report", late)
    assert light.report(said(figure(1, "bob", 7))) == ReportAnswer(new=1, gone=1)
    assert added_up(rows_of(light)) == {(key(1), "bytes"): 7}


def test_a_series_that_others_write_all_the_time_is_told_so(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    light.open()
    monkeypatch.setattr(light.door._committer._reports._said, "since", lambda *_: True)
    with pytest.raises(Unavailable, match="written all the time"):
        light.report(said(figure()))


def test_other_series_do_not_make_it_read_again(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    light.open()
    light.report(said(figure()), series="fox")
    plan, planned = light.door._plan_report, []

    def count(*given: Any) -> Any:
        planned.append(given)
        return plan(*given)

    monkeypatch.setattr(light.door, "_plan_report", count)
    light.report(said(figure()))
    assert len(planned) == 1


@pytest.mark.parametrize(("status", "wrong"), [("closed", Conflict), (None, UnknownAccount)])
def test_an_account_that_is_closed_or_unknown_keeps_nothing(
    light: Services, status: Any, wrong: type[Exception]
) -> None:
    if status is not None:
        with light.ledger.begin() as tx:
            accounts.change_account(tx, "acme", status=status, now=NOW)
    with pytest.raises(wrong):
        light.report(said(figure()), account="nobody" if status is None else "acme")
    assert light.store.totals().rows == 0
    assert light.keys.source(source_of("thor")) is None


def test_what_means_nothing_is_refused_whole(light: Services) -> None:
    with pytest.raises(Unsayable):
        light.report(said(figure(1), figure(2, amount=-1)))
    with pytest.raises(AssertionError):
        light.report(said(figure(1)), series="metered")
    assert light.store.totals().rows == 0


def test_a_day_that_has_not_begun_here_is_taken_as_the_vendor_dates_it(light: Services) -> None:
    tomorrow = NOW // DAY_MS + 1
    assert light.report(said(figure(tomorrow), days=(tomorrow, tomorrow + 1))).new == 1


def test_two_accounts_do_not_meet_under_one_key(light: Services) -> None:
    """A name is one account's; should it ever be another's, nothing of the one is the other's."""
    light.report(said(figure(1, "bob", 7)))
    assert light.report(said(figure(1, "bob", 5)), account="beta") == ReportAnswer(new=1)
    assert light.report(said(), account="beta") == ReportAnswer(gone=1)
    assert added_up(rows_of(light)) == {(key(1), "bytes"): 7}


# -- its source is nobody else's --------------------------------------------------------------------------------------


@pytest.mark.parametrize("event", [named("a", source="provider:thor"), numbered(1, 1, source="provider:thor")])
def test_nobody_else_writes_as_a_provider(light: Services, event: list[dict[str, Any]]) -> None:
    told = re.escape(
        "Source 'provider:thor' is kept for what a provider says: this server alone writes names that begin"
    )
    with pytest.raises(SourceNotYours, match=told):
        light.send(*event)
    light.report(said(figure()))
    with pytest.raises(SourceNotYours, match=told):
        light.send(*event)
    with pytest.raises(SourceNotYours, match=told):
        light.correct(
            *[{"source": "provider:thor", "id": "c", "account": "acme", "time": TIME, "reason": "x", "requests": 1}]
        )
    with pytest.raises(SourceNotYours, match=told):
        light.meter({"source": "provider:thor", "counter": "c", "account": "acme", "time": TIME, "bytes_up": 1})
    assert light.report(said(figure())) == ReportAnswer(same=1)


def older(services: Services, monkeypatch: pytest.MonkeyPatch, *events: dict[str, Any]) -> None:
    """As these were stored when such a name was anybody's."""
    from flowtally.ingest import sources

    with monkeypatch.context() as before:
        before.setattr(sources, "check_reserved", lambda *_: None)
        services.send(*events)


def test_a_source_of_before_stays_beside_what_the_provider_says(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    older(light, monkeypatch, *named("a", source="provider:thor"))
    with pytest.raises(SourceNotYours):
        light.send(*named("b", source="provider:thor"))
    assert light.report(said(figure())).new == 1
    assert light.door.event("provider:thor", "a", light.credential).series == "metered"
    void = {"source": "fix", "id": "c", "corrects": {"source": "provider:thor", "id": "a"}, "void": True}
    assert light.correct(void).stored == 1
    light.crash()
    light.open()
    assert light.report(said(figure(amount=2))) == ReportAnswer(changed=1)


def test_a_numbered_source_of_before_keeps_its_name(light: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    older(light, monkeypatch, *numbered(1, 1, source="provider:thor"))
    with pytest.raises(SourceKindMismatch, match="'provider:thor' is numbered"):
        light.report(said(figure()))
    assert light.report(said(figure()), series="thor2").new == 1


# -- single rows ------------------------------------------------------------------------------------------------------


def test_a_row_is_shown_by_its_id_under_the_vendors_name(light: Services) -> None:
    light.report(said(figure(1, "bob", 7)))
    light.report(said(figure(1, "bob", 5)))
    first, second = (
        light.door.event("provider:thor", id_of("acme", key(1), number), light.credential) for number in (0, 1)
    )
    assert (first.series, first.kind, first.user, first.user_id) == ("thor", "use", "bob", "")
    assert (first.bytes_down, first.sum, first.corrections, first.corrects) == (7, None, [], None)
    assert (second.kind, second.bytes_down, second.reason, second.corrects) == (
        "correction",
        -2,
        "said otherwise",
        None,
    )
    with light.ledger.begin() as tx:
        other = credentials.issue(tx, "ingest", None, "other", 0)[0]
    with pytest.raises(NotFound):
        light.door.event("provider:thor", id_of("acme", key(1), 0), other)


def test_what_a_provider_said_is_corrected_by_nobody_else(light: Services) -> None:
    light.report(said(figure(1, "bob", 7)))
    asked = {"id": "c", "corrects": {"source": "provider:thor", "id": id_of("acme", key(1), 0)}, "void": True}
    [receipt] = light.correct(asked).receipts
    assert (receipt.status, receipt.code) == ("refused", "of_a_provider")
    assert "until it says otherwise" in receipt.detail
    assert added_up(rows_of(light)) == {(key(1), "bytes"): 7}


def test_its_source_is_the_servers_in_the_list(light: Services) -> None:
    light.report(said(figure()))
    [listed] = light.door.sources(light.credential, None, None, 10).items
    assert (listed.source, listed.kind, listed.sender) == ("provider:thor", "named", "provider:thor")


def test_as_many_figures_as_may_be_said_are_one_block(light: Services) -> None:
    some = [figure(day, f"u{user}") for day in range(10) for user in range(200)]
    assert light.report(said(*some)) == ReportAnswer(new=2000)
    assert len({row.block for row in rows_of(light)}) == 1
    light.whole()
