"""Vouchers against balances: both stores brought together under the ledger's one writer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.burndown_model import balance as told_by_the_model
from tests.conftest import NOW
from tests.soak import sampled

from flowtally.answers.account_balance import make_balance
from flowtally.answers.explain import make_explanation
from flowtally.answers.moment import Moment, latest
from flowtally.core.burndown import Draw, Grant
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import Conflict, LimitReached, NotCovered, UnknownAccount
from flowtally.funding import user_funds, vouchers
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import codes, draws, grants
from flowtally.ledger.traffic import vouchers as ledger
from flowtally.ledger.traffic.allocations import Allocation
from flowtally.ledger.traffic.vouchers import Voucher
from flowtally.ledger.vault import Vault
from flowtally.protocol import PoolBalance
from flowtally.usage.memory import MemoryStore

MARCH = parse_instant("2026-03-01T00:00:00Z")


class World(msgspec.Struct):
    """Account acme has 1000 bytes of traffic since 1 March and a funded user fay; beta has nothing."""

    ledger: Ledger
    vault: Vault
    usage: MemoryStore
    now: int = NOW

    def create(self, amount: int, count: int = 1, pool: str = "traffic") -> list[Voucher]:
        with self.ledger.begin() as tx:
            return vouchers.create_vouchers(tx, self.usage, self.vault, "acme", amount, count, now=self.now, pool=pool)

    def redeem(self, voucher: Voucher, account: str = "beta") -> grants.Grant:
        digest = codes.digest_of(self.vault, self.vault.reveal(voucher.sealed))
        with self.ledger.begin() as tx:
            return ledger.redeem_voucher(tx, account, digest, now=self.now)

    def revoke(self, voucher: Voucher) -> Voucher:
        with self.ledger.begin() as tx:
            return ledger.revoke_voucher(tx, voucher.id, "acme", now=self.now)

    def allocate(self, amount: int) -> Allocation:
        with self.ledger.begin() as tx:
            return user_funds.allocate(tx, self.usage, "acme", "fay", amount, now=self.now)

    def use(self, amount: int, time: int) -> None:
        row = {"series": "metered", "account": "acme", "user": "", "bytes_up": 0, "bytes_down": amount}
        row |= {"block": 1, "received_at": 0, "product": "isp", "requests": 1, "time": time}
        self.usage.rows.append(row)

    def left(self, account: str = "acme", at: int | None = None, moment: Moment | None = None) -> PoolBalance:
        with self.ledger.read() as tx:
            at = self.now if at is None else at
            return make_balance(tx, self.usage, account, at, moment).pools["traffic"]


@pytest.fixture
def world(app_ledger: Ledger, tmp_path: Path) -> World:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=MARCH)
        accounts.create_account(tx, "beta", now=MARCH)
        grants.give_grant(tx, "acme", 1000, now=MARCH)
        managed.create_user(tx, "acme", "fay", funded=True, now=MARCH)
    return World(app_ledger, Vault.open(tmp_path / "v.key", None), MemoryStore())


def test_what_vouchers_hold_is_drawn_and_what_they_become_is_anothers(world: World) -> None:
    """
    acme  granted 1000, used 100, 3 vouchers of 200       -> left 300
    beta  redeems one                                     -> left 200
    """
    world.use(100, NOW - 5)
    first, *_ = world.create(200, 3)
    assert (world.left().left, world.left().drawn, world.left().spent) == (300, 600, 700)
    given = world.redeem(first)
    assert (world.left().left, world.left().drawn) == (300, 600)
    assert (world.left("beta").left, world.left("beta").granted) == (200, 200)
    assert given.expires_at == NOW + 90 * 86_400_000


def test_all_must_be_covered_and_a_refusal_says_what_is_left(world: World) -> None:
    with pytest.raises(NotCovered) as refused:
        world.create(334, 3)
    assert refused.value.extra == {"account": "acme", "pool": "traffic", "amount": 1002, "left": 1000}
    assert world.left().drawn == 0
    world.create(500, 2)
    for draw in (lambda: world.create(1), lambda: world.allocate(1), lambda: world.create(1, pool="api")):
        with pytest.raises(NotCovered):
            draw()


def test_draws_of_both_kinds_see_each_other_though_the_clock_was_set_back(world: World) -> None:
    world.create(600)
    world.now -= 60_000
    with pytest.raises(NotCovered):
        world.allocate(600)
    assert world.allocate(300).created_at == NOW
    world.now -= 60_000
    with pytest.raises(NotCovered):
        world.create(200)
    assert world.create(100)[0].created_at == NOW


def test_a_revoked_voucher_was_never_there(world: World) -> None:
    with world.ledger.begin() as tx:
        grants.give_grant(tx, "acme", 100, now=MARCH, priority=1, expires_at=NOW + 10)
    [one, other] = world.create(150, 2)
    world.now += 20
    world.revoke(one)
    assert (world.left().left, world.left().expired) == (950, 0)
    world.revoke(other)  # the one that the grant of 100 has paid for since: it comes back expired
    assert (world.left().left, world.left().expired, world.left().drawn) == (1000, 100, 0)


def test_a_past_moment_knows_what_was_set_aside_and_not_yet_revoked(world: World) -> None:
    [voucher] = world.create(300)
    before = world.left()
    world.now += 1000
    world.revoke(voucher)
    assert world.left().left == 1000
    assert world.left(at=NOW, moment=latest(world.usage, NOW)) == before
    assert world.left(at=NOW, moment=latest(world.usage, NOW - 1)).drawn == 0


def test_an_explanation_names_each_voucher_as_a_draw(world: World) -> None:
    made = world.create(700, 1) + world.create(100, 2)
    with world.ledger.read() as tx:
        told = make_explanation(tx, world.usage, "acme", NOW).pools["traffic"]
    assert {(one.draw, one.amount) for one in told.draws} == {(one.id, one.amount) for one in made}
    assert (told.drawn, told.balance.left) == (900, 100)


def test_a_closed_or_unknown_account_creates_none(world: World) -> None:
    with pytest.raises(UnknownAccount), world.ledger.begin() as tx:
        vouchers.create_vouchers(tx, world.usage, world.vault, "nobody", 1, 1, now=NOW)
    with world.ledger.begin() as tx:
        accounts.change_account(tx, "acme", status="closed", now=NOW)
    with pytest.raises(Conflict, match="closed"):
        world.create(1)


def test_draws_at_once_never_overdraw(world: World) -> None:
    def one(number: int) -> int:
        try:
            return 90 if number % 2 and world.allocate(90) else 90 * len(world.create(45, 2)) // 2
        except NotCovered:
            return 0

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(24))) == 990
    assert (world.left().left, world.left().overage) == (10, 0)


STEP = st.one_of(
    st.tuples(st.just("create"), st.integers(1, 60), st.integers(1, 3)),
    st.tuples(st.sampled_from(("redeem", "revoke", "own")), st.integers(0, 9), st.just(0)),
    st.tuples(st.just("use"), st.integers(1, 60), st.integers(0, 40)),
    st.tuples(st.just("allocate"), st.integers(1, 60), st.just(0)),
    st.tuples(st.just("wait"), st.integers(1, 30), st.just(0)),
)


@settings(max_examples=sampled(40, 5), deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, max_size=20))
def test_bytes_are_conserved_whatever_becomes_of_vouchers(
    new_ledger: Path, tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, int]]
) -> None:
    """Against the unit-by-unit model, from what was done; and nothing is made of nothing: what beta got left acme."""
    place = tmp_path_factory.mktemp("law")
    (place / "ledger.db").write_bytes(new_ledger.read_bytes())
    opened = Ledger.open(f"sqlite:///{place / 'ledger.db'}")
    try:
        play(World(opened, Vault.open(place / "v.key", None), MemoryStore()), steps)
    finally:
        opened.close()


def play(world: World, steps: list[tuple[str, int, int]]) -> None:
    with world.ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=MARCH)
        grants.give_grant(tx, "acme", 200, now=MARCH)
        managed.create_user(tx, "acme", "fay", funded=True, now=MARCH)
    unused: list[Voucher] = []
    ended = {"redeem": 0, "revoke": 0, "own": 0}
    made = allocated = used = 0
    for kind, number, other in steps:
        cover = world.left().left + world.left().credit
        if kind in ("create", "allocate") and number * max(1, other) > cover:
            with pytest.raises(NotCovered) as refused:
                _ = world.create(number, other) if kind == "create" else world.allocate(number)
            assert refused.value.extra["left"] == cover
        elif kind == "create":
            unused += world.create(number, other)
            made += number * other
        elif kind == "allocate":
            allocated += world.allocate(number).amount
        elif kind == "use":
            world.use(number, world.now - other)
            used += number
        elif kind == "wait":
            world.now += number
        elif number < len(unused):
            one = unused.pop(number)
            ended[kind] += one.amount
            _ = world.revoke(one) if kind == "revoke" else world.redeem(one, "acme" if kind == "own" else "beta")
    at = world.now + 1
    acme, beta = world.left(at=at), world.left("beta", at=at)
    assert acme.drawn == made - ended["revoke"] + allocated
    assert used + acme.drawn == acme.spent + acme.overage - acme.credit
    assert acme.granted == 200 + ended["own"] == acme.spent + acme.left
    assert beta.granted == beta.left == ended["redeem"]
    with world.ledger.read() as tx:
        left = [Draw(one.id, one.at, one.amount, one.returned) for one in draws.draws_of(tx, "acme")]
        mine = [Grant(one.id, one.amount, 100, one.starts_at, one.expires_at) for one in grants.grants_of(tx, "acme")]
    events = [(row["time"], row["bytes_down"]) for row in world.usage.rows]
    expected = told_by_the_model(mine, left, events, at, MARCH, "carry")
    for name in ("granted", "spent", "left", "overage", "drawn"):
        assert getattr(acme, name) == expected[name], (name, format_instant(at))


def test_no_more_vouchers_are_unused_than_may_be(world: World) -> None:
    def create(count: int) -> list[Voucher]:
        with world.ledger.begin() as tx:
            return vouchers.create_vouchers(tx, world.usage, world.vault, "acme", 1, count, now=NOW, most=3)

    first = create(2)
    with pytest.raises(LimitReached, match="2 unused"):
        create(2)
    world.revoke(first[0])
    assert len(create(2)) == 2
