"""Vouchers and check-ins."""

from __future__ import annotations

import msgspec

from flowtally.protocol.words import DEFAULT_DURATION_S, VoucherStatus


class VoucherRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`count` vouchers of `amount` each, in the pool's unit. What one is redeemed into lasts `duration_s` seconds."""

    amount: int
    count: int = 1
    pool: str = "traffic"
    duration_s: int = DEFAULT_DURATION_S


class VoucherAnswer(msgspec.Struct, frozen=True):
    """`ended_at`: when it was used or revoked; `redeemed_by`: the account that used it."""

    id: str
    account: str
    code: str
    pool: str
    amount: int
    duration_s: int
    status: VoucherStatus
    created_at: str
    ended_at: str | None
    redeemed_by: str | None


class VouchersAnswer(msgspec.Struct, frozen=True):
    """The vouchers that one request created, in order."""

    items: list[VoucherAnswer]


class RedemptionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`code`: letters and digits; case matters."""

    code: str


class CheckInAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`day` is the local date in `timezone`, the account's zone then. `amount` was given in the pool `traffic`, as the
    grant `grant`. `next_at`, only when checking in: from when it is possible again."""

    account: str
    day: str
    timezone: str
    checked_in_at: str
    grant: str
    amount: int
    expires_at: str
    next_at: str | None = None
