"""Money over HTTP: wallets, plans, purchases; who may, what is refused, what is whose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.conftest import Client, token_of
from tests.fake_ingest import FakeIngest

from flowtally.config import Config
from flowtally.core.errors import ConfigError
from flowtally.ledger.database import Ledger
from flowtally.server import open_services
from flowtally.usage.memory import MemoryStore

WALLET = "/v1/accounts/acme/wallet"
PURCHASES = "/v1/accounts/acme/purchases"
PLAN = {"id": "month", "name": "A month", "amount": 5000, "price_micros": 12_500_000, "days": 31}


def deposit(client: Client, amount: Any = 20_000_000, **more: Any) -> Any:
    return client.post(f"{WALLET}/deposits", json={"amount_micros": amount, **more})


def adjust(client: Client, amount: Any, **more: Any) -> Any:
    return client.post(f"{WALLET}/adjustments", json={"amount_micros": amount, **{"reason": "why", **more}})


def held(client: Client, account: str = "acme") -> int:
    return int(client.get(f"/v1/accounts/{account}/wallet").json()["balance_micros"])


@pytest.fixture
def shop(client: Client, acme: str) -> Client:
    """acme has 20 USD, and there is a plan for 12.50."""
    deposit(client, reference="payment-1")
    assert client.post("/v1/plans", json=PLAN).status_code == 201
    return client


def test_errors_tell_money_as_people_write_it_and_programs_in_whole_numbers(shop: Client) -> None:
    short = adjust(shop, -20_000_001).json()
    assert short["detail"] == "account 'acme' has 20.00 USD in its wallet; 20.000001 USD are needed"
    assert (short["balance_micros"], short["price_micros"], short["currency"]) == (20_000_000, 20_000_001, "USD")
    full = deposit(shop, 2**53 - 1).json()["detail"]
    assert full.startswith("account 'acme' has 20.00 USD in its wallet; 9,007,199,254.740991 USD more would pass the ")
    assert "is -5, which is -0.000005 USD; 0.000001 USD to " in deposit(shop, -5).json()["detail"]
    assert "is 0, which is 0.00 USD; " in shop.post("/v1/plans", json=PLAN | {"price_micros": 0}).json()["detail"]


def test_errors_tell_amounts_and_instants_as_people_write_them(shop: Client) -> None:
    asked = shop.post("/v1/accounts/acme/vouchers", json={"amount": 1_500_000_000, "count": 2}).json()
    assert asked["detail"].endswith("left in pool 'traffic'; 3 GB are asked for")
    assert asked["amount"] == 3_000_000_000
    early = {"amount": 5, "starts_at": "1969-12-31T23:59:59Z"}
    assert (
        "starts_at is 1969-12-31T23:59:59Z; 1970-01-01T00:00:00Z to "
        in (shop.post("/v1/accounts/acme/grants", json=early).json()["detail"])
    )


def test_money_comes_in_and_goes_out_and_is_told(shop: Client) -> None:
    assert adjust(shop, -1, reason="paid out", reference="bank-1").status_code == 201
    assert shop.get(WALLET).json() == {"account": "acme", "balance_micros": 19_999_999, "currency": "USD"}
    first, second = shop.get(f"{WALLET}/entries").json()["items"]
    assert first == {
        "id": first["id"],
        "account": "acme",
        "kind": "deposit",
        "amount_micros": 20_000_000,
        "currency": "USD",
        "reference": "payment-1",
        "reason": "",
        "created_at": "2026-03-15T12:00:00Z",
    }
    assert (second["kind"], second["amount_micros"], second["reason"]) == ("adjustment", -1, "paid out")


def test_entries_are_listed_by_reference(shop: Client) -> None:
    deposit(shop, reference="payment-2")
    found = shop.get(f"{WALLET}/entries", params={"reference": "payment-2"}).json()["items"]
    assert [one["reference"] for one in found] == ["payment-2"]
    assert len(shop.get(f"{WALLET}/entries").json()["items"]) == 2


def test_a_plan_is_bought_paid_and_granted_in_one_step(shop: Client) -> None:
    made = shop.post(PURCHASES, json={"plan": "month"})
    assert made.status_code == 201
    bought = made.json()
    assert bought["expires_at"] == "2026-04-15T12:00:00Z"
    grant = shop.get(f"/v1/accounts/acme/grants/{bought['grant']}").json()
    assert (grant["amount"], grant["source"], grant["reference"]) == (5000, "order", bought["id"])
    assert (grant["starts_at"], grant["expires_at"]) == ("2026-03-15T12:00:00Z", bought["expires_at"])
    assert shop.get(f"{PURCHASES}/{bought['id']}").json() == bought
    assert shop.get(PURCHASES).json()["items"] == [bought]
    assert shop.get(f"{WALLET}/entries").json()["items"][-1]["id"] == bought["transfer"]
    assert held(shop) == 7_500_000


def test_what_the_wallet_does_not_hold_is_refused_with_both_figures(shop: Client) -> None:
    shop.post(PURCHASES, json={"plan": "month"})
    grants = shop.get("/v1/accounts/acme/grants").json()
    for refused, price in (
        (shop.post(PURCHASES, json={"plan": "month"}), 12_500_000),
        (adjust(shop, -7_500_001), 7_500_001),
    ):
        body = refused.json()
        assert (refused.status_code, body["code"]) == (409, "insufficient_funds")
        assert (body["balance_micros"], body["price_micros"], body["currency"]) == (7_500_000, price, "USD")
    assert shop.get("/v1/accounts/acme/grants").json() == grants
    assert held(shop) == 7_500_000


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (f"{WALLET}/deposits", {"amount_micros": 5}),
        (f"{WALLET}/adjustments", {"amount_micros": -5, "reason": "why"}),
        (PURCHASES, {"plan": "month"}),
        ("/v1/plans", {"name": "Other", "amount": 1, "price_micros": 1}),
    ],
)
def test_the_same_key_moves_money_once(shop: Client, path: str, body: dict[str, Any]) -> None:
    first, again = (shop.post(path, json=body, headers={"Idempotency-Key": "k"}) for _ in range(2))
    after = held(shop)
    assert (first.status_code, first.json()) == (again.status_code, again.json())
    assert again.headers["idempotent-replayed"] == "true"
    assert shop.post(path, json=body | {"reference": "other"}, headers={"Idempotency-Key": "k"}).status_code in (
        409,
        422,
    )
    assert held(shop) == after
    assert len(shop.get(f"{WALLET}/entries").json()["items"]) == (1 if path == "/v1/plans" else 2)


@pytest.mark.parametrize("amount", [0, -1, 1.5, "5", True, None, 2**53, 10**30])
def test_a_deposit_that_cannot_be_changes_nothing(shop: Client, amount: Any) -> None:
    refused = deposit(shop, amount)
    assert (refused.status_code, refused.json()["field"]) == (422, "amount_micros")
    assert held(shop) == 20_000_000


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount_micros": 0, "reason": "why"}, "amount_micros"),
        ({"amount_micros": 1.0, "reason": "why"}, "amount_micros"),
        ({"amount_micros": 1, "reason": ""}, "reason"),
        ({"amount_micros": 1}, "reason"),
        ({"amount_micros": 1, "reason": "why", "currency": "EUR"}, "currency"),
    ],
)
def test_an_adjustment_that_cannot_be_changes_nothing(shop: Client, body: dict[str, Any], field: str) -> None:
    refused = shop.post(f"{WALLET}/adjustments", json=body)
    assert (refused.status_code, refused.json()["field"]) == (422, field)
    assert held(shop) == 20_000_000


@pytest.mark.parametrize(
    ("change", "status", "field"),
    [
        ({}, 409, None),  # the id is taken
        ({"id": "a/b"}, 422, "id"),
        ({"id": "b", "name": ""}, 422, "name"),
        ({"id": "b", "amount": 0}, 422, "amount"),
        ({"id": "b", "price_micros": 0}, 422, "price_micros"),
        ({"id": "b", "price_micros": 12.5}, 422, "price_micros"),
        ({"id": "b", "days": 0}, 422, "days"),
        ({"id": "b", "days": 36_501}, 422, "days"),
        ({"id": "b", "pool": "unlimited"}, 422, "pool"),
        ({"id": "b", "pool": "nowhere"}, 404, None),
    ],
)
def test_a_plan_that_cannot_be(shop: Client, change: dict[str, Any], status: int, field: str | None) -> None:
    refused = shop.post("/v1/plans", json=PLAN | change)
    assert (refused.status_code, refused.json().get("field")) == (status, field)
    assert [one["id"] for one in shop.get("/v1/plans").json()["items"]] == ["month"]


def test_a_retired_plan_is_sold_no_more_and_what_was_bought_stays(shop: Client) -> None:
    bought = shop.post(PURCHASES, json={"plan": "month"}).json()
    retired = shop.post("/v1/plans/month/retire").json()
    assert (retired["status"], retired["retired_at"]) == ("retired", "2026-03-15T12:00:00Z")
    assert shop.post("/v1/plans/month/retire").json() == shop.get("/v1/plans/month").json() == retired
    refused = shop.post(PURCHASES, json={"plan": "month"})
    assert (refused.status_code, refused.json()["code"]) == (409, "plan_retired")
    assert shop.get("/v1/plans").json()["items"] == []
    assert shop.get("/v1/plans?retired=true").json()["items"] == [retired]
    assert shop.get(f"{PURCHASES}/{bought['id']}").json() == bought


def test_an_account_that_manages_itself_buys_but_makes_no_money(shop: Client) -> None:
    mine = token_of(shop, "/v1/accounts/acme/credentials", scope="manage")
    assert [one["id"] for one in shop.get("/v1/plans", headers=mine).json()["items"]] == ["month"]
    assert shop.get("/v1/plans/month", headers=mine).status_code == 200
    assert shop.post(PURCHASES, json={"plan": "month"}, headers=mine).status_code == 201
    assert shop.get(WALLET, headers=mine).json()["balance_micros"] == 7_500_000
    for path, body in (
        (f"{WALLET}/deposits", {"amount_micros": 5}),
        (f"{WALLET}/adjustments", {"amount_micros": 5, "reason": "why"}),
        ("/v1/plans", PLAN | {"id": "cheap", "price_micros": 1}),
        ("/v1/plans/month/retire", None),
    ):
        assert shop.post(path, json=body, headers=mine).status_code == 403
    assert held(shop) == 7_500_000


def test_an_account_that_only_reads_sees_its_money_and_buys_nothing(shop: Client) -> None:
    mine = token_of(shop, "/v1/accounts/acme/credentials", scope="account")
    for path in (WALLET, f"{WALLET}/entries", PURCHASES):
        assert shop.get(path, headers=mine).status_code == 200
    assert shop.post(PURCHASES, json={"plan": "month"}, headers=mine).status_code == 403


def test_nobody_sees_or_spends_the_money_of_another(shop: Client) -> None:
    bought = shop.post(PURCHASES, json={"plan": "month"}).json()
    shop.post("/v1/accounts", json={"id": "other"})
    others = token_of(shop, "/v1/accounts/other/credentials", scope="manage")
    for path in (WALLET, f"{WALLET}/entries", PURCHASES, f"{PURCHASES}/{bought['id']}"):
        assert shop.get(path, headers=others).json()["code"] == "unknown_account"
    assert shop.post(PURCHASES, json={"plan": "month"}, headers=others).json()["code"] == "unknown_account"
    assert shop.get(f"/v1/accounts/other/purchases/{bought['id']}").json()["code"] == "not_found"
    refused = shop.post("/v1/accounts/other/purchases", json={"plan": "month"}, headers=others).json()
    assert (refused["code"], refused["balance_micros"]) == ("insufficient_funds", 0)


def test_lists_of_money_have_pages(shop: Client) -> None:
    deposit(shop, 30_000_000)
    for _ in range(3):
        shop.post(PURCHASES, json={"plan": "month"})
    shop.post("/v1/plans", json=PLAN | {"id": "n"})
    for path, number in ((f"{WALLET}/entries", 5), (PURCHASES, 3), ("/v1/plans", 2)):
        found: list[Any] = []
        cursor = None
        while len(found) <= number:
            page = shop.get(path, params={"limit": 1} | ({"cursor": cursor} if cursor else {})).json()
            found += page["items"]
            cursor = page["next"]
            if cursor is None:
                break
        assert found == shop.get(path).json()["items"]
        assert len(found) == number


def test_a_server_of_another_currency_does_not_start_over_this_money(
    shop: Client, config: Config, app_ledger: Ledger, usage: MemoryStore, ingest: FakeIngest
) -> None:
    euros = msgspec.structs.replace(config, currency="EUR")
    with (
        pytest.raises(ConfigError, match="currency = 'EUR': the ledger keeps USD"),
        open_services(euros, usage=usage, ledger=app_ledger, ingest=ingest),
    ):
        pass


def test_the_currency_is_a_setting(make_client: Callable[..., Client]) -> None:
    client = make_client(currency="EUR")
    client.post("/v1/accounts", json={"id": "acme"})
    assert deposit(client).json()["currency"] == "EUR"
    assert client.post("/v1/plans", json=PLAN).json()["currency"] == "EUR"
    assert client.post(PURCHASES, json={"plan": "month"}).json()["currency"] == "EUR"
    assert client.get(WALLET).json()["currency"] == "EUR"
