"""Providers: their name is theirs for ever, their secrets go with them, what was not told is not taken for nothing."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, select

from flowtally.core.errors import Conflict, LimitReached, NotFound, TooLarge, UnknownAccount, Unprocessable
from flowtally.core.reported import BalanceSaid, GrantSaid, SubUserSaid
from flowtally.core.times import DAY_MS
from flowtally.core.words import PullOutcome
from flowtally.ledger import trail
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.providers import connected, pulls, said, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.stretches import Stretch
from flowtally.ledger.recorded import Filter, list_records
from flowtally.ledger.tables import metadata, provider_balances, provider_secrets

NOW = 1_700_000_000_000
PROVIDER = Provider(
    "prv_1", "acme", "thor", "thordata", "", {}, "", 0, None, False, 1, 1, None, "new", 1, "", 0, None, None, 1
)


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Connection]:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)
        yield tx


def add(tx: Connection, name: str = "thor", account: str = "acme", **given: Any) -> Provider:
    return connected.add_provider(
        tx,
        account,
        name,
        "thordata",
        **{"secrets": {"token": "sealed"}, "settings": {"grain": "day"}, "since": 5, "now": NOW, **given},
    )


def secrets_there(tx: Connection) -> list[str]:
    return list(tx.execute(select(provider_secrets.c.sealed).order_by(provider_secrets.c.id)).scalars())


@pytest.mark.parametrize("name", ["", "metered", "Thor", "thor!", "-thor", "x" * 65, "thör", "a/b"])
def test_a_name_that_cannot_be_a_series_is_refused(tx: Connection, name: str) -> None:
    with pytest.raises(Unprocessable):
        add(tx, name)


def test_a_name_is_nobody_elses_ever_after(tx: Connection) -> None:
    add(tx)
    with pytest.raises(Conflict, match="'thor' exists already"):
        add(tx, account="beta")
    connected.remove_provider(tx, "thor", now=NOW + 1)
    with pytest.raises(Conflict, match="or was removed"):
        add(tx)


def test_removing_it_destroys_its_secrets_and_nothing_of_it_changes_after(tx: Connection) -> None:
    add(tx, secrets={"token": "sealed a", "key": "sealed b"})
    gone = connected.remove_provider(tx, "thor", now=NOW + 1)
    assert (gone.state, gone.removed_at, secrets_there(tx)) == ("removed", NOW + 1, [])
    assert connected.remove_provider(tx, "thor", now=NOW + 9) == gone
    assert connected.list_providers(tx).items == []
    assert connected.list_providers(tx, removed=True).items == [gone]
    with pytest.raises(Conflict, match="was removed"):
        connected.change_provider(tx, "thor", paused=True, now=NOW + 2)
    assert pulls.end_pull(tx, gone, "ok", began_at=NOW, next_at=NOW, now=NOW + 3) == gone
    assert connected.next_due(tx) is None


def test_a_secret_that_is_given_anew_replaces_that_one_alone_and_has_it_asked_at_once(tx: Connection) -> None:
    made = add(tx, secrets={"token": "sealed a", "key": "sealed b"})
    denied = pulls.end_pull(tx, made, "denied", began_at=NOW, next_at=NOW + DAY_MS, detail="10047", now=NOW)
    assert (denied.failures, denied.next_at) == (1, NOW + DAY_MS)
    changed = connected.change_provider(tx, "thor", secrets={"key": "sealed c"}, now=NOW + 5)
    assert (changed.failures, changed.next_at) == (0, NOW + 5)
    assert connected.sealed_secrets(tx, made.id) == {"token": "sealed a", "key": "sealed c"}


def test_no_secret_is_on_the_record_but_which_were_given_is(tx: Connection, ledger: Ledger) -> None:
    add(tx, secrets={"token": "sealed a"})
    [note] = [one for one in trail.made(tx) if one.action == "provider.add"]
    assert "sealed a" not in note.after
    assert '"given":["token"]' in note.after


def test_what_each_pull_came_to_is_told_and_on_the_record(ledger: Ledger) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        made = add(tx)
    came: list[PullOutcome] = ["ok", "ok", "late", "late", "ok"]
    for number, outcome in enumerate(came):
        with ledger.begin() as tx:
            found = pulls.end_pull(
                tx,
                made,
                outcome,
                began_at=NOW,
                next_at=NOW + number,
                now=NOW + number,
                calls=2,
            )
    assert (found.state, found.state_since, found.failures, found.pulled_at) == ("ok", NOW + 4, 0, NOW + 4)
    with ledger.read() as tx:
        actions = [one.action for one in list_records(tx, Filter(account="acme"), limit=100).items]
        assert actions.count("provider.pull") == 5
        assert [one.outcome for one in pulls.list_pulls(tx, found).items] == ["ok", "ok", "late", "late", "ok"]


def test_failures_in_a_row_are_counted_and_what_was_changed_meanwhile_keeps_its_turn(tx: Connection) -> None:
    made = add(tx)
    late = pulls.end_pull(tx, made, "late", began_at=NOW, next_at=NOW + 10, now=NOW)
    late = pulls.end_pull(tx, late, "late", began_at=NOW, next_at=NOW + 20, now=NOW + 1)
    assert (late.failures, late.next_at, late.state_since) == (2, NOW + 20, NOW)
    connected.change_provider(tx, "thor", secrets={"token": "right"}, now=NOW + 2)
    ended = pulls.end_pull(tx, late, "denied", began_at=NOW, next_at=NOW + DAY_MS, now=NOW + 3)
    assert ended.next_at == NOW + 2, "the pull that ended was asked with the old secrets"


def test_the_longest_waiting_is_asked_first_and_nobody_asks_for_a_closed_or_a_paused_one(tx: Connection) -> None:
    for name, at in (("c", 30), ("a", 10), ("b", 20), ("d", 10**15)):
        add(tx, name, account="beta" if name == "b" else "acme", now=at)
    assert [one.name for one in connected.due_providers(tx, 99, 9)] == ["a", "b", "c"]
    assert connected.next_due(tx) == 10
    connected.change_provider(tx, "a", paused=True, now=40)
    accounts.change_account(tx, "beta", status="closed", now=40)
    assert [one.name for one in connected.due_providers(tx, 99, 9)] == ["c"]
    connected.change_provider(tx, "a", paused=False, now=50)
    assert [one.name for one in connected.due_providers(tx, 99, 9)] == ["c", "a"]
    asked = pulls.ask_now(tx, connected.read_live(tx, "d"), now=60)
    assert (asked.next_at, [one.name for one in connected.due_providers(tx, 99, 9)]) == (60, ["c", "a", "d"])


def test_one_that_is_paused_is_asked_when_somebody_wants_it_and_then_not_any_more(tx: Connection) -> None:
    paused = [connected.change_provider(tx, add(tx).name, paused=True, now=NOW + 1)]
    assert connected.due_providers(tx, NOW + DAY_MS, 9) == []
    paused.append(connected.change_provider(tx, "thor", secrets={"token": "other"}, now=NOW + 2))
    assert connected.due_providers(tx, NOW + DAY_MS, 9) == [], "nobody asked for it"
    asked = pulls.ask_now(tx, paused[-1], now=NOW + 3)
    assert connected.due_providers(tx, NOW + 3, 9) == [asked]
    ended = pulls.end_pull(tx, asked, "ok", began_at=NOW + 3, next_at=NOW + 9, now=NOW + 4)
    assert (ended.state, connected.due_providers(tx, NOW + DAY_MS, 9)) == ("ok", [])
    assert connected.change_provider(tx, "thor", paused=False, now=NOW + 5).next_at == NOW + 5


def test_one_that_is_asked_for_while_it_is_asked_is_asked_once_more(tx: Connection) -> None:
    """What it said may be of before somebody wanted to know."""
    made = add(tx)
    asked = pulls.ask_now(tx, made, now=NOW + 7)
    ended = pulls.end_pull(tx, made, "ok", began_at=NOW + 5, next_at=NOW + DAY_MS, now=NOW + 9)
    assert (asked.next_at, ended.next_at) == (NOW + 7, NOW + 7)
    assert pulls.end_pull(tx, ended, "ok", began_at=NOW + 9, next_at=NOW + DAY_MS, now=NOW + 9).next_at == NOW + DAY_MS


def test_an_account_has_only_so_many(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connected, "MOST", 2)
    add(tx, "a")
    add(tx, "b")
    add(tx, "c", account="beta")
    with pytest.raises(LimitReached, match="has 2 providers; 2 are allowed"):
        add(tx, "d")
    connected.remove_provider(tx, "a", now=NOW)
    add(tx, "d")


def test_who_is_not_there_is_named(tx: Connection) -> None:
    add(tx)
    with pytest.raises(NotFound, match="no provider 'thor' of account 'beta'"):
        connected.read_provider(tx, "thor", "beta")
    with pytest.raises(NotFound, match="no provider 'odin'"):
        connected.remove_provider(tx, "odin", now=NOW)
    with pytest.raises(UnknownAccount):
        add(tx, "x", account="nobody")
    with pytest.raises(UnknownAccount):
        connected.list_providers(tx, "nobody")
    with pytest.raises(Unprocessable, match="every_s is 5"):
        add(tx, "x", every_s=5)
    with pytest.raises(Unprocessable, match="settings has 51 members"):
        add(tx, "x", settings={str(n): "" for n in range(51)})


def test_only_the_last_pulls_are_kept(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulls, "KEPT", 3)
    made = add(tx)
    for number in range(7):
        pulls.end_pull(tx, made, "ok", began_at=NOW, next_at=NOW, now=NOW + number, detail=str(number))
    assert [one.detail for one in pulls.list_pulls(tx, made).items] == ["4", "5", "6"]


# What was told


@st.composite
def told(draw: st.DrawFn) -> Stretch:
    start = draw(st.integers(0, 30))
    end = draw(st.integers(start + 1, 31))
    zone, grain = draw(st.sampled_from(["UTC", "+08:00"])), draw(st.sampled_from(["day", "hour"]))
    return Stretch(start, end, grain, zone, draw(st.integers(1, 2)), draw(st.sampled_from([0, 9, 20, 99])))  # type: ignore[arg-type]


@given(st.lists(told(), max_size=8))
def test_of_each_instant_stands_what_was_told_of_it_last(asked: list[Stretch]) -> None:
    with create_engine("sqlite://").begin() as tx:
        metadata.create_all(tx)
        trail.begin(tx)
        for one in asked:
            stretches.put_stretch(tx, PROVIDER, one)
        kept = stretches.read_stretches(tx, "prv_1", 0, 100)
        until = stretches.told_until(tx, "prv_1", 0)
        last = stretches.told_last(tx, "prv_1", 0)
    model: dict[int, tuple[str, str, int, int]] = {}
    for one in asked:
        model |= dict.fromkeys(range(one.starts_at, one.ends_at), (one.grain, one.zone, one.step, one.asked_at))
    there = [
        (at, (one.grain, one.zone, one.step, one.asked_at)) for one in kept for at in range(one.starts_at, one.ends_at)
    ]
    assert there == sorted(model.items())
    hole = next(at for at in range(100) if at not in model)
    assert until == max((at + 1 for at in range(hole) if at < model[at][3]), default=0), "not beyond when it was asked"
    known = [at for at in range(100) if at in model and at < model[at][3]]
    if last is None:
        assert not known
    else:
        begin, end = last
        assert end == known[-1] + 1
        assert all(at in model for at in range(begin, end))
        assert begin == 0 or begin - 1 not in model
    touching = [(a, b) for a, b in pairwise(kept) if a.ends_at == b.starts_at]
    assert all((a.grain, a.zone, a.step, a.asked_at) != (b.grain, b.zone, b.step, b.asked_at) for a, b in touching)


@given(st.lists(st.integers(1, 3 * DAY_MS), min_size=1, max_size=60))
def test_looks_of_a_day_are_one_stretch_and_none_is_of_less(pauses: list[int]) -> None:
    with create_engine("sqlite://").begin() as tx:
        metadata.create_all(tx)
        trail.begin(tx)
        at = 0
        for pause in pauses:
            stretches.put_stretch(tx, PROVIDER, Stretch(at, at + pause, "pull", "UTC", 1, at + pause))
            at += pause
        kept = stretches.read_stretches(tx, "prv_1", 0, at)
        assert stretches.told_until(tx, "prv_1", 0) == stretches.last_end(tx, "prv_1") == at
        assert stretches.told_last(tx, "prv_1", 0) == (0, at)
    assert [one.ends_at for one in kept[:-1]] == [one.starts_at for one in kept[1:]]
    assert all(one.ends_at - one.starts_at >= DAY_MS for one in kept[:-1])
    assert {one.ends_at for one in kept} <= {sum(pauses[: n + 1]) for n in range(len(pauses))}, "each ends with a look"
    assert all(one.asked_at == one.ends_at for one in kept)


# What it lists


def test_a_balance_has_a_row_each_time_that_it_is_another_one(tx: Connection) -> None:
    made = add(tx)
    traffic, wallet = BalanceSaid("traffic", "bytes", 500), BalanceSaid("wallet", "money", 800, currency="USD")
    assert said.put_balances(tx, made, [traffic, wallet], now=10) == 2
    assert said.put_balances(tx, made, [traffic, wallet], now=20) == 0
    assert said.put_balances(tx, made, [BalanceSaid("traffic", "bytes", 400), wallet], now=30) == 1
    found = {one.balance.label: (one.balance.left, one.seen_at) for one in said.read_balances(tx, made.id)}
    assert found == {"traffic": (400, 30), "wallet": (800, 10)}
    assert said.put_balances(tx, made, [wallet], now=40) == 1, "it is told no more, which is not nothing left"
    assert said.read_balances(tx, made.id)[0].balance == BalanceSaid("traffic", "bytes", None)


def test_old_balances_are_forgotten_but_for_the_one_that_stood(tx: Connection) -> None:
    made = add(tx)
    late = said.KEPT_DAYS * DAY_MS + 25
    for at, left in ((10, 1), (20, 2), (late, 3)):
        said.put_balances(tx, made, [BalanceSaid("traffic", "bytes", left)], now=at)
    rows = tx.execute(select(provider_balances.c.left).order_by(provider_balances.c.seen_at)).scalars()
    assert list(rows) == [2, 3]


def test_what_is_listed_no_more_is_gone_and_may_come_again(tx: Connection) -> None:
    made = add(tx)
    order = GrantSaid("7", "A-1", "order", "bytes", 900, 30, 1, 2, "active", "then", "later")
    said.put_grants(tx, made, [order], {"7": 20}, now=10)
    assert said.read_grants(tx, made.id) == [said.GrantSeen(order, 20, 10, None)]
    said.put_grants(tx, made, [], {}, now=20)
    assert said.read_grants(tx, made.id) == []
    assert said.read_grants(tx, made.id, gone=True) == [said.GrantSeen(order, 20, 10, 20)]
    said.put_grants(tx, made, [order], {"7": 99}, now=30)
    assert said.read_grants(tx, made.id) == [said.GrantSeen(order, 20, 10, None)], "its baseline is the first one"
    bob = SubUserSaid("bob", True, 5, 3)
    said.put_sub_users(tx, made, [bob, SubUserSaid("eve", False)], now=10)
    said.put_sub_users(tx, made, [bob], now=20)
    assert [one.sub_user.name for one in said.read_sub_users(tx, made.id)] == ["bob"]
    assert [(one.sub_user.name, one.gone_at) for one in said.read_sub_users(tx, made.id, gone=True)] == [
        ("bob", None),
        ("eve", 20),
    ]


def test_a_vendor_may_list_only_so_much(tx: Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(said, "MOST", 2)
    made = add(tx)
    with pytest.raises(TooLarge, match="listed 3 sub-users; 2 are kept"):
        said.put_sub_users(tx, made, [SubUserSaid(name, True) for name in "abc"], now=10)
