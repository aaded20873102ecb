"""What a vendor says is left, and when it runs out if use goes on as in the last days.

Owns the pace and what is said where there is none. The pace is the mean over those of the last seven times 24 hours of
which the vendor told the usage; what it did not tell is not taken for nothing. Nothing here is a promise of ours: it is
the vendor's word, and arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.times import DAY_MS, LAST_INSTANT
from flowtally.core.words import Unit
from flowtally.ledger.database import Tx
from flowtally.ledger.providers import said, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.said import BalanceSeen, GrantSeen
from flowtally.ledger.providers.stretches import Stretch
from flowtally.protocol import ProviderBalanceAnswer, RunOut, VendorBalance, VendorGrant
from flowtally.usage.values import Where
from flowtally.usage.verbs import Sums

PACE_DAYS: Final = 7


def provider_balance(tx: Tx, usage: Sums, provider: Provider, now: int) -> ProviderBalanceAnswer:
    """As the vendor said it last."""
    balances = said.read_balances(tx, provider.id)
    return ProviderBalanceAnswer(
        provider=provider.name,
        account=provider.account,
        pulled_at=format_if_any(provider.pulled_at),
        balances=[_balance(one) for one in balances],
        run_out=_run_out(tx, usage, provider, balances, now),
    )


def _run_out(tx: Tx, usage: Sums, provider: Provider, balances: Sequence[BalanceSeen], now: int) -> RunOut:
    left, unit = _left(balances)
    told = stretches.read_stretches(tx, provider.id, now - PACE_DAYS * DAY_MS, now)
    spans = whole_days(told, now)
    used = 0
    if spans:
        edges = sorted({edge for span in spans for edge in span})
        sums = usage.sums(edges, Where(provider.name, provider.account), ())
        inside = {edges.index(start) for start, _ in spans}
        mine = [one for one in sums if one.span in inside]
        used = sum(one.requests if unit == "requests" else one.bytes_up + one.bytes_down for one in mine)
    return run_out(left, used, len(spans), now)


def whole_days(told: Sequence[Stretch], now: int, days: int = PACE_DAYS) -> list[tuple[int, int]]:
    """Those of the last `days` times 24 hours before the end of what was told that were told wholly. Pure.

    They end where the last stretch ends: today's figures may be of the day so far.
    """
    last = max((min(one.ends_at, now) for one in told), default=None)
    if last is None:
        return []
    spans = [(last - (n + 1) * DAY_MS, last - n * DAY_MS) for n in range(days)]
    return sorted(span for span in spans if _covers(told, *span))


def _covers(told: Sequence[Stretch], start: int, end: int) -> bool:
    for one in sorted(told, key=lambda each: each.starts_at):
        if one.starts_at <= start < one.ends_at:
            start = one.ends_at
    return start >= end


def run_out(left: int | None, used: int, days: int, now: int) -> RunOut:
    """When `left` is used up at the pace of `used` in `days` times 24 hours. Pure; whole numbers: the pace is cut, so
    that nobody is told too early a day by rounding.

    >>> run_out(900, 2100, 7, 0).per_day
    300
    """
    if not days:
        return RunOut(None, None, 0, "the vendor has told no whole day of the last seven")
    per_day = used // days
    if left is None:
        return RunOut(None, per_day, days, "the vendor does not tell what is left")
    if left <= 0:
        return RunOut(format_instant(now), per_day, days, "")
    if used <= 0:
        return RunOut(None, 0, days, "nothing was used in these days")
    at = now + left * days * DAY_MS // used
    if at > LAST_INSTANT:
        return RunOut(None, per_day, days, "it lasts beyond the year 9999")
    return RunOut(format_instant(at), per_day, days, "")


def _left(balances: Sequence[BalanceSeen]) -> tuple[int | None, Unit]:
    """All traffic together, else all requests: money runs out by what is bought, not by what is used."""
    for unit in ("bytes", "requests"):
        known = [one.balance.left for one in balances if one.balance.quantity == unit and one.balance.left is not None]
        if known:
            return sum(known), unit
    return None, "bytes"


def _balance(one: BalanceSeen) -> VendorBalance:
    b = one.balance
    return VendorBalance(
        label=b.label,
        quantity=b.quantity,
        left=b.left,
        used=b.used,
        total=b.total,
        currency=b.currency,
        expires_at=format_if_any(b.expires_at),
        step=b.step,
        seen_at=format_instant(one.seen_at),
    )


def show_grant(one: GrantSeen) -> VendorGrant:
    g = one.grant
    return VendorGrant(
        id=g.id,
        order=g.order,
        kind=g.kind,
        quantity=g.quantity,
        amount=g.amount,
        used=g.used,
        left=max(0, g.amount - g.used) if g.standing == "active" else 0,
        created_at=format_if_any(g.created_at),
        expires_at=format_if_any(g.expires_at),
        standing=g.standing,
        raw_created=g.raw_created,
        raw_expires=g.raw_expires,
        gone_at=format_if_any(one.gone_at),
    )
