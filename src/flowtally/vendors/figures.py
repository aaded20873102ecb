"""The core's whole numbers, as dialects need them: a running total over edges, of a pool, of an account or its users.

One `sums` call each, hence one moment. Owns no arithmetic of printing (`printing`) and no wire.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from functools import partial
from itertools import accumulate

import msgspec

from flowtally.events import METERED
from flowtally.ledger import pools
from flowtally.ledger.database import Tx
from flowtally.usage.store import Sum, UsageReader, Where


class Running(msgspec.Struct, frozen=True):
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
    usage: UsageReader,
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
    known = pools.read_pools(tx)
    parts = [0] * (len(edges) - 1)
    for found in usage.sums(list(edges), Where(METERED, account, users, None, without_users), ("product",)):
        if known.pool_of(found.by[0]) in of:
            parts[found.span] += count(found)
    return parts


def running(
    tx: Tx,
    usage: UsageReader,
    account: str,
    edges: Sequence[int],
    *,
    of: Collection[str],
    count: Callable[[Sum], int] = byte_count,
    users: tuple[str, ...] | None = None,
    without_users: tuple[str, ...] = (),
) -> Running:
    """The same with what came before the first edge. One edge: only that."""
    ask = partial(between, tx, usage, account, of=of, count=count, users=users, without_users=without_users)
    if edges[0] <= 0:
        return Running(0, ask(edges) if len(edges) > 1 else [])
    before, *parts = ask([0, *edges])
    return Running(before, parts)
