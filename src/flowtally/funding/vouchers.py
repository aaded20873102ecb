"""Vouchers as their issuer knows them: created when its balance covers them, shown with their codes.

Owns how they are covered, as allocations are (`user_funds`): whoever creates them is in the ledger's one write
transaction and asks for the balance of that moment inside it, so no other draw comes in between. Leaves the voucher
itself to the ledger, the quota rule to `burndown`.
"""

from __future__ import annotations

from flowtally.answers.account_balance import BalanceUsage, cover_of
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import LimitReached
from flowtally.ledger.database import Tx
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import codes, draws, vouchers
from flowtally.ledger.traffic.vouchers import Voucher
from flowtally.ledger.vault import Vault
from flowtally.protocol import DEFAULT_DURATION_S, VoucherAnswer


def create_vouchers(
    tx: Tx,
    usage: BalanceUsage,
    vault: Vault,
    account_id: str,
    amount: int,
    count: int,
    *,
    now: int,
    pool: str = "traffic",
    duration_s: int = DEFAULT_DURATION_S,
    most: int = 0,
) -> list[Voucher]:
    """`count` vouchers of `amount` each, all or none: a draw for each. At most `most` of an account may be unused (0:
    any number). Call in a write transaction, with a `now` read inside it.

    LimitReached, NotCovered (with what is left), UnknownAccount, NotFound (pool), AccountSuspended, Conflict,
    Unprocessable.
    """
    accounts.read_active_account(tx, account_id)
    vouchers.check_vouchers(tx, amount, count, pool, duration_s)
    if most and (unused := vouchers.count_unused(tx, account_id)) + count > most:
        detail = f"account {account_id!r} has {unused} unused vouchers; {count} more would be over {most}"
        raise LimitReached(detail, account=account_id, limit=most, unused=unused)
    at = max(now, draws.last_drawn_at(tx, account_id))  # each must see all draws before it, were the clock set back
    left = cover_of(tx, usage, account_id, pool, at)
    made = codes.new_codes(vault, count)
    return vouchers.create_vouchers(tx, account_id, amount, made, now=at, pool=pool, duration_s=duration_s, left=left)


def show_voucher(voucher: Voucher, vault: Vault) -> VoucherAnswer:
    """With its code: for its issuer's eyes alone."""
    return VoucherAnswer(
        id=voucher.id,
        account=voucher.account,
        code=vault.reveal(voucher.sealed),
        pool=voucher.pool,
        amount=voucher.amount,
        duration_s=voucher.duration_s,
        status=voucher.status,
        created_at=format_instant(voucher.created_at),
        ended_at=format_if_any(voucher.ended_at),
        redeemed_by=voucher.redeemed_by,
    )
