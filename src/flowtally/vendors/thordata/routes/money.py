"""Thordata's wallet: the account's money."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from flowtally.ledger.money import wallet
from flowtally.vendors.base import DialectCall, Nothing, Route, declaring
from flowtally.vendors.thordata.wire import IN_MONEY, WalletBalance, decimal

ROUTES: Final[list[Route]] = []
route = declaring(ROUTES)


@route(
    "GET",
    "/api/account/wallet-balance",
    may="wallet:read",
    summary="Wallet balance",
    answer=WalletBalance,
    example=WalletBalance(Decimal(800), Decimal(800)),
)
def read_wallet_balance(call: DialectCall, given: Nothing) -> WalletBalance:
    """What the wallet holds, under both names that are in use: their page's and their clients'. What is less than a
    cent is cut off, not rounded."""
    money = decimal(IN_MONEY, IN_MONEY.steps(wallet.balance_of(call.tx, call.account)))
    return WalletBalance(money, money)
