"""What asking a provider came to: its state, when it is asked next, and the last pulls for people.

Owns the step from one state to the next. When to ask again is the caller's to say.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, insert, select, update

from flowtally.core.words import PullOutcome
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, keep_newest, read_page
from flowtally.ledger.providers.connected import NEVER, Provider, read_provider
from flowtally.ledger.tables import provider_pulls, providers

KEPT: Final = 200  # pulls of one provider
MAX_DETAIL: Final = 2_000  # characters


class Pull(msgspec.Struct, frozen=True):
    """calls: Requests to the vendor. figures: What it said. changed: Figures that it had not said so before."""

    id: str
    began_at: int
    ended_at: int
    outcome: PullOutcome
    detail: str
    calls: int
    figures: int
    changed: int


def end_pull(
    tx: Connection,
    provider: Provider,
    outcome: PullOutcome,
    *,
    began_at: int,
    next_at: int,
    now: int,
    detail: str = "",
    calls: int = 0,
    figures: int = 0,
    changed: int = 0,
) -> Provider:
    """Keep what a pull came to. One that was removed meanwhile stays so, and one that was changed or asked for is asked
    again when that said: the pull that ends may have seen what was before. NotFound."""
    was = read_provider(tx, provider.name)
    if was.removed_at is not None:
        return was
    good = outcome == "ok"
    now_is = replace(
        was,
        state=outcome,
        state_since=was.state_since if was.state == outcome else now,
        detail=detail[:MAX_DETAIL],
        failures=0 if good else was.failures + 1,
        tried_at=now,
        pulled_at=now if good else was.pulled_at,
        next_at=_next_at(was, provider, next_at),
    )
    kept = ("state", "state_since", "detail", "failures", "tried_at", "pulled_at", "next_at")
    values: dict[str, Any] = {name: getattr(now_is, name) for name in kept}
    pull = Pull(new_id("pul_"), began_at, now, outcome, now_is.detail, calls, figures, changed)
    tx.execute(update(providers).where(providers.c.id == was.id).values(values))
    tx.execute(insert(provider_pulls).values(msgspec.structs.asdict(pull) | {"provider": was.id}))
    keep_newest(tx, provider_pulls.c.id, provider_pulls.c.provider == was.id, KEPT)
    after = {"state": outcome, "calls": calls, "figures": figures, "changed": changed}
    trail.note(tx, "provider.pull", account=was.account, subject=was.id, before={"state": was.state}, after=after)
    return now_is


def _next_at(was: Provider, as_asked: Provider, next_at: int) -> int:
    if was.next_at != as_asked.next_at:
        return was.next_at
    return NEVER if was.paused else next_at


def ask_now(tx: Connection, provider: Provider, *, now: int) -> Provider:
    """Have it asked before its turn, and once more where that is going on."""
    asked = replace(provider, next_at=now)
    tx.execute(update(providers).where(providers.c.id == provider.id).values(next_at=asked.next_at))
    trail.note(tx, "provider.ask", account=provider.account, subject=provider.id, after={"name": provider.name})
    return asked


def list_pulls(
    tx: Connection, provider: Provider, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[Pull]:
    """Its last pulls in the order they ended."""
    p = provider_pulls.c
    query = select(*(p[name] for name in Pull.__struct_fields__)).where(p.provider == provider.id)
    return read_page(tx, "pulls", query, p.id, Pull, (provider.id,), after=after, limit=limit)
