"""What a vendor says is left, and when it runs out if use goes on as in the last days.

Owns the pace and what is said where there is none. The pace is the mean over those of the last seven whole days of the
vendor's calendar that it told when they were over; what it did not tell is not taken for nothing. Only the use that is
taken from a balance counts for it. Nothing here is a promise of ours: it is the vendor's word, and arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.reconciling.calendars import VendorCalendar
from flowtally.core.reported import Paying
from flowtally.core.times import DAY_MS, LAST_INSTANT
from flowtally.ledger.database import Tx
from flowtally.ledger.providers import said, stretches
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.said import BalanceSeen, GrantSeen
from flowtally.ledger.providers.stretches import Stretch
from flowtally.protocol import ProviderBalanceAnswer, RunOut, VendorBalance, VendorGrant
from flowtally.usage.values import Where
from flowtally.usage.verbs import Sums

PACE_DAYS: Final = 7
Span = tuple[int, int]
Lot = tuple[int, int | None]  # so much, until then or for ever


def provider_balance(tx: Tx, usage: Sums, provider: Provider, paying: Paying | None, now: int) -> ProviderBalanceAnswer:
    """As the vendor said it last. `paying`: as its puller declares it."""
    balances = said.read_balances(tx, provider.id)
    return ProviderBalanceAnswer(
        provider=provider.name,
        account=provider.account,
        pulled_at=format_if_any(provider.pulled_at),
        balances=[_balance(one) for one in balances],
        run_out=_run_out(tx, usage, provider, paying, balances, now),
    )


def _run_out(
    tx: Tx, usage: Sums, provider: Provider, paying: Paying | None, balances: Sequence[BalanceSeen], now: int
) -> RunOut:
    if paying is None:
        return RunOut(None, None, 0, "the vendor does not tell what is left")
    spans = whole_days(stretches.read_stretches(tx, provider.id, now - (PACE_DAYS + 2) * DAY_MS, now), now)
    seen = next((one for one in balances if one.balance.label == paying.balance), None)
    used = _used(usage, provider, paying, spans, "bytes" if seen is None else seen.balance.quantity)
    lots = None if seen is None else _lots(tx, provider, paying, seen)
    since = now if seen is None else min(now, max(seen.seen_at, provider.pulled_at or 0))
    return run_out(lots, used, spans, since, now, paying.balance)


def _used(usage: Sums, provider: Provider, paying: Paying, spans: Sequence[Span], quantity: str) -> int:
    """Of the use that is taken from the balance."""
    if not spans:
        return 0
    users = None if paying.sub_user is None else (paying.sub_user,)
    product = provider.settings.get(paying.product)
    products = None if product is None else (product,)
    where = Where(provider.name, provider.account, users=users, products=products)
    edges = sorted({edge for span in spans for edge in span})
    inside = {edges.index(start) for start, _ in spans}
    mine = [one for one in usage.sums(edges, where) if one.span in inside]
    return sum(one.requests if quantity == "requests" else one.bytes_up + one.bytes_down for one in mine)


def _lots(tx: Tx, provider: Provider, paying: Paying, seen: BalanceSeen) -> list[Lot] | None:
    """What is left, by when it expires. Of grants no more than the balance says; what it says beyond them has no end
    that is known."""
    left = seen.balance.left
    if left is None:
        return None
    if not paying.by_grants:
        return [(left, seen.balance.expires_at)]
    known = [one.grant for one in said.read_grants(tx, provider.id) if one.grant.standing == "active"]
    lots = []
    for part, end in sorted(((one.amount - one.used, one.expires_at) for one in known), key=_by_end):
        lots.append((min(left, max(0, part)), end))
        left -= lots[-1][0]
    return [*lots, (left, None)]


def _by_end(lot: Lot) -> int:
    return LAST_INSTANT if lot[1] is None else lot[1]


def whole_days(told: Sequence[Stretch], now: int) -> list[Span]:
    """Those of the last seven days of the vendor's calendar, today excluded, that were told wholly, and when they
    were over: what was told of a day before is of the day so far. Pure."""
    if not told:
        return []
    edges = VendorCalendar(told[-1].zone).days(now - (PACE_DAYS + 2) * DAY_MS, now, PACE_DAYS + 3)
    return [span for span in list(pairwise(edges))[-PACE_DAYS:] if _covers(told, *span)]


def _covers(told: Sequence[Stretch], start: int, end: int) -> bool:
    for one in sorted(told, key=lambda each: each.starts_at):
        # Who is looked at just now is told up to the millisecond after it.
        if one.starts_at <= start < one.ends_at and one.asked_at >= min(one.ends_at, end) - 1:
            start = one.ends_at
    return start >= end


def run_out(
    lots: Sequence[Lot] | None, used: int, days: Sequence[Span], since: int, now: int, balance: str = ""
) -> RunOut:
    """When nothing is left of these, which were told at `since`, at the pace of `used` in these days: what expires
    first is used first, and what is not used by then is lost. Pure; whole numbers: the pace is cut, so that nobody is
    told too early a day by rounding.

    >>> run_out([(900, None)], 2100, [(0, 7 * DAY_MS)], 0, 0).per_day
    300
    """
    if not days:
        return RunOut(None, None, 0, "the vendor has told no whole day of the last seven", balance)
    span = sum(end - start for start, end in days)
    per_day = max(0, used) * DAY_MS // span
    if lots is None:
        return RunOut(None, per_day, len(days), "the vendor does not tell what is left", balance)
    at, expires = since, False
    for left, ends_at in sorted(lots, key=_by_end):
        if left <= 0:
            continue
        used_up = at + left * span // used if used > 0 else LAST_INSTANT + 1
        expires = ends_at is not None and ends_at < used_up
        at = max(at, ends_at) if expires and ends_at is not None else used_up
    if at > LAST_INSTANT:
        reason = "it lasts beyond the year 9999" if used > 0 else "nothing was used in these days"
        return RunOut(None, per_day, len(days), reason, balance)
    return RunOut(format_instant(max(at, now)), per_day, len(days), "", balance, expires)


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
