"""Of which stretches of time a provider has told its usage: so that what was not asked is never taken for nothing.

Owns how stretches lie: they do not overlap, and what was asked last stands. Instants are milliseconds, ends excluded.
Of vendors that tell no spans the looks of a day are one stretch: there may be a look each minute, for years.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, func, insert, select

from flowtally.core.reported import Grain
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.tables import provider_stretches


class Stretch(msgspec.Struct, frozen=True):
    """grain, zone: The spans it was told in. step: The smallest difference of two figures. asked_at: When it was told
    last."""

    starts_at: int
    ends_at: int
    grain: Grain
    zone: str
    step: int
    asked_at: int


def put_stretch(tx: Connection, provider: Provider, told: Stretch) -> None:
    """This stretch was told: what was told of it before is replaced."""
    s = provider_stretches.c
    touched = read_stretches(tx, provider.id, told.starts_at - 1, told.ends_at + 1)
    kept: list[Stretch] = []
    for one in touched:
        if one.starts_at < told.starts_at:
            kept.append(replace(one, ends_at=min(one.ends_at, told.starts_at)))
        if one.ends_at > told.ends_at:
            kept.append(replace(one, starts_at=max(one.starts_at, told.ends_at)))
    if touched:
        starts = [one.starts_at for one in touched]
        tx.execute(delete(provider_stretches).where(s.provider == provider.id, s.starts_at.in_(starts)))
    rows = [msgspec.structs.asdict(one) | {"provider": provider.id} for one in _joined([*kept, told])]
    tx.execute(insert(provider_stretches), rows)
    trail.note(tx, "provider.told", account=provider.account, subject=provider.id, after=msgspec.structs.asdict(told))


def read_stretches(tx: Connection, provider_id: str, start: int, end: int) -> list[Stretch]:
    """Those that lie in these instants, in part or wholly, in order."""
    s = provider_stretches.c
    query = select(*(s[name] for name in Stretch.__struct_fields__))
    mine = (s.provider == provider_id, s.ends_at > start, s.starts_at < end)
    return [Stretch(*row) for row in tx.execute(query.where(*mine).order_by(s.starts_at))]


def told_until(tx: Connection, provider_id: str, since: int) -> int:
    """Up to which instant all was told without a hole, from `since` on; `since` where nothing was. A day that was not
    over when it was asked about was told up to then."""
    until = since
    for starts_at, ends_at, asked_at in _told_after(tx, provider_id, since):
        if starts_at > since:
            break
        since = ends_at
        if asked_at > starts_at:
            until = min(ends_at, asked_at)
    return until


def told_last(tx: Connection, provider_id: str, since: int) -> tuple[int, int] | None:
    """From when to when all was told without a hole, in the newest of such times from `since` on; None where nothing
    was. Before it there may be what the vendor does not tell: it does not answer so far back, or leaves it out."""
    found: tuple[int, int] | None = None
    begin = end = since
    for starts_at, ends_at, asked_at in _told_after(tx, provider_id, since):
        if starts_at > end:
            begin = starts_at
        end = ends_at
        if asked_at > max(starts_at, begin):
            found = begin, min(ends_at, asked_at)
    return found


def _told_after(tx: Connection, provider_id: str, since: int) -> Sequence[Any]:
    """Start, end and when they were asked about, of those that end later, in order."""
    s = provider_stretches.c
    query = select(s.starts_at, s.ends_at, s.asked_at).where(s.provider == provider_id, s.ends_at > since)
    return tx.execute(query.order_by(s.starts_at)).all()


def last_end(tx: Connection, provider_id: str) -> int | None:
    """Where the last of them ends; None: nothing was told."""
    s = provider_stretches.c
    found: int | None = tx.execute(select(func.max(s.ends_at)).where(s.provider == provider_id)).scalar_one()
    return found


def _joined(stretches: list[Stretch]) -> list[Stretch]:
    """Neighbours that differ in nothing else are one, and so are looks within a day."""
    joined: list[Stretch] = []
    for one in sorted(stretches, key=lambda each: each.starts_at):
        if joined and joined[-1].ends_at == one.starts_at and _are_one(joined[-1], one):
            joined[-1] = replace(one, starts_at=joined[-1].starts_at, step=max(joined[-1].step, one.step))
        else:
            joined.append(one)
    return joined


def _are_one(last: Stretch, one: Stretch) -> bool:
    """A look tells all of the time since the one before it, for good: when it was is told as of the last of them."""
    if last.grain == one.grain == "pull" and last.zone == one.zone:
        return last.ends_at - last.starts_at < DAY_MS
    return replace(one, starts_at=last.starts_at) == replace(last, ends_at=one.ends_at)
