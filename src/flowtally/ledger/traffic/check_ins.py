"""Check-ins: a reward an account takes once a day, by the calendar of its own zone.

The days of an account's check-ins only go forward, so no date is rewarded twice, whatever becomes of its zone: the next
one is possible when a day begins, in the zone it has then, that is later than the day of the last one, as that was
called then and as it would be called now. Rewards are grants; what a calendar month may give is counted by these dates.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import msgspec
from sqlalchemy import Connection, Select, func, insert, select

from flowtally.core.edges import first_instant, format_instant, load_zone, local_date
from flowtally.core.errors import CheckedIn, CheckInCapReached, CheckInsOff
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_active_account
from flowtally.ledger.tables import check_ins, grants
from flowtally.ledger.traffic.grants import give_grant
from flowtally.protocol.words import DEFAULT_POOL

SOURCE: Final = "sign"  # of the grants that reward


class Reward(msgspec.Struct, frozen=True):
    """What a check-in gives: `amount` bytes (0: check-ins are off) for `days` times 24 hours, and at most `cap` in a
    calendar month (0: no end)."""

    amount: int
    days: int
    cap: int


class CheckIn(msgspec.Struct, frozen=True):
    """`day` is the local date in `timezone`, the account's zone then."""

    account: str
    day: str
    timezone: str
    checked_in_at: int
    grant_id: str
    amount: int
    expires_at: int


def check_in(tx: Connection, account: str, reward: Reward, *, now: int) -> CheckIn:
    """Reward the account for today; for the last time in a month with what the cap leaves.

    CheckInsOff, CheckedIn, CheckInCapReached, UnknownAccount, AccountSuspended, Conflict (closed account).
    """
    owner = read_active_account(tx, account)
    if reward.amount == 0:
        raise CheckInsOff("this server gives nothing for a check-in", account=account)
    zone = load_zone(owner.timezone)
    _check_new_day(tx, account, zone, now)
    today = local_date(now, zone)
    amount = _rest_of_month(tx, account, reward, today, zone)
    expires_at = now + reward.days * DAY_MS
    grant = give_grant(
        tx,
        account,
        amount,
        now=now,
        pool=DEFAULT_POOL,
        source=SOURCE,
        reference=today.isoformat(),
        expires_at=expires_at,
    )
    made = CheckIn(account, today.isoformat(), owner.timezone, now, grant.id, amount, expires_at)
    tx.execute(insert(check_ins).values({column.name: getattr(made, column.name) for column in check_ins.c}))
    trail.note(tx, "check_in.make", account=account, subject=grant.id, after=trail.facts(made))
    return made


def next_check_in(tx: Connection, account: str) -> int:
    """From when the account can check in again; 0 when it never did. UnknownAccount."""
    return _next(tx, account, load_zone(read_account(tx, account).timezone))


def list_check_ins(
    tx: Connection, account: str, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> ListPage[CheckIn]:
    """The account's check-ins, which is in order of day. UnknownAccount."""
    read_account(tx, account)
    query = _check_ins(account)
    return read_page(tx, "check-ins", query, check_ins.c.day, CheckIn, (account,), after=after, limit=limit)


def _next(tx: Connection, account: str, zone: ZoneInfo) -> int:
    query = select(check_ins.c.day, check_ins.c.checked_in_at).where(check_ins.c.account == account)
    last = tx.execute(query.order_by(check_ins.c.day.desc()).limit(1)).one_or_none()
    if last is None:
        return 0
    # The zone may have changed since: neither what the day was called then nor what it is called now comes again.
    day = max(date.fromisoformat(last.day), local_date(last.checked_in_at, zone))
    return first_instant(day + timedelta(days=1), zone)


def _check_new_day(tx: Connection, account: str, zone: ZoneInfo, now: int) -> None:
    following = _next(tx, account, zone)
    if now < following:
        shown = format_instant(following, zone)
        raise CheckedIn(
            f"account {account!r} checked in already; again from {shown} on", account=account, next_at=shown
        )


def _rest_of_month(tx: Connection, account: str, reward: Reward, today: date, zone: ZoneInfo) -> int:
    if reward.cap == 0:
        return reward.amount
    first = today.replace(day=1)
    following = (first + timedelta(days=31)).replace(day=1)
    given = select(func.coalesce(func.sum(grants.c.amount), 0)).join(check_ins, check_ins.c.grant_id == grants.c.id)
    given = given.where(check_ins.c.account == account, check_ins.c.day >= first.isoformat())
    before = int(tx.execute(given.where(check_ins.c.day < following.isoformat())).scalar_one())
    if before >= reward.cap:
        shown = format_instant(first_instant(following, zone), zone)
        detail = f"check-ins of {first:%Y-%m} gave account {account!r} {before} of at most {reward.cap} bytes"
        raise CheckInCapReached(detail, account=account, given=before, cap=reward.cap, next_at=shown)
    return min(reward.amount, reward.cap - before)


def _check_ins(account: str) -> Select[Any]:
    """Columns in the order of CheckIn's fields."""
    query = select(*check_ins.c, grants.c.amount, grants.c.expires_at)
    return query.join(grants, grants.c.id == check_ins.c.grant_id).where(check_ins.c.account == account)
