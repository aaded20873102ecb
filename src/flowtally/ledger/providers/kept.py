"""Reconciliations that were kept: what a bill and what was measured said of each other at an instant, for ever.

Owns that nothing of one changes. What it says is `answers/` to make and to compare; here it is text.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, func, insert, select

from flowtally.core.errors import LimitReached, NotFound
from flowtally.core.reconciling.reconcile import Match
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.tables import provider_reconciliations

MOST: Final = 1_000  # of one provider


class KeptReconciliation(msgspec.Struct, frozen=True):
    """block: Rows up to it were counted. answer: What was answered, JSON; empty where its account was erased."""

    id: str
    provider: str
    starts_at: int
    ends_at: int
    block: int
    kept_at: int
    match: Match
    answer: str


def keep_reconciliation(
    tx: Connection,
    provider: Provider,
    *,
    starts_at: int,
    ends_at: int,
    block: int,
    match: Match,
    answer: str,
    now: int,
) -> KeptReconciliation:
    """Keep what was answered. LimitReached."""
    r = provider_reconciliations.c
    count = tx.execute(select(func.count()).where(r.provider == provider.id)).scalar_one()
    if count >= MOST:
        raise LimitReached(
            f"provider {provider.name!r} has {count} kept reconciliations; {MOST} are allowed", limit=MOST
        )
    kept = KeptReconciliation(new_id("rec_"), provider.id, starts_at, ends_at, block, now, match, answer)
    tx.execute(insert(provider_reconciliations).values(msgspec.structs.asdict(kept)))
    told = {"id": kept.id, "start": starts_at, "end": ends_at, "block": block, "match": match}
    trail.note(tx, "reconciliation.keep", account=provider.account, subject=provider.id, after=told)
    return kept


def list_reconciliations(
    tx: Connection, provider: Provider, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[KeptReconciliation]:
    """Those of a provider in the order they were kept."""
    query = _kept().where(provider_reconciliations.c.provider == provider.id)
    key, make = provider_reconciliations.c.id, KeptReconciliation
    return read_page(tx, "reconciliations", query, key, make, (provider.id,), after=after, limit=limit)


def read_reconciliation(tx: Connection, provider: Provider, kept_id: str) -> KeptReconciliation:
    """One of the provider's. NotFound."""
    r = provider_reconciliations.c
    mine = _kept().where(r.id == kept_id, r.provider == provider.id)
    row = tx.execute(mine).one_or_none() if may_be_known(kept_id) else None
    if row is None:
        shown = kept_id[:80]
        raise NotFound(f"provider {provider.name!r} has no kept reconciliation {shown!r}", reconciliation=shown)
    return KeptReconciliation(*row)


def _kept() -> Select[Any]:
    return select(*(provider_reconciliations.c[name] for name in KeptReconciliation.__struct_fields__))
