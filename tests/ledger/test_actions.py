"""Actions and bound users: asked once, done by one, over in time and with the lease; never for the next holder."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection
from tests.conftest import open_copy

from flowtally.core.errors import (
    AccountSuspended,
    ActionOver,
    ActionTaken,
    Conflict,
    LeaseEnded,
    NotFound,
    UnknownUser,
    Unprocessable,
)
from flowtally.core.words import ActionState
from flowtally.ledger import trail
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.inventory import actions, bound_users, orders, stock
from flowtally.ledger.inventory.actions import ServerAction
from flowtally.ledger.inventory.stock import NewStock
from flowtally.ledger.people import accounts, managed

NOW = 1_700_000_000_000
HOUR = 3_600_000
STATES: tuple[ActionState, ...] = ("requested", "taken", "done", "failed", "expired")


class Server:
    """One server that acme leases until a day from now, and beta's."""

    def __init__(self, tx: Connection) -> None:
        self.tx = tx
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        self.item = stock.add_item(tx, NewStock("unlimited", "gate-1.example"), now=2)
        other = stock.add_item(tx, NewStock("unlimited", "gate-2.example"), now=2)
        self.lease = self.give("acme", self.item.id)
        self.other = self.give("beta", other.id)

    def give(self, account: str, item: str, at: int = NOW) -> str:
        return orders.give_lease(self.tx, account, item, ends_at=at + 24 * HOUR, starts_at=at, now=at).leases[0]

    def ask(self, what: str = "restart", *, at: int = NOW, lasts_ms: int = HOUR, **more: Any) -> ServerAction:
        asked = {"account": "acme", "lease_id": self.lease} | more
        return actions.request_action(self.tx, what=what, now=at, lasts_ms=lasts_ms, **asked)

    def listed(self, state: ActionState | None = None, at: int = NOW) -> list[str]:
        return [one.id for one in actions.list_actions(self.tx, at=at, state=state).items]


@pytest.fixture
def server(ledger: Ledger) -> Iterator[Server]:
    """The ledger is sound at the end."""
    with ledger.begin() as tx:
        yield Server(tx)
        assert list(rules.faults(tx)) == []


def test_what_is_asked_for_stands_until_it_is_taken_and_answered(server: Server) -> None:
    asked = server.ask()
    assert (asked.state(NOW), asked.over_at, asked.stock_id) == ("requested", NOW + HOUR, server.item.id)
    taken = actions.take_action(server.tx, asked.id, by="crd_1", now=NOW + 5)
    assert (taken.state(NOW + 5), taken.taken_by) == ("taken", "crd_1")
    done = actions.answer_action(server.tx, asked.id, "done", by="crd_1", now=NOW + 9, detail="up again")
    assert (done.state(NOW + 10 * HOUR), done.answered_at, done.detail) == ("done", NOW + 9, "up again")
    assert actions.read_action(server.tx, asked.id) == done


def test_the_same_is_asked_for_once_while_it_is_not_over(server: Server) -> None:
    first = server.ask()
    assert server.ask(at=NOW + 5) == first
    taken = actions.take_action(server.tx, first.id, by="crd_1", now=NOW + 6)
    assert server.ask(at=NOW + 7) == taken
    assert server.ask("reinstall").id != first.id
    actions.answer_action(server.tx, first.id, "failed", by="crd_1", now=NOW + 8)
    assert server.ask(at=NOW + 9).id != first.id


def test_taking_and_answering_again_changes_nothing(server: Server) -> None:
    asked = server.ask()
    taken = actions.take_action(server.tx, asked.id, by="crd_1", now=NOW + 1)
    assert actions.take_action(server.tx, asked.id, by="crd_1", now=NOW + 2) == taken
    done = actions.answer_action(server.tx, asked.id, "done", by="crd_1", now=NOW + 3)
    assert actions.answer_action(server.tx, asked.id, "done", by="crd_1", now=NOW + 4) == done
    told = [one.action for one in trail.made(server.tx) if one.subject == asked.id]
    assert told == ["action.request", "action.take", "action.answer"]


def test_one_that_another_one_does_is_left_alone(server: Server) -> None:
    asked = server.ask()
    actions.take_action(server.tx, asked.id, by="crd_1", now=NOW)
    with pytest.raises(ActionTaken):
        actions.take_action(server.tx, asked.id, by="crd_2", now=NOW)
    with pytest.raises(ActionTaken):
        actions.answer_action(server.tx, asked.id, "done", by="crd_2", now=NOW)


def test_what_was_answered_is_not_answered_otherwise(server: Server) -> None:
    asked = server.ask()
    actions.answer_action(server.tx, asked.id, "failed", by="crd_1", now=NOW)
    for outcome, by in (("done", "crd_1"), ("failed", "crd_2")):
        with pytest.raises(ActionOver):
            actions.answer_action(server.tx, asked.id, outcome, by=by, now=NOW)  # type: ignore[arg-type]
    assert actions.read_action(server.tx, asked.id).outcome == "failed"


@pytest.mark.parametrize("taken", [True, False])
def test_after_its_time_it_is_expired_and_a_late_answer_is_refused(server: Server, taken: bool) -> None:
    asked = server.ask()
    if taken:
        actions.take_action(server.tx, asked.id, by="crd_1", now=NOW)
    last = NOW + HOUR - 1
    assert actions.read_action(server.tx, asked.id).state(last) == ("taken" if taken else "requested")
    assert actions.read_action(server.tx, asked.id).state(last + 1) == "expired"
    with pytest.raises(ActionOver, match="expired"):
        actions.answer_action(server.tx, asked.id, "done", by="crd_1", now=last + 1)


def test_it_ends_with_the_lease_so_that_the_next_holder_is_not_restarted(server: Server) -> None:
    late = server.ask(at=NOW + 23 * HOUR, lasts_ms=5 * HOUR)
    assert late.over_at == NOW + 24 * HOUR
    orders.release_lease(server.tx, "acme", server.lease, now=NOW + 23 * HOUR + 5)
    server.give("beta", server.item.id, NOW + 23 * HOUR + 6)
    at = NOW + 23 * HOUR + 7
    assert actions.read_action(server.tx, late.id).state(at) == "expired"
    assert (server.listed("requested", at), server.listed("expired", at)) == ([], [late.id])
    with pytest.raises(ActionOver):
        actions.take_action(server.tx, late.id, by="crd_1", now=at)


def test_only_who_holds_it_asks_for_it(server: Server) -> None:
    with pytest.raises(NotFound):
        server.ask(account="beta")
    with pytest.raises(NotFound):
        server.ask(lease_id=server.other)
    with pytest.raises(LeaseEnded):
        server.ask(at=NOW + 24 * HOUR)
    accounts.change_account(server.tx, "acme", status="suspended", now=NOW)
    with pytest.raises(AccountSuspended):
        server.ask()


@pytest.mark.parametrize("what", ["", "Restart", "re start", "x" * 65])
def test_what_is_no_word_cannot_be_asked_for(server: Server, what: str) -> None:
    with pytest.raises(Unprocessable):
        server.ask(what)


@pytest.mark.parametrize("lasts_ms", [0, 9_999, 7 * 24 * HOUR + 1000])
def test_it_stands_for_a_bounded_time(server: Server, lasts_ms: int) -> None:
    with pytest.raises(Unprocessable):
        server.ask(lasts_ms=lasts_ms)


STEPS = st.lists(
    st.tuples(st.sampled_from(["ask", "take", "done", "failed", "release"]), st.integers(0, 30_000)), max_size=8
)


@given(STEPS, st.integers(0, 60_000))
def test_lists_by_state_are_what_each_action_says_of_itself(
    law_ledger: Ledger, steps: list[tuple[str, int]], later: int
) -> None:
    with law_ledger.begin() as tx:
        savepoint = tx.begin_nested()
        server, at = Server(tx), NOW
        for number, (step, passed) in enumerate(steps):
            at += passed
            known = server.listed()
            try:
                if step == "ask":
                    server.ask(f"what-{number % 3}", at=at, lasts_ms=20_000)
                elif step == "release":
                    orders.release_lease(tx, "acme", server.lease, now=at)
                elif known and step == "take":
                    actions.take_action(tx, known[number % len(known)], by="crd_1", now=at)
                elif known:
                    actions.answer_action(tx, known[-1], step, by="crd_1", now=at)  # type: ignore[arg-type]
            except Conflict:
                pass
        at += later
        all_of_them = actions.list_actions(tx, at=at).items
        for state in STATES:
            assert server.listed(state, at) == [one.id for one in all_of_them if one.state(at) == state]
        assert actions.count_requested(tx, at) == len(server.listed("requested", at))
        assert list(rules.faults(tx)) == []
        savepoint.rollback()


@pytest.fixture(scope="module")
def law_ledger(new_ledger: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ledger]:
    opened = open_copy(Path(shutil.copy(new_ledger, tmp_path_factory.mktemp("law") / "ledger.db")))
    yield opened
    opened.close()


def names(server: Server, lease: str | None = None) -> list[str]:
    page = bound_users.list_bound(server.tx, "acme", lease or server.lease)
    return [one.user.name for one in page.items]


def test_users_are_bound_once_and_listed_by_their_present_name(server: Server) -> None:
    ann = managed.create_user(server.tx, "acme", "ann", now=3)
    managed.create_user(server.tx, "acme", "bob", now=4)
    first = bound_users.bind_user(server.tx, "acme", server.lease, "ann", now=NOW)
    assert bound_users.bind_user(server.tx, "acme", server.lease, ann.id, now=NOW + 9) == first
    bound_users.bind_user(server.tx, "acme", server.lease, "bob", now=NOW)
    managed.change_user(server.tx, "acme", "ann", name="anna", now=NOW + 1)
    assert names(server) == ["anna", "bob"]
    assert bound_users.unbind_user(server.tx, "acme", server.lease, "anna").user.id == ann.id
    with pytest.raises(NotFound):
        bound_users.unbind_user(server.tx, "acme", server.lease, "anna")
    assert names(server) == ["bob"]
    managed.delete_user(server.tx, "acme", "bob", now=NOW + 2)
    assert names(server) == []


def test_who_leases_the_server_next_begins_without_bound_users(server: Server) -> None:
    managed.create_user(server.tx, "acme", "ann", now=3)
    bound_users.bind_user(server.tx, "acme", server.lease, "ann", now=NOW)
    orders.release_lease(server.tx, "acme", server.lease, now=NOW + 1)
    again = server.give("acme", server.item.id, NOW + 2)
    assert names(server, again) == []
    with pytest.raises(LeaseEnded):
        bound_users.bind_user(server.tx, "acme", server.lease, "ann", now=NOW + 3)


def test_only_users_and_leases_of_the_account_are_bound(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    managed.create_user(server.tx, "beta", "eve", now=3)
    for name in ("ann", "cid"):
        managed.create_user(server.tx, "acme", name, now=3)
    with pytest.raises(UnknownUser):
        bound_users.bind_user(server.tx, "acme", server.lease, "eve", now=NOW)
    with pytest.raises(NotFound):
        bound_users.bind_user(server.tx, "acme", server.other, "ann", now=NOW)
    monkeypatch.setattr(bound_users, "MOST_BOUND", 1)
    bound_users.bind_user(server.tx, "acme", server.lease, "ann", now=NOW)
    with pytest.raises(Conflict):
        bound_users.bind_user(server.tx, "acme", server.lease, "cid", now=NOW)
