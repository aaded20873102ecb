"""Four times the promises are four times the work of a check, not sixteen: counted in steps and calls, not seconds."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, Table, insert

from flowtally.answers.account_balance import burn_pools
from flowtally.care import statements
from flowtally.core import burndown
from flowtally.ledger import pools
from flowtally.ledger.checks import rules, schema, sums
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.tables import (
    allocation_returns,
    allocations,
    grants,
    user_names,
    users,
    voucher_ends,
    vouchers,
)
from flowtally.ledger.traffic import periods
from flowtally.ledger.traffic.periods import ClosedSpan
from flowtally.usage.checks.sums import SumPart, Used

BEGAN = 1_700_000_000_000
AT = BEGAN + 10**9
ONCE, FOUR = 60, 240  # accounts: more than one page of them, and four times as many
EACH = 10  # promises of each kind of an account
STEPS = 100  # of SQLite's machine, that count as one
MOST = 5.0  # times the work: sorting is a little more than linear
FEW = 20  # counts that say nothing


def _put(tx: Connection, table: Table, rows: Sequence[dict[str, Any]]) -> None:
    if rows:
        tx.execute(insert(table), list(rows))


def _promised(ledger: Ledger, count: int) -> None:
    """Accounts with grants, vouchers (half of them revoked), a funded user and what it got; one name that many bore."""
    owners = [f"a{n:05}" for n in range(count)]
    numbers = [(owner, f"{owner}-{n:03}", n) for owner in owners for n in range(EACH)]
    common = {"pool": "traffic", "promise": 1}
    with ledger.begin() as tx:
        for owner in owners:
            accounts.create_account(tx, owner, now=BEGAN)
        bearers = [managed.create_user(tx, owner, f"user of {owner}", now=BEGAN, funded=True).id for owner in owners]
        ids = dict(zip(owners, bearers, strict=True))
        given = [
            {"id": f"g{key}", "account": owner, "amount": 5, "source": "x", "reference": key, "priority": 100}
            | {"starts_at": BEGAN + n, "expires_at": BEGAN + 10**8 + n, "created_at": BEGAN} | common
            for owner, key, n in numbers
        ]  # fmt: skip
        passed = [
            {"id": f"l{key}", "account": owner, "user_id": ids[owner], "amount": 2, "created_at": BEGAN + n} | common
            for owner, key, n in numbers
        ]
        aside = [
            {"id": f"v{key}", "account": owner, "amount": 1, "duration_s": 60, "sealed": "s", "created_at": BEGAN + n}
            | {"digest": key.rjust(64, "0")} | common
            for owner, key, n in numbers
        ]  # fmt: skip
        _put(tx, grants, given)
        _put(tx, allocations, passed)
        _put(tx, allocation_returns, [
            {"id": f"r{key}", "allocation_id": f"l{key}", "amount": 1, "returned_at": BEGAN + n, "promise": 1}
            for _, key, n in numbers
        ])  # fmt: skip
        _put(tx, vouchers, aside)
        _put(tx, voucher_ends, [
            {"voucher_id": f"v{key}", "ended_at": BEGAN + n, "promise": 1} for _, key, n in numbers if n % 2
        ])  # fmt: skip
        _put(tx, users, [{"id": f"u{n}", "account": owners[0], "created_at": BEGAN} for n in range(count)])
        _put(tx, user_names, [
            {"account": owners[0], "name": "handed on", "user_id": f"u{n}", "valid_from": BEGAN + n, "promise": 1}
            | {"valid_to": BEGAN + n + 1, "taken_at": BEGAN}
            for n in range(count)
        ])  # fmt: skip


def _pages(tx: Connection, work: Callable[[Connection, list[str]], Any]) -> None:
    last = ""
    while page := sums.account_ids(tx, last, 50):
        work(tx, page)
        last = page[-1]


def _balances(tx: Connection, page: Sequence[str]) -> None:
    for account in page:
        burn_pools(tx, account, AT, lambda where, edges: [])


def _funded(tx: Connection, page: Sequence[str]) -> None:
    for account in page:
        sums.allocated_to(tx, sums.funded_ids(tx, account, "", 100))


PAGED = (sums.granted, sums.allocated_by, sums.set_aside_by, sums.last_draw, _balances, _funded)


QUESTIONS: dict[str, Callable[[Connection], Any]] = {
    **{work.__name__: (lambda tx, work=work: _pages(tx, work)) for work in PAGED},  # type: ignore[misc]
    **{rule.__name__: (lambda tx, rule=rule: list(rule(tx))) for rule in rules.RULES},  # type: ignore[misc]
    "constraints": lambda tx: list(schema.faults(tx)),
}


@pytest.fixture(scope="module")
def ledgers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Ledger]]:
    made = []
    for count in (ONCE, FOUR):
        ledger = Ledger.open(f"sqlite:///{tmp_path_factory.mktemp('many')}/ledger.db")
        _promised(ledger, count)
        made.append(ledger)
    yield made
    for ledger in made:
        ledger.close()


def _steps(ledger: Ledger, work: Callable[[Connection], Any]) -> int:
    """How much SQLite's machine did for it."""
    seen = 0

    def step() -> int:
        nonlocal seen
        seen += 1
        return 0

    with ledger.read() as tx:
        driver: Any = tx.connection.dbapi_connection
        driver.set_progress_handler(step, STEPS)
        try:
            work(tx)
        finally:
            driver.set_progress_handler(None, 0)
    return seen


@contextmanager
def _counting_calls() -> Iterator[list[int]]:
    calls = [0]

    def called(frame: Any, event: str, _: Any) -> None:
        calls[0] += event in ("call", "c_call")

    sys.setprofile(called)
    try:
        yield calls
    finally:
        sys.setprofile(None)


@pytest.mark.parametrize("name", QUESTIONS)
def test_a_question_of_a_check_takes_as_many_steps_as_there_are_promises(ledgers: list[Ledger], name: str) -> None:
    once, four = (_steps(ledger, QUESTIONS[name]) for ledger in ledgers)
    assert four <= MOST * max(once, FEW), f"{once} and {four} times {STEPS} steps"


def test_the_ledger_that_is_counted_on_is_whole(ledgers: list[Ledger]) -> None:
    with ledgers[0].read() as tx:
        assert list(rules.faults(tx)) == []


def _burn(count: int) -> int:
    given = [burndown.Grant(f"g{n:05}", 3, 100, 1 + n, 10**6 + n) for n in range(count)]
    drawn = [burndown.Draw(f"d{n:05}", 5 + 7 * n, 1) for n in range(count)]
    edges = burndown.plan_edges(given, drawn, 0, 10**7)
    with _counting_calls() as calls:
        burndown.burn(given, drawn, edges, [2] * (len(edges) - 1), 10**7)
    return calls[0]


def test_burning_four_times_the_grants_and_draws_is_four_times_the_work() -> None:
    assert _burn(2000) <= MOST * _burn(500)


class _Found:
    def __init__(self) -> None:
        self.said: list[str] = []

    def __call__(self, code: str, where: str, detail: str) -> None:
        self.said.append(detail)


def _adjusted(count: int, monkeypatch: pytest.MonkeyPatch) -> int:
    """Calls for an account that closed so many periods, with something late for every one of them."""
    closed = [ClosedSpan(f"p{n}", n + 1, n * 100, n * 100 + 100, n + 1) for n in range(count)]
    parts = [SumPart(one.starts_at, one.block, "x", Used(1, 1, 1)) for one in closed]

    class Sums:
        def in_spans(self, *_: Any) -> list[SumPart]:
            return parts

    seen = 0

    def check(self: Any, tx: Any, period: Any, rows: Sequence[SumPart], adjusted: Any, known: Any) -> None:
        nonlocal seen
        seen += sum("bytes_up" in name for name in adjusted)

    monkeypatch.setattr(periods, "closed_spans", lambda tx, account: closed)
    monkeypatch.setattr(periods, "read_period", lambda tx, id, account: id)
    monkeypatch.setattr(pools, "read_pools", lambda tx: None)
    monkeypatch.setattr(statements.Statements, "_check_period", check)
    made: Any = statements.Statements(None, Sums(), None, count, _Found(), lambda *_: None)  # type: ignore[arg-type]
    with _counting_calls() as calls:
        made._check_account(None, "acme")
    assert seen == 2 * (count - 1), "each period's own late rows, in all and by product; the last one's come later"
    return calls[0]


def test_what_came_late_is_looked_at_once_however_many_periods_were_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _adjusted(400, monkeypatch) <= MOST * _adjusted(100, monkeypatch)
