"""Explanations: a balance taken apart so that a bookkeeper can add it up again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW
from tests.usage.blocks import block

from flowtally.answers.account_balance import make_balance
from flowtally.answers.explain import LARGEST_SPANS, make_explanation, make_user_explanation
from flowtally.answers.user_balance import make_user_balance
from flowtally.core.corrections import reference
from flowtally.core.errors import BadRange, UnknownAccount, UnknownUser
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.traffic import allocations, grants
from flowtally.protocol import ExplainAnswer, PoolExplained
from flowtally.usage.memory import MemoryStore

DAY = 86_400_000


class Book:
    """An account, its grants and rows of use; days count back from NOW."""

    def __init__(self, ledger: Ledger, account: str = "acme", **policy: Any) -> None:
        self.ledger, self.account, self.store = ledger, account, MemoryStore()
        with ledger.begin() as tx:
            accounts.create_account(tx, account, now=NOW - 100 * DAY, **policy)

    def give(self, amount: int, first: int, last: int | None = None, **more: Any) -> str:
        with self.ledger.begin() as tx:
            start, end = NOW - first * DAY, None if last is None else NOW - last * DAY
            given = grants.give_grant(
                tx, self.account, amount, starts_at=start, expires_at=end, now=NOW - 100 * DAY, **more
            )
        return given.id

    def use(self, days: int, amount: int, **more: Any) -> None:
        number = self.store.last_commit().block + 1
        row = {"account": self.account, "time": NOW - days * DAY, "bytes_down": amount, "id": f"e{number}"}
        self.store.append(block(number, row | more))

    def fund(self, name: str, *allocated: tuple[int, int, int, int]) -> str:
        """A funded user, with allocations of (amount, days ago, taken back, days it lasts; 0: for ever)."""
        with self.ledger.begin() as tx:
            made = managed.create_user(tx, self.account, name, funded=True, now=NOW - 100 * DAY)
            for amount, days, returned, lasts in allocated:
                at = NOW - days * DAY
                ends = at + lasts * DAY if lasts else None
                one = allocations.allocate(tx, made, amount, now=at, pool="traffic", left=amount, expires_at=ends)
                if returned:
                    allocations.take_back(tx, made, one.id, now=at, unspent=amount, amount=returned)
        return made.id

    def ask_user(self, user: str, at: int = NOW, **more: Any) -> ExplainAnswer:
        with self.ledger.read() as tx:
            answer = make_user_explanation(tx, self.store, self.account, user, at, **more)
            adds_up(answer)
            told = make_user_balance(tx, self.store, self.account, user, at)
            assert told.pools == {name: pool.balance for name, pool in answer.pools.items()}
            spent = {one.grant.id: one.grant.spent for pool in answer.pools.values() for one in pool.grants}
            assert spent == {one.id: one.spent for one in told.allocations if one.amount > one.returned} | {
                id: 0 for id, amount in spent.items() if not amount
            }
        return answer

    def ask(self, at: int = NOW, **more: Any) -> ExplainAnswer:
        with self.ledger.read() as tx:
            answer = make_explanation(tx, self.store, self.account, at, **more)
            adds_up(answer)
            assert make_balance(tx, self.store, self.account, at).pools == {
                name: pool.balance for name, pool in answer.pools.items()
            }
        return answer


def adds_up(answer: ExplainAnswer) -> None:
    """As somebody with paper and pencil would."""
    for pool in answer.pools.values():
        b = pool.balance
        assert b.granted == sum(one.grant.amount for one in pool.grants)
        assert b.granted == b.spent + b.left + b.pending + b.expired + b.voided
        assert pool.used + pool.drawn == b.spent + b.overage + pool.forgiven - b.credit
        assert pool.used == sum(span.used for span in pool.spans)
        assert b.spent == sum(one.grant.spent or 0 for one in pool.grants)
        from_spans = sum(paid.amount for span in pool.spans for paid in span.paid if paid.grant)
        assert b.spent == from_spans + sum(paid.amount for draw in pool.draws for paid in draw.paid if paid.grant)
        fates: dict[str, int] = dict.fromkeys(("open", "before_carry", "forgiven"), 0)
        for span in pool.spans:
            assert span.used == span.events + span.corrections + span.adjustments
            covered = sum(one.amount for one in span.paid) + sum(one.amount for one in span.unpaid)
            assert span.used == covered - span.credit
            if span.largest and span.rows == len(span.largest):
                assert sum(row.amount for row in span.largest) == span.used
        spans, draws = ([one for part in parts for one in part.unpaid] for parts in (pool.spans, pool.draws))
        for unpaid in (*spans, *draws):
            fates[unpaid.fate] += unpaid.amount
        assert (fates["open"] + fates["before_carry"], fates["before_carry"]) == (b.overage, pool.overage_before_carry)
        assert fates["forgiven"] == pool.forgiven
        for one in pool.grants:
            assert one.grant.amount == (one.grant.spent or 0) + one.unspent
            assert one.grant.spent == sum(paid.amount for paid in one.paid)


@pytest.fixture
def book(app_ledger: Ledger) -> Book:
    return Book(app_ledger)


def traffic(answer: ExplainAnswer) -> PoolExplained:
    return answer.pools["traffic"]


def test_every_span_says_what_was_used_and_which_grant_paid(book: Book) -> None:
    """
    grants  A 100, day -20 to -5 | B 50, from day -10, priority 200
    use     day -15: 70 | day -8: 60 | day -2: 40
    paid    70 by A | 30 by A, 30 by B | 20 by B, 20 wait
    """
    a = book.give(100, 20, 5)
    b = book.give(50, 10, priority=200)
    for days, amount in ((15, 70), (8, 60), (2, 40)):
        book.use(days, amount)
    pool = traffic(book.ask())
    assert [span.used for span in pool.spans] == [70, 60, 40]
    assert [[(one.grant, one.amount) for one in span.paid] for span in pool.spans] == [
        [(a, 70)],
        [(a, 30), (b, 30)],
        [(b, 20)],
    ]
    assert [(one.fate, one.amount) for one in pool.spans[2].unpaid] == [("open", 20)]
    assert [(one.grant.id, [paid.amount for paid in one.paid], one.unspent) for one in pool.grants] == [
        (a, [70, 30], 0),
        (b, [30, 20], 0),
    ]


def test_corrections_and_adjustments_are_told_apart_from_events(book: Book) -> None:
    book.give(100, 20)
    book.use(10, 60)
    refers = reference("gw", id="e1", sequence=0)
    book.use(10, -25, kind="correction", refers_to=refers, key_source="desk", reason="counted twice", requests=0)
    book.use(9, -5, kind="adjustment", reason="goodwill", requests=0)
    [span] = traffic(book.ask()).spans
    assert (span.used, span.events, span.corrections, span.adjustments, span.rows) == (30, 60, -25, -5, 3)
    event, correction, adjustment = span.largest
    assert (event.kind, event.amount, event.corrects) == ("use", 60, None)
    assert (correction.kind, correction.amount, correction.reason) == ("correction", -25, "counted twice")
    assert correction.corrects is not None
    assert (correction.source, correction.corrects.source, correction.corrects.id) == ("desk", "gw", "e1")
    assert (adjustment.kind, adjustment.amount) == ("adjustment", -5)


def test_a_span_below_zero_becomes_credit_that_pays_first(book: Book) -> None:
    a = book.give(100, 20, 5)
    b = book.give(100, 5)
    book.use(10, -30, kind="adjustment", requests=0)
    book.use(2, 50)
    pool = traffic(book.ask())
    first, second = pool.spans
    assert (first.used, first.credit, first.paid) == (-30, 30, [])
    assert [(one.grant, one.amount) for one in second.paid] == [("", 30), (b, 20)]
    assert pool.balance.credit == 0
    assert [len(one.paid) for one in pool.grants if one.grant.id == a] == [0]


def test_only_the_rows_that_count_most_of_the_largest_spans_are_shown(book: Book) -> None:
    for days in range(20, 0, -2):
        book.give(5, days, days - 2)
    for days in range(19, 0, -1):
        book.use(days, days)
        book.use(days, 1000 if days == 3 else 1)
    spans = traffic(book.ask(top=2)).spans
    shown = [span for span in spans if span.largest]
    assert len(shown) == LARGEST_SPANS < len(spans)
    assert all(len(span.largest) == 2 for span in shown)
    assert max(row.amount for span in shown for row in span.largest) == 1000
    assert not any(span.largest for span in traffic(book.ask(top=0)).spans)


def test_requests_are_the_unit_of_a_pool_that_charges_requests(book: Book) -> None:
    book.give(10, 20, pool="api")
    book.use(5, 999, product="api", requests=4)
    pool = book.ask().pools["api"]
    assert (pool.balance.unit, pool.used, pool.spans[0].largest[0].amount) == ("requests", 4, 4)
    assert traffic(book.ask()).spans == []


def test_what_comes_in_while_explaining_is_left_out_everywhere(book: Book) -> None:
    book.give(100, 20)
    book.use(10, 60)
    parts = book.store.parts

    def late(*args: Any) -> Any:
        book.use(10, 9999)
        return parts(*args)

    book.store.parts = late  # type: ignore[method-assign, assignment]
    with book.ledger.read() as tx:
        answer = make_explanation(tx, book.store, "acme", NOW)
    adds_up(answer)
    [span] = traffic(answer).spans
    assert (answer.block, span.used, [row.amount for row in span.largest]) == (1, 60, [60])


def test_an_unknown_account_and_the_year_1969_have_no_explanation(book: Book) -> None:
    with book.ledger.read() as tx, pytest.raises(UnknownAccount):
        make_explanation(tx, book.store, "nobody", NOW)
    with pytest.raises(BadRange):
        book.ask(at=-1)


given_grant = st.tuples(st.integers(1, 200), st.integers(1, 90), st.integers(1, 60), st.sampled_from([1, 100]))
a_use = st.tuples(
    st.integers(0, 99),
    st.integers(-50, 300),
    st.sampled_from(["use", "correction", "adjustment"]),
    st.sampled_from(["residential", "mobile", "api", "unlimited"]),
)
_books = iter(range(10**9))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    gives=st.lists(given_grant, max_size=6),
    uses=st.lists(a_use, max_size=15),
    overage=st.sampled_from(["carry", "forgive"]),
    carry_days=st.integers(0, 80),
    at_days=st.integers(0, 50),
)
def test_any_book_adds_up_at_any_instant(
    app_ledger: Ledger, gives: Any, uses: Any, overage: Any, carry_days: int, at_days: int
) -> None:
    book = Book(app_ledger, f"book{next(_books)}", overage=overage, carry_from=NOW - carry_days * DAY)
    for index, (amount, first, length, priority) in enumerate(gives):
        pool = ("traffic", "mobile", "api")[index % 3]
        book.give(amount, first, first - length, priority=priority, pool=pool)
    for days, amount, kind, product in uses:
        book.use(days, abs(amount) if kind == "use" else amount, kind=kind, product=product)
    book.ask(at=NOW - at_days * DAY + 1, top=3)


an_allocation = st.tuples(st.integers(1, 200), st.integers(0, 90), st.integers(0, 200), st.integers(0, 30))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    allocated=st.lists(an_allocation, max_size=6),
    uses=st.lists(a_use, max_size=15),
    overage=st.sampled_from(["carry", "forgive"]),
    carry_days=st.integers(0, 80),
    at_days=st.integers(0, 50),
)
def test_any_purse_of_a_funded_user_adds_up_at_any_instant(
    app_ledger: Ledger, allocated: Any, uses: Any, overage: Any, carry_days: int, at_days: int
) -> None:
    name = f"book{next(_books)}"
    book = Book(app_ledger, name, overage=overage, carry_from=NOW - carry_days * DAY)
    user = book.fund(
        name, *((amount, days, min(amount, returned), lasts) for amount, days, returned, lasts in allocated)
    )
    book.give(50, 90)
    for index, (days, amount, kind, product) in enumerate(uses):
        whose = ("", user)[index % 3 > 0]
        book.use(days, abs(amount) if kind == "use" else amount, kind=kind, product=product, user=whose)
    at = NOW - at_days * DAY + 1
    book.ask_user(user, at=at, top=3)
    book.ask(at=at, top=3)


def test_a_funded_users_purse_is_explained_by_what_was_allocated_to_it(book: Book) -> None:
    """
    fay   allocated 100 on day -20, of which 40 came back | 50 on day -5
    use   day -10: 80 | day -2: 10, and 999 of others
    paid  60 by the first, 20 wait for the second | 10 by the second
    """
    user = book.fund("fay", (100, 20, 40, 0), (50, 5, 0, 0))
    book.use(10, 80, user=user)
    book.use(2, 10, user=user)
    book.use(2, 999)
    answer = book.ask_user("fay")
    assert (answer.user, answer.user_id, answer.block) == ("fay", user, 3)
    pool = traffic(answer)
    first, second = pool.grants
    assert [(one.grant.amount, one.grant.spent, one.unspent) for one in (first, second)] == [(60, 60, 0), (50, 30, 20)]
    assert {one.grant.source for one in pool.grants} == {"allocation"}
    assert [[(one.grant, one.amount) for one in span.paid] for span in pool.spans] == [
        [(first.grant.id, 60), (second.grant.id, 20)],
        [(second.grant.id, 10)],
    ]
    assert [row.user for span in pool.spans for row in span.largest] == ["fay", "fay"]


def test_a_user_the_account_pays_for_has_no_purse_to_explain(book: Book) -> None:
    with book.ledger.begin() as tx:
        managed.create_user(tx, "acme", "ann", now=NOW)
    book.use(2, 10)
    answer = book.ask_user("ann")
    assert (answer.pools, answer.block) == ({}, 1)
    with pytest.raises(UnknownUser):
        book.ask_user("nobody")
    with pytest.raises(BadRange):
        book.ask_user("ann", at=0)


def test_use_of_a_funded_user_is_not_the_accounts(book: Book, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is paid from the user's own purse, so neither the figures nor the rows shown have it."""
    monkeypatch.setattr("flowtally.answers.account_balance.managed.funded_users", lambda tx, account: ("usr_f",))
    book.give(100, 20)
    book.use(10, 60)
    book.use(9, 999, user="usr_f")
    [span] = traffic(book.ask()).spans
    assert (span.used, [row.amount for row in span.largest]) == (60, [60])
