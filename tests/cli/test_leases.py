"""Stock and leases on the command line: files of stock, what is sent and what is shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cli.fake import Program

from flowtally.api.lease_plans import EXAMPLE as PLAN
from flowtally.api.leases import BOUGHT, EXAMPLE
from flowtally.api.stock import EXAMPLE as ENTRY
from flowtally.api.stock import HOLDER

LEASE, STOCK, ORDER, OFFER, HAD = (msgspec.to_builtins(one) for one in (EXAMPLE, ENTRY, BOUGHT, PLAN, HOLDER))
TERM = {"number": 1, "what": "given", "order": "ord_1", "plan": None, "starts_at": "2026-03-02T10:00:00Z"}
TERM |= {"ends_at": None, "price_micros": 0, "currency": "", "transfer": None, "created_at": "2026-03-02T10:00:00Z"}
OF = "/v1/accounts/acme/leases"


def listed(*items: Any) -> tuple[int, Any]:
    return 200, {"items": items, "next": None}


@pytest.fixture
def shop(flowtally: Program) -> Program:
    one = f"{OF}/{LEASE['id']}"
    flowtally.fake.answers |= {
        "GET /v1/stock": listed(STOCK),
        "POST /v1/stock": (201, STOCK),
        "POST /v1/stock/import": (201, {"count": 2, "ids": ["stk_1", "stk_2"]}),
        f"GET /v1/stock/{STOCK['id']}": (200, STOCK),
        f"PATCH /v1/stock/{STOCK['id']}": (200, STOCK),
        f"GET /v1/stock/{STOCK['id']}/leases": listed(HAD),
        f"POST /v1/stock/{STOCK['id']}/retire": (200, STOCK | {"status": "retired"}),
        "GET /v1/lease-plans": listed(OFFER),
        "POST /v1/lease-plans": (201, OFFER),
        "POST /v1/lease-plans/isp-30/retire": (200, OFFER | {"status": "retired", "retired_at": LEASE["ends_at"]}),
        f"GET {OF}": listed(LEASE),
        f"POST {OF}": (201, ORDER),
        f"POST {OF}/give": (201, ORDER | {"what": "given", "transfer": None}),
        f"GET {one}": (200, LEASE),
        f"PATCH {one}": (200, LEASE | {"auto_renew": True}),
        f"GET {one}/terms": listed(TERM),
        f"GET {one}/password": (200, {"account": "acme", "lease": "l", "username": "ann", "password": "secret"}),
        f"POST {one}/renew": (200, ORDER | {"what": "renewed"}),
        f"POST {one}/upgrade": (200, ORDER | {"what": "upgraded"}),
        f"POST {one}/release": (200, LEASE | {"status": "released"}),
    }
    return flowtally


def test_a_csv_file_is_sent_whole_with_the_line_of_each(shop: Program, tmp_path: Path) -> None:
    file = tmp_path / "stock.csv"
    file.write_text("kind,address,port,password\nisp,192.0.2.1,8080,secret\n\nisp,192.0.2.2,,\n")
    assert shop("stock", "import", str(file)).out.split() == ["put", "into", "stock", "2"]
    sent = shop.fake.asked[0].body["items"]
    assert [(one["line"], one["address"], one.get("port"), one.get("password")) for one in sent] == [
        (2, "192.0.2.1", 8080, "secret"),
        (4, "192.0.2.2", None, None),
    ]


def test_a_json_file_is_sent_whole(shop: Program, tmp_path: Path) -> None:
    file = tmp_path / "stock.json"
    file.write_text('[{"kind": "unlimited", "address": "gate.example", "cpu_cores": 8}]')
    shop("stock", "import", str(file))
    [sent] = shop.fake.asked[0].body["items"]
    assert (sent["line"], sent["kind"], sent["cpu_cores"]) == (1, "unlimited", 8)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("kind,addres\nisp,192.0.2.1\n", "there is no column 'addres'"),
        ("kind,address\nisp\n", "line 2: it has not as many values"),
        ("kind,address,port\nisp,192.0.2.1,many\n", "line 2: "),
        ('[{"kind": "isp"}]', "line 1: "),
        ("[1]", "Expected"),
    ],
)
def test_a_file_that_cannot_be_read_names_the_line(shop: Program, tmp_path: Path, text: str, said: str) -> None:
    file = tmp_path / "stock"
    file.write_text(text)
    ran = shop("stock", "import", str(file))
    assert ran.code == 2
    assert said in ran.err
    assert shop.fake.asked == []


def test_lines_that_the_server_refuses_are_told(shop: Program, tmp_path: Path) -> None:
    problem = {"code": "lines_refused", "detail": "1 of 1 lines", "faults": [{"line": 2, "detail": "is in stock"}]}
    shop.fake.answers["POST /v1/stock/import"] = (422, problem)
    file = tmp_path / "stock.csv"
    file.write_text("kind,address\nisp,192.0.2.1\n")
    ran = shop("stock", "import", str(file))
    assert ran.code == 1
    assert "line 2: is in stock" in ran.err


def test_stock_is_shown_with_who_had_it(shop: Program) -> None:
    assert "192.0.2.10:8080" in shop("stock", "list", "--kind", "isp", "--status", "free").out
    assert shop.fake.asked[0].query.items() >= {"kind": ["isp"], "status": ["free"]}.items()
    out = shop("stock", "show", STOCK["id"]).out
    assert "US/newyork/newyork/us-east" in out
    assert "acme" in out
    shop("stock", "change", STOCK["id"], "--password", "new", "--cpu-cores", "4")
    assert shop.fake.asked[-1].body == {"password": "new", "cpu_cores": 4}
    assert "retired" in shop("stock", "retire", STOCK["id"]).out
    shop("stock", "add", "isp", "192.0.2.10", "--port", "8080", "--user", "user123")
    assert shop.fake.asked[-1].body["username"] == "user123"


def test_plans_are_made_in_money_and_listed(shop: Program) -> None:
    shop("lease-plan", "create", "isp", "30", "3.50", "--id", "isp-30", "--country", "US")
    sent = shop.fake.asked[0].body
    assert (sent["kind"], sent["days"], sent["price_micros"], sent["country"]) == ("isp", 30, 3_500_000, "US")
    assert "3.50 USD" in shop("lease-plan", "list").out
    assert "retired" in shop("lease-plan", "retire", "isp-30").out


def test_leases_are_bought_given_renewed_upgraded_and_released(shop: Program) -> None:
    out = shop("lease", "buy", "acme", "isp-30", "--count", "2", "--once", "order-1").out
    assert "3.50 USD" in out
    assert (shop.fake.asked[-1].body["plan"], shop.fake.asked[-1].body["count"]) == ("isp-30", 2)
    assert "nobody paid" in shop("lease", "give", "acme", STOCK["id"]).out
    id = LEASE["id"]
    for command in (("renew", id), ("upgrade", id, "server-16"), ("release", id), ("show", id), ("password", id)):
        assert shop("lease", command[0], "acme", *command[1:]).code == 0, command
    assert "by itself" in shop("lease", "change", "acme", id, "--auto-renew").out
    assert shop.fake.asked[-1].body == {"auto_renew": True}
    assert shop("lease", "change", "acme", id, "--no-auto-renew").code == 0
    assert shop.fake.asked[-1].body == {"auto_renew": False}
    assert shop("lease", "change", "acme", id).code == 2
    assert "192.0.2.10:8080" in shop("lease", "list", "acme", "--status", "active").out
    assert "(none)" not in shop("lease", "show", "acme", id, "--json").out
