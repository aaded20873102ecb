"""Which questions are taken for large ones, before and after they were asked once."""

from __future__ import annotations

import pytest
from tests.conftest import NOW

from flowtally.api.export import ExportQuery
from flowtally.api.reconciliation import ReconciliationQuery
from flowtally.api.usage import OverallUsageQuery, UsageQuery
from flowtally.web.capacity import weights as module
from flowtally.web.capacity.weights import SMALL, Weight, Weights, of_export, of_reconciliation, of_usage
from flowtally.web.inputs import parse_query

SMALL_ONES = (
    "",
    "from=2026-03-15&bucket=hour",
    "from=2026-03-15&by=user&bucket=hour",
    "from=2026-03-01&to=2026-03-02&by=user,status,label:country&bucket=total",
    "by=user",
    "from=2026-01-01&to=2026-04-01&tz=Europe/Berlin",
    "from=2020-01-01&bucket=month",
    "from=2020-01-01&bucket=total&by=user",
    "from=nonsense",
    "tz=nowhere",
)
LARGE_ONES = (
    "from=2026-01-01&to=2026-04-01&by=user,product",
    "from=2026-01-01&to=2026-04-01&by=user&by=source",
    "from=2026-01-01&to=2026-04-01&by=label:country",
    "from=2026-01-01&to=2026-04-01&bucket=total&by=status",
    "from=2026-01-01&to=2026-04-01&bucket=15m",
    "from=2025-01-01&to=2026-01-01&bucket=hour",
    "from=2025-01-01&to=2026-01-01&bucket=day&as_of=2026-03-01T00:00:00Z",
)


@pytest.mark.parametrize("query", SMALL_ONES)
def test_what_a_dashboard_asks_again_and_again_is_small(query: str) -> None:
    assert not of_usage(parse_query(query.encode(), UsageQuery), NOW).large


@pytest.mark.parametrize("query", LARGE_ONES)
def test_many_spans_many_groups_and_many_rows_are_large(query: str) -> None:
    assert of_usage(parse_query(query.encode(), UsageQuery), NOW).large
    assert of_usage(parse_query(query.encode(), OverallUsageQuery), NOW).large


def test_an_export_is_large_however_quick_the_last_one_was() -> None:
    weights, weight = Weights(), of_export(ExportQuery(), NOW)
    weights.took("acme", "export_account", weight, 0.01)
    assert weights.is_large("acme", "export_account", weight)


def test_a_guess_holds_until_it_is_known_better() -> None:
    weights = Weights()
    guess = Weight(large=True)
    assert weights.is_large("acme", "read_usage", guess)
    weights.took("acme", "read_usage", guess, 0.01)
    assert not weights.is_large("acme", "read_usage", guess)
    assert not weights.is_large("acme", "read_balance", SMALL)
    weights.took("acme", "read_balance", SMALL, 2.0)
    assert weights.is_large("acme", "read_balance", SMALL)
    assert not weights.is_large("other", "read_balance", SMALL), "what is slow for one need not be for another"
    for _ in range(5):
        weights.took("acme", "read_balance", SMALL, 0.02)
    assert not weights.is_large("acme", "read_balance", SMALL), "it is found out when that has passed"


def test_questions_of_another_shape_are_guessed_anew() -> None:
    weights = Weights()
    shapes = {of_usage(parse_query(query.encode(), UsageQuery), NOW).shape for query in (*SMALL_ONES, *LARGE_ONES)}
    assert len(shapes) > 10
    day, days = (
        of_usage(parse_query(f"from={first}&by=user".encode(), UsageQuery), NOW)
        for first in ("2026-03-15", "2026-01-01")
    )
    weights.took("acme", "read_usage", days, 3.0)
    assert not weights.is_large("acme", "read_usage", day)


def test_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "REMEMBERED", 10)
    weights = Weights()
    for number in range(50):
        weights.took("acme", "read_usage", Weight(shape=str(number)), 1.0)
    assert weights.is_large("acme", "read_usage", Weight(shape="49"))
    assert not weights.is_large("acme", "read_usage", Weight(shape="39"))


def test_a_reconciliation_of_a_long_time_is_large_until_it_was_quick() -> None:
    def of(query: str) -> Weight:
        return of_reconciliation(parse_query(query.encode(), ReconciliationQuery), NOW)

    assert not of("provider=thor&from=2026-03-01&to=2026-04-01").large
    assert of("provider=thor&from=2026-01-01&to=2026-04-01").large
    assert of("provider=thor&from=2026-01-01&to=2026-04-01") == of("provider=odin&from=2026-01-02&to=2026-04-01")
