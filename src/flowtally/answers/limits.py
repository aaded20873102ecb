"""Where limits stand: how much of each was used in the window that holds an instant. Of many users from one question.

A limit counts; it neither pays nor stops anything by itself. Who asks (a proxy, a list, a person) decides what follows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from flowtally.core.edges import format_if_any, load_zone, merge_edges, window_of
from flowtally.core.times import BEGINNING
from flowtally.ledger.people.accounts import Account
from flowtally.ledger.people.users import Limit, User
from flowtally.protocol import LimitState
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Sums


def window_at(limit: Limit | None, account: Account, at: int) -> tuple[int, int | None]:
    """Where the window that holds `at` begins, and where the next one does."""
    if limit is None or limit.window == "lifetime":
        return BEGINNING, None
    start, end = window_of(limit.window, at, load_zone(account.timezone))
    return max(start, BEGINNING), end


def limit_state(limit: Limit, sums: Iterable[Sum], resets_at: int | None) -> LimitState:
    """`sums`: what was used in the window."""
    used = sum(one.requests if limit.unit == "requests" else one.bytes_up + one.bytes_down for one in sums)
    return LimitState(
        unit=limit.unit,
        window=limit.window,
        limit=limit.amount,
        used=used,
        left=max(0, limit.amount - used),
        exceeded=used >= limit.amount,
        resets_at=format_if_any(resets_at),
    )


def limit_states(account: Account, usage: Sums, listed: Sequence[User], at: int) -> dict[str, LimitState]:
    """By user id, of those of these users of the account who have a limit."""
    limits = {one.id: one.limit for one in listed if one.limit is not None}
    if not limits:
        return {}
    windows = {id: window_at(limit, account, at) for id, limit in limits.items()}
    edges = merge_edges((start for start, _ in windows.values()), (at,))
    used: dict[str, list[Sum]] = {id: [] for id in limits}
    for one in usage.sums(edges, Where(account=account.id, users=tuple(limits)), ("user",)):
        if edges[one.span] >= windows[one.by[0]][0]:
            used[one.by[0]].append(one)
    return {id: limit_state(limit, used[id], windows[id][1]) for id, limit in limits.items()}
