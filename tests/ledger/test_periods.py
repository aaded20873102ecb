"""Closed periods in the ledger: spans that do not overlap, closings without a fork. What they say: test_periods.py."""

from __future__ import annotations

import pytest

from flowtally.core.errors import Conflict, NotFound, PeriodOverlap, UnknownAccount, Unprocessable
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import periods
from flowtally.ledger.traffic.periods import Period

NOW = 1_700_000_000_000


@pytest.fixture
def acme(ledger: Ledger) -> Ledger:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)
    return ledger


def close(ledger: Ledger, start: int, end: int, after: int, account: str = "acme", block: int = 7) -> Period:
    with ledger.begin() as tx:
        return periods.close_period(
            tx, account, start, end, now=NOW, timezone="UTC", block=block, statement='{"ü": 1}', after=after
        )


def test_a_period_is_kept_as_it_was_closed(acme: Ledger) -> None:
    closed = close(acme, -1000, 10, 0)
    with acme.read() as tx:
        assert periods.read_period(tx, closed.id, "acme") == closed
        assert periods.list_periods(tx, "acme").items == [closed]
        assert [one.id for one in periods.closed_spans(tx, "acme")] == [closed.id]
        for id, account in (("per_x", "acme"), (closed.id, "beta"), ("a\x00", "acme")):
            with pytest.raises(NotFound):
                periods.read_period(tx, id, account)


@pytest.mark.parametrize("span", [(10, 20), (9, 11), (19, 25), (12, 13), (0, 100), (10, 11), (19, 20)])
def test_no_part_of_a_span_is_closed_twice(acme: Ledger, span: tuple[int, int]) -> None:
    first = close(acme, 10, 20, 0)
    with pytest.raises(PeriodOverlap, match=first.id):
        close(acme, *span, 1)
    close(acme, *span, 0, account="beta")


def test_closings_are_numbered_and_know_the_one_before(acme: Ledger) -> None:
    assert [close(acme, 10 * n, 10 * n + 10, n).number for n in range(3)] == [1, 2, 3]
    for stale in (0, 2, 4):
        with pytest.raises(Conflict, match="meanwhile"):
            close(acme, 100, 110, stale)
    assert close(acme, 100, 110, 3).number == 4
    assert close(acme, 0, 10, 0, account="beta").number == 1


def test_pages_of_periods_follow_each_other(acme: Ledger) -> None:
    closed = [close(acme, 10 * n, 10 * n + 10, n) for n in range(5)]
    found, cursor = [], None
    with acme.read() as tx:
        while True:
            page = periods.list_periods(tx, "acme", cursor, 2)
            found += page.items
            if (cursor := page.next) is None:
                break
    assert found == closed


def test_what_is_no_span_of_an_account_is_refused(acme: Ledger) -> None:
    for start, end in ((10, 10), (10, 9), (-(10**9), 5), (10**16, 10**16 + 1)):
        with pytest.raises(Unprocessable):
            close(acme, start, end, 0)
    with pytest.raises(UnknownAccount):
        close(acme, 0, 1, 0, account="nobody")
