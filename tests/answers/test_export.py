"""An exported file is the account's rows, and their sums are its usage, exactly."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW, Client, token_of
from tests.engine import chdb_directory, database_url  # noqa: F401
from tests.kinds import WAYS
from tests.usage.blocks import block
from tests.usage.ways import opened_in_a_way

from flowtally.answers import export
from flowtally.answers.export import SCHEMA, plan_export, write_export
from flowtally.answers.statement import Question, make_statement
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BadRange, MissingRows, UnknownAccount
from flowtally.core.words import ExportFormat
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, users
from flowtally.usage.clickhouse import ClickHouseStore
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore

MARCH: Final = parse_instant("2026-03-01T00:00:00Z")
LAST: Final = 253_402_300_799_999
_names: Final = count(1)


@pytest.fixture(params=WAYS)
def lying(request: pytest.FixtureRequest, database_url: str) -> Iterator[ClickHouseStore]:  # noqa: F811
    """With its rows in each of the ways."""
    with opened_in_a_way(request.param, database_url) as opened:
        yield opened


def written(
    ledger: Ledger,
    usage: UsageStore,
    form: ExportFormat,
    account: str = "acme",
    start: str | None = None,
    end: str | None = None,
) -> bytes:
    with ledger.read() as tx:
        planned = plan_export(tx, usage, account, start, end, NOW)
    return b"".join(write_export(planned, usage, ledger, form))


def rows_of(file: bytes, form: ExportFormat) -> list[dict[str, Any]]:
    if form == "parquet":
        return list(pq.read_table(io.BytesIO(file)).to_pylist())
    return list(csv.DictReader(io.StringIO(file.decode(), newline="")))


def sums_of(rows: list[dict[str, Any]]) -> tuple[int, ...]:
    return tuple(sum(int(row[name]) for row in rows) for name in ("bytes_up", "bytes_down", "requests"))


@pytest.fixture
def acme_ledger(app_ledger: Ledger) -> Ledger:
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=0, timezone="Europe/Berlin")
    return app_ledger


def test_a_row_says_all_that_is_known_of_an_event(acme_ledger: Ledger, usage: MemoryStore) -> None:
    with acme_ledger.begin() as tx:
        user = users.ensure_users(tx, [("acme", "alice")], 0)["acme", "alice"]
    event = {"time": MARCH, "user": user, "id": "e1", "labels": {"country": "de"}, "bytes_up": 7, "status": 404}
    numbered = {"time": MARCH + 1, "id": "e2", "sequence": 9, "kind": "correction", "refers_to": "e1"}
    usage.append(block(1, numbered, event, {"account": "other", "time": MARCH}, received_at=MARCH + 5))
    first, second = rows_of(written(acme_ledger, usage, "parquet"), "parquet")
    assert first["time"].isoformat() == "2026-03-01T00:00:00+00:00"
    shown = {name: first[name] for name in ("user", "user_id", "id", "sequence", "status", "bytes_up", "block", "kind")}
    expected = {"user": "alice", "user_id": user, "id": "e1", "sequence": None, "status": 404, "bytes_up": 7}
    assert shown == expected | {"block": 1, "kind": "use"}
    assert (dict(first["labels"]), second["sequence"], second["refers_to"]) == ({"country": "de"}, 9, "e1")
    same, other = rows_of(written(acme_ledger, usage, "csv"), "csv")
    assert (same["time"], same["user"], json.loads(same["labels"])) == (
        "2026-03-01T00:00:00.000Z",
        "alice",
        {"country": "de"},
    )
    assert (same["sequence"], other["sequence"], other["received_at"]) == ("", "9", "2026-03-01T00:00:00.005Z")


@pytest.mark.parametrize("form", ["parquet", "csv"])
def test_nothing_is_a_file_too(acme_ledger: Ledger, usage: MemoryStore, form: ExportFormat) -> None:
    file = written(acme_ledger, usage, form)
    assert rows_of(file, form) == []
    names = pq.read_schema(io.BytesIO(file)).names if form == "parquet" else file.decode().strip().split(",")
    assert names == SCHEMA.names


def test_the_range_is_that_of_the_accounts_zone(acme_ledger: Ledger, usage: MemoryStore) -> None:
    usage.append(block(1, {"time": MARCH - 3_600_001, "id": "before"}, {"time": MARCH - 3_600_000, "id": "first"}))
    rows = rows_of(written(acme_ledger, usage, "csv", start="2026-03-01", end="2026-03-02"), "csv")
    assert [row["id"] for row in rows] == ["first"]
    with pytest.raises(BadRange):
        written(acme_ledger, usage, "csv", start="2026-03-01", end="2026-03-01")
    with pytest.raises(UnknownAccount):
        written(acme_ledger, usage, "csv", account="nobody")


def test_what_arrives_while_it_is_written_is_not_in_it(
    acme_ledger: Ledger, usage: MemoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "SLICE_ROWS", 2)
    usage.append(block(1, *({"time": MARCH + index, "id": str(index)} for index in range(5))))
    with acme_ledger.read() as tx:
        planned = plan_export(tx, usage, "acme", None, None, NOW)
    pieces = write_export(planned, usage, acme_ledger, "csv")
    first = next(pieces)
    usage.append(block(2, {"time": MARCH + 4, "id": "late"}, {"time": MARCH - 1, "id": "early"}))
    assert [row["id"] for row in rows_of(first + b"".join(pieces), "csv")] == ["0", "1", "2", "3", "4"]


def test_rows_that_do_not_add_up_break_the_export_off(acme_ledger: Ledger, usage: MemoryStore) -> None:
    usage.append(block(1, {"time": MARCH}, {"time": MARCH, "id": "b"}))
    with acme_ledger.read() as tx:
        planned = plan_export(tx, usage, "acme", None, None, NOW)
    usage.rows = usage.rows[:1]
    with pytest.raises(MissingRows):
        list(write_export(planned, usage, acme_ledger, "parquet"))


def test_the_last_millisecond_of_the_year_9999_is_in_it(acme_ledger: Ledger, lying: ClickHouseStore) -> None:
    lying.append(block(1, {"time": LAST}, {"time": 0}))
    assert len(rows_of(written(acme_ledger, lying, "csv"), "csv")) == 2


a_row = st.fixed_dictionaries(
    {
        "time": st.one_of(st.just(MARCH), st.integers(MARCH - 5, MARCH + 5), st.integers(0, MARCH)),
        "source": st.sampled_from(["gw", "it's", 'say "x"\r\n,']),
        "product": st.sampled_from(["", "residential", "=1+1"]),
        "bytes_up": st.integers(-(2**63), 2**63 - 1),
        "bytes_down": st.integers(-9, 2**53),
        "labels": st.dictionaries(st.sampled_from(["k", "ü"]), st.sampled_from(["", '"', "x\ny"])),
        "kind": st.sampled_from(["use", "correction", "adjustment"]),
    }
)
blocks = st.lists(st.lists(a_row, min_size=1, max_size=6), min_size=1, max_size=4)


@pytest.mark.parametrize("form", ["parquet", "csv"])
@settings(max_examples=4, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(blocks=blocks, size=st.integers(1, 5))
def test_the_sums_over_the_file_are_the_usage_exactly(
    app_ledger: Ledger, lying: ClickHouseStore, form: ExportFormat, blocks: list[Any], size: int
) -> None:
    account = f"a{next(_names)}-{form}"
    with app_ledger.begin() as tx:
        accounts.create_account(tx, account, now=0)
    made = []
    for rows in blocks:
        number = lying.last_commit().block + 1
        mine = [row | {"account": account, "id": f"{number}-{index}"} for index, row in enumerate(rows)]
        lying.append(block(number, *mine))
        made += mine
    with app_ledger.read() as tx:
        planned = plan_export(tx, lying, account, None, None, NOW)
        question = Question(account, start="1970-01-01", end="2027-01-01", bucket="total")
        usage = make_statement(tx, lying, question, NOW).total
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(export, "SLICE_ROWS", size)
        found = rows_of(b"".join(write_export(planned, lying, app_ledger, form)), form)
    assert sorted(row["id"] for row in found) == sorted(row["id"] for row in made)
    assert sums_of(found) == (usage.bytes_up, usage.bytes_down, usage.requests)
    times = [row["time"] if form == "parquet" else parse_instant(row["time"]) for row in found]
    assert times == sorted(times)


# -- over HTTP --------------------------------------------------------------------------------------------------------

PATH: Final = "/v1/accounts/acme/export"


def test_an_account_exports_itself_and_no_other(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get(PATH, headers=mine).status_code == 200
    assert client.get("/v1/accounts/other/export", headers=mine).status_code == 404


def test_the_form_is_chosen_by_parameter_or_header(client: Client, acme: str) -> None:
    cases = [
        ({}, "*/*", "application/vnd.apache.parquet"),
        ({}, "text/csv", "text/csv; charset=utf-8"),
        ({"format": "csv"}, "*/*", "text/csv; charset=utf-8"),
        ({"format": "parquet"}, "text/csv", "application/vnd.apache.parquet"),
    ]
    for params, accept, kind in cases:
        answer = client.get(PATH, params=params, headers={"Accept": accept})
        assert answer.headers["content-type"] == kind
        rows = rows_of(answer.content, "csv" if "csv" in kind else "parquet")
        assert answer.headers["flowtally-rows"] == str(len(rows)) == "3"
        assert answer.headers["flowtally-block"] == "1"
        assert sums_of(rows) == (101, 907, 3)
    assert client.get(PATH, headers={"Accept": "image/png"}).json()["code"] == "not_acceptable"
