"""Vouchers and check-ins."""

from __future__ import annotations

import msgspec

from flowtally.core.edges import Date, Instant
from flowtally.core.unshown import repr_without
from flowtally.core.words import VoucherStatus
from flowtally.protocol.words import DEFAULT_DURATION_S


class VoucherRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Vouchers to make.

    amount: What each is worth, in the unit of the pool.
    count: How many to make.
    """

    amount: int
    count: int = 1
    pool: str = "traffic"
    duration_s: int = DEFAULT_DURATION_S


class VoucherAnswer(msgspec.Struct, frozen=True):
    """A voucher: a code that any account can redeem once.

    account: The account that paid for it.
    code: The code; case matters.
    amount: What it is worth, in the unit of the pool.
    status: Whether it can still be redeemed.
    ended_at: When it was used or revoked; null: neither.
    redeemed_by: The id of the account that used it; null: none.
    """

    id: str
    account: str
    code: str
    pool: str
    amount: int
    duration_s: int
    status: VoucherStatus
    created_at: Instant
    ended_at: Instant | None
    redeemed_by: str | None

    def __repr__(self) -> str:
        return repr_without(self, "code")


class VouchersAnswer(msgspec.Struct, frozen=True):
    """The vouchers that one request created.

    items: The vouchers, in the order they were made.
    """

    items: list[VoucherAnswer]


class RedemptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A voucher to redeem.

    code: Letters and digits; case matters.
    """

    code: str

    def __repr__(self) -> str:
        return repr_without(self, "code")


class CheckInAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The reward of one day.

    day: The date of the day in `timezone`.
    timezone: The IANA name of the account's time zone then.
    checked_in_at: When it was given.
    amount: What was given in the pool `traffic`, in bytes.
    grant: The id of the grant that it is.
    expires_at: When that grant ends.
    next_at: From when on it is possible again; only in the answer to a check-in.
    """

    account: str
    day: Date
    timezone: str
    checked_in_at: Instant
    grant: str
    amount: int
    expires_at: Instant
    next_at: Instant | None = None
