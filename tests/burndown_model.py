"""The slow, obvious burn: no spans, no heap, one unit of traffic after the other. The auditor of `core.burndown`.

Every event has its own instant. At each instant at which anything happens: draws leave, then events are counted; each
unit is paid by the first grant alive at that moment, or waits, or is written off. Only for small numbers.
"""

from __future__ import annotations

from collections.abc import Sequence

from flowtally.core.burndown import Draw, Grant

INFINITY = 10**18


def ends(grant: Grant) -> int:
    return min(grant.expires_at or INFINITY, grant.voided_at or INFINITY)


def balance(
    grants: Sequence[Grant],
    draws: Sequence[Draw],
    events: Sequence[tuple[int, int]],
    at: int,
    carry_from: int,
    overage: str,
) -> dict[str, int]:
    """The totals of a Balance, and `spent:<id>` and `left:<id>` for each grant; events are (instant, amount)."""
    return walk(grants, draws, events, at, carry_from, overage)[0]


def walk(
    grants: Sequence[Grant],
    draws: Sequence[Draw],
    events: Sequence[tuple[int, int]],
    at: int,
    carry_from: int,
    overage: str,
) -> tuple[dict[str, int], list[tuple[int, int]]]:
    """The same, and what was written off, in the order it was: (instant, amount)."""
    unspent = {grant.id: grant.amount for grant in grants}
    total = dict.fromkeys(("used", "drawn", "overage_before_carry", "forgiven", "credit"), 0)
    waiting = 0
    lost: list[tuple[int, int]] = []

    def first_payer(now: int) -> Grant | None:
        alive = [grant for grant in grants if grant.starts_at <= now < ends(grant) and unspent[grant.id] > 0]
        alive.sort(key=lambda grant: (grant.priority, grant.expires_at or INFINITY, grant.starts_at, grant.id))
        return alive[0] if alive else None

    def pay(now: int) -> None:
        nonlocal waiting
        while waiting and total["credit"]:
            waiting -= 1
            total["credit"] -= 1
        while waiting and (payer := first_payer(now)):
            waiting -= 1
            unspent[payer.id] -= 1
        if waiting and (overage == "forgive" or now < carry_from):
            lost.append((now, waiting))
        if overage == "forgive":
            total["forgiven"] += waiting
            waiting = 0
        elif now < carry_from:
            total["overage_before_carry"] += waiting
            waiting = 0

    moments = {at, *(g.starts_at for g in grants), *(d.at for d in draws), *(moment for moment, _ in events)}
    for now in sorted(moment for moment in moments if moment <= at):
        pay(now)
        for draw in draws:
            if draw.at == now:
                total["drawn"] += draw.amount - draw.returned
                waiting += draw.amount - draw.returned
                pay(now)
        for moment, amount in events:
            if moment == now and now < at:
                total["used"] += amount
                waiting += max(amount, 0)
                total["credit"] += max(-amount, 0)
                pay(now)

    total["overage"] = waiting + total["overage_before_carry"]
    return total | _grant_totals(grants, unspent, at), lost


def _grant_totals(grants: Sequence[Grant], unspent: dict[str, int], at: int) -> dict[str, int]:
    total = dict.fromkeys(("granted", "spent", "left", "pending", "expired", "voided"), 0)
    for grant in grants:
        rest = unspent[grant.id]
        total["granted"] += grant.amount
        total["spent"] += grant.amount - rest
        total[f"spent:{grant.id}"] = grant.amount - rest
        total[f"left:{grant.id}"] = 0
        if grant.voided_at is not None and at >= grant.voided_at:
            total["voided"] += rest
        elif at < grant.starts_at:
            total["pending"] += rest
        elif grant.expires_at is not None and at >= grant.expires_at:
            total["expired"] += rest
        else:
            total["left"] += rest
            total[f"left:{grant.id}"] = rest
    return total
