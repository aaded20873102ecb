"""The official client, `thordata-sdk`, unmodified, against a live server: its whole account side, sync and async.

It takes three base URLs: accounts and proxy users from an argument, whitelists and servers from the environment, read
when a client is made.
"""

from __future__ import annotations

import asyncio
import os
import re
import subprocess
import sys
import time
import uuid
from collections.abc import Coroutine, Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.live import Live, live_server

KB = 1024
MB = 1024 * KB


class Account(msgspec.Struct, frozen=True):
    """A fresh account of the live server with the secrets of a credential that manages it."""

    id: str
    live: Live
    token: str
    key: str

    def native(self, path: str, body: Any) -> Any:
        answer = httpx.post(f"{self.live.url}/v1{path}", json=body, headers=bearer(self.live), trust_env=False)
        assert answer.status_code in (200, 201), answer.text
        return answer.json()

    def grant(self, amount: int) -> None:
        self.native(f"/accounts/{self.id}/grants", {"amount": amount, "starts_at": "2025-01-01T00:00:00Z"})

    def use(self, time: str, size: int, **more: str) -> None:
        event = {"source": self.id, "id": uuid.uuid4().hex, "account": self.id, "time": time, "product": "residential"}
        told = self.native("/events", [{**event, "bytes_down": size, **more}])
        assert told["stored"] == 1, told

    def client(self, token: str = "", key: str = "") -> Any:
        from thordata import ThordataClient  # here and below: loading it takes a quarter of a second

        return ThordataClient(
            public_token=token or self.token,
            public_key=key or self.key,
            locations_base_url=f"{self.live.url}/api/locations",
        )

    def async_client(self) -> Any:
        from thordata import AsyncThordataClient

        return AsyncThordataClient(
            public_token=self.token, public_key=self.key, locations_base_url=f"{self.live.url}/api/locations"
        )


def refusal() -> pytest.RaisesExc[Exception]:
    """What the client raises where the server refuses."""
    from thordata.exceptions import ThordataAPIError

    return pytest.raises(ThordataAPIError)


def bearer(live: Live) -> dict[str, str]:
    return {"Authorization": f"Bearer {live.token}"}


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    extra = {"FLOWTALLY_THORDATA_LENIENT_LIMITS": "true", "FLOWTALLY_THORDATA_EXTRACT_SECONDS": "0"}
    with live_server(tmp_path_factory.mktemp("sdk") / "data", extra) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("THORDATA_WHITELIST_BASE_URL", f"{server.url}/api")
        patch.setenv("THORDATA_PROXY_API_BASE_URL", f"{server.url}/api")
        patch.setenv("NO_PROXY", "127.0.0.1,localhost")
        yield server


@pytest.fixture
def account(live: Live) -> Account:
    id = f"a{uuid.uuid4().hex[:12]}"
    made = Account(id, live, "", "")
    made.native("/accounts", {"id": id, "carry_from": "2025-01-01T00:00:00Z"})
    told = made.native(f"/accounts/{id}/credentials", {"scope": "manage"})
    return msgspec.structs.replace(made, token=told["token"], key=told["key"])


def name() -> str:
    """Names are borne once in the installation."""
    return f"u{uuid.uuid4().hex[:10]}"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(asyncio.wait_for(work, 60))


def code_of(error: pytest.ExceptionInfo[Any]) -> int:
    return int(error.value.code)


def test_the_figures_of_their_pages_come_out_of_their_client(account: Account) -> None:
    account.grant(10_000_000 * KB + 1_500_000 * KB)
    for day in (1, 2, 3):
        account.use(f"2025-01-0{day}T12:00:00Z", 500_000 * KB)
    with account.client() as client:
        usage = client.get_usage_statistics(date(2025, 1, 1), date(2025, 1, 3))
        assert (usage.total_usage_traffic, usage.traffic_balance) == (1500000.0, 10000000.0)
        assert (usage.query_days, usage.range_usage_traffic, len(usage.data)) == (3, 1500000.0, 3)
        account.grant(10_240_000 * KB - 10_000_000 * KB)
        assert client.get_traffic_balance() == 10000.0
        assert client.account.get_balance() == {"traffic_balance": 10000.0}


def test_endpoints_are_extracted_by_their_clients(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their host is written into the clients: here its name leads to this server, as a name server or a proxy would."""
    from thordata.core.async_http_client import AsyncThordataHttpSession
    from thordata.core.http_client import ThordataHttpSession

    for session in (ThordataHttpSession, AsyncThordataHttpSession):
        sent = session.request

        def lead(self: Any, method: str, url: str, *, of: Any = sent, **more: Any) -> Any:
            return of(self, method, url.replace("https://get-ip.thordata.net", account.live.url), **more)

        monkeypatch.setattr(session, "request", lead)
    for product in ("residential", "unlimited"):
        offered = {"product": product, "host": f"{account.id}.example", "first_port": 5, "last_port": 9}
        account.native("/gateways", offered | {"session": "sticky", "hold_s": 600, "country": "DE"})
        monkeypatch.setenv(f"THORDATA_{product.upper()}_USERNAME", account.id)
    pool = {"residential": "traffic", "unlimited": "unlimited"}
    with account.client() as client:
        with refusal() as refused:
            client.extract_ip_list(country="DE")
        assert code_of(refused) == 118
        for product, listed in pool.items():
            path = f"{account.live.url}/v1/accounts/{account.id}/whitelist/{listed}/127.0.0.1"
            assert httpx.put(path, json={}, headers=bearer(account.live), trust_env=False).status_code == 200
            for more in ({}, {"return_type": "json"}, {"sep": "\\n"}):
                found = client.extract_ip_list(num=4, country="DE", product=product, **more)
                assert len(set(found)) == 4
                assert all(re.fullmatch(rf"{account.id}\.example:[5-9]", one) for one in found)
        with refusal() as refused:
            client.extract_ip_list(country="FR", return_type="json")
        assert code_of(refused) == 114

    async def extract() -> list[str]:
        async with account.async_client() as client:
            return list(await client.extract_ip_list(num=5, country="DE", time_limit=10))

    assert len(run(extract())) == 5


def test_a_user_lives_from_create_to_delete_in_their_client(account: Account) -> None:
    first, second = name(), name()
    with account.client() as client:
        client.create_proxy_user(first, "password123", traffic_limit=100)
        [user] = client.list_proxy_users().users
        assert (user.username, user.password, user.status, user.traffic_limit) == (first, "password123", True, 100)
        client.update_proxy_user(first, "password456", traffic_limit=500, status=False, new_username=second)
        listed = client.list_proxy_users()
        assert (listed.user_count, listed.limit - listed.remaining_limit) == (1, 1.0)
        assert (listed.users[0].username, listed.users[0].password) == (second, "password456")
        assert (listed.users[0].traffic_limit, listed.users[0].status) == (500, False)
        client.update_proxy_user(second, "password456")  # sends all it has: no limit, enabled
        assert (client.list_proxy_users().users[0].traffic_limit, client.list_proxy_users().users[0].status) == (
            0,
            True,
        )
        client.delete_proxy_user(second)
        assert client.list_proxy_users().users == []
        with refusal() as gone:
            client.delete_proxy_user(second)
        assert code_of(gone) == 10020


def test_the_same_in_their_async_client(account: Account) -> None:
    first, second = name(), name()

    async def live_and_die() -> None:
        async with account.async_client() as client:
            await client.create_proxy_user(first, "password123", traffic_limit=100, status=False)
            [user] = (await client.list_proxy_users()).users
            assert (user.username, user.status, user.traffic_limit) == (first, False, 100)
            await client.update_proxy_user(first, "password456", traffic_limit=500, status=True, new_username=second)
            [user] = (await client.list_proxy_users()).users
            assert (user.username, user.password, user.traffic_limit, user.status) == (second, "password456", 500, True)
            await client.delete_proxy_user(second)
            with refusal() as gone:
                await client.delete_proxy_user(second)
            assert code_of(gone) == 10020

    run(live_and_die())


@pytest.mark.parametrize(
    ("username", "password", "limit", "code"),
    [
        ("ab", "password123", 0, 10015),
        ("a_b_c_d", "password123", 0, 10015),
        ("a" * 16, "password123", 0, 10015),
        ("user123", "1password", 0, 10016),
        ("user123", "password123", 99, 10000),
    ],
)
def test_what_cannot_be_is_an_error_of_their_client_with_our_code(
    account: Account, username: str, password: str, limit: int, code: int
) -> None:
    with account.client() as client, refusal() as refused:
        client.create_proxy_user(username, password, traffic_limit=limit)
    assert code_of(refused) == code


def test_a_name_that_is_taken_is_10018_in_their_client(account: Account) -> None:
    taken = name()
    with account.client() as client:
        client.create_proxy_user(taken, "password123")
        with refusal() as refused:
            client.create_proxy_user(taken, "password123")
    assert code_of(refused) == 10018


def test_their_wrapper_that_sends_none_makes_a_user_without_a_limit_where_that_is_allowed(account: Account) -> None:
    wrapped = name()
    with account.client() as client:
        client.proxy.create_user(wrapped, "password123")
        assert [(user.username, user.traffic_limit) for user in client.list_proxy_users().users] == [(wrapped, 0)]


def test_usage_by_day_is_the_sum_of_usage_by_hour(account: Account) -> None:
    user = name()
    with account.client() as client:
        client.create_proxy_user(user, "password123", traffic_limit=100)
        account.use("2025-07-01T00:10:00Z", 1_000_003, user=user)
        account.use("2025-07-01T23:50:00Z", 2_000_005, user=user)
        account.use("2025-07-02T05:00:00Z", 3_000_007, user=user)
        days = client.get_proxy_user_usage(user, "2025-07-01", "2025-07-02")
        hours = client.get_proxy_user_usage_hour(user, "2025-07-01 00", "2025-07-02 23")
        balance = days["traffic_limit"] - days["total_usage_traffic"]
    assert (days["traffic_limit"], round(balance, 2)) == (102400, days["traffic_balance"])
    assert [row["date"] for row in hours] == [f"2025-07-0{day} {hour:02d}" for day in (1, 2) for hour in range(24)]
    for row in days["data"]:
        of_day = sum(one["usage_traffic"] for one in hours if one["date"].startswith(row["date"]))
        assert round(of_day, 2) == row["usage_traffic"] > 0


def test_their_async_client_reads_the_same_figures(account: Account) -> None:
    user = name()
    account.grant(10 * MB)
    with account.client() as client:
        client.create_proxy_user(user, "password123")
        account.use("2025-07-01T00:10:00Z", 3 * MB, user=user)
        first, last = date(2025, 7, 1), date(2025, 7, 1) + timedelta(2)
        expected = (
            client.get_traffic_balance(),
            client.get_usage_statistics(first, last),
            client.list_proxy_users(),
            client.get_proxy_user_usage(user, str(first), str(last)),
        )

    async def same() -> Any:
        async with account.async_client() as client:
            return (
                await client.get_traffic_balance(),
                await client.get_usage_statistics(first, last),
                await client.list_proxy_users(),
                await client.get_proxy_user_usage(user, str(first), str(last)),
            )

    assert run(same()) == expected
    assert (expected[0], expected[1].total_usage_traffic) == (7.0, 3072.0)


def test_the_wallet_is_read_by_both_clients(account: Account) -> None:
    account.native(f"/accounts/{account.id}/wallet/deposits", {"amount_micros": 800_000_000})
    with account.client() as client:
        assert client.get_wallet_balance() == 800.0

    async def same() -> Any:
        async with account.async_client() as client:
            return await client.get_wallet_balance()

    assert run(same()) == 800.0


def test_what_a_user_used_is_in_gb_what_their_client_says(account: Account) -> None:
    user = name()
    with account.client() as client:
        client.create_proxy_user(user, "password123", traffic_limit=3072)
        account.use("2025-07-01T00:10:00Z", 1536 * MB, user=user)
        [listed] = client.list_proxy_users().users
    assert (listed.usage_gb(), listed.limit_gb()) == (1.5, 3.0)

    async def same() -> Any:
        async with account.async_client() as client:
            [listed] = (await client.list_proxy_users()).users
            return listed.usage_gb(), listed.limit_gb()

    assert run(same()) == (1.5, 3.0)


def test_the_whitelist_is_read_as_an_array(account: Account) -> None:
    with account.client() as client:
        client.add_whitelist_ip("1.1.1.1")
        client.add_whitelist_ip("2.2.2.2", status=False)
        assert client.list_whitelist_ips() == ["1.1.1.1", "2.2.2.2"]
        client.delete_whitelist_ip("1.1.1.1")
        with refusal() as gone:
            client.delete_whitelist_ip("1.1.1.1")
        assert code_of(gone) == 10010

    async def same() -> Any:
        async with account.async_client() as client:
            await client.add_whitelist_ip("3.3.3.3")
            await client.delete_whitelist_ip("2.2.2.2")
            return await client.list_whitelist_ips()

    assert run(same()) == ["3.3.3.3"]


def test_a_wrong_token_and_a_wrong_key_are_errors_of_their_client(account: Account) -> None:
    for token, key, code in (("nobody", "", 10047), ("", "wrong", 10014)):
        with account.client(token, key) as client, refusal() as refused:
            client.get_traffic_balance()
        assert code_of(refused) == code


def test_a_range_of_182_days_is_10021_in_their_client(account: Account) -> None:
    with account.client() as client:
        assert client.get_usage_statistics("2025-01-01", "2025-06-30").query_days == 181
        with refusal() as refused:
            client.get_usage_statistics("2025-01-01", "2025-07-01")
    assert code_of(refused) == 10021


def test_the_python_of_the_page_runs_as_written(account: Account) -> None:
    account.grant(10 * MB)
    page = (Path(__file__).parents[3] / "docs/dialects/thordata.md").read_text()
    [code] = re.findall(r"^```python\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    secrets = {"TOKEN": account.token, "KEY": account.key, "FLOWTALLY_URL": account.live.url}
    done = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | secrets, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.stdout == "10.0 MB left\n[]\n0.0 KB used\n", done.stderr


def test_secrets_their_client_puts_into_queries_reach_no_log(account: Account) -> None:
    with account.client() as client:
        client.get_traffic_balance()
        client.list_proxy_users()
    log = Path(account.live.data).with_suffix(".log").read_text()
    assert "/api/account/traffic-balance" in log  # it is the log that was looked at
    assert account.token not in log
    assert account.key not in log


ALABAMA = {"country_code": "US", "country_name": "United States", "state_code": "alabama", "state_name": "Alabama"}
ALABASTER = ALABAMA | {"city_code": "alabaster", "city_name": "Alabaster"}
COMCAST = {"country_code": "US", "asn_code": "AS7922", "asn_name": "Comcast"}


@pytest.fixture
def placed(account: Account) -> Account:
    rows = [
        {"country": "US", "state": "alabama", "city": "Alabaster"},
        {"country": "US", "state": "newyork", "city": "Albany"},
        {"country": "US", "asn": "AS7922", "asn_name": "Comcast"},
    ]
    answer = httpx.put(
        f"{account.live.url}/v1/places/residential", json=rows, headers=bearer(account.live), trust_env=False
    )
    assert answer.status_code == 200, answer.text
    return account


def test_their_client_lists_countries_states_cities_and_systems(placed: Account) -> None:
    with placed.client() as client:
        assert client.list_countries() == [{"country_code": "US", "country_name": "United States"}]
        assert client.list_states("US")[0] == ALABAMA
        assert [one["city_code"] for one in client.list_cities("US")] == ["alabaster", "albany"]
        assert client.list_cities("US", "alabama") == [ALABASTER]
        assert client.list_asn("US") == [COMCAST]
        assert client.list_countries(proxy_type=3) == []
        with pytest.raises(RuntimeError, match="Locations error: Parameter error: proxy_type"):
            client.list_countries(proxy_type=5)


def test_their_async_client_lists_countries_states_cities_and_systems(placed: Account) -> None:
    async def work() -> None:
        async with placed.async_client() as client:
            assert await client.list_countries() == [{"country_code": "US", "country_name": "United States"}]
            assert (await client.list_states("US"))[0] == ALABAMA
            assert [one["city_code"] for one in await client.list_cities("US")] == ["alabaster", "albany"]
            assert await client.list_cities("US", "alabama") == [ALABASTER]
            assert await client.list_asn("US") == [COMCAST]
            assert await client.list_countries(proxy_type=3) == []

    run(work())


class Rented(msgspec.Struct, frozen=True):
    """What an account leases: a server and an address of an ISP, by what they are called."""

    account: Account
    item: str
    host: str
    server: str
    ip: str


@pytest.fixture
def rented(account: Account) -> Rented:
    """A server of 8 CPUs that is sold by the month, a larger one, and money."""
    of, host = f"/accounts/{account.id}", f"{account.id}.example"
    ip = f"198.18.{int(account.id[1:3], 16)}.{int(account.id[3:5], 16)}"
    account.native(f"{of}/wallet/deposits", {"amount_micros": 1_000_000_000})
    size = {"cpu_cores": 8, "memory_mib": 16_384, "bandwidth_mbps": 200}
    made = {}
    for kind, address, more in (("unlimited", host, {"name": host, **size}), ("isp", ip, {"port": 6666})):
        item = {"kind": kind, "address": address, "username": "user123", "password": "password123", "region": "na"}
        made[kind] = account.native("/stock", {**item, "country": "US", **more})["id"]
    for name, price, cpus in (("small", 10, 8), ("large", 30, 16)):
        plan = {"kind": "unlimited", "days": 30, "price_micros": price * 1_000_000, "region": "na", **size}
        account.native("/lease-plans", {"id": f"{name}-{account.id}", **plan, "cpu_cores": cpus})
    account.native("/lease-plans", {"id": f"isp-{account.id}", "kind": "isp", "days": 30, "price_micros": 1})
    for bought, kind in (("small", "unlimited"), ("isp", "isp")):
        account.native(f"{of}/leases", {"plan": f"{bought}-{account.id}", "stock": [made[kind]]})
    return Rented(account, made["unlimited"], host, host, ip)


def test_their_client_lists_fixed_proxies_and_when_they_expire(rented: Rented) -> None:
    with rented.account.client() as client:
        [proxy] = client.list_proxy_servers(proxy_type=1)
        assert (proxy.ip, int(proxy.port), proxy.username, proxy.password) == (
            rented.ip,
            6666,
            "user123",
            "password123",
        )
        assert client.list_proxy_servers(proxy_type=2) == []
        [told] = client.get_proxy_expiration([rented.ip], proxy_type=1)
        assert told["ip"] == rented.ip
        with refusal() as refused:
            client.get_proxy_expiration("203.0.113.9", proxy_type=1)
        assert code_of(refused) == 10010

    async def same() -> Any:
        async with rented.account.async_client() as client:
            return await client.list_proxy_servers(proxy_type=1), await client.get_proxy_expiration(rented.ip, 1)

    assert run(same()) == ([proxy], [told])


def test_their_client_renews_upgrades_and_restarts_a_server(rented: Rented) -> None:
    with rented.account.client() as client:
        [server] = client.unlimited.list_servers()
        assert server["plan_name"] == rented.server
        before = server["expiration_time"]
        assert client.unlimited.renew(rented.server, 1)["order_money"] == 10
        assert client.unlimited.upgrade(rented.server, f"large-{rented.account.id}")["order_money"] > 10
        client.unlimited.restart_server(rented.server)
        [after] = client.unlimited.list_servers()
        assert before not in after.values()
    waiting = httpx.get(
        f"{rented.account.live.url}/v1/actions?status=requested", headers=bearer(rented.account.live), trust_env=False
    ).json()["items"]
    assert [one["what"] for one in waiting if one["server"] == rented.item] == ["restart"]


def test_the_same_of_a_server_in_their_async_client(rented: Rented) -> None:
    async def work() -> None:
        async with rented.account.async_client() as client:
            [server] = await client.unlimited.list_servers()
            assert server["plan_name"] == rented.server
            assert (await client.unlimited.renew(rented.server, 1))["order_money"] == 10
            assert (await client.unlimited.upgrade(rented.server, f"large-{rented.account.id}"))["order_money"] > 10
            await client.unlimited.restart_server(rented.server)

    run(work())


def test_their_clients_bind_users_to_a_server(rented: Rented) -> None:
    user = name()
    with rented.account.client() as client:
        client.create_proxy_user(user, "password123")
        client.unlimited.bind_user(rented.host, user)
        [listed] = client.unlimited.list_bound_users(rented.host)
        assert [one["username"] for one in listed["sub_users"]] == [user]
        client.unlimited.unbind_user(rented.host, user)
        with refusal() as refused:
            client.unlimited.bind_user("203.0.113.9", user)
        assert code_of(refused) == 10010

    async def work() -> list[Any]:
        async with rented.account.async_client() as client:
            await client.unlimited.bind_user(rented.host, user)
            found = await client.unlimited.list_bound_users(rented.host)
            await client.unlimited.unbind_user(rented.host, user)
            return [found, await client.unlimited.list_bound_users(rented.host)]

    [[bound], [free]] = run(work())
    assert ([one["username"] for one in bound["sub_users"]], free["sub_users"]) == ([user], [])


def test_their_client_watches_a_server_and_its_load_balancer(rented: Rented) -> None:
    """The sync one: the async one has no methods for it."""
    at = int(time.time()) + 2  # nothing is told of before the lease
    start = at - at % 300
    rented.account.native("/samples", [{"server": rented.item, "name": "cpu", "time": _instant(at), "value": 5}])
    asked: dict[str, Any] = {"ins_id": rented.item, "region": "na", "start_time": start, "end_time": start + 300}
    with rented.account.client() as client:
        assert client.unlimited.get_server_monitor(**asked)["CpuUsage"] == {"times": [start], "values": [5]}
        balancing = client.unlimited.get_balancing_monitor(**asked)
        assert all(series == {"times": [], "values": []} for series in balancing.values())
        with refusal():
            client.unlimited.get_server_monitor(**asked | {"ins_id": "another"})


def _instant(at_s: int) -> str:
    return datetime.fromtimestamp(at_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
