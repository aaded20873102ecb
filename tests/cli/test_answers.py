"""Usage of all accounts, periods and exports on the command line: what is asked, and what is printed."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.cli.fake import Program
from tests.live import Live, live_server
from tests.program import run_here

from flowtally.api.periods import DETAIL, EXAMPLE
from flowtally.client import Client, Unreachable, calls

PERIOD: dict[str, Any] = msgspec.to_builtins(EXAMPLE)
SHOWN: dict[str, Any] = msgspec.to_builtins(DETAIL)
ROW = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z", "bytes_up": 0, "requests": 1}
USAGE = {
    "accounts": None,
    "from": "2026-03-01T00:00:00Z",
    "to": "2026-04-01T00:00:00Z",
    "timezone": "UTC",
    "bucket": "total",
    "rows": [
        ROW | {"account": "acme", "bytes_down": 3_000_000_000, "bytes": 3_000_000_000, "others": 0},
        ROW | {"account": None, "bytes_down": 1000, "bytes": 1000, "others": 12},
    ],
    "total": {"bytes_up": 0, "bytes_down": 3_000_001_000, "bytes": 3_000_001_000, "requests": 2},
}


def test_usage_of_all_shows_the_largest_and_the_others_as_one(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/usage"] = (200, USAGE)
    ran = flowtally("usage", "--all", "--by", "account", "--top", "1", "--account", "acme", "--account", "b")
    [asked] = flowtally.fake.asked
    assert (asked.query["top"], asked.query["account"], asked.query["by"]) == (["1"], ["acme", "b"], ["account"])
    assert [line.split()[0] for line in ran.out.splitlines()] == ["all", "acme", "12", "total"]
    assert "12 others" in ran.out
    assert flowtally("usage", "--all", "--json").document["total"] == USAGE["total"]


@pytest.mark.parametrize(
    "arguments",
    [(), ("acme", "--all"), ("acme", "--top", "3"), ("acme", "--account", "b"), ("acme", "--csv", "--arrow", "x")],
)
def test_usage_that_contradicts_itself_is_wrong_usage(flowtally: Program, arguments: tuple[str, ...]) -> None:
    assert flowtally("usage", *arguments).code == 2
    assert flowtally.fake.asked == []


def test_arrow_goes_into_a_file_as_it_came(flowtally: Program, tmp_path: Path) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, b"arrows")
    assert flowtally("usage", "acme", "--arrow", str(tmp_path / "x")).code == 0
    assert (tmp_path / "x").read_bytes() == b"arrows"


def test_a_period_is_closed_and_shown_with_its_pools(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/accounts/acme/periods"] = (201, PERIOD)
    ran = flowtally("period", "close", "acme", "--from", "2026-03-01", "--to", "2026-04-01")
    assert flowtally.fake.asked[0].body == {"from": "2026-03-01", "to": "2026-04-01"}
    assert "bytes     51.2 kB" in ran.out
    assert "traffic  51.2 kB" in ran.out


def test_a_period_shows_what_came_since_by_day_and_block(flowtally: Program) -> None:
    flowtally.fake.answers[f"GET /v1/accounts/acme/periods/{EXAMPLE.id}"] = (200, SHOWN)
    lines = flowtally("period", "show", "acme", EXAMPLE.id).out.splitlines()
    assert lines[-2].split() == ["2026-03-31", "4790", "2026-04-03T10:00Z", "2", "800", "B", "2"]
    assert lines[-1].split() == ["total", "800", "B", "2"]
    assert flowtally("period", "show", "acme", EXAMPLE.id, "--json").document == SHOWN


def test_the_open_period_shows_what_is_in_no_statement_yet(flowtally: Program) -> None:
    nothing = {"account": "acme", "since_block": 1, "until_block": 1, "adjustments": [], "total": USAGE["total"]}
    flowtally.fake.answers["GET /v1/accounts/acme/periods/open"] = (200, nothing)
    assert "Nothing came" in flowtally("period", "show", "acme", "open").out


def test_periods_are_listed(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/periods"] = (200, {"items": [PERIOD], "next": None})
    assert EXAMPLE.id in flowtally("period", "list", "acme").out
    assert flowtally("period", "list", "acme", "--json").document == [PERIOD]


def test_an_export_that_is_refused_leaves_the_old_file(flowtally: Program, tmp_path: Path) -> None:
    out = tmp_path / "old.csv"
    out.write_text("old")
    assert flowtally("export", "acme", "--out", str(out)).code == 1
    assert [path.name for path in tmp_path.iterdir()] == ["old.csv"]
    assert out.read_text() == "old"


def test_a_transfer_that_breaks_off_is_no_file(tmp_path: Path) -> None:
    class Half(httpx.SyncByteStream):
        def __iter__(self) -> Iterator[bytes]:
            yield b"time,"
            raise httpx.RemoteProtocolError("peer closed connection")

    transport = httpx.MockTransport(lambda _: httpx.Response(200, headers={"Flowtally-Rows": "7"}, stream=Half()))
    with (
        Client("http://f.test", "token", transport=transport) as client,
        client.stream(calls.export("acme", format="csv")) as download,
    ):
        assert download.headers["flowtally-rows"] == "7"
        assert next(download.pieces) == b"time,"
        with pytest.raises(Unreachable, match="broke its answer off"):
            next(download.pieces)


# -- a real server ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("answers") / "data") as one:
        yield one


def ask(live: Live, *arguments: str) -> Any:
    done = run_here(live.environment, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def send(live: Live, *events: tuple[str, str, int]) -> None:
    body = [
        {"source": "gw", "id": id, "account": "acme", "user": "ann", "product": "residential"}
        | {"time": time, "bytes_down": size}
        for id, time, size in events
    ]
    headers = {"Authorization": f"Bearer {live.token}"}
    assert httpx.post(f"{live.url}/v1/events", json=body, headers=headers, timeout=30).json()["stored"] == len(events)


def test_a_month_is_closed_corrected_by_late_events_and_exported(live: Live, tmp_path: Path) -> None:
    ask(live, "account", "create", "acme", "--tz", "Asia/Kolkata")
    send(live, ("1", "2026-03-01T00:00:00+05:30", 100), ("2", "2026-03-31T23:59:59+05:30", 20))
    before = ask(live, "usage", "acme", "--from", "2026-03-01", "--to", "2026-04-01", "--bucket", "total")
    closed = ask(live, "period", "close", "acme", "--from", "2026-03-01", "--to", "2026-04-01")
    send(live, ("3", "2026-03-15T12:00:00Z", 7), ("4", "2026-04-01T00:00:00+05:30", 1000))
    shown = ask(live, "period", "show", "acme", closed["id"])
    march = ("--from", "2026-03-01", "--to", "2026-04-01")
    now = ask(live, "usage", "acme", *march, "--bucket", "total")["total"]["bytes"]
    assert (shown["statement"]["total"]["bytes"], shown["adjustments"]["total"]["bytes"], now) == (120, 7, 127)
    then = ask(live, "usage", "acme", *march, "--as-of", before["as_of"]["token"])
    assert then["total"]["bytes"] == 120
    assert then | {"bucket": "total", "rows": []} == before | {"rows": []}
    for name in ("march.parquet", "march.csv"):
        done = ask(live, "export", "acme", "--out", str(tmp_path / name), *march)
        assert (done["rows"], done["block"]) == (3, shown["adjustments"]["until_block"])
    table = pq.read_table(tmp_path / "march.parquet")
    assert sum(table["bytes_down"].to_pylist()) == now
    with (tmp_path / "march.csv").open(newline="") as file:
        assert [(row["id"], row["user"]) for row in csv.DictReader(file)] == [("1", "ann"), ("3", "ann"), ("2", "ann")]
    overall = ask(live, "usage", "--all", *march, "--tz", "Asia/Kolkata", "--by", "account", "--top", "1")
    assert overall["total"]["bytes"] == now
    with Client(live.url, live.token) as client:
        stream = client.overall_usage_arrow(start="2026-03-01", end="2026-04-01", tz="Asia/Kolkata", bucket="total")
        assert pa.ipc.open_stream(stream).read_all()["bytes"].to_pylist() == [now]
