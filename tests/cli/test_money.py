"""Money on the command line: typed and shown in the currency, sent in whole millionths."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program

AT = "2026-07-01T09:30:00Z"
WALLET: dict[str, Any] = {"account": "acme", "balance_micros": 37_660_000, "currency": "USD"}
ENTRY: dict[str, Any] = {"id": "trf_1", "account": "acme", "kind": "deposit", "amount_micros": 50_000_000}
ENTRY |= {"currency": "USD", "reference": "payment-1", "reason": "", "created_at": AT}
PAID_OUT = ENTRY | {"id": "trf_2", "kind": "adjustment", "amount_micros": -12_340_000, "reason": "paid out"}
PLAN: dict[str, Any] = {"id": "month", "name": "A month", "pool": "traffic", "amount": 100_000_000_000}
PLAN |= {
    "price_micros": 12_500_000,
    "currency": "USD",
    "days": 30,
    "status": "active",
    "created_at": AT,
    "retired_at": None,
}
BOUGHT: dict[str, Any] = {"id": "ord_1", "account": "acme", "plan": "month", "name": "A month", "pool": "traffic"}
BOUGHT |= {"amount": 100_000_000_000, "price_micros": 12_500_000, "currency": "USD", "transfer": "trf_3"}
BOUGHT |= {"grant": "grn_1", "created_at": AT, "expires_at": "2026-07-31T09:30:00Z"}
POOLS = {"items": [{"name": "traffic", "charge": "bytes", "products": []}], "next": None}


@pytest.fixture
def shop(flowtally: Program) -> Program:
    flowtally.fake.answers |= {
        "GET /v1/accounts/acme/wallet": (200, WALLET),
        "GET /v1/accounts/acme/wallet/entries": (200, {"items": [ENTRY, PAID_OUT], "next": None}),
        "POST /v1/accounts/acme/wallet/deposits": (201, ENTRY),
        "POST /v1/accounts/acme/wallet/adjustments": (201, PAID_OUT),
        "GET /v1/plans": (200, {"items": [PLAN], "next": None}),
        "POST /v1/plans": (201, PLAN),
        "POST /v1/plans/month/retire": (200, PLAN | {"status": "retired", "retired_at": AT}),
        "GET /v1/accounts/acme/purchases": (200, {"items": [BOUGHT], "next": None}),
        "POST /v1/accounts/acme/purchases": (201, BOUGHT),
        "GET /v1/pools": (200, POOLS),
    }
    return flowtally


def test_a_wallet_and_what_moved_it_are_shown_in_the_currency(shop: Program) -> None:
    assert "37.66 USD" in shop("wallet", "show", "acme").out
    lines = shop("wallet", "entries", "acme").out.splitlines()
    assert lines[1].split() == ["2026-07-01T09:30Z", "deposit", "50.00", "USD", "payment-1", "trf_1"]
    assert "-12.34 USD" in lines[2]


def test_money_is_sent_in_whole_millionths(shop: Program) -> None:
    ran = shop("wallet", "deposit", "acme", "50", "--reference", "payment-1", "--again")
    assert shop.fake.asked[0].body == {"amount_micros": 50_000_000, "reference": "payment-1"}
    assert "balance    37.66 USD" in ran.out


def test_an_amount_below_zero_is_no_option(shop: Program) -> None:
    ran = shop("wallet", "adjust", "acme", "-12.34", "--reason", "paid out")
    assert ran.code == 0
    assert shop.fake.asked[0].body == {"amount_micros": -12_340_000, "reason": "paid out", "reference": ""}
    assert "-12.34 USD" in ran.out


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("12.3456789", "more than 6 decimal places"),
        ("12,34", "is not an amount of money"),
        ("much", "is not an amount"),
    ],
)
def test_money_that_is_not_exact_is_wrong_usage(shop: Program, amount: str, said: str) -> None:
    ran = shop("wallet", "deposit", "acme", amount)
    assert (ran.code, shop.fake.asked) == (2, [])
    assert said in ran.err


def test_an_option_that_is_mistyped_is_wrong_usage_beside_an_amount_too(shop: Program) -> None:
    ran = shop("wallet", "adjust", "acme", "-5", "--reason", "x", "--refrence", "y")
    assert (ran.code, shop.fake.asked) == (2, [])


def test_a_plan_is_made_listed_and_retired(shop: Program) -> None:
    ran = shop("plan", "create", "A month", "100GB", "12.50", "--id", "month", "--days", "30")
    asked = {"name": "A month", "amount": 100_000_000_000, "price_micros": 12_500_000, "pool": "traffic"}
    assert shop.fake.asked[0].body == asked | {"days": 30, "id": "month"}
    assert "price   12.50 USD" in ran.out
    assert "100 GB  12.50 USD    30  active" in shop("plan", "list").out
    assert "retired 2026-07-01T09:30Z" in shop("plan", "retire", "month").out


def test_retired_plans_are_listed_when_asked_for(shop: Program) -> None:
    shop("plan", "list", "--retired", "--json")
    assert shop.fake.asked[0].query == {"retired": ["true"]}


def test_a_plan_is_bought_and_purchases_are_listed(shop: Program) -> None:
    ran = shop("purchase", "acme", "month")
    assert shop.fake.asked[0].body == {"plan": "month"}
    assert "grant     grn_1" in ran.out
    listed = shop("purchase", "acme").out.splitlines()[1]
    assert "A month  traffic  100 GB  12.50 USD  2026-07-31T09:30Z  grn_1" in listed


def test_money_that_is_not_there_is_told_in_one_line(shop: Program) -> None:
    problem = {"code": "insufficient_funds", "detail": "5 micros of USD are more than the 4", "status": 409}
    shop.fake.answers["POST /v1/accounts/acme/purchases"] = (409, problem)
    ran = shop("purchase", "acme", "month")
    assert (ran.code, ran.out) == (1, "")
    assert "more than the 4" in ran.err


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (("wallet", "show", "acme"), WALLET),
        (("wallet", "entries", "acme"), [ENTRY, PAID_OUT]),
        (("wallet", "deposit", "acme", "50"), ENTRY),
        (("wallet", "adjust", "acme", "-12.34", "--reason", "paid out"), PAID_OUT),
        (("plan", "list"), [PLAN]),
        (("plan", "create", "A month", "100GB", "12.50"), PLAN),
        (("purchase", "acme"), [BOUGHT]),
        (("purchase", "acme", "month"), BOUGHT),
    ],
)
def test_json_of_money_is_the_answer_of_the_api(shop: Program, arguments: tuple[str, ...], answer: object) -> None:
    assert shop(*arguments, "--json").document == answer
