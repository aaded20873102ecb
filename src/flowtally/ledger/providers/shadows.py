"""Shadows: whose calls of a dialect are asked of the vendor itself, too, and where its answers differed from ours.

Owns the switch of each account and dialect, off until somebody turns it on, the counts by route, and the newest
differences: so many of an account, for so long. What is asked and how answers are compared is not known here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, and_, delete, func, insert, select, update

from flowtally.core.comparing import Differs
from flowtally.core.errors import Unprocessable
from flowtally.core.times import DAY_MS
from flowtally.core.words import ShadowOutcome
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, keep_newest, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.providers.connected import Provider, provider_of, read_live
from flowtally.ledger.tables import accounts, erasures, providers, shadow_differences, shadow_routes, shadows
from flowtally.ledger.texts import check_number

MOST_DIFFERENCES: Final = 200  # differences of one account
KEPT_DAYS: Final = 30
MAX_ANSWER_CHARS: Final = 4_000  # of an answer that differed, and of its question
MAX_DETAIL: Final = 1_000


class Switch(msgspec.Struct, frozen=True):
    """share: Of so many of a hundred calls. detail: Why the last one that failed did, and detail_at: when."""

    account: str
    dialect: str
    provider: str  # its id
    enabled: bool
    share: int
    changed_at: int
    detail: str
    detail_at: int | None


class Shadowed(msgspec.Struct, frozen=True):
    """A call that the vendor was asked, too. `at`: when the customer asked it. Texts hold no secret."""

    account: str
    dialect: str
    provider: str
    route: str
    at: int
    outcome: ShadowOutcome
    detail: str = ""
    question: str = ""
    ours: str = ""
    theirs: str = ""
    fields: tuple[Differs, ...] = ()
    count: int = 0


class RouteCount(msgspec.Struct, frozen=True):
    """How often the vendor's answer to a route was ours, was not, or was none."""

    route: str
    agreed: int
    differed: int
    failed: int
    last_at: int


class Difference(msgspec.Struct, frozen=True):
    """An answer of the vendor that was not ours. count: How many fields differ; `fields`: the first of them."""

    id: str
    dialect: str
    provider: str  # its name
    route: str
    at: int
    question: str
    ours: str
    theirs: str
    fields: tuple[Differs, ...]
    count: int


def set_shadow(
    tx: Connection,
    account: str,
    dialect: str,
    *,
    enabled: bool,
    now: int,
    provider: str | None = None,
    share: int = 100,
) -> Switch | None:
    """Turn it on with a provider, or off; None: it never was on, and is not now. UnknownAccount; Conflict (closed
    account, provider that was removed), NotFound, Unprocessable where it is not the account's, or not this vendor's."""
    was = read_shadow(tx, account, dialect)
    if not enabled:
        if was is not None and was.enabled:
            _put(tx, was, msgspec.structs.replace(was, enabled=False, changed_at=now))
        return read_shadow(tx, account, dialect)
    read_open_account(tx, account)
    if provider is None:
        raise Unprocessable("provider is missing: whose secrets the vendor is asked with", field="provider")
    asked = read_live(tx, provider)
    if asked.account != account or asked.vendor != dialect:
        detail = f"account {account!r} has no provider {provider[:80]!r} at {dialect}"
        raise Unprocessable(detail, field="provider")
    check_number("share", share, least=1, most=100)
    _put(tx, was, Switch(account, dialect, asked.id, True, share, now, "", None))
    return read_shadow(tx, account, dialect)


def read_shadow(tx: Connection, account: str, dialect: str) -> Switch | None:
    """None where nobody ever turned it on. UnknownAccount."""
    read_account(tx, account)
    mine = (shadows.c.account == account, shadows.c.dialect == dialect)
    row = tx.execute(select(*shadows.c).where(*mine)).one_or_none()
    return None if row is None else _switch(*row)


def switched_on(tx: Connection) -> list[Switch]:
    """All that are on, and whose provider may be asked."""
    return [_switch(*row) for row in tx.execute(select(*shadows.c).select_from(_live()).where(_is_on()))]


def read_asked(tx: Connection, account: str, dialect: str) -> tuple[Switch, Provider] | None:
    """The switch, if it is on, and the provider to ask with."""
    query = select(*shadows.c, *providers.c).select_from(_live()).where(_is_on())
    row = tx.execute(query.where(shadows.c.account == account, shadows.c.dialect == dialect)).one_or_none()
    if row is None:
        return None
    split = len(shadows.c)
    return _switch(*row[:split]), provider_of(*row[split:])


def keep_asked(tx: Connection, asked: Sequence[Shadowed], *, now: int) -> None:
    """Count what came of these, and keep the differences. Of an account that was erased nothing is kept, and no text of
    a call that somebody asked before an erasure of one of its users."""
    by_switch: dict[tuple[str, str], list[Shadowed]] = defaultdict(list)
    for one in asked:
        by_switch[one.account, one.dialect].append(one)
    for (account, dialect), mine in by_switch.items():
        if read_account(tx, account).erased_at is not None:
            continue
        _count(tx, account, dialect, mine)
        erased = _erased_at(tx, account)
        tellable = [one for one in mine if erased is None or one.at > erased]
        _keep_detail(tx, account, dialect, tellable)
        _keep_differences(tx, account, tellable)
        counts = {outcome: sum(one.outcome == outcome for one in mine) for outcome in ("agreed", "differed", "failed")}
        trail.note(tx, "shadow.asked", account=account, subject=dialect, after=counts)
    forget_differences(tx, now=now)


def forget_differences(tx: Connection, *, now: int) -> int:
    """Those that are too old; how many they were."""
    old = shadow_differences.c.at < now - KEPT_DAYS * DAY_MS
    gone = tx.execute(delete(shadow_differences).where(old)).rowcount
    if gone:
        trail.note(tx, "shadow.forget", after={"count": gone})
    return gone


def has_old(tx: Connection, by: int) -> bool:
    """Whether `forget_differences` has something to do at this instant."""
    found: int | None = tx.execute(select(func.min(shadow_differences.c.at))).scalar_one()
    return found is not None and found < by - KEPT_DAYS * DAY_MS


def read_routes(tx: Connection, account: str, dialect: str) -> list[RouteCount]:
    """In order of route."""
    r = shadow_routes.c
    query = select(*(r[name] for name in RouteCount.__struct_fields__)).where(
        r.account == account, r.dialect == dialect
    )
    return [RouteCount(*row) for row in tx.execute(query.order_by(r.route))]


def list_differences(
    tx: Connection, account: str, after: str | None = None, limit: int = DEFAULT_LIMIT, *, dialect: str | None = None
) -> ListPage[Difference]:
    """The newest of an account, in the order they were seen. UnknownAccount."""
    read_account(tx, account)
    d = shadow_differences.c
    columns = (d.id, d.dialect, providers.c.name, d.route, d.at, d.question, d.ours, d.theirs, d.fields, d.count)
    query: Select[Any] = select(*columns).join(providers, providers.c.id == d.provider).where(d.account == account)
    if dialect is not None:
        query = query.where(d.dialect == dialect)
    return read_page(tx, "shadow", query, d.id, _difference, (account, dialect), after=after, limit=limit)


def _live() -> Any:
    return shadows.join(providers, providers.c.id == shadows.c.provider).join(
        accounts, accounts.c.id == shadows.c.account
    )


def _is_on() -> Any:
    """Nobody is asked for an account that is closed, nor with a provider that is paused or was removed."""
    return and_(
        shadows.c.enabled == 1,
        providers.c.removed_at.is_(None),
        providers.c.paused == 0,
        accounts.c.status != "closed",
    )


def _put(tx: Connection, was: Switch | None, now_is: Switch) -> None:
    values = msgspec.structs.asdict(now_is) | {"enabled": int(now_is.enabled)}
    if was is None:
        tx.execute(insert(shadows).values(values))
    else:
        mine = (shadows.c.account == was.account, shadows.c.dialect == was.dialect)
        tx.execute(update(shadows).where(*mine).values(values))
    before = None if was is None else _facts(was)
    trail.note(tx, "shadow.set", account=now_is.account, subject=now_is.dialect, before=before, after=_facts(now_is))


def _facts(switch: Switch) -> dict[str, Any]:
    return {"provider": switch.provider, "enabled": switch.enabled, "share": switch.share}


def _count(tx: Connection, account: str, dialect: str, asked: Sequence[Shadowed]) -> None:
    r = shadow_routes.c
    for route in sorted({one.route for one in asked}):
        mine = [one for one in asked if one.route == route]
        counts = {outcome: sum(one.outcome == outcome for one in mine) for outcome in ("agreed", "differed", "failed")}
        last_at = max(one.at for one in mine)
        more = {name: r[name] + count for name, count in counts.items()} | {"last_at": last_at}
        this = (r.account == account, r.dialect == dialect, r.route == route)
        if not tx.execute(update(shadow_routes).where(*this).values(more)).rowcount:
            row = {"account": account, "dialect": dialect, "route": route, "last_at": last_at, **counts}
            tx.execute(insert(shadow_routes).values(row))


def _keep_detail(tx: Connection, account: str, dialect: str, asked: Sequence[Shadowed]) -> None:
    failed = [one for one in asked if one.outcome == "failed"]
    if failed:
        mine = (shadows.c.account == account, shadows.c.dialect == dialect)
        said = {"detail": failed[-1].detail[:MAX_DETAIL], "detail_at": failed[-1].at}
        tx.execute(update(shadows).where(*mine).values(said))


def _erased_at(tx: Connection, account: str) -> int | None:
    """When the last erasure of one of its users was asked for."""
    last = select(func.max(erasures.c.asked_at)).where(erasures.c.account == account)
    found: int | None = tx.execute(last).scalar_one()
    return found


def _keep_differences(tx: Connection, account: str, asked: Sequence[Shadowed]) -> None:
    d = shadow_differences.c
    rows = [
        {
            "id": new_id("shd_"),
            "fields": msgspec.json.encode(one.fields).decode(),
            **{name: getattr(one, name) for name in ("account", "dialect", "provider", "route", "at", "count")},
            **{name: getattr(one, name)[:MAX_ANSWER_CHARS] for name in ("question", "ours", "theirs")},
        }
        for one in asked
        if one.outcome == "differed"
    ]
    if not rows:
        return
    tx.execute(insert(shadow_differences), rows)
    keep_newest(tx, d.id, d.account == account, MOST_DIFFERENCES)


def _switch(*row: Any) -> Switch:
    found = Switch(*row)
    return msgspec.structs.replace(found, enabled=bool(found.enabled))


def _difference(*row: Any) -> Difference:
    found = Difference(*row)
    fields = msgspec.json.decode(row[8].encode(), type=tuple[Differs, ...])
    return msgspec.structs.replace(found, fields=fields)
