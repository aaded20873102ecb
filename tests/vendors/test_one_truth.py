"""One truth, many tongues (law 6): random use, read natively and through each dialect, is the same number.

What a dialect prints is the native whole number put through law 4: a row is floor(lifetime total at its end) - floor(at
its start) in the dialect's smallest step. Here it is worked out a second time, from nothing but native answers.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from datetime import date, timedelta
from decimal import Decimal
from itertools import accumulate, count, pairwise
from typing import Any, Final

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW, Client
from tests.soak import sampled
from tests.vendors.asking import PLACES, Shown, issue
from tests.vendors.tongues import TONGUES

from flowtally.core.edges import parse_instant
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.traffic import grants
from flowtally.usage.memory import MemoryStore
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Dialect

DAY_MS: Final = 86_400_000
TODAY: Final = date(2026, 3, 15)
ZONES: Final = ("UTC", "Asia/Kolkata", "America/New_York")  # New York's clock went forward on 8 March
BYTES: Final = ("", "residential", "datacenter", "mobile")
PRODUCTS: Final = (*BYTES, "unlimited", "api")
OTHER_POOLS: Final = {"mobile", "unlimited", "api"}  # named as their products; all others are of the pool `traffic`
ANN, FAY = "annually1", "faith"  # Ann's use is the account's; Fay is funded, and called anew in every example

SIZES = st.one_of(st.integers(0, 3000), st.integers(0, 2**40))
USES = st.lists(
    st.tuples(
        st.sampled_from(PRODUCTS),
        st.sampled_from(("", ANN, FAY)),
        st.integers(1, 40 * DAY_MS),
        SIZES,
        st.integers(0, 9),
    ),
    max_size=25,
)
GRANTS = st.lists(
    st.tuples(
        st.sampled_from(("traffic", "mobile", "api")),
        st.integers(1, 2**41),
        st.integers(-3, 40),
        st.one_of(st.none(), st.integers(1, 60)),
    ),
    max_size=6,
)


class Told(msgspec.Struct, frozen=True):
    """One account as its API tells it, and what is asked of it: whole days from `first` to `last` in `zone`."""

    client: Client
    account: str
    who: Shown
    funded: str
    zone: str
    first: date
    last: date

    def native(self, path: str, **query: Any) -> Any:
        answer = self.client.get(f"/v1/accounts/{self.account}/{path}", params=query)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def dialect(self, name: str, path: str, **query: Any) -> Any:
        """The JSON of an answer that succeeded; its numbers exact."""
        secrets, headers = PLACES[name](self.who)
        answer = self.client.get(path, params={**query, **secrets}, headers={"Authorization": "", **headers})
        body = json.loads(answer.text, parse_float=Decimal)
        assert TONGUES[name].succeeded(answer.status_code, body), answer.text
        return body

    def rows(
        self, bucket: str, keep: Callable[[Mapping[str, Any]], bool], zone: str, unit: str = "bytes"
    ) -> dict[str, int]:
        """What was used by day (2026-03-01) or hour (2026-03-01 13) of the range, of what is to be kept."""
        query = {"from": f"{self.first}", "to": f"{self.last + timedelta(1)}", "by": "product,user", "fill": "none"}
        found: dict[str, int] = defaultdict(int)
        for row in self.native("usage", tz=zone, bucket=bucket, **query)["rows"]:
            label = row["start"][:10] if bucket == "day" else f"{row['start'][:10]} {row['start'][11:13]}"
            found[label] += row[unit] if keep(row) else 0
        return found

    def before(self, keep: Callable[[Mapping[str, Any]], bool], zone: str, end: str | None = None) -> int:
        """What was ever used before the range, or before `end`."""
        query = {"from": "1970-01-01T00:00:00Z", "to": end or f"{self.first}", "by": "product,user"}
        return sum(row["bytes"] for row in self.native("usage", tz=zone, bucket="total", **query)["rows"] if keep(row))

    @property
    def labels(self) -> list[str]:
        return [f"{self.first + timedelta(n)}" for n in range((self.last - self.first).days + 1)]


def printed(before: int, parts: list[int], size: int, places: int = 2) -> list[Decimal]:
    """Law 4, from whole numbers: rows in units of `size` bytes with so many decimal places."""
    steps = [total * 10**places // size for total in accumulate(parts, initial=before)]
    return [Decimal(end - start).scaleb(-places) for start, end in pairwise(steps)]


def cut(amount: int, size: int, places: int = 2) -> Decimal:
    return Decimal(amount * 10**places // size).scaleb(-places)


def of_traffic(row: Mapping[str, Any]) -> bool:
    return row["product"] not in OTHER_POOLS


# -- One reading for each dialect -------------------------------------------------------------------------------------


def read_bytesflows(told: Told) -> None:
    balance = told.native("balance")
    units = {name: pool["unit"] for name, pool in balance["pools"].items()}
    native = {one["id"]: one for one in balance["grants"] if units[one["pool"]] == "bytes"}
    page = told.dialect("bytesflows", "/api/v1/user/traffic/records", pageSize=100)["data"]
    assert page["total"] == len(page["records"]) == len(native)
    for record in page["records"]:
        own = native[record["id"]]
        active = own["state"] in ("active", "spent")
        assert (record["traffic"], record["trafficUsed"], record["status"]) == (
            own["amount"],
            own["spent"],
            int(active),
        )
    data = told.dialect("bytesflows", "/api/v1/dashboard/asset")["data"]
    in_force = [one for one in native.values() if one["state"] in ("active", "spent")]
    assert data["totalTraffic"] == sum(one["amount"] for one in in_force)
    assert data["dynamicTraffic"] == sum(
        pool["left"] for name, pool in balance["pools"].items() if units[name] == "bytes"
    )
    assert data["totalTraffic"] - data["dynamicTraffic"] == sum(one["spent"] for one in in_force)


def read_whitepages(told: Told) -> None:
    native = told.rows("day", lambda row: row["product"] == "api", "UTC", "requests")
    days = {"start_date": f"{told.first}", "end_date": f"{told.last}"}
    answer = told.dialect("whitepages", "/v1/account/usage/", **days)
    rows = {row["date"]: row["request_count"] for row in answer["usage_data"]}
    assert {day: used for day, used in rows.items() if used} == {day: used for day, used in native.items() if used}
    assert answer["total_requests_in_timeperiod"] == sum(native.values())


def read_thordata(told: Told) -> None:
    kb = 1024
    days = {"from_date": f"{told.first}", "to_date": f"{told.last}"}
    data = told.dialect("thordata", "/api/account/usage-statistics", **days)["data"]
    native = told.rows("day", of_traffic, told.zone)
    wanted = printed(told.before(of_traffic, told.zone), [native[day] for day in told.labels], kb)
    assert [(row["date"], row["usage_traffic"]) for row in data["data"]] == list(zip(told.labels, wanted, strict=True))
    assert data["range_usage_traffic"] == sum(wanted)
    assert data["total_usage_traffic"] == cut(told.before(of_traffic, told.zone, "2027-01-01"), kb)
    left = told.native("balance")["pools"]["traffic"]["left"]
    assert data["traffic_balance"] == cut(left, kb)
    balance = told.dialect("thordata", "/api/account/traffic-balance")["data"]
    assert balance["traffic_balance"] == cut(left, kb * kb)


def read_ipfoxy(told: Told) -> None:
    for name, keep in ((told.account, _of_the_account), (told.funded, _of_the_funded)):
        days, hours = (_flow_list(told, name, unit) for unit in (2, 1))
        native, before = told.rows("day", keep, "Asia/Shanghai"), told.before(keep, "Asia/Shanghai")
        wanted = zip(told.labels, printed(before, [native[day] for day in told.labels], 1024**2), strict=True)
        assert days == {f"{day} 00:00:00": row for day, row in wanted if native[day]}
        of_hours: dict[str, Decimal] = defaultdict(Decimal)
        for hour, flow in hours.items():
            of_hours[f"{hour[:10]} 00:00:00"] += flow
        assert of_hours == days, "hours add up to days, in what is printed"
    pool = told.native(f"users/{told.funded}/balance")["pools"].get("traffic", {"left": 0, "spent": 0, "overage": 0})
    flow = told.dialect("ipfoxy", "/ip/open-api/get-sub-account-flow", account=told.funded)["data"]
    assert int(flow["surplus_flow"]) == pool["left"] // 1024


def _of_the_funded(row: Mapping[str, Any]) -> bool:
    """Residential and mobile traffic of the sub-account."""
    return row["product"] not in ("unlimited", "api") and str(row["user"]).startswith(FAY)


def _of_the_account(row: Mapping[str, Any]) -> bool:
    return row["product"] not in ("unlimited", "api") and not str(row["user"]).startswith(FAY)


def _flow_list(told: Told, name: str, unit: int) -> dict[str, Decimal]:
    """All pages, by date."""
    start, end = (parse_instant(f"{day}T00:00:00+08:00") // 1000 for day in (told.first, told.last + timedelta(1)))
    query = {"account": name, "start_time": start, "end_time": end - 1, "unit": unit, "page_size": 100}
    found: dict[str, Decimal] = {}
    for page in count(1):
        data = told.dialect("ipfoxy", "/ip/open-api/get-account-use-flow-list", page=page, **query)["data"]
        found |= {row["date"]: Decimal(row["flow"]) for row in data["list"]}
        if not data["list"]:
            assert int(data["count"]) == len(found)
            return found
    raise AssertionError


READINGS: Final[dict[str, Callable[[Told], None]]] = {
    "thordata": read_thordata,
    "bytesflows": read_bytesflows,
    "ipfoxy": read_ipfoxy,
    "whitepages": read_whitepages,
}


# -- The law ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def in_zone(make_client: Callable[..., Client]) -> Callable[[str], Client]:
    """A client of an application whose dialects tell the days of this zone, where they have a choice."""
    made: dict[str, Client] = {}

    def client(zone: str) -> Client:
        if zone not in made:
            zoned = [one for one in VENDORS if "timezone" in one.settings.__struct_fields__]
            made[zone] = make_client(
                vendors={one.name: msgspec.convert({"timezone": zone}, one.settings) for one in zoned}
            )
        return made[zone]

    return client


def test_every_dialect_is_read() -> None:
    assert set(READINGS) >= {dialect.name for dialect in VENDORS}


@pytest.mark.parametrize("dialect", VENDORS, ids=lambda one: one.name)
def test_the_same_use_read_natively_and_through_a_dialect_agrees(
    in_zone: Callable[[str], Client], app_ledger: Ledger, usage: MemoryStore, dialect: Dialect
) -> None:
    numbers = count(1)

    @settings(
        max_examples=sampled(25, 3),
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(USES, GRANTS, SIZES, st.sampled_from(ZONES), st.integers(0, 39), st.integers(1, 20))
    def holds(uses: Any, given_grants: Any, passed_on: int, zone: str, ago: int, length: int) -> None:
        number = next(numbers)
        account, fay = f"account{number:03}", f"{FAY}{number:05}"
        ids = _make_account(app_ledger, account, fay, given_grants)
        usage.rows = [_row(mine, ids, *use) for use in uses for mine in (account, "neighbour")]
        client = in_zone(zone)
        client.post(f"/v1/accounts/{account}/users/{fay}/allocations", json={"amount": passed_on})  # if it is covered
        first = TODAY - timedelta(ago)
        told = Told(client, account, issue(client, account, "account"), fay, zone, first, first + timedelta(length - 1))
        READINGS[dialect.name](told)

    holds()


def _make_account(ledger: Ledger, account: str, fay: str, given_grants: Any) -> dict[str, str]:
    """Grants start and end at midnight UTC. The users' ids by name."""
    with ledger.begin() as tx:
        accounts.create_account(tx, account, carry_from=NOW - 60 * DAY_MS, now=NOW - 60 * DAY_MS)
        for pool, amount, ago, life in given_grants:
            start = (NOW // DAY_MS - ago) * DAY_MS
            expires_at = None if life is None else start + life * DAY_MS
            grants.give_grant(tx, account, amount, now=NOW, pool=pool, starts_at=start, expires_at=expires_at)
        ids = {name: users.ensure_users(tx, [(account, name)], 0)[account, name] for name in ("", ANN)}
        return ids | {FAY: managed.create_user(tx, account, fay, funded=True, now=NOW - 50 * DAY_MS).id}


def _row(
    account: str, ids: Mapping[str, str], product: str, user: str, ago: int, size: int, requests: int
) -> dict[str, Any]:
    return {
        "series": "metered", "account": account, "user": ids[user], "product": product, "source": "gw", "status": 0,
        "labels": {}, "kind": "use", "refers_to": "", "block": 1, "received_at": NOW, "time": NOW - ago,
        "bytes_up": size // 3, "bytes_down": size - size // 3, "requests": requests,
    }  # fmt: skip
