"""Whose figures a question is about: what was measured here, or what providers reported.

Owns which series may be asked, whose users are meant in each, and what is told of how a vendor tells its use. Each
series is a question of its own, all of one moment; they stand side by side and are never added up (law 6).

A user of a provider's series is the vendor's own name of its sub-user: there is no id of ours, and no account of ours
has to have a user of that name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

import msgspec
from msgspec.structs import replace

from flowtally.core.edges import format_instant
from flowtally.core.errors import BadRequest, UnknownUser
from flowtally.core.events import METERED
from flowtally.core.reported import begins_span
from flowtally.core.times import BEGINNING, END_OF_TIME
from flowtally.ledger.database import Tx
from flowtally.ledger.providers.connected import Provider, read_provider
from flowtally.ledger.providers.said import read_sub_users
from flowtally.ledger.providers.stretches import Stretch, read_stretches
from flowtally.protocol.usage import ToldStretch
from flowtally.usage.values import Sum, Where
from flowtally.usage.verbs import Sums

SERIES: Final = "series"  # as a dimension
MAX_SERIES: Final = 20

Users = tuple[str, ...]


class Series(msgspec.Struct, frozen=True):
    """One that is asked. provider: Who reports it; None: it was measured here."""

    name: str
    provider: Provider | None = None


def read_series(tx: Tx, names: Sequence[str], by: Sequence[str], account: str | None = None) -> list[Series]:
    """Those asked for, each once, in this order; none: what was measured. `account`: whose they have to be. BadRequest
    where several would be added up, NotFound where one is no provider's."""
    wanted = list(dict.fromkeys(names or (METERED,)))
    if len(wanted) > MAX_SERIES:
        raise BadRequest(f"series = {len(wanted)} of them: at most {MAX_SERIES}.", parameter=SERIES)
    if len(wanted) > 1 and SERIES not in by:
        raise BadRequest(
            f"series = {', '.join(wanted)[:200]}: figures of several series are never added up. Say by=series, and they"
            " stand side by side.",
            parameter=SERIES,
        )
    return [Series(name, None if name == METERED else read_provider(tx, name, account)) for name in wanted]


def users_meant(
    tx: Tx, usage: Sums, asked: Sequence[Series], names: Sequence[str] | None, ours: Callable[[Sequence[str]], Users]
) -> dict[str, Users | None]:
    """By series, the users of these names as its rows have them; None: of all users. `ours`: the ids of some names,
    among our own. UnknownUser for a name that none of the series knows."""
    if names is None:
        return {one.name: None for one in asked}
    if [one.name for one in asked] == [METERED]:
        return {METERED: ours(names)}
    found: dict[str, Users | None] = {}
    known: set[str] = set()
    for one in asked:
        if one.provider is None:
            mine = {name: ours((name,)) for name in names if _is_known(ours, name)}
            found[one.name] = tuple(sorted({id for ids in mine.values() for id in ids}))
        else:
            mine = {name: (name,) for name in _sub_users(tx, usage, one.provider, names)}
            found[one.name] = tuple(mine)
        known.update(mine)
    for name in names:
        if name not in known:
            told = ", ".join(one.name for one in asked)[:200]
            raise UnknownUser(f"no user {name[:100]!r} is known in the series {told}", user=name[:100])
    return found


def inner(by: Sequence[str]) -> tuple[str, ...]:
    """What one series is split by."""
    return tuple(name for name in by if name != SERIES)


def tagged(sums: Sequence[Sum], by: Sequence[str], series: str) -> list[Sum]:
    """Sums of one series, by all that was asked."""
    if SERIES not in by:
        return list(sums)
    place = by.index(SERIES)
    return [
        Sum(one.span, (*one.by[:place], series, *one.by[place:]), one.bytes_up, one.bytes_down, one.requests)
        for one in sums
    ]


def told(tx: Tx, asked: Sequence[Series], edges: Sequence[int]) -> dict[str, list[ToldStretch]]:
    """By provider's series, what of the time between these edges was told, and how. What is known of it now."""
    return {
        one.name: _joined(_show(each, edges) for each in read_stretches(tx, one.provider.id, edges[0], edges[-1]))
        for one in asked
        if one.provider is not None
    }


def _show(stretch: Stretch, edges: Sequence[int]) -> ToldStretch:
    start, end = max(stretch.starts_at, edges[0]), min(stretch.ends_at, edges[-1])
    inside = (edge for edge in edges if stretch.starts_at < edge < stretch.ends_at)
    finer = any(not begins_span(stretch.grain, stretch.zone, edge) for edge in inside)
    return ToldStretch(
        format_instant(start), format_instant(end), stretch.grain, stretch.zone, stretch.step, finer=finer
    )


def _joined(shown: Iterable[ToldStretch]) -> list[ToldStretch]:
    """Neighbours told in the same way are one, whenever they were asked for: a vendor that is looked at every quarter
    of an hour has a stretch for each look."""
    joined: list[ToldStretch] = []
    for one in shown:
        last = joined[-1] if joined else None
        alike = last and (last.end, last.grain, last.zone, last.step) == (one.start, one.grain, one.zone, one.step)
        if last is not None and alike:
            joined[-1] = replace(last, end=one.end, finer=last.finer or one.finer)
        else:
            joined.append(one)
    return joined


def _is_known(ours: Callable[[Sequence[str]], Users], name: str) -> bool:
    try:
        ours((name,))
    except UnknownUser:
        return False
    return True


def _sub_users(tx: Tx, usage: Sums, provider: Provider, names: Sequence[str]) -> list[str]:
    """Those of these names that the vendor lists, or said something of."""
    wanted = list(dict.fromkeys(names))
    listed = {one.sub_user.name for one in read_sub_users(tx, provider.id, gone=True)}
    if listed.issuperset(wanted):
        return wanted
    ever = usage.sums([BEGINNING, END_OF_TIME], Where(provider.name, provider.account, tuple(wanted)), ("user",))
    listed.update(one.by[0] for one in ever)
    return [name for name in wanted if name in listed]
