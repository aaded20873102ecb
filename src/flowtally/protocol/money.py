"""Wallets, plans and purchases."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import Instant
from flowtally.core.words import PlanStatus, TransferKind


class WalletAnswer(msgspec.Struct, frozen=True):
    """What the account's wallet holds.

    balance_micros: What it holds, in millionths of the currency.
    """

    account: str
    balance_micros: int
    currency: str


class DepositRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Money that came in.

    reference: The payment's own number.
    """

    amount_micros: int
    reference: str = ""


class AdjustmentRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A correction of a wallet.

    amount_micros: Money in millionths of the currency; below zero: out of the wallet.
    reason: Why it is made.
    """

    amount_micros: int
    reason: str
    reference: str = ""


class WalletEntryAnswer(msgspec.Struct, frozen=True):
    """A movement of a wallet, as its account sees it.

    kind: What it was.
    amount_micros: Money in millionths of the currency; below zero: it left the wallet.
    reference: The payment's own number, or the id of the purchase.
    reason: Why it was made, for an adjustment.
    created_at: When it happened.
    """

    id: str
    account: str
    kind: TransferKind
    amount_micros: int
    currency: str
    reference: str
    reason: str
    created_at: Instant


class PlanRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A plan to sell.

    days: For how many days what it grants can be used; null: for ever.
    id: The id it shall have; null: one is made.
    """

    name: str
    amount: int
    price_micros: int
    pool: str = "traffic"
    days: int | None = None
    id: str | None = None


class PlanAnswer(msgspec.Struct, frozen=True):
    """A plan. A retired plan is no longer sold.

    days: For how many days what it grants can be used; null: for ever.
    status: Whether it is sold.
    retired_at: When it was retired; null: it was not.
    """

    id: str
    name: str
    pool: str
    amount: int
    price_micros: int
    currency: str
    days: int | None
    status: PlanStatus
    created_at: Instant
    retired_at: Instant | None


class PurchaseRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What to buy."""

    plan: str


class PurchaseAnswer(msgspec.Struct, frozen=True):
    """What was bought, as the plan was then.

    name: The name of the plan.
    transfer: The id of the wallet's entry that paid for it.
    grant: The id of the grant that was bought.
    expires_at: When the grant ends; null: never.
    """

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
    created_at: Instant
    expires_at: Instant | None
