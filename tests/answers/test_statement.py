"""Statements: calendar spans, zeros, groups, names, the cap and CSV; over the memory store and a real ledger."""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import NOW

from flowtally.answers.statement import Question, columns_of, make_statement, to_csv
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, BadRequest, UnknownAccount, UnknownZone
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, users
from flowtally.protocol import UsageAnswer
from flowtally.usage.memory import MemoryStore


@pytest.fixture
def use(app_ledger: Ledger, usage: MemoryStore) -> Any:
    """`use("2026-03-10T12:00:00Z", 5, user="alice")`: 5 bytes down of account acme, which is in Berlin."""
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=0, timezone="Europe/Berlin")

    def add(time: str, bytes_down: int, *, user: str = "", **row: Any) -> None:
        with app_ledger.begin() as tx:
            user_id = users.ensure_users(tx, [("acme", user)], 0)["acme", user]
        fixed = {"series": "metered", "account": "acme", "product": "", "source": "gw", "status": 0, "labels": {}}
        counts = {"bytes_up": 0, "bytes_down": bytes_down, "requests": 1, "block": 1}
        usage.rows.append({**fixed, **counts, "user": user_id, "time": parse_instant(time), **row})

    return add


@pytest.fixture
def ask(app_ledger: Ledger, usage: MemoryStore) -> Any:
    def statement(account: str = "acme", **question: Any) -> UsageAnswer:
        with app_ledger.read() as tx:
            return make_statement(tx, usage, Question(account, **question), NOW)

    return statement


def bytes_of(answer: UsageAnswer) -> list[Any]:
    return [row["bytes"] for row in answer.rows]


def test_days_are_those_of_the_accounts_zone_and_the_total_is_the_sum_of_the_rows(use: Any, ask: Any) -> None:
    use("2026-03-09T22:59:59.999Z", 1)  # still the 9th in Berlin
    use("2026-03-09T23:00:00Z", 2)
    use("2026-03-10T23:00:00Z", 4)
    answer = ask(start="2026-03-09", end="2026-03-12")
    assert bytes_of(answer) == [1, 2, 4]
    assert answer.rows[1]["start"] == "2026-03-10T00:00:00+01:00"
    assert answer.total.bytes == 7
    assert (answer.timezone, answer.start, answer.end) == (
        "Europe/Berlin",
        "2026-03-09T00:00:00+01:00",
        "2026-03-12T00:00:00+01:00",
    )


def test_without_a_range_it_is_thirty_calendar_days_up_to_the_end_of_today(use: Any, ask: Any) -> None:
    answer = ask()
    assert (answer.start, answer.end) == ("2026-02-14T00:00:00+01:00", "2026-03-16T00:00:00+01:00")
    assert len(answer.rows) == 30


@pytest.mark.parametrize(
    ("bucket", "start", "end", "rows"),
    [
        ("15m", "2026-03-14T13:15:00+01:00", "2026-03-15T13:15:00+01:00", 96),
        ("hour", "2026-03-13T14:00:00+01:00", "2026-03-15T14:00:00+01:00", 48),
        ("week", "2025-12-22T00:00:00+01:00", "2026-03-16T00:00:00+01:00", 12),
        ("month", "2025-04-01T00:00:00+02:00", "2026-04-01T00:00:00+02:00", 12),
        ("total", "2026-02-14T00:00:00+01:00", "2026-03-16T00:00:00+01:00", 1),
    ],
)
def test_without_a_range_every_bucket_is_whole(
    use: Any, ask: Any, bucket: str, start: str, end: str, rows: int
) -> None:
    answer = ask(bucket=bucket)
    assert (answer.start, answer.end, len(answer.rows)) == (start, end, rows)
    assert {row["cut"] for row in answer.rows} == {None}


def test_a_month_without_dates_is_the_whole_month(use: Any, ask: Any) -> None:
    use("2026-02-01T00:00:00Z", 115)
    use("2026-02-28T12:00:00Z", 1)
    assert bytes_of(ask(bucket="month"))[-2:] == [116, 0]
    assert bytes_of(ask(bucket="month", end="2026-03-01"))[-1] == 116


def test_one_end_alone_is_kept_and_the_other_cuts_nothing(use: Any, ask: Any) -> None:
    begun = ask(bucket="week", start="2026-03-04")
    assert (begun.start, begun.end) == ("2026-03-04T00:00:00+01:00", "2026-03-16T00:00:00+01:00")
    assert [row["cut"] for row in begun.rows] == ["start", None]
    ended = ask(bucket="month", end="2026-03-04")
    assert (ended.start, ended.end) == ("2025-04-01T00:00:00+02:00", "2026-03-04T00:00:00+01:00")
    assert [row["cut"] for row in ended.rows] == [None] * 11 + ["end"]


def test_a_cut_bucket_is_marked_in_every_group_and_in_csv(use: Any, ask: Any) -> None:
    use("2026-02-20T12:00:00Z", 1, user="ann")
    use("2026-03-02T12:00:00Z", 2, user="bob")
    answer = ask(start="2026-02-10", end="2026-03-05", bucket="month", by=("user",))
    assert [row["cut"] for row in answer.rows] == ["start", "start", "end", "end"]
    csv = to_csv(answer, columns_of(("user",))).decode().split("\r\n")
    assert [line.rpartition(",")[2] for line in csv] == ["cut", "start", "start", "end", "end", ""]
    assert [row["cut"] for row in ask(start="2026-02-10", end="2026-02-11", bucket="month").rows] == ["both"]
    assert [row["cut"] for row in ask(start="2026-02-10", end="2026-02-11T12:00:00Z", bucket="total").rows] == [None]


def test_a_day_of_summer_time_has_23_hours(use: Any, ask: Any) -> None:
    assert len(ask(start="2026-03-29", end="2026-03-30", bucket="hour").rows) == 23


def test_the_range_is_exact_to_the_millisecond(use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00.001Z", 1)
    use("2026-03-10T12:00:00.002Z", 2)
    assert ask(start="2026-03-10T12:00:00.001Z", end="2026-03-10T12:00:00.002Z", bucket="total").total.bytes == 1


def test_filling_gives_every_span_for_every_group_with_a_row_in_the_range(use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00Z", 1, product="a")
    use("2026-03-11T12:00:00Z", 2, product="b")
    use("2026-04-11T12:00:00Z", 4, product="outside")
    answer = ask(start="2026-03-10", end="2026-03-12", by=("product",))
    assert [(row["product"], row["bytes"]) for row in answer.rows] == [("a", 1), ("b", 0), ("a", 0), ("b", 2)]
    assert [row["bytes"] for row in ask(start="2026-03-10", end="2026-03-12", by=("product",), fill="none").rows] == [
        1,
        2,
    ]


def test_no_use_is_zero_for_every_span_and_no_rows_for_groups(use: Any, ask: Any) -> None:
    assert bytes_of(ask(start="2026-03-10", end="2026-03-13")) == [0, 0, 0]
    assert ask(start="2026-03-10", end="2026-03-13", by=("user",)).rows == []


def test_users_go_by_name_with_an_id_that_never_changes(use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00Z", 1, user="alice")
    use("2026-03-10T12:00:00Z", 2)
    rows = ask(start="2026-03-10", end="2026-03-11", by=("user",)).rows
    assert [(row["user"], row["bytes"]) for row in rows] == [("", 2), ("alice", 1)]
    assert rows[0]["user_id"] == ""
    assert str(rows[1]["user_id"]).startswith("usr_")


@pytest.mark.parametrize(("names", "total"), [(("alice",), 1), (("alice", "bob"), 3), (("",), 4), ((), 0)])
def test_users_are_chosen_by_name(use: Any, ask: Any, names: tuple[str, ...], total: int) -> None:
    use("2026-03-10T12:00:00Z", 1, user="alice")
    use("2026-03-10T12:00:00Z", 2, user="bob")
    use("2026-03-10T12:00:00Z", 4)
    assert ask(start="2026-03-10", end="2026-03-11", users=names).total.bytes == total


def test_status_is_a_number_and_labels_keep_their_name(use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00Z", 1, status=404, labels={"country": "de"})
    [row] = ask(start="2026-03-10", end="2026-03-11", by=("status", "label:country", "source")).rows
    assert (row["status"], row["label:country"], row["source"]) == (404, "de", "gw")


@pytest.mark.parametrize("by", [("users",), ("account",), ("label:",), ("user", "user"), ("label:" + "x" * 65,)])
def test_an_unknown_or_repeated_dimension_is_named(use: Any, ask: Any, by: tuple[str, ...]) -> None:
    with pytest.raises(BadRequest, match="by = "):
        ask(by=by)


def test_more_rows_than_the_cap_are_refused_with_numbers_before_they_are_made(use: Any, ask: Any) -> None:
    for product in range(20):
        use("2026-03-10T12:00:00Z", 1, product=str(product))
    with pytest.raises(BadRange, match=r"140160 rows \(7008 spans of 20 groups\); at most 100000"):
        ask(start="2026-01-01", end="2026-03-15", bucket="15m", by=("product",))


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"start": "2026-03-11", "end": "2026-03-10"}, BadRange),
        ({"start": "2026-03-11", "end": "2026-03-11"}, BadRange),
        ({"start": "1969-12-31"}, BadRange),
        ({"start": "1970-01-01", "bucket": "15m"}, BadRange),
        ({"start": "yesterday"}, BadRange),
        ({"tz": "Mars/Base"}, UnknownZone),
        ({"tz": ""}, UnknownZone),
        ({"account": "nobody"}, UnknownAccount),
    ],
)
def test_what_cannot_be_answered_says_so(use: Any, ask: Any, wrong: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ask(**wrong)


def test_csv_quotes_text_and_disarms_formulas(use: Any, ask: Any) -> None:
    use("2026-03-10T12:00:00Z", 1, user='=HYPERLINK("x"),y')
    answer = ask(start="2026-03-10", end="2026-03-11", by=("user",))
    lines = to_csv(answer, columns_of(("user",))).decode().split("\r\n")
    assert lines[0] == "start,end,user,user_id,bytes_up,bytes_down,bytes,requests,cut"
    assert lines[1].split(",", 2)[2].startswith('"\'=HYPERLINK(""x""),y",usr_')
    assert lines[1].endswith(",0,1,1,1,")
