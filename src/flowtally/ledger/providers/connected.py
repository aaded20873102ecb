"""Providers: the accounts that an account of ours has at vendors, and how they are asked.

Owns a provider's settings, its sealed secrets and its end. Its name is the series of what the vendor says of it: it is
unique in the installation, and nobody else's ever after. Removing one destroys its secrets; what it said stays. Which
settings and secrets a vendor wants is its puller's to say, and what the rules of reconciling mean is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, get_args

import msgspec
from msgspec.structs import replace
from sqlalchemy import ColumnElement, Connection, Select, and_, case, delete, func, insert, select, update

from flowtally.core.edges import format_instant
from flowtally.core.errors import Conflict, LimitReached, NotFound, Unprocessable
from flowtally.core.events import METERED
from flowtally.core.reported import is_series
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_S, HOUR_MS, LAST_INSTANT
from flowtally.core.words import ProviderState
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.tables import accounts, provider_secrets, providers, shadows
from flowtally.ledger.texts import check_instant, check_number, check_text

MOST: Final = 50  # providers of one account, those that were removed not counted
MAX_EVERY_S: Final = 7 * DAY_S
MIN_EVERY_S: Final = 60
MAX_ADDRESS_CHARS: Final = 1_000
MAX_RULES_CHARS: Final = 200_000
MAX_SETTINGS: Final = 50
OVERDUE_MS: Final = HOUR_MS  # that one waits beyond its time until it is told to be late
NEVER: Final = LAST_INSTANT  # when one that is paused is asked next, unless somebody asks for it
_WELL: Final = ("new", "ok")


class Provider(msgspec.Struct, frozen=True):
    """address: Where it is asked; empty: at the vendor's own.
    settings: What is said when it is added, but for the secrets. rules: How it is reconciled, JSON.
    since: From which instant on its usage is wanted. every_s: Seconds between two pulls, None: as its vendor's figures
        move.
    state, state_since, detail: What the last pull came to, since when, and why.
    failures: Pulls that failed in a row. tried_at, pulled_at, next_at: The last one, the last good one, the next one,
        which is `NEVER` where it is paused and nobody asked for one.
    """

    id: str
    account: str
    name: str
    vendor: str
    address: str
    settings: dict[str, str]
    rules: str
    since: int
    every_s: int | None
    paused: bool
    created_at: int
    changed_at: int
    removed_at: int | None
    state: ProviderState
    state_since: int
    detail: str
    failures: int
    tried_at: int | None
    pulled_at: int | None
    next_at: int


def add_provider(
    tx: Connection,
    account: str,
    name: str,
    vendor: str,
    *,
    secrets: Mapping[str, str],
    settings: Mapping[str, str],
    since: int,
    now: int,
    address: str = "",
    every_s: int | None = None,
) -> Provider:
    """Connect an account at a vendor; `secrets` are sealed. UnknownAccount, Conflict (closed account, name taken, once
    or now), LimitReached, Unprocessable."""
    read_open_account(tx, account)
    if _find(tx, _checked_name(name)) is not None:
        raise Conflict(
            f"a provider {name!r} exists already, or was removed: its figures keep the name; choose another", name=name
        )
    mine = select(func.count()).where(providers.c.account == account, providers.c.removed_at.is_(None))
    if (count := tx.execute(mine).scalar_one()) >= MOST:
        raise LimitReached(f"account {account!r} has {count} providers; {MOST} are allowed", limit=MOST)
    provider = Provider(
        id=new_id("prv_"),
        account=account,
        name=name,
        vendor=vendor,
        address=check_text("address", address, most=MAX_ADDRESS_CHARS),
        settings=_checked_settings(settings),
        rules="",
        since=check_instant("since", since),
        every_s=_checked_pause(every_s),
        paused=False,
        created_at=now,
        changed_at=now,
        removed_at=None,
        state="new",
        state_since=now,
        detail="",
        failures=0,
        tried_at=None,
        pulled_at=None,
        next_at=now,
    )
    tx.execute(insert(providers).values(_values(provider)))
    _seal(tx, provider.id, secrets)
    trail.note(tx, "provider.add", account=account, subject=provider.id, after=_facts(provider, secrets))
    return provider


def change_provider(
    tx: Connection,
    name: str,
    *,
    now: int,
    secrets: Mapping[str, str] | None = None,
    settings: Mapping[str, str] | None = None,
    address: str | None = None,
    every_s: int | None = None,
    paused: bool | None = None,
    rules: str | None = None,
) -> Provider:
    """Change what is given; other secrets or settings have it asked at once, unless it is paused. `secrets` replace
    those of their names; `settings` all. NotFound; Conflict where it was removed; Unprocessable."""
    was = read_live(tx, name)
    anew = secrets is not None or settings is not None or address is not None or (was.paused and paused is False)
    now_is = replace(
        was,
        settings=was.settings if settings is None else _checked_settings(settings),
        address=was.address if address is None else check_text("address", address, most=MAX_ADDRESS_CHARS),
        every_s=was.every_s if every_s is None else _checked_pause(every_s),
        paused=was.paused if paused is None else paused,
        rules=was.rules if rules is None else check_text("rules", rules, most=MAX_RULES_CHARS),
    )
    if now_is == was and not secrets:
        return was
    now_is = replace(now_is, changed_at=now, failures=0 if anew else was.failures)
    if now_is.paused and not was.paused:
        now_is = replace(now_is, next_at=NEVER)
    elif anew and not now_is.paused:
        now_is = replace(now_is, next_at=now)
    tx.execute(update(providers).where(providers.c.id == was.id).values(_values(now_is)))
    if secrets:
        tx.execute(
            delete(provider_secrets).where(
                provider_secrets.c.provider == was.id, provider_secrets.c.name.in_(list(secrets))
            )
        )
        _seal(tx, was.id, secrets)
    trail.note(
        tx,
        "provider.change",
        account=was.account,
        subject=was.id,
        before=_facts(was, {}),
        after=_facts(now_is, secrets or {}),
    )
    return now_is


def remove_provider(tx: Connection, name: str, *, now: int) -> Provider:
    """Ask it no more, and destroy its secrets; what it said stays. A second time changes nothing. NotFound."""
    was = read_provider(tx, name)
    if was.removed_at is not None:
        return was
    end_providers(tx, providers.c.id == was.id, at=now)
    trail.note(tx, "provider.remove", account=was.account, subject=was.id, after={"name": was.name})
    return read_provider(tx, name)


def end_providers(tx: Connection, which: ColumnElement[bool], *, at: int) -> None:
    """They are asked no more, and what they were asked with is gone; who calls it says so on the record."""
    mine = select(providers.c.id).where(which)
    tx.execute(delete(provider_secrets).where(provider_secrets.c.provider.in_(mine)))
    tx.execute(update(shadows).where(shadows.c.provider.in_(mine)).values(enabled=0))
    ended = {"removed_at": at, "changed_at": at, "state": "removed", "state_since": at, "detail": "", "failures": 0}
    tx.execute(update(providers).where(which, providers.c.removed_at.is_(None)).values(ended))


def read_provider(tx: Connection, name: str, account: str | None = None) -> Provider:
    """The provider of this name, removed or not; `account`: only if it is that one's. NotFound."""
    found = _find(tx, name)
    if found is None or (account is not None and found.account != account):
        of = "" if account is None else f" of account {account!r}"
        raise NotFound(f"there is no provider {name!r}{of}", provider=name)
    return found


def read_live(tx: Connection, name: str) -> Provider:
    """One that was not removed. NotFound, Conflict."""
    found = read_provider(tx, name)
    if found.removed_at is not None:
        raise Conflict(f"provider {name!r} was removed: nothing of it changes any more", provider=name)
    return found


def list_providers(
    tx: Connection,
    account: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    removed: bool = False,
) -> ListPage[Provider]:
    """Providers in the order they were added, of one account or of all; `removed`: also those. UnknownAccount."""
    query = _providers()
    if account is not None:
        read_account(tx, account)
        query = query.where(providers.c.account == account)
    if not removed:
        query = query.where(providers.c.removed_at.is_(None))
    return read_page(tx, "providers", query, providers.c.id, provider_of, (account, removed), after=after, limit=limit)


def name_of(tx: Connection, provider_id: str) -> str:
    """What the provider of this id is called, removed or not."""
    found: str = tx.execute(select(providers.c.name).where(providers.c.id == provider_id)).scalar_one()
    return found


def sealed_secrets(tx: Connection, provider_id: str) -> dict[str, str]:
    """What it is asked with, by name, as the vault sealed it."""
    query = select(provider_secrets.c.name, provider_secrets.c.sealed)
    mine = query.where(provider_secrets.c.provider == provider_id)
    return {row.name: row.sealed for row in tx.execute(mine.order_by(provider_secrets.c.name))}


def due_providers(tx: Connection, by: int, limit: int) -> list[Provider]:
    """Those that are to be asked by this instant, the longest waiting first."""
    query = (
        _providers()
        .where(_asked(), providers.c.next_at <= by)
        .order_by(providers.c.next_at, providers.c.id)
        .limit(limit)
    )
    return [provider_of(*row) for row in tx.execute(query)]


def next_due(tx: Connection) -> int | None:
    """When the next one is to be asked."""
    found: int | None = tx.execute(select(func.min(providers.c.next_at)).where(_asked())).scalar_one()
    return found


def as_it_is(provider: Provider, now: int, asked: str | None) -> Provider:
    """Late where it is overdue: nobody has asked it, so no pull has said so. `asked`: the id of the one that is just
    being asked, which may take hours."""
    waits = provider.removed_at is None and provider.state in _WELL and provider.id != asked
    if not waits or provider.next_at > now - OVERDUE_MS:
        return provider
    why = (
        f"It was to be asked at {format_instant(provider.next_at)}, and nobody has: others take long, the server asks "
        "no vendor (FLOWTALLY_PULL_PROVIDERS), or the account is closed"
    )
    return replace(provider, state="late", state_since=provider.next_at, detail=why)


def count_states(tx: Connection, at: int, asked: str | None) -> dict[str, int]:
    """How many there are in each state, as `as_it_is` tells it; those that were removed left out."""
    p = providers.c
    overdue = and_(p.state.in_(_WELL), p.next_at <= at - OVERDUE_MS, p.id != (asked or ""))
    state = case((overdue, "late"), else_=p.state)
    live = select(state, func.count()).where(p.removed_at.is_(None))
    counts = {row[0]: int(row[1]) for row in tx.execute(live.group_by(state))}
    return {state: counts.get(state, 0) for state in get_args(ProviderState) if state != "removed"}


def _asked() -> ColumnElement[bool]:
    """Those that are asked: nobody pulls for an account that is closed."""
    closed = select(accounts.c.id).where(accounts.c.id == providers.c.account, accounts.c.status == "closed")
    return and_(providers.c.removed_at.is_(None), ~closed.exists())


def _providers() -> Select[Any]:
    return select(*providers.c)


def provider_of(*row: Any) -> Provider:
    """A row of the table."""
    values = dict(zip((column.name for column in providers.c), row, strict=True))
    settings = msgspec.json.decode((values.pop("settings") or "{}").encode(), type=dict[str, str])  # '': erased
    return Provider(**values | {"settings": settings, "paused": bool(values["paused"])})


def _values(provider: Provider) -> dict[str, Any]:
    settings = msgspec.json.encode(provider.settings, order="sorted").decode()
    return msgspec.structs.asdict(provider) | {"settings": settings, "paused": int(provider.paused)}


def _facts(provider: Provider, secrets: Mapping[str, str]) -> dict[str, Any]:
    """What was set, and of texts (they may go with their account) and secrets which were."""
    found = {name: getattr(provider, name) for name in ("name", "vendor", "since", "every_s", "paused")}
    found |= {"set": sorted(provider.settings), "elsewhere": bool(provider.address), "ruled": bool(provider.rules)}
    return found | ({"given": sorted(secrets)} if secrets else {})


def _find(tx: Connection, name: str) -> Provider | None:
    if not may_be_known(name):
        return None
    row = tx.execute(_providers().where(providers.c.name == name)).one_or_none()
    return None if row is None else provider_of(*row)


def _seal(tx: Connection, provider_id: str, secrets: Mapping[str, str]) -> None:
    if secrets:
        rows = [
            {"id": f"{provider_id}/{name}", "provider": provider_id, "name": name, "sealed": sealed}
            for name, sealed in secrets.items()
        ]
        tx.execute(insert(provider_secrets), rows)


def _checked_name(name: str) -> str:
    if not is_series(name):
        detail = "1 to 64 small letters, digits, dots, dashes and underscores, a letter or digit first"
        raise Unprocessable(f"name {name[:80]!r}: {detail}; not {METERED!r}", field="name")
    return name


def _checked_pause(every_s: int | None) -> int | None:
    return None if every_s is None else check_number("every_s", every_s, least=MIN_EVERY_S, most=MAX_EVERY_S)


def _checked_settings(settings: Mapping[str, str]) -> dict[str, str]:
    if len(settings) > MAX_SETTINGS:
        raise Unprocessable(f"settings has {len(settings)} members; {MAX_SETTINGS} are allowed", field="settings")
    return {
        check_text("settings", name, least=1): check_text(f"settings.{name}", value, most=MAX_ADDRESS_CHARS)
        for name, value in settings.items()
    }
