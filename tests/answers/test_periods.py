"""Closing a period: what is frozen stays, what comes later is an adjustment, and together they are usage now.

10 Mar  100 B up, stored as block 1      (residential)
close 1 Mar .. 1 Apr (Berlin)            statement 100, frozen at block 1
block 2 brings 7 B of 20 Mar             adjustment of the open period: March 7
close 1 Feb .. 1 Mar                     its statement takes the 7 up; the open period is empty again
March: statement 100 + adjustments 7 = usage now 107
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import asdict
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.kinds import WAYS
from tests.usage.blocks import block
from tests.usage.ways import opened_in_a_way

from flowtally.answers import periods
from flowtally.answers.statement import total
from flowtally.core.cursors import Walk
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, BadRequest, Conflict, NotFound, PeriodOverlap
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import grants
from flowtally.protocol import PeriodAnswer, PeriodDetailAnswer, ProductTotals, Totals
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Where

NOW: Final = parse_instant("2026-05-15T12:00:00Z")
DAY: Final = 86_400_000


def at(text: str) -> int:
    return parse_instant(text)


class Books:
    """Closing and reading the periods of one account."""

    def __init__(self, ledger: Ledger, usage: UsageStore, account: str = "acme", zone: str = "Europe/Berlin") -> None:
        self.ledger, self.usage, self.account = ledger, usage, account
        with ledger.begin() as tx:
            accounts.create_account(tx, account, now=0, timezone=zone)

    def close(self, start: str, end: str, now: int = NOW) -> PeriodAnswer:
        with self.ledger.read() as tx:
            planned = periods.plan_closing(tx, self.usage, self.account, start, end, now)
        with self.ledger.begin() as tx:
            return periods.close_period(tx, self.account, planned, now)

    def read(self, period: str, cursor: str | None = None, limit: int = 100) -> PeriodDetailAnswer:
        with self.ledger.read() as tx:
            return periods.read_period(tx, self.usage, self.account, period, cursor, limit, NOW)

    def open(self) -> Any:
        with self.ledger.read() as tx:
            return periods.read_open_period(tx, self.usage, self.account, NOW)

    def use(self, *rows: dict[str, Any]) -> None:
        number = self.usage.last_commit().block + 1
        self.usage.append(block(number, *({"account": self.account} | row for row in rows), received_at=NOW + number))


@pytest.fixture
def books(app_ledger: Ledger, usage: MemoryStore) -> Books:
    return Books(app_ledger, usage)


MARCH_10: Final = at("2026-03-10T12:00:00Z")


def test_a_statement_has_products_pools_and_the_balance_at_the_end(books: Books, app_ledger: Ledger) -> None:
    with app_ledger.begin() as tx:
        grants.give_grant(tx, "acme", 1000, now=0)
    books.use({"time": MARCH_10, "bytes_up": 100}, {"time": MARCH_10, "product": "api", "requests": 3})
    books.use({"time": at("2026-04-02T00:00:00Z"), "bytes_up": 5})
    closed = books.close("2026-03-01", "2026-04-01")
    assert (closed.start, closed.end) == ("2026-03-01T00:00:00+01:00", "2026-04-01T00:00:00+02:00")
    assert (closed.block, closed.number) == (2, 1)
    statement = closed.statement
    assert statement.products == [
        ProductTotals("api", "api", 0, 0, 0, 3),
        ProductTotals("residential", "traffic", 100, 0, 100, 1),
    ]
    assert [(one.pool, one.charge, one.used) for one in statement.pools] == [
        ("api", "requests", 3),
        ("traffic", "bytes", 100),
    ]
    assert statement.total == Totals(100, 0, 100, 4)
    assert (statement.balance["traffic"].left, statement.balance["api"].overage) == (900, 3)
    assert [grant.left for grant in statement.grants] == [900]


def test_what_comes_later_is_an_adjustment_and_the_next_closing_takes_it_up(books: Books) -> None:
    books.use({"time": MARCH_10, "bytes_up": 100})
    march = books.close("2026-03-01", "2026-04-01")
    assert books.open().adjustments == []
    books.use({"time": at("2026-03-20T12:00:00Z"), "bytes_up": 7}, {"time": at("2026-04-20T12:00:00Z"), "bytes_up": 9})
    [pending] = books.open().adjustments
    assert (pending.period, pending.total.bytes_up, books.open().total.bytes_up) == (march.id, 7, 7)
    february = books.close("2026-02-01", "2026-03-01")
    assert february.statement.total.bytes == 0
    assert february.statement.adjustments == [pending]
    assert books.open().adjustments == []
    now = books.read(march.id)
    assert now.statement == march.statement
    assert (now.statement.total.bytes_up, now.adjustments.total.bytes_up) == (100, 7)


def test_the_changes_say_which_block_brought_what_to_which_day(books: Books) -> None:
    march = books.close("2026-03-01", "2026-04-01")
    assert march.block == 0
    books.use(
        {"time": MARCH_10, "bytes_up": 1}, {"time": MARCH_10 + 1, "bytes_up": 2}, {"time": at("2026-03-31T23:00:00Z")}
    )
    books.use({"time": MARCH_10, "bytes_up": -3, "kind": "correction"}, {"time": at("2026-03-28T23:00:00Z")})
    first = books.read(march.id, limit=2).adjustments.changes
    assert [(one.block, one.start, one.rows, one.bytes_up) for one in first.items] == [
        (1, "2026-03-10T00:00:00+01:00", 2, 3),
        (2, "2026-03-10T00:00:00+01:00", 1, -3),
    ]
    rest = books.read(march.id, first.next, 2).adjustments.changes
    # The day summer time begins has 23 hours.
    assert [(one.start, one.end) for one in rest.items] == [("2026-03-29T00:00:00+01:00", "2026-03-30T00:00:00+02:00")]
    assert rest.next is None


def test_sums_beyond_64_bits_are_frozen_as_they_are(books: Books) -> None:
    books.use(*({"time": MARCH_10, "bytes_up": 2**63 - 1} for _ in range(5)))
    closed = books.close("2026-03-01", "2026-04-01")
    assert books.read(closed.id).statement.total.bytes_up == 5 * (2**63 - 1)


@pytest.mark.parametrize(
    "span",
    [
        ("2026-03-01", "2026-04-01"),
        ("2026-03-31T21:59:59.999Z", "2026-04-05"),
        ("2026-02-01", "2026-02-28T23:00:00.001Z"),
        ("2026-03-10", "2026-03-11"),
        ("2026-01-01", "2026-05-01"),
    ],
)
def test_a_span_is_closed_once(books: Books, span: tuple[str, str]) -> None:
    march = books.close("2026-03-01", "2026-04-01")
    with pytest.raises(PeriodOverlap, match=march.id):
        books.close(*span)


def test_spans_that_touch_do_not_overlap_and_need_not_touch(books: Books) -> None:
    spans = [
        ("2026-03-01", "2026-04-01"),
        ("2026-04-01", "2026-04-02"),
        ("2026-02-01", "2026-03-01"),
        ("2025-01-01", "2025-02-01"),
    ]
    assert [books.close(*span).number for span in spans] == [1, 2, 3, 4]


@pytest.mark.parametrize(
    "span",
    [
        ("2026-05-15", "2026-05-16"),  # today
        ("2026-05-01", "2026-05-15T12:00:00.001Z"),
        ("2026-03-01", "2026-03-01"),
        ("2026-04-01", "2026-03-01"),
        ("1969-12-01", "1970-02-01"),
        ("March", "2026-04-01"),
    ],
)
def test_what_is_not_over_or_no_span_is_not_closed(books: Books, span: tuple[str, str]) -> None:
    with pytest.raises(BadRange):
        books.close(*span)


def test_the_present_instant_may_end_a_period(books: Books) -> None:
    assert books.close("2026-05-15", "2026-05-15T12:00:00Z").end == "2026-05-15T14:00:00+02:00"


def test_a_plan_that_another_closing_overtook_is_refused(books: Books, app_ledger: Ledger, usage: MemoryStore) -> None:
    with app_ledger.read() as tx:
        planned = periods.plan_closing(tx, usage, "acme", "2026-02-01", "2026-03-01", NOW)
    books.close("2026-03-01", "2026-04-01")
    with pytest.raises(Conflict, match="meanwhile"), app_ledger.begin() as tx:
        periods.close_period(tx, "acme", planned, NOW)


def test_an_unknown_period_or_cursor_is_named(books: Books) -> None:
    march = books.close("2026-03-01", "2026-04-01")
    with pytest.raises(NotFound):
        books.read("per_x")
    walk = Walk("period changes", "", ("acme", march.id))
    assert books.read(march.id, walk.cursor((1, 30)))
    other = Walk("period changes", "", ("acme", "per_x"))
    for cursor in ("abc", walk.cursor((1, 31)), Walk("grants", "", ("acme",)).cursor((1, 1)), other.cursor((1, 1))):
        with pytest.raises(BadRequest):
            books.read(march.id, cursor)


# -- the law ----------------------------------------------------------------------------------------------------------

_accounts: Final = count(1)
DAYS: Final = [f"2026-03-{day:02d}" for day in range(1, 10)]
START: Final = at("2026-03-01T00:00:00Z")
rows = st.lists(
    st.fixed_dictionaries(
        {
            "time": st.integers(START - 1, START + 8 * DAY),
            "product": st.sampled_from(["residential", "api", "unlimited"]),
            "bytes_up": st.integers(-5, 2**53),
            "requests": st.integers(-1, 3),
            "kind": st.sampled_from(["use", "correction"]),
        }
    ),
    min_size=1,
    max_size=4,
)
spans = st.tuples(st.sampled_from(DAYS), st.sampled_from(DAYS)).filter(lambda pair: pair[0] < pair[1])
steps = st.lists(st.one_of(rows, spans), min_size=1, max_size=12)


def check_the_law(books: Books, steps: list[Any]) -> None:
    frozen: dict[str, PeriodAnswer] = {}
    for step in steps:
        if isinstance(step, list):
            books.use(*step)
            continue
        try:
            closed = books.close(*step)
        except PeriodOverlap:
            continue
        frozen[closed.id] = closed
    taken = [(one.period, one.total) for closed in frozen.values() for one in closed.statement.adjustments]
    taken += [(one.period, one.total) for one in books.open().adjustments]
    for period in frozen.values():
        shown = books.read(period.id)
        assert {**asdict(shown), "adjustments": None} == {**asdict(period), "adjustments": None, "as_of": shown.as_of}
        edges = [at(period.start), at(period.end)]
        now = total(books.usage.sums(edges, Where(account=books.account), ("product",)))
        assert total((period.statement.total, shown.adjustments.total)) == now
        assert total((*period.statement.products, *shown.adjustments.products)) == now  # type: ignore[arg-type]
        assert total(one for name, one in taken if name == period.id) == shown.adjustments.total
        assert changes_of(books, period.id) == shown.adjustments.total


def changes_of(books: Books, period: str) -> Totals:
    """The sum of all pages of changes."""
    found, cursor = [], None
    while True:
        page = books.read(period, cursor, 2).adjustments.changes
        found += page.items
        if page.next is None:
            return total(found)  # type: ignore[arg-type]
        cursor = page.next


LAW: Final = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@LAW
@given(steps=steps)
def test_frozen_and_adjustments_are_usage_now_whatever_came_when(app_ledger: Ledger, steps: list[Any]) -> None:
    check_the_law(Books(app_ledger, MemoryStore(), f"a{next(_accounts)}", "UTC"), steps)


@settings(LAW, max_examples=4)
@given(steps=steps)
def test_the_law_holds_over_the_engine(app_ledger: Ledger, lying: ClickHouseStore, steps: list[Any]) -> None:
    check_the_law(Books(app_ledger, lying, f"a{next(_accounts)}", "UTC"), steps)


@pytest.fixture(params=WAYS)
def lying(request: pytest.FixtureRequest, database_url: str) -> Iterator[ClickHouseStore]:  # noqa: F811
    """With its rows in each of the ways."""
    with opened_in_a_way(request.param, database_url) as opened:
        yield opened
