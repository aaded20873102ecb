"""Static proxies as IPFoxy's clients ask for them: areas of our stock, leases of this account."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.conftest import Client, Clock
from tests.vendors.ipfoxy.conftest import fox_of, make_reseller
from tests.vendors.ipfoxy.fox import Fox

from flowtally.core.leasing import Site
from flowtally.core.times import DAY_MS
from flowtally.ledger.inventory.stock import StockArea
from flowtally.vendors.ipfoxy.routes import areas
from flowtally.vendors.ipfoxy.settings import Settings

ISP = {"kind": "isp", "country": "US", "region": "Zone D", "port": 45001, "username": "ann", "password": "secret"}


def put(client: Client, path: str, body: Any) -> Any:
    answer = client.post(f"/v1/{path}", json=body)
    assert answer.status_code == 201, answer.text
    return answer.json()


def fill(client: Client) -> None:
    """Three ISP proxies of a zone and one of IPv6, a datacenter proxy without a plan, a server; the reseller has
    20.00."""
    put(client, "accounts/reseller01/wallet/deposits", {"amount_micros": 20_000_000})
    for address in ("192.0.2.1", "192.0.2.2", "192.0.2.3", "2001:db8::1"):
        put(client, "stock", ISP | {"address": address})
    put(client, "stock", {"kind": "datacenter", "address": "dc.example.com", "country": "CL"})
    put(client, "stock", {"kind": "unlimited", "address": "192.0.2.9", "country": "US", "cpu_cores": 8})
    for id, days, price, more in (
        ("isp-30", 30, 6_000_000, {}),
        ("us-30", 30, 5_990_000, {"country": "US"}),
        ("us-30-dear", 30, 7_000_000, {"country": "US"}),
        ("isp-90", 90, 9_000_001, {}),
        ("sized", 180, 1, {"cpu_cores": 8}),
    ):
        put(client, "lease-plans", {"id": id, "kind": "isp", "days": days, "price_micros": price, **more})


@pytest.fixture
def buyer(fox: Fox, client: Client) -> Fox:
    fill(client)
    return fox


def area(fox: Fox, version: str = "IPv4", type: str = "STATIC_ISP") -> str:
    [found] = [one["id"] for one in fox.get("area-list") if (one["ip_type"], one["ip_version"]) == (type, version)]
    return str(found)


def buy(fox: Fox, num: int = 1, **more: str) -> str:
    form = {"days": "30", "area_id": area(fox), "auto_extend": "0", "num": str(num)} | more
    return str(fox.post("proxy-buy", **form)["order_id"])


def bought(fox: Fox, num: int = 1) -> list[str]:
    ids: list[str] = fox.get("order-info", order_id=buy(fox, num))["proxy_ids"]
    return ids


def wallet(fox: Fox) -> str:
    return str(fox.get("account-info")["balance"])


def listed(fox: Fox, **asked: object) -> list[Any]:
    rows: list[Any] = fox.get("proxy-list", page=1, page_size=50, **asked)["list"]
    return rows


def test_areas_are_where_something_is_in_stock(buyer: Fox) -> None:
    found = buyer.get("area-list")
    ids = [one.pop("id") for one in found]
    usa = {"country": "United States", "country_code": "US", "region": "Zone D"}
    chile = {"country": "Chile", "country_code": "CL", "region": ""}
    assert found == [
        {"ip_type": "STATIC_DATACENTER", "status": "false", "ip_version": "IPv4", **chile},  # nothing says a price
        {"ip_type": "STATIC_ISP", "status": "true", "ip_version": "IPv4", **usa},
        {"ip_type": "STATIC_ISP", "status": "true", "ip_version": "IPv6", **usa},
    ]
    assert len({int(one) for one in ids}) == 3
    assert [one["id"] for one in buyer.get("area-list")] == ids


def test_an_area_keeps_its_number() -> None:
    """Clients write it down."""
    assert areas.number_of(StockArea("isp", Site("US", region="Zone D"), False)) == 280680951
    numbers = [areas.number_of(StockArea("isp", Site("US", region=f"Zone {n}"), False)) for n in range(1_000)]
    assert min(numbers) >= 1
    assert max(numbers) <= 2**31 - 1


def test_areas_with_one_number_are_not_sold(buyer: Fox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(areas, "LARGEST", 1)
    told = buyer.get("area-list")
    assert {(one["id"], one["status"]) for one in told} == {("1", "false")}
    form = {"days": "30", "area_id": "1", "auto_extend": "0", "num": "1"}
    assert buyer.refused("POST", "proxy-buy", **form) == 60400
    assert wallet(buyer) == "20.00"


def test_an_area_of_which_all_is_leased_is_sold_out(buyer: Fox) -> None:
    buy(buyer, 3)
    assert [one["status"] for one in buyer.get("area-list")] == ["false", "false", "true"]


def test_what_is_bought_is_paid_and_listed(buyer: Fox, client: Client, clock: Clock) -> None:
    where = area(buyer)
    price = buyer.get("order-price", order_type="BUY", days=30, area_id=where, num=2)
    assert price == {"order price": "11.98", "order_type": "BUY"}  # the plan that says more of the place, the cheaper
    order = buy(buyer, 2)
    assert wallet(buyer) == "8.02"
    told = buyer.get("order-info", order_id=order)
    ids = told.pop("proxy_ids")
    assert told == {"id": order, "total_price": "11.98", "proxy_count": "2", "order_type": "BUY"}
    rows = buyer.get("proxy-list", page=1, page_size=50)
    assert (rows["total"], rows["page"], rows["page_size"]) == (2, 1, 50)
    assert [one["id"] for one in rows["list"]] == ids
    assert rows["list"][0] == {
        "id": ids[0],
        "host": "192.0.2.1",
        "public_ip": "192.0.2.1",
        "port": "45001",
        "type": "socks5",
        "area_id": where,
        "user": "ann",
        "password": "secret",
        "auto_extend": "0",
        "expire_time": str((clock.at + 30 * DAY_MS) // 1000),
        "buy_time": str(clock.at // 1000),
        "country_code": "US",
        "ip_type": "STATIC_ISP",
        "ip_version": "IPv4",
        "renewal_time": "0",
    }
    native = client.get(f"/v1/accounts/reseller01/lease-orders/{order}").json()
    assert (native["what"], native["price_micros"]) == ("bought", 11_980_000)


def test_a_price_of_more_than_two_decimals_is_told_exactly(buyer: Fox) -> None:
    asked = {"order_type": "BUY", "days": 90, "area_id": area(buyer)}
    assert buyer.get("order-price", **asked)["order price"] == "9.000001"


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"days": "31"}, 17002),
        ({"days": "180"}, 17002),  # that plan is of servers
        ({"days": "0"}, 17002),
        ({"num": "0"}, 17003),
        ({"num": "101"}, 17003),
        ({"num": "-1"}, 17003),
        ({"num": "4"}, 17012),
        ({"area_id": "7"}, 60400),
        ({"area_id": ""}, 60400),
        ({"num": ""}, 60400),
        ({"auto_extend": ""}, 60400),
        ({"auto_extend": "2"}, 60400),
        ({"days": "90", "num": "3"}, 60300),
        ({"proxy_ids": "stk_1"}, 60400),
        ({"idempotency_key": "short"}, 60400),
    ],
)
def test_what_cannot_be_bought_costs_nothing(buyer: Fox, change: dict[str, str], code: int) -> None:
    form = {"days": "30", "area_id": area(buyer), "auto_extend": "0", "num": "1"} | change
    assert buyer.refused("POST", "proxy-buy", **form) == code
    assert (wallet(buyer), listed(buyer)) == ("20.00", [])


def test_an_area_without_a_plan_is_not_sold(buyer: Fox) -> None:
    where = area(buyer, type="STATIC_DATACENTER")
    form = {"days": "30", "area_id": where, "auto_extend": "0", "num": "1"}
    assert buyer.refused("POST", "proxy-buy", **form) == 17001
    assert buyer.refused("GET", "order-price", order_type="BUY", days=30, area_id=where) == 17001


def test_what_is_bought_is_of_the_version_of_the_area(buyer: Fox) -> None:
    buyer.post("proxy-buy", days="30", area_id=area(buyer, "IPv6"), auto_extend="0", num="1")
    [one] = listed(buyer)
    assert (one["host"], one["ip_version"], one["area_id"]) == ("2001:db8::1", "IPv6", area(buyer, "IPv6"))


def test_buyers_that_race_get_each_proxy_once(buyer: Fox, rival: Fox, client: Client) -> None:
    put(client, "accounts/reseller02/wallet/deposits", {"amount_micros": 20_000_000})
    form = {"days": "30", "area_id": area(buyer), "auto_extend": "0", "num": "1"}
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(lambda fox: fox.ask("POST", "proxy-buy", data=form)["code"], [buyer, rival] * 3))
    assert sorted(told) == [0, 0, 0, 17012, 17012, 17012]
    hosts = [one["host"] for fox in (buyer, rival) for one in listed(fox)]
    assert sorted(hosts) == ["192.0.2.1", "192.0.2.2", "192.0.2.3"]


@pytest.mark.parametrize("name", ["proxy-buy", "proxy-extend", "proxy-renew"])
def test_a_renewal_goes_on_from_the_end(buyer: Fox, clock: Clock, name: str) -> None:
    ids = bought(buyer, 2)
    before = {one["id"]: int(one["expire_time"]) for one in listed(buyer)}
    clock.at += DAY_MS
    told = buyer.get("order-price", order_type="EXTEND", days=30, proxy_ids=ids[0])
    assert told == {"order price": "5.99", "order_type": "EXTEND"}
    order = buyer.post(name, days="30", proxy_ids=f"{ids[0]},{ids[0]}, ")["order_id"]
    after = {one["id"]: one for one in listed(buyer)}
    assert int(after[ids[0]]["expire_time"]) - before[ids[0]] == 30 * 86_400
    assert after[ids[0]]["renewal_time"] == str(clock.at // 1000)
    assert int(after[ids[1]]["expire_time"]) == before[ids[1]]
    shown = buyer.get("order-info", order_id=order)
    assert (shown["order_type"], shown["proxy_ids"], shown["total_price"]) == ("EXTEND", [ids[0]], "5.99")
    assert wallet(buyer) == "2.03"


def test_each_is_renewed_by_the_plan_of_its_own_place(buyer: Fox, client: Client) -> None:
    """One order, one payment."""
    bought(buyer)
    put(client, "stock", ISP | {"address": "192.0.2.4", "country": "DE"})
    [germany] = [one["id"] for one in buyer.get("area-list") if one["country_code"] == "DE"]
    buyer.post("proxy-buy", days="30", area_id=germany, auto_extend="0", num="1")
    ids = ",".join(one["id"] for one in listed(buyer))
    put(client, "accounts/reseller01/wallet/deposits", {"amount_micros": 20_000_000})
    assert buyer.get("order-price", order_type="EXTEND", days=30, proxy_ids=ids)["order price"] == "11.99"
    order = buyer.post("proxy-buy", days="30", proxy_ids=ids)["order_id"]
    assert buyer.get("order-info", order_id=order)["total_price"] == "11.99"
    assert wallet(buyer) == "16.02"


def test_a_renewal_keeps_the_plan_of_the_lease_where_it_has_so_many_days(buyer: Fox, client: Client) -> None:
    put(client, "accounts/reseller01/leases", {"plan": "us-30-dear", "count": 1})
    [one] = listed(buyer)
    asked = {"order_type": "EXTEND", "proxy_ids": one["id"]}
    assert buyer.get("order-price", days=30, **asked)["order price"] == "7.00"
    assert buyer.get("order-price", days=90, **asked)["order price"] == "9.000001"


def test_what_cannot_be_renewed_has_a_code_of_theirs(buyer: Fox, rival: Fox, client: Client, clock: Clock) -> None:
    ids = bought(buyer, 2)
    for form, code in (
        ({"days": "30", "proxy_ids": "stk_9"}, 17004),
        ({"days": "30", "proxy_ids": f"{ids[0]},stk_9"}, 17004),
        ({"days": "31", "proxy_ids": ids[0]}, 17002),
        ({"days": "30", "proxy_ids": ","}, 60400),
        ({"days": "30", "proxy_ids": ",".join(f"stk_{n}" for n in range(301))}, 60400),
        ({"days": "90", "proxy_ids": ",".join(ids)}, 60300),
    ):
        for name in ("proxy-buy", "proxy-extend"):
            assert buyer.refused("POST", name, **form) == code, form
    assert rival.refused("POST", "proxy-buy", days="30", proxy_ids=ids[0]) == 17004
    assert client.post(f"/v1/stock/{ids[1]}/retire").is_success
    assert buyer.refused("POST", "proxy-buy", days="30", proxy_ids=ids[1]) == 17011
    clock.at += 30 * DAY_MS
    assert buyer.refused("POST", "proxy-buy", days="30", proxy_ids=ids[0]) == 17004
    assert listed(buyer) == []
    assert wallet(buyer) == "8.02"


def test_a_lease_without_an_end_is_not_renewed(buyer: Fox, client: Client) -> None:
    item = put(client, "stock", {"kind": "isp-pro", "address": "gate.example.com", "country": "US"})["id"]
    order = put(client, "accounts/reseller01/leases/give", {"stock": item})["id"]
    [one] = listed(buyer)
    shown = (one["ip_type"], one["host"], one["public_ip"], one["port"], one["password"], one["expire_time"])
    assert shown == ("STATIC_ISP_PRO", "gate.example.com", "", "0", "", "2147483647")
    assert buyer.refused("POST", "proxy-buy", days="30", proxy_ids=item) == 60600
    given = buyer.get("order-info", order_id=order)
    assert (given["order_type"], given["total_price"], given["proxy_ids"]) == ("BUY", "0.00", [item])


def test_a_proxy_can_be_renewed_in_its_grace_and_is_not_listed_there(
    make_client: Callable[..., Client], clock: Clock
) -> None:
    client = make_client(lease_grace_s=2 * 86_400)
    fox = make_reseller(client, "reseller01")
    fill(client)
    [one] = bought(fox)
    clock.at += 31 * DAY_MS
    assert listed(fox) == []
    fox.post("proxy-buy", days="30", proxy_ids=one)
    assert [row["id"] for row in listed(fox)] == [one]


def test_the_same_request_under_its_key_is_one_order(buyer: Fox, client: Client) -> None:
    key = {"idempotency_key": "order-0001"}
    first = buy(buyer, 1, **key)
    assert buy(fox_of(client, "reseller01"), 1, **key) == first
    where = {"days": "30", "area_id": area(buyer), "auto_extend": "0"}
    assert buyer.refused("POST", "proxy-buy", **where, num="2", **key) == 60400
    [one] = listed(buyer)
    renewal = {"days": "30", "proxy_ids": one["id"], "idempotency_key": "order-0002"}
    second = buyer.post("proxy-buy", **renewal)
    assert buyer.post("proxy-extend", **renewal) == second  # another name of the same
    assert buyer.refused("POST", "proxy-buy", **renewal | key) == 60400
    assert buyer.get("order-info", order_id=second["order_id"])["order_type"] == "EXTEND"
    assert wallet(buyer) == "8.02"


def test_a_purchase_that_failed_used_no_key(buyer: Fox) -> None:
    form = {"days": "30", "area_id": area(buyer), "auto_extend": "0", "num": "4", "idempotency_key": "order-0001"}
    assert buyer.refused("POST", "proxy-buy", **form) == 17012
    assert buyer.post("proxy-buy", **form | {"num": "1"})["order_id"]


def test_without_a_key_each_request_is_an_order(buyer: Fox) -> None:
    assert buy(buyer) != buy(buyer)
    assert len(listed(buyer)) == 2


def test_the_list_is_paged_and_asked_for_some(buyer: Fox) -> None:
    ids = bought(buyer, 3)
    pages = [buyer.get("proxy-list", page=page, page_size=2) for page in (1, 2, 3)]
    assert [[one["id"] for one in page["list"]] for page in pages] == [ids[:2], ids[2:], []]
    assert {page["total"] for page in pages} == {3}
    assert [one["id"] for one in listed(buyer, proxy_ids=f"{ids[2]},stk_9")] == [ids[2]]
    assert buyer.get("proxy-list", page=1, page_size=1, proxy_ids=f"{ids[1]},{ids[2]}")["total"] == 2
    for asked in ({"page": 1}, {"page_size": 10}, {"page": 1, "page_size": 51}, {"page": 0, "page_size": 10}):
        assert buyer.refused("GET", "proxy-list", **asked) == 60400


def test_what_is_bought_can_be_renewed_by_itself_from_the_beginning(buyer: Fox) -> None:
    form = {"days": "30", "area_id": area(buyer), "num": "1"}
    buyer.post("proxy-buy", **form, auto_extend="1")
    [one] = listed(buyer)
    assert one["auto_extend"] == "1"
    buyer.post("auto-extend", auto_extend="0", proxy_ids=one["id"])
    buyer.post("proxy-buy", days="30", proxy_ids=one["id"], auto_extend="1")
    assert listed(buyer)[0]["auto_extend"] == "1"


def test_a_renewal_that_is_asked_again_does_not_switch_renewing_by_itself_on_again(buyer: Fox) -> None:
    [one] = bought(buyer)
    form = {"days": "30", "proxy_ids": one, "auto_extend": "1", "idempotency_key": "order-0009"}
    first = buyer.post("proxy-buy", **form)
    buyer.post("auto-extend", auto_extend="0", proxy_ids=one)
    assert buyer.post("proxy-buy", **form) == first
    assert listed(buyer)[0]["auto_extend"] == "0"


def test_auto_renewal_is_switched_on_and_off(buyer: Fox, rival: Fox) -> None:
    [one] = bought(buyer)
    assert buyer.post("auto-extend", auto_extend="1", proxy_ids=f"{one},stk_9") == {}
    assert listed(buyer)[0]["auto_extend"] == "1"
    assert buyer.post("auto-extend", auto_extend="0", proxy_ids=f"{one},stk_9") == {}
    assert buyer.refused("POST", "auto-extend", auto_extend="2", proxy_ids=one) == 60400
    assert rival.refused("POST", "auto-extend", auto_extend="0", proxy_ids=one) == 17004
    assert listed(buyer)[0]["auto_extend"] == "0"


def test_nothing_is_seen_of_another_resellers(buyer: Fox, rival: Fox) -> None:
    order = buy(buyer)
    [one] = listed(buyer)
    assert listed(rival) == []
    assert listed(rival, proxy_ids=one["id"]) == []
    assert rival.refused("GET", "order-info", order_id=order) == 60400
    assert rival.refused("GET", "order-price", order_type="EXTEND", days=30, proxy_ids=one["id"]) == 17004


def test_an_order_of_something_else_is_none_here(buyer: Fox, client: Client) -> None:
    put(client, "lease-plans", {"id": "server", "kind": "unlimited", "days": 30, "price_micros": 1})
    order = put(client, "accounts/reseller01/leases", {"plan": "server"})["id"]
    assert buyer.refused("GET", "order-info", order_id=order) == 60400
    assert listed(buyer) == []


def test_reading_shows_no_passwords_and_buys_nothing(buyer: Fox, client: Client) -> None:
    buy(buyer)
    reader = fox_of(client, "reseller01", "account")
    assert [one["password"] for one in listed(reader)] == [""]
    form = {"days": "30", "area_id": area(reader), "auto_extend": "0", "num": "1"}
    assert reader.refused("POST", "proxy-buy", **form) == 60401
    assert reader.refused("POST", "auto-extend", auto_extend="0", proxy_ids="stk_1") == 60401


def test_a_suspended_account_buys_nothing(buyer: Fox, client: Client) -> None:
    assert client.patch("/v1/accounts/reseller01", json={"status": "suspended"}).is_success
    form = {"days": "30", "area_id": area(buyer), "auto_extend": "0", "num": "1"}
    assert buyer.refused("POST", "proxy-buy", **form) == 60400
    assert wallet(buyer) == "20.00"


def test_the_protocol_is_a_setting(make_client: Callable[..., Client]) -> None:
    client = make_client(vendors={"ipfoxy": Settings(proxy_type="http")})
    fox = make_reseller(client, "reseller01")
    fill(client)
    buy(fox)
    assert listed(fox)[0]["type"] == "http"
