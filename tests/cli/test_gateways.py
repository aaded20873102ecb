"""`flowtally gateway` and `flowtally endpoints`: what each command asks, and what it prints."""

from __future__ import annotations

from typing import Any

from tests.cli.fake import Program

GATEWAY: dict[str, Any] = {
    "id": "us", "product": "residential", "host": "us.example", "first_port": 10, "last_port": 19, "session": "sticky",
    "hold_s": 600, "country": "US", "state": "", "city": "", "created_at": "2026-07-01T00:00:00Z",
}  # fmt: skip
ENDPOINT = {"host": "::1", "port": 10, "session": "rotating", "hold_s": None, "country": "", "state": "", "city": ""}
LIST = {"account": "acme", "product": "mobile", "endpoints": [ENDPOINT], "fitting": 7}


def test_a_gateway_is_added_listed_and_removed(flowtally: Program) -> None:
    flowtally.fake.answers |= {
        "POST /v1/gateways": (201, GATEWAY),
        "GET /v1/gateways": (200, {"items": [GATEWAY, GATEWAY | {"last_port": 10, "hold_s": None}], "next": None}),
        "DELETE /v1/gateways/us": (200, GATEWAY),
    }
    ran = flowtally(
        "gateway", "add", "residential", "us.example", "10-19", "--hold", "600", "--country", "US", "--id", "us"
    )
    assert flowtally.fake.asked[-1].body == {
        "product": "residential", "host": "us.example", "first_port": 10, "last_port": 19, "session": "sticky",
        "hold_s": 600, "country": "US", "state": "", "city": "", "id": "us",
    }  # fmt: skip
    assert "sticky 600 s" in ran.out
    flowtally("gateway", "add", "mobile", "us.example", "10")
    assert flowtally.fake.asked[-1].body["last_port"] == 10
    assert flowtally.fake.asked[-1].body["session"] == "rotating"
    lines = flowtally("gateway", "list", "--product", "residential").out.splitlines()
    assert flowtally.fake.asked[-1].query == {"product": ["residential"]}
    assert [line.split()[3] for line in lines[1:]] == ["10-19", "10"]
    assert flowtally("gateway", "list", "--json").document[0] == GATEWAY
    assert "us" in flowtally("gateway", "remove", "us").out
    assert flowtally("gateway", "remove", "us", "--json").document == GATEWAY


def test_what_are_no_ports_asks_nothing(flowtally: Program) -> None:
    for ports in ("x", "10-", "-10", "1-2-3", "1.5"):
        assert flowtally("gateway", "add", "mobile", "us.example", "--", ports).code == 2
    assert flowtally.fake.asked == []


def test_endpoints_are_a_table_lines_or_a_document(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/endpoints"] = (200, LIST)
    ran = flowtally("endpoints", "acme", "-n", "1", "--product", "mobile", "--rotating", "--country", "DE")
    assert flowtally.fake.asked[-1].query == {
        "number": ["1"], "product": ["mobile"], "session": ["rotating"], "country": ["DE"],
    }  # fmt: skip
    assert ran.out.splitlines()[1].split() == ["[::1]:10", "rotating", "any"]
    assert "1 of 7" in ran.err
    assert flowtally("endpoints", "acme", "--text").out == "[::1]:10\n"
    assert "session" not in flowtally.fake.asked[-1].query
    assert flowtally("endpoints", "acme", "--json").document == LIST
