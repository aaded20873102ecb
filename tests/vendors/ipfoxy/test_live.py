"""A reseller's whole day with a plain HTTP client against a server as it is started, its usage in the real engine."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
from tests.live import Live, live_server
from tests.vendors.ipfoxy.fox import MB, Fox

from flowtally.core.edges import format_instant
from flowtally.vendors.ipfoxy import wire

HOUR_S, DAY_S = 3600, 86_400


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("ipfoxy") / "data") as server:
        yield server


@pytest.fixture
def admin(live: Live) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, trust_env=False) as client:
        yield client


def reseller(live: Live, admin: httpx.Client, account: str) -> Fox:
    """A new account with 10 GiB of traffic."""
    _ok(admin.post("/v1/accounts", json={"id": account}))
    _ok(admin.post(f"/v1/accounts/{account}/grants", json={"amount": 10 * 1024 * MB}))
    made = _ok(admin.post(f"/v1/accounts/{account}/credentials", json={"scope": "manage"}))
    return Fox(httpx.Client(base_url=live.url, trust_env=False), made["id"], made["token"])


def _ok(answer: httpx.Response) -> Any:
    assert answer.is_success, answer.text
    return answer.json()


def use(admin: httpx.Client, account: str, events: list[dict[str, Any]]) -> None:
    sent = [{"source": "gate", "account": account, "user": "sub-account-1"} | one for one in events]
    assert _ok(admin.post("/v1/events", json=sent))["stored"] == len(events)


def test_a_reseller_creates_allocates_uses_reads_pages_and_changes(live: Live, admin: httpx.Client) -> None:
    fox = reseller(live, admin, "walker0001")
    assert fox.create("sub-account-1", 1024, "walk-000001", day="30")["account"] == "sub-account-1"
    assert fox.allocate("sub-account-1", 2048, "walk-000002") == {}
    assert fox.allocate("sub-account-1", 2048, "walk-000002") == {}
    now = int(time.time())
    hours = [now - number * HOUR_S for number in range(30)]
    use(admin, "walker0001", [
        {"id": f"e{at}", "time": format_instant(at * 1000), "product": "residential", "bytes_down": 3 * MB + 7}
        for at in hours
    ])  # fmt: skip

    asked = {"account": "sub-account-1", "start_time": now - 3 * DAY_S, "end_time": now}
    days = fox.get("get-account-use-flow-list", **asked, unit=2)
    pages = [fox.get("get-account-use-flow-list", **asked, unit=1, page=page, page_size=10) for page in (1, 2, 3, 4)]
    rows = [row for page in pages for row in page["list"]]
    assert [len(page["list"]) for page in pages] == [10, 10, 10, 0]
    assert {page["count"] for page in pages} == {"30"}
    assert [row["date"] for row in rows] == sorted((row["date"] for row in rows), reverse=True)
    by_hour, by_day = (sum(wire.mb_steps(row["flow"]) for row in one) for one in (rows, days["list"]))
    assert by_hour == by_day == 30 * (3 * MB + 7) * 100 // MB
    history = fox.get("residential-data-history", account="sub-account-1", is_hour=1,
                      start_timestamp=now - 3 * DAY_S, end_timestamp=now)  # fmt: skip
    assert [(row["mb"], row["timestamp"]) for row in history["list"]] == [
        (row["flow"], str(wire.date_instant(row["date"], 8 * HOUR_S * 1000) // 1000)) for row in reversed(rows)
    ]

    flow = fox.get("get-sub-account-flow", account="sub-account-1")
    assert flow["use_flow"] == str(30 * (3 * MB + 7) // 1024)
    assert fox.get("residential-data")["remain_mb"] == str(7 * 1024)
    fox.post("update-pass", account="sub-account-1", password="battery-stapl")
    fox.post("update-ip-whitelist", account="sub-account-1", ip="203.0.113.7,203.0.113.8")
    main, sub = fox.get("get-sub-account-list")["list"]
    assert (main["is_main"], sub["is_main"], sub["use_flow"]) == ("1", "2", flow["use_flow"])
    assert (sub["password"], sub["ip_whitelist"]) == ("battery-stapl", "203.0.113.7,203.0.113.8")
    assert fox.get("account-info")["balance"] == "0.00"


def test_use_after_an_allocation_lessens_what_is_left(live: Live, admin: httpx.Client) -> None:
    fox = reseller(live, admin, "walker0002")
    fox.create("sub-account-2", 100, "walk-000001")
    event = {"id": "now", "user": "sub-account-2", "product": "residential", "bytes_up": 40 * MB}
    use(admin, "walker0002", [event | {"time": format_instant(time.time_ns() // 1_000_000)}])
    deadline = time.monotonic() + 10
    while (left := fox.get("get-sub-account-flow", account="sub-account-2")["surplus_flow"]) == "102400":
        assert time.monotonic() < deadline
    assert left == str(60 * 1024)
    assert fox.refused("POST", "allocate-flow-sub-account", account="sub-account-2", flow="10141",
                       idempotency_key="walk-000002") == 60300  # fmt: skip


def test_the_same_key_sent_many_times_at_once_allocates_once(live: Live, admin: httpx.Client) -> None:
    fox = reseller(live, admin, "walker0003")
    fox.create("sub-account-3", 1, "walk-000001")
    other = _ok(admin.post("/v1/accounts/walker0003/credentials", json={"scope": "manage"}))
    foxes = [fox, Fox(fox.client, other["id"], other["token"])] * 8
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda one: one.allocate("sub-account-3", 10, "walk-000002"), foxes))
    assert done == [{}] * 16
    assert fox.get("residential-data", account="sub-account-3")["total_mb"] == "11"
    assert fox.get("residential-data")["remain_mb"] == str(10 * 1024 - 11)


def test_after_all_of_that_every_figure_can_be_derived_anew(live: Live, admin: httpx.Client) -> None:
    fox = reseller(live, admin, "walker0004")
    fox.create("sub-account-4", 10, "walk-000001", day="30")
    fox.allocate("sub-account-4", 5, "walk-000002")
    fox.post("update-ip-whitelist", account="sub-account-4", ip="203.0.113.7")
    checked = _ok(admin.post("/v1/verify"))
    deadline = time.monotonic() + 60
    while checked["state"] == "running" and time.monotonic() < deadline:
        time.sleep(0.1)
        checked = _ok(admin.get("/v1/verify"))
    assert (checked["state"], checked["found"], checked["findings"]) == ("done", 0, [])
