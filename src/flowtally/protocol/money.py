"""Wallets, plans and purchases."""

from __future__ import annotations

from typing import Literal

import msgspec


class WalletAnswer(msgspec.Struct, frozen=True):
    """What the account's wallet holds, in millionths of the currency."""

    account: str
    balance_micros: int
    currency: str


class DepositRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Money that came in; `reference` is the payment's own number."""

    amount_micros: int
    reference: str = ""


class AdjustmentRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Below zero: out of the wallet."""

    amount_micros: int
    reason: str
    reference: str = ""


class WalletEntryAnswer(msgspec.Struct, frozen=True):
    """A movement of a wallet, as its account sees it: below zero, it left."""

    id: str
    account: str
    kind: Literal["deposit", "adjustment", "purchase"]
    amount_micros: int
    currency: str
    reference: str
    reason: str
    created_at: str


class PlanRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`id` is made when missing; `amount` in the pool's unit; what it grants lasts `days` (null: for ever)."""

    name: str
    amount: int
    price_micros: int
    pool: str = "traffic"
    days: int | None = None
    id: str | None = None


class PlanAnswer(msgspec.Struct, frozen=True):
    """A retired plan is no longer sold."""

    id: str
    name: str
    pool: str
    amount: int
    price_micros: int
    currency: str
    days: int | None
    status: Literal["active", "retired"]
    created_at: str
    retired_at: str | None


class PurchaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`plan`: its id."""

    plan: str


class PurchaseAnswer(msgspec.Struct, frozen=True):
    """What was bought, as the plan was then: `transfer` paid for it, `grant` is it."""

    id: str
    account: str
    plan: str
    name: str
    pool: str
    amount: int
    price_micros: int
    currency: str
    transfer: str
    grant: str
    created_at: str
    expires_at: str | None
