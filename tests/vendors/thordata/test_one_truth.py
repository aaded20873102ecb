"""One truth: whatever was used, in whatever zone, Thordata's figures are the native ones, printed."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fake_ingest import FakeIngest
from tests.soak import sampled
from tests.vendors.thordata.conftest import KB, MB, Shop

from flowtally.core.edges import format_instant, parse_instant
from flowtally.usage.memory import MemoryStore

BEGIN = parse_instant("2025-10-20T00:00:00Z")  # clocks change in the weeks that follow, in both hemispheres
DAY = 86_400_000
POOL = {"residential", "", "datacenter"}  # products of the pool `traffic` among those used
events = st.lists(
    st.tuples(
        st.integers(-3 * DAY, 18 * DAY),
        st.sampled_from(["user123", "user456", ""]),
        st.sampled_from(sorted(POOL | {"mobile"})),
        st.one_of(st.integers(0, 3000), st.integers(0, 40 * MB)),
    ),
    max_size=25,
)
ranges = st.tuples(st.integers(-1, 14), st.integers(0, 4))


def steps(value: Decimal | int) -> int:
    """Hundredths, exactly."""
    found = Decimal(value) * 100
    assert found == int(found), value
    return int(found)


def floor(size: int) -> int:
    return size * 100 // KB


def running(shop: Shop, zone: str, bounds: list[str], **params: Any) -> Iterator[int]:
    """The native lifetime total at each of these dates."""
    for bound in bounds:
        asked = {"from": "1970-01-01", "to": bound, "tz": zone, "bucket": "total", "by": "product", **params}
        answer = shop.client.get("/v1/accounts/shop/usage", params=asked)
        rows = answer.json()["rows"]
        yield sum(row["bytes"] for row in rows if params or row["product"] in POOL)


@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe", "Asia/Kathmandu"])
def test_native_days_are_thordatas_days_and_the_sums_of_their_hours(
    make_shop: Callable[..., Shop], usage: MemoryStore, ingest: FakeIngest, zone: str
) -> None:
    shop = make_shop(timezone=zone)
    shop.grant(10**12)
    shop.make("user123", traffic_limit="100000")

    @settings(max_examples=sampled(25, 3), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(events, ranges)
    def holds(used: list[tuple[int, str, str, int]], asked: tuple[int, int]) -> None:
        usage.rows, ingest.seen = [], {}
        put(shop, used)
        first = date(2025, 10, 20) + timedelta(asked[0])
        days = [first + timedelta(n) for n in range(asked[1] + 1)]
        bounds = [*map(str, days), str(days[-1] + timedelta(1))]
        dates = {"from_date": bounds[0], "to_date": bounds[-2]}
        account = shop.ok("account/usage-statistics", **dates)
        check(account, list(running(shop, zone, [*bounds, "2030-01-01"])))
        by_day = shop.ok("proxy-users/usage-statistics", username="user123", **dates)
        check(by_day, list(running(shop, zone, [*bounds, "2030-01-01"], user="user123")))
        hours = {"from_date": f"{dates['from_date']} 00", "to_date": f"{dates['to_date']} 23"}
        by_hour = shop.ok("proxy-users/usage-statistics-hour", username="user123", **hours)
        for row in by_day["data"]:
            of_day = [steps(one["usage_traffic"]) for one in by_hour["data"] if one["date"][:10] == row["date"]]
            assert (len(of_day), sum(of_day)) == (24, steps(row["usage_traffic"]))
        del by_hour["data"]
        assert by_hour == {name: by_day[name] for name in by_hour}
        check_balances(shop, account, by_day)

    holds()


def put(shop: Shop, used: list[tuple[int, str, str, int]]) -> None:
    body = [
        {
            "source": "gw", "id": str(n), "account": "shop", "time": format_instant(BEGIN + at), "product": product,
            "bytes_down": size, **({"user": user} if user else {}),
        }
        for n, (at, user, product, size) in enumerate(used)
    ]  # fmt: skip
    assert shop.client.post("/v1/events", json=body).status_code == 200


def check(told: Any, totals: list[int]) -> None:
    """`totals`: the native lifetime totals at the beginning of each day, at the end of the last, and of all times."""
    *bounds, ever = map(floor, totals)
    assert [steps(row["usage_traffic"]) for row in told["data"]] == [end - start for start, end in pairwise(bounds)]
    assert steps(told["range_usage_traffic"]) == bounds[-1] - bounds[0]
    assert steps(told["total_usage_traffic"]) == ever
    assert told["query_days"] == len(told["data"])


def check_balances(shop: Shop, account: Any, user: Any) -> None:
    left = shop.client.get("/v1/accounts/shop/balance").json()["pools"]["traffic"]["left"]
    megabytes = Decimal(shop.ok("account/traffic-balance")["traffic_balance"])
    assert steps(account["traffic_balance"]) == floor(left)
    assert 0 <= Decimal(account["traffic_balance"]) - megabytes * 1024 < Decimal("10.25")  # one step of 0.01 MB
    assert Decimal(user["traffic_limit"]) - Decimal(user["total_usage_traffic"]) == Decimal(user["traffic_balance"])
