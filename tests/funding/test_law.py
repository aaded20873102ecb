"""Bytes are conserved across purses, after every step of random histories, against the slow obvious model; and what was
told at an instant is what is told as of it later.

Time only moves forward; events arrive in any order of their own times, some dated a little after now.
"""

from __future__ import annotations

import contextlib
import shutil
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests import burndown_model
from tests.soak import sampled

from flowtally.answers import user_balance
from flowtally.answers.account_balance import make_balance
from flowtally.answers.moment import Moment, latest
from flowtally.answers.statement import Question, make_statement
from flowtally.core.burndown import Draw, Grant
from flowtally.core.edges import second_of
from flowtally.core.errors import Conflict, NotCovered
from flowtally.funding import user_funds
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.traffic import allocations, grants
from flowtally.protocol import PoolBalance
from flowtally.usage.memory import MemoryStore

NAMES = ("ann", "fay", "guy")  # ann is not funded: the account pays
AHEAD = 6  # how far clocks may be ahead
SMALL = st.integers(1, 30)
START = 3_000_000 - 20  # histories pass from one second into the next
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("use"), st.sampled_from(("", *NAMES)), SMALL, st.integers(-AHEAD, 20)),
        st.tuples(st.just("grant"), SMALL, st.integers(0, 3), st.integers(0, 8)),
        st.tuples(st.just("void"), st.integers(0, 5)),
        st.tuples(st.just("allocate"), st.sampled_from(("fay", "guy")), SMALL, st.integers(0, 8)),
        st.tuples(st.just("return"), st.integers(0, 5), st.one_of(st.none(), SMALL)),
        st.tuples(st.just("wait"), st.integers(1, 4)),
        st.tuples(st.just("delete"), st.sampled_from(("fay", "guy"))),
    ),
    max_size=30,
)


class World:
    """The ledger and the list of rows, and beside them what a bookkeeper would have written down."""

    def __init__(self, ledger: Ledger, overage: Any) -> None:
        self.ledger, self.usage, self.overage, self.now = ledger, MemoryStore(), overage, START
        self.events: dict[str, list[tuple[int, int]]] = defaultdict(list)
        with ledger.begin() as tx:
            accounts.create_account(tx, "acme", overage=overage, now=self.now - 50)
            made = [managed.create_user(tx, "acme", name, funded=name != "ann", now=self.now) for name in NAMES]
            managed.change_user(tx, "acme", "guy", limit=users.Limit(40), now=self.now)
        self.ids = {"": ""} | {user.name: user.id for user in made}
        self.funded = [user.id for user in made if user.funded]
        self.given: list[str] = []
        self.told: list[tuple[Moment, list[object]]] = []

    def step(self, kind: str, *values: Any) -> None:
        getattr(self, kind)(*values)
        self.check()

    def use(self, user: str, amount: int, ago: int) -> None:
        at, user_id = self.now - ago, self.ids[user]
        row = {"series": "metered", "account": "acme", "user": user_id, "product": "isp", "bytes_up": 0, "requests": 1}
        row |= {"block": len(self.usage.rows) + 1, "received_at": self.now}
        self.usage.rows.append({**row, "bytes_down": amount, "time": at})
        self.events[user_id if user_id in self.funded else ""].append((at, amount))

    def grant(self, amount: int, starts_in: int, lasts: int) -> None:
        starts_at = self.now + starts_in
        with self.ledger.begin() as tx:
            made = grants.give_grant(
                tx, "acme", amount, now=self.now, starts_at=starts_at, expires_at=starts_at + lasts if lasts else None
            )
        self.given.append(made.id)

    def void(self, which: int) -> None:
        if which < len(self.given):
            with self.ledger.begin() as tx:
                grants.void_grant(tx, self.given[which], "acme", self.now)

    def allocate(self, user: str, amount: int, lasts: int) -> None:
        before = self.account()
        made, left = self.try_to_allocate(user, amount, self.now + lasts if lasts else None)
        after = self.account()
        assert made != (left is not None or self.is_deleted(user))
        assert left in (None, before.left + before.credit)
        assert after.left + after.credit == before.left + before.credit - (amount if made else 0)
        assert after.overage == before.overage

    def try_to_allocate(self, user: str, amount: int, ends: int | None) -> tuple[bool, object]:
        try:
            with self.ledger.begin() as tx:
                user_funds.allocate(tx, self.usage, "acme", self.ids[user], amount, now=self.now, expires_at=ends)
        except NotCovered as refused:
            return False, refused.extra["left"]
        except Conflict:
            return False, None
        return True, None

    def is_deleted(self, user: str) -> bool:
        with self.ledger.read() as tx:
            return users.read_user(tx, "acme", self.ids[user]).status == "deleted"

    def wait(self, time: int) -> None:
        """Nothing more will be known at this instant: keep what is told now, to ask for it when it is past."""
        moment = latest(self.usage, self.now)
        self.told.append((moment, self.tell(self.now)))
        self.now += time

    def tell(self, at: int, moment: Moment | None = None) -> list[object]:
        """What each user and the account have left and have used, as known now or at a past moment."""
        told: list[object] = []
        with self.ledger.read() as tx:
            account = make_balance(tx, self.usage, "acme", at, moment)
            told += [account.pools, account.grants]
            for user_id in (*self.funded, self.ids["ann"]):
                found = user_balance.make_user_balance(tx, self.usage, "acme", user_id, at, moment)
                told += [found.pools, found.allocations, found.limit]
                asked = Question("acme", "1970-01-01", "1970-01-02", bucket="total", user_ids=(user_id,))
                told.append(make_statement(tx, self.usage, asked, self.now, moment).total)
        return told

    def delete(self, user: str) -> None:
        before = self.overages(self.ids[user])
        with self.ledger.begin() as tx:
            user_funds.delete_user(tx, self.usage, "acme", self.ids[user], now=self.now)
        assert self.purse(self.ids[user], self.now + AHEAD + 1).left == 0
        assert self.overages(self.ids[user]) == before

    def account(self) -> PoolBalance:
        with self.ledger.read() as tx:
            return make_balance(tx, self.usage, "acme", self.now).pools["traffic"]

    def purse(self, user_id: str, at: int | None = None) -> PoolBalance:
        with self.ledger.read() as tx:
            at = self.now if at is None else at
            return user_balance.make_user_balance(tx, self.usage, "acme", user_id, at).pools["traffic"]

    def overages(self, user_id: str) -> list[int]:
        """What the purse does not cover now and at every later instant that is known of."""
        return [self.purse(user_id, self.now + later).overage for later in range(AHEAD + 2)]

    def check(self) -> None:
        with self.ledger.read() as tx:
            account = accounts.read_account(tx, "acme")
            given = [
                Grant(one.id, one.amount, one.priority, one.starts_at, one.expires_at, one.voided_at)
                for one in grants.grants_of(tx, "acme")
            ]
            passed_on = allocations.allocations_of(tx, "acme")
        draws = [Draw(one.id, one.created_at, one.amount, one.returned) for one in passed_on]
        self.same(self.account(), given, draws, self.events[""], account.carry_from)
        purses = 0
        for user_id in self.funded:
            mine = [
                Grant(one.id, one.amount - one.returned, 100, second_of(one.created_at), one.expires_at)
                for one in passed_on
                if one.user_id == user_id and one.amount > one.returned
            ]
            found = self.purse(user_id)
            self.same(found, mine, [], self.events[user_id], second_of(START))
            purses += found.granted
        assert self.account().drawn == purses  # what left one purse is in another

    def same(self, found: PoolBalance, given: Any, draws: Any, events: Any, carry_from: int) -> None:
        told = burndown_model.balance(given, draws, events, self.now, carry_from, self.overage)
        for name in ("granted", "spent", "left", "pending", "expired", "voided", "overage", "credit", "drawn"):
            assert getattr(found, name) == told[name], name
        used = sum(amount for at, amount in events if at < self.now)
        assert used + found.drawn == found.spent + found.overage + told["forgiven"] - found.credit
        assert found.granted == found.spent + found.left + found.pending + found.expired + found.voided


def take_back(world: World, which: int, amount: int | None) -> None:
    with world.ledger.read() as tx:
        made = allocations.allocations_of(tx, "acme")
    if which >= len(made):
        return
    one = made[which]
    with world.ledger.read() as tx:
        before = user_balance.make_user_balance(tx, world.usage, "acme", one.user_id, world.now)
        at_last = user_balance.make_user_balance(tx, world.usage, "acme", one.user_id, world.now + AHEAD + 1)
    overages = world.overages(one.user_id)
    shown = next(shown for shown in at_last.allocations if shown.id == one.id)
    ended = one.expires_at is not None and one.expires_at <= world.now
    unspent = 0 if ended else (shown.left or 0) + (shown.expired or 0)  # what has ended does not come back
    refusal = pytest.raises(NotCovered) if (amount or 0) > unspent else contextlib.nullcontext()
    with refusal, world.ledger.begin() as tx:
        user_funds.take_back(tx, world.usage, "acme", one.user_id, one.id, now=world.now, amount=amount)
    back = 0 if (amount or 0) > unspent else unspent if amount is None else amount
    purse, after = before.pools["traffic"], world.purse(one.user_id)
    assert after.left == purse.left - back
    assert (after.spent, after.overage) == (purse.spent, purse.overage)  # what it paid stays paid
    assert world.overages(one.user_id) == overages  # and what it is known to pay soon is paid


setattr(World, "return", take_back)  # the step is called what people call it; the word is Python's


@settings(max_examples=sampled(50, 4), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, overage=st.sampled_from(("carry", "forgive")))
def test_bytes_are_conserved_and_the_past_is_remembered_whatever_is_used_granted_passed_on_and_taken_back(
    new_ledger: Path, tmp_path_factory: Any, steps: list[tuple[Any, ...]], overage: str
) -> None:
    path = shutil.copy(new_ledger, tmp_path_factory.mktemp("law") / "ledger.db")
    ledger = Ledger.open(f"sqlite:///{path}")
    try:
        world = World(ledger, overage)
        for step in steps:
            world.step(*step)
        for moment, told in world.told:
            assert world.tell(moment.instant, moment) == told
    finally:
        ledger.close()
