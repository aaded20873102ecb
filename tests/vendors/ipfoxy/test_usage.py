"""Usage by hour and day: which rows, in which order, and that they add up to what the native API says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import NOW, Client, send
from tests.soak import sampled
from tests.vendors.ipfoxy import conftest
from tests.vendors.ipfoxy.fox import MB, Fox

from flowtally.core.edges import format_instant, parse_instant
from flowtally.ledger.database import Ledger
from flowtally.ledger.people.users import ensure_users
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.ipfoxy import wire

LIST, HISTORY = "get-account-use-flow-list", "residential-data-history"
HOUR_S, DAY_S = 3600, 86_400
NOW_S = NOW // 1000


def second(text: str) -> int:
    return parse_instant(text) // 1000


def use(
    client: Client, id: str, time: str, user: str = "sub-account-1", account: str = "reseller01", **event: Any
) -> None:
    send(client, id, time, account, user=user, **{"product": "residential", **event})


@pytest.fixture
def used(client: Client, fox: Fox) -> Fox:
    """On 9 March 24 MB before 1 in the morning and 1.5 MB at noon (UTC+8), on 10 March 1 MB of mobile traffic."""
    fox.create("sub-account-1", 1024, "key-0000001")
    use(client, "1", "2026-03-08T16:59:59.999Z", bytes_down=24 * MB)
    use(client, "2", "2026-03-09T04:00:00Z", bytes_up=MB, bytes_down=MB // 2)
    use(client, "3", "2026-03-10T04:00:00Z", bytes_down=MB, product="mobile")
    use(client, "4", "2026-03-10T04:00:00Z", bytes_down=7 * MB, product="unlimited")
    use(client, "5", "2026-03-10T04:00:00Z", bytes_down=3 * MB, user="")
    return fox


def days(fox: Fox, first: str, last: str, **more: object) -> Any:
    given = {"account": "sub-account-1", "unit": 2, "start_time": second(first), "end_time": second(last)}
    return fox.get(LIST, **given | more)


def test_days_come_newest_first_in_mb_without_those_that_have_no_traffic(used: Fox) -> None:
    assert days(used, "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z") == {
        "list": [
            {"date": "2026-03-10 00:00:00", "account": "sub-account-1", "flow": "1"},
            {"date": "2026-03-09 00:00:00", "account": "sub-account-1", "flow": "25.5"},
        ],
        "unit": "MB",
        "count": "2",
        "timezone": "+08:00",
    }


def test_hours_begin_on_the_hour_of_the_zone(used: Fox) -> None:
    told = days(used, "2026-03-08T16:00:00Z", "2026-03-09T15:59:59Z", unit=1)
    assert [(row["date"], row["flow"]) for row in told["list"]] == [
        ("2026-03-09 12:00:00", "1.5"),
        ("2026-03-09 00:00:00", "24"),
    ]


def test_a_bucket_that_only_overlaps_the_range_is_told_whole_and_both_ends_belong_to_it(used: Fox) -> None:
    inside = days(used, "2026-03-09T10:00:00Z", "2026-03-09T10:00:01Z")["list"]
    assert [row["flow"] for row in inside] == ["25.5"]
    at_its_first_second = days(used, "2026-03-09T16:00:00Z", "2026-03-09T16:00:00Z")["list"]
    assert [row["flow"] for row in at_its_first_second] == ["1"]
    at_its_last = days(used, "2026-03-09T15:59:59Z", "2026-03-09T15:59:59Z")["list"]
    assert [row["flow"] for row in at_its_last] == ["25.5"]


def test_an_offset_moves_where_days_are_cut(used: Fox) -> None:
    told = days(used, "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z", timezone_offset=-8)
    assert told["timezone"] == "+00:00"
    assert [(row["date"], row["flow"]) for row in told["list"]] == [
        ("2026-03-10 00:00:00", "1"),
        ("2026-03-09 00:00:00", "1.5"),
        ("2026-03-08 00:00:00", "24"),
    ]


def test_the_main_account_is_told_without_what_its_sub_accounts_used(used: Fox, client: Client) -> None:
    use(client, "6", "2026-03-10T05:00:00Z", user="a user of traffic", bytes_down=2 * MB)
    told = days(used, "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z", account="reseller01")
    assert [(row["account"], row["flow"]) for row in told["list"]] == [("reseller01", "5")]
    of_user = days(used, "2026-03-01T00:00:00Z", "2026-03-15T00:00:00Z", account="a user of traffic")
    assert [row["flow"] for row in of_user["list"]] == ["2"]


def test_pages_hold_each_row_once_and_one_past_the_end_is_empty(used: Fox, client: Client) -> None:
    for hour in range(25):
        use(client, f"h{hour}", format_instant(NOW - hour * HOUR_S * 1000), bytes_down=MB)
    whole = days(used, "2026-03-01T00:00:00Z", "2026-03-15T12:00:00Z", unit=1, page_size=100)
    assert whole["count"] == "28"
    paged = [
        days(used, "2026-03-01T00:00:00Z", "2026-03-15T12:00:00Z", unit=1, page_size=10, page=n) for n in (1, 2, 3, 4)
    ]
    assert [len(one["list"]) for one in paged] == [10, 10, 8, 0]
    assert [row for one in paged for row in one["list"]] == whole["list"]
    assert {one["count"] for one in paged} == {"28"}
    assert len(days(used, "2026-03-01T00:00:00Z", "2026-03-15T12:00:00Z", unit=1)["list"]) == 20


def test_an_end_far_ahead_and_a_range_still_to_come_are_answered(used: Fox) -> None:
    assert days(used, "2026-03-01T00:00:00Z", "2286-11-20T17:46:39Z", unit=1)["count"] == "3"
    assert days(used, "2286-11-20T17:46:38Z", "2286-11-20T17:46:39Z")["list"] == []


def test_a_history_is_of_residential_traffic_oldest_first_with_counters_as_numbers(used: Fox) -> None:
    given = {"start_timestamp": second("2026-03-01T00:00:00Z"), "end_timestamp": NOW_S, "account": "sub-account-1"}
    assert used.get(HISTORY, **given, is_hour=1) == {
        "list": [
            {"mb": "24", "timestamp": str(second("2026-03-08T16:00:00Z")), "period": "1 hour"},
            {"mb": "1.5", "timestamp": str(second("2026-03-09T04:00:00Z")), "period": "1 hour"},
        ],
        "total": 2,
        "page": 1,
        "page_size": 35,
    }
    by_day = {"mb": "25.5", "timestamp": str(second("2026-03-08T16:00:00Z")), "period": "1 day"}
    assert used.get(HISTORY, **given)["list"] == used.get(HISTORY, **given, is_hour=0)["list"] == [by_day]
    main = used.get(HISTORY, **given | {"account": ""})
    assert [row["mb"] for row in main["list"]] == ["3"]
    assert used.get(HISTORY, **given, page=2)["list"] == []


def test_a_history_has_35_rows_a_page(used: Fox, client: Client) -> None:
    for hour in range(40):
        use(client, f"h{hour}", format_instant(NOW - hour * HOUR_S * 1000), user="", bytes_down=MB)
    given = {"start_timestamp": NOW_S - 3 * DAY_S, "end_timestamp": NOW_S, "is_hour": 1}
    pages = [used.get(HISTORY, **given, page=page) for page in (1, 2, 3)]
    assert [(len(one["list"]), one["total"], one["page"]) for one in pages] == [(35, 40, 1), (5, 40, 2), (0, 40, 3)]
    at = [int(row["timestamp"]) for one in pages for row in one["list"]]
    assert at == sorted(set(at))


def test_what_a_history_is_of_where_that_is_not_said_can_be_set(make_client: Any) -> None:
    from flowtally.vendors.ipfoxy.settings import Settings

    client = make_client(vendors={"ipfoxy": Settings(history_by_hour=True)})
    fox = conftest.make_reseller(client, "reseller01")
    use(client, "1", "2026-03-10T04:00:00Z", user="", bytes_down=MB)
    given = {"start_timestamp": NOW_S - 9 * DAY_S, "end_timestamp": NOW_S}
    assert fox.get(HISTORY, **given)["list"][0]["period"] == "1 hour"
    assert fox.get(HISTORY, **given, is_hour=0)["list"][0]["period"] == "1 day"


EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["sub-account-1", "bob", ""]),
        st.sampled_from(["residential", "mobile", "unlimited"]),
        st.integers(NOW - 12 * DAY_S * 1000, NOW + 300_000),
        st.integers(0, 3 * MB),
    ),
    max_size=40,
)
RANGES = st.tuples(st.integers(NOW_S - 10 * DAY_S, NOW_S), st.integers(0, 4 * DAY_S))
NATIVE = {"residential", "mobile"}


def test_dialect_and_native_api_tell_the_same_and_hours_add_up_to_days(
    client: Client, fox: Fox, usage: MemoryStore, app_ledger: Ledger
) -> None:
    """Law 6 and law 4: for any use, offset and range. A row may differ from the exact figure of its bucket by less than
    one step, rows together by less than one step from theirs."""
    fox.create("sub-account-1", 1024, "key-0000001")
    with app_ledger.begin() as tx:
        ids = {
            name: id
            for (_, name), id in ensure_users(
                tx, [("reseller01", name) for name in ("sub-account-1", "bob")], 0
            ).items()
        }

    @settings(max_examples=sampled(60, 3), deadline=None)
    @given(EVENTS, RANGES, st.integers(-20, 6), st.sampled_from(["sub-account-1", "bob", "reseller01"]))
    def agrees(events: Any, span: tuple[int, int], offset: int, name: str) -> None:
        usage.rows = [_row(ids.get(user, ""), product, at, size) for user, product, at, size in events]
        asked = {
            "account": name,
            "start_time": span[0],
            "end_time": sum(span),
            "timezone_offset": offset,
            "page_size": 100,
        }
        assert _figures(fox.get("get-sub-account-flow", account="sub-account-1")) == _native_figures(client)
        hours, by_day = fox.get(LIST, **asked, unit=1), fox.get(LIST, **asked, unit=2)
        first, last = _edges(span, offset)
        wanted = {"sub-account-1": {"sub-account-1"}, "bob": {"bob"}, "reseller01": {"bob", ""}}[name]
        total = _native(client, wanted, 0, last) * 100 // MB - _native(client, wanted, 0, first) * 100 // MB
        assert sum(wire.mb_steps(row["flow"]) for row in by_day["list"]) == total
        for row in by_day["list"]:
            at = wire.date_instant(row["date"], (8 + offset) * HOUR_S * 1000)
            exact = _native(client, wanted, at, at + DAY_S * 1000) * 100
            assert abs(wire.mb_steps(row["flow"]) * MB - exact) < MB
        inner = [row for row in by_day["list"][1:-1] if hours["count"] == str(len(hours["list"]))]
        for row in inner:
            same = [wire.mb_steps(hour["flow"]) for hour in hours["list"] if hour["date"][:10] == row["date"][:10]]
            assert sum(same) == wire.mb_steps(row["flow"])

    agrees()


def _figures(flow: dict[str, str]) -> list[int]:
    return [int(flow[name]) for name in ("surplus_flow", "use_flow", "mob_surplus_flow", "mob_use_flow")]


def _native_figures(client: Client) -> list[int]:
    """What the native balance says is left and was used of the sub-account's purses, in whole KB."""
    pools = client.get("/v1/accounts/reseller01/users/sub-account-1/balance").json()["pools"]
    told = [pools.get(name, dict.fromkeys(("left", "spent", "overage", "credit"), 0)) for name in ("traffic", "mobile")]
    return [kb // 1024 for one in told for kb in (one["left"], one["spent"] + one["overage"] - one["credit"])]


def _row(user: str, product: str, at: int, size: int) -> dict[str, Any]:
    row = {"series": "metered", "account": "reseller01", "user": user, "product": product, "time": at, "block": 1}
    row |= {"bytes_up": 0, "bytes_down": size, "requests": 1, "status": 200, "labels": {}, "kind": "use"}
    return row | {"refers_to": "", "key_source": "gw", "id": "1", "sequence": 0, "source": "gw", "received_at": 0}


def _edges(span: tuple[int, int], offset: int) -> tuple[int, int]:
    """The whole days that hold the range."""
    shift = (8 + offset) * HOUR_S
    first, last = (span[0] + shift) // DAY_S, (sum(span) + shift) // DAY_S + 1
    return (first * DAY_S - shift) * 1000, (last * DAY_S - shift) * 1000


def _native(client: Client, users: set[str], start: int, end: int) -> int:
    """Bytes of residential and mobile traffic these users used, as the native API tells."""
    asked = {
        "from": format_instant(start),
        "to": format_instant(end),
        "bucket": "total",
        "by": "user,product",
        "fill": "none",
    }
    rows = client.get("/v1/accounts/reseller01/usage", params=asked).json()["rows"]
    return sum(row["bytes"] for row in rows if row["user"] in users and row["product"] in NATIVE)
