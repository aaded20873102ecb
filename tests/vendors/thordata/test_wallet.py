"""The wallet, under both of its names."""

from __future__ import annotations

from decimal import Decimal

from tests.vendors.thordata.conftest import Shop


def deposit(shop: Shop, micros: int) -> None:
    answer = shop.client.post("/v1/accounts/shop/wallet/deposits", json={"amount_micros": micros})
    assert answer.status_code == 201, answer.text


def test_a_wallet_reads_0_then_what_was_paid_in(shop: Shop) -> None:
    assert shop.ok("account/wallet-balance") == {"wallet_balance": 0, "balance": 0}
    deposit(shop, 800_000_000)
    assert shop.ok("account/wallet-balance") == {"wallet_balance": 800, "balance": 800}


def test_cents_are_exact_and_less_is_cut_off(shop: Shop) -> None:
    deposit(shop, 123_129_999)
    told = shop.ok("account/wallet-balance")
    assert told == {"wallet_balance": Decimal("123.12"), "balance": Decimal("123.12")}
