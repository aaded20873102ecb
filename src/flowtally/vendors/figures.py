"""The core's whole numbers, as dialects need them: a running total over edges, of a pool, of an account or its users.

One `sums` call each, hence one moment. Owns no arithmetic of printing (`printing`) and no wire.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import accumulate

import msgspec

from flowtally.core.events import METERED
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.ledger.pools import Pools
from flowtally.protocol.words import DEFAULT_POOL
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Sums


class RunningTotal(msgspec.Struct, frozen=True):
    """What was used before the first edge, since ever, and between the edges."""

    before: int
    parts: list[int]

    @property
    def total(self) -> int:
        """Up to the last edge."""
        return self.before + sum(self.parts)

    @property
    def totals(self) -> list[int]:
        """The lifetime total at every edge."""
        return list(accumulate(self.parts, initial=self.before))


def byte_count(found: Sum) -> int:
    return found.bytes_up + found.bytes_down


def request_count(found: Sum) -> int:
    return found.requests


def between(
    tx: Tx,
    usage: Sums,
    account: str,
    edges: Sequence[int],
    *,
    of: Collection[str],
    count: Callable[[Sum], int] = byte_count,
    users: tuple[str, ...] | None = None,
    without_users: tuple[str, ...] = (),
) -> list[int]:
    """What the account (or these of its users, by id; or all but those) used of products of the pools `of`, between the
    edges (at least two, ascending)."""
    where = Where(METERED, account, users, without_users=without_users)
    parts = [0] * (len(edges) - 1)
    for found in usage.sums(list(edges), _of_pools(where, pools.read_pools(tx), of)):
        parts[found.span] += count(found)
    return parts


def running_by_user(usage: Sums, account: str, edges: Sequence[int], users: Collection[str]) -> dict[str, RunningTotal]:
    """What each of these users (by id) used of all products, before the first edge and between the edges (at least
    two): one question for all of them."""
    asked = [0, *edges] if edges[0] > 0 else list(edges)
    totals = {user: [0] * (len(asked) - 1) for user in users}
    for found in usage.sums(asked, Where(METERED, account, tuple(totals)), ("user",)):
        totals[found.by[0]][found.span] += byte_count(found)
    return {user: _since(edges[0], parts) for user, parts in totals.items()}


def _since(first_edge: int, parts: list[int]) -> RunningTotal:
    """`parts` begin at 0; what lies before the first edge is one of them, unless that is the beginning."""
    return RunningTotal(parts[0], parts[1:]) if first_edge > 0 else RunningTotal(0, parts)


def _of_pools(where: Where, known: Pools, of: Collection[str]) -> Where:
    """Only products of these pools. The default pool has every product that nobody mapped, so it is named by what it
    does not have."""
    if DEFAULT_POOL in of:
        others = (product for product, pool in known.products.items() if pool not in of)
        return msgspec.structs.replace(where, without_products=tuple(sorted(others)))
    mine = (product for product, pool in known.products.items() if pool in of)
    return msgspec.structs.replace(where, products=tuple(sorted(mine)))


def running(
    tx: Tx,
    usage: Sums,
    account: str,
    edges: Sequence[int],
    *,
    of: Collection[str],
    count: Callable[[Sum], int] = byte_count,
    users: tuple[str, ...] | None = None,
    without_users: tuple[str, ...] = (),
) -> RunningTotal:
    """The same with what came before the first edge. One edge: only that."""
    ask = partial(between, tx, usage, account, of=of, count=count, users=users, without_users=without_users)
    if edges[0] <= 0:
        return RunningTotal(0, ask(edges) if len(edges) > 1 else [])
    return _since(edges[0], ask([0, *edges]))
