"""Check-ins: once a day of the account's own zone, whatever the clocks and the zone do."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from flowtally.core.edges import format_instant, load_zone, parse_instant
from flowtally.core.errors import CheckedIn, CheckInCapReached, CheckInsOff, Conflict, UnknownAccount
from flowtally.ledger.checks import rules
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import check_ins, grants
from flowtally.ledger.traffic.check_ins import CheckIn, Reward

REWARD = Reward(100, 30, 0)
HOUR, DAY = 3_600_000, 86_400_000
ZONES = ("UTC", "Pacific/Auckland", "Pacific/Honolulu", "Pacific/Kiritimati", "Europe/Berlin", "Australia/Lord_Howe")


def account(ledger: Ledger, zone: str, name: str = "acme") -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, name, timezone=zone, now=1)


def move(ledger: Ledger, zone: str) -> None:
    with ledger.begin() as tx:
        accounts.change_account(tx, "acme", timezone=zone, now=1)


def check_in(ledger: Ledger, at: str | int, reward: Reward = REWARD, name: str = "acme") -> CheckIn:
    now = parse_instant(at) if isinstance(at, str) else at
    with ledger.begin() as tx:
        return check_ins.check_in(tx, name, reward, now=now)


def refused(ledger: Ledger, at: str | int, reward: Reward = REWARD) -> Any:
    """From when it is possible."""
    with pytest.raises((CheckedIn, CheckInCapReached)) as error:
        check_in(ledger, at, reward)
    return error.value.extra["next_at"]


def test_a_check_in_gives_a_grant_of_the_local_date(ledger: Ledger) -> None:
    account(ledger, "Europe/Berlin")
    made = check_in(ledger, "2026-03-14T23:30:00Z")
    with ledger.read() as tx:
        [grant] = grants.grants_of(tx, "acme")
        assert check_ins.list_check_ins(tx, "acme").items == [made]
        assert list(rules.faults(tx)) == []
    assert (grant.source, grant.reference, grant.pool, grant.amount) == ("sign", "2026-03-15", "traffic", 100)
    assert grant.expires_at == grant.starts_at + 30 * DAY
    assert (made.day, made.grant_id, made.amount) == ("2026-03-15", grant.id, 100)


def test_the_second_on_a_day_is_told_when_the_next_is_possible(ledger: Ledger) -> None:
    account(ledger, "Europe/Berlin")
    check_in(ledger, "2026-03-14T23:30:00Z")
    assert refused(ledger, "2026-03-15T22:59:59.999Z") == "2026-03-16T00:00:00+01:00"
    assert check_in(ledger, "2026-03-15T23:00:00Z").day == "2026-03-16"


@pytest.mark.parametrize(
    ("zone", "first", "following"),
    [
        ("Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-30T00:00:00+02:00"),  # a day of 23 hours
        ("Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-26T00:00:00+01:00"),  # of 25
        ("Australia/Lord_Howe", "2026-04-04T13:00:00Z", "2026-04-06T00:00:00+10:30"),  # of 24 and a half
        ("America/Sao_Paulo", "2018-11-03T12:00:00Z", "2018-11-04T01:00:00-02:00"),  # that begins at one o'clock
        ("America/Sao_Paulo", "2018-02-17T23:30:00Z", "2018-02-18T00:00:00-03:00"),  # whose last hour comes twice
        ("Pacific/Apia", "2011-12-29T20:00:00Z", "2011-12-31T00:00:00+14:00"),  # before a date that does not exist
    ],
)
def test_the_next_day_begins_where_the_calendar_says(ledger: Ledger, zone: str, first: str, following: str) -> None:
    account(ledger, zone)
    check_in(ledger, first)
    assert refused(ledger, parse_instant(following) - 1) == following
    check_in(ledger, following)


def test_no_zone_gives_a_day_again(ledger: Ledger) -> None:
    """Honolulu is a day behind Auckland: moving there and back brings dates again, but no reward."""
    account(ledger, "Pacific/Auckland")
    assert check_in(ledger, "2026-03-14T12:00:00Z").day == "2026-03-15"
    move(ledger, "Pacific/Honolulu")
    assert refused(ledger, "2026-03-14T13:00:00Z") == "2026-03-16T00:00:00-10:00"
    move(ledger, "Pacific/Auckland")
    assert refused(ledger, "2026-03-15T10:59:59Z") == "2026-03-16T00:00:00+13:00"


def test_a_zone_ahead_does_not_make_today_tomorrow(ledger: Ledger) -> None:
    """It is the 14th in Honolulu and the 15th in Auckland: one moment, one day."""
    account(ledger, "Pacific/Honolulu")
    assert check_in(ledger, "2026-03-14T12:00:00Z").day == "2026-03-14"
    move(ledger, "Pacific/Auckland")
    assert refused(ledger, "2026-03-14T12:00:01Z") == "2026-03-16T00:00:00+13:00"


def test_a_clock_set_back_gives_nothing_twice(ledger: Ledger) -> None:
    account(ledger, "UTC")
    check_in(ledger, "2026-03-15T12:00:00Z")
    assert refused(ledger, "2026-03-13T12:00:00Z") == "2026-03-16T00:00:00Z"


def test_a_month_gives_no_more_than_the_cap_and_says_when_the_next_begins(ledger: Ledger) -> None:
    account(ledger, "America/New_York")
    capped = Reward(100, 30, 250)
    amounts = [check_in(ledger, f"2026-03-0{day}T12:00:00Z", capped).amount for day in (1, 2, 3)]
    assert amounts == [100, 100, 50]
    assert refused(ledger, "2026-03-04T12:00:00Z", capped) == "2026-04-01T00:00:00-04:00"
    assert refused(ledger, "2026-04-01T03:59:59Z", capped) == "2026-04-01T00:00:00-04:00"
    assert check_in(ledger, "2026-04-01T04:00:00Z", capped).amount == 100


def test_what_was_voided_was_given(ledger: Ledger) -> None:
    account(ledger, "UTC")
    capped = Reward(100, 30, 100)
    made = check_in(ledger, "2026-03-01T12:00:00Z", capped)
    with ledger.begin() as tx:
        grants.void_grant(tx, made.grant_id, "acme", parse_instant("2026-03-01T13:00:00Z"))
    refused(ledger, "2026-03-02T12:00:00Z", capped)


def test_off_suspended_and_unknown_are_refused(ledger: Ledger) -> None:
    account(ledger, "UTC")
    with pytest.raises(CheckInsOff):
        check_in(ledger, 5, Reward(0, 30, 0))
    with pytest.raises(UnknownAccount):
        check_in(ledger, 5, name="nobody")
    with ledger.begin() as tx:
        accounts.change_account(tx, "acme", status="suspended", now=2)
    with pytest.raises(Conflict, match="suspended"):
        check_in(ledger, 5)


def test_pages_are_in_order_of_day(ledger: Ledger) -> None:
    account(ledger, "UTC")
    account(ledger, "UTC", "beta")
    made = [check_in(ledger, f"2026-03-0{day}T12:00:00Z") for day in range(1, 6)]
    check_in(ledger, "2026-03-01T12:00:00Z", name="beta")
    with ledger.read() as tx:
        first = check_ins.list_check_ins(tx, "acme", limit=3)
        assert first.items + check_ins.list_check_ins(tx, "acme", first.next).items == made
        with pytest.raises(UnknownAccount):
            check_ins.list_check_ins(tx, "nobody")


def test_of_many_at_once_one_is_rewarded(ledger: Ledger, url: str) -> None:
    account(ledger, "UTC")
    other = Ledger.open(url)  # as a second process would

    def one(turn: int) -> bool:
        try:
            check_in((ledger, other)[turn % 2], 5 * DAY + turn)
        except CheckedIn:
            return False
        return True

    with ThreadPoolExecutor(8) as threads:
        assert sum(threads.map(one, range(24))) == 1
    with ledger.read() as tx:
        assert len(grants.grants_of(tx, "acme")) == 1
    other.close()


STEPS = st.lists(st.tuples(st.sampled_from(ZONES), st.integers(0, 40)), max_size=40)


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=STEPS, start=st.integers(0, 365 * 24))
def test_whatever_the_zone_does_dates_go_forward_and_days_do_not_multiply(
    app_ledger: Ledger, steps: list[tuple[str, int]], start: int
) -> None:
    """Tried at every step of some hours, in a zone that is changed before each: no date twice, and no more rewards
    than days have passed, but for the two that the widest zones are apart."""
    now = first = parse_instant("2026-01-01T00:00:00Z") + start * HOUR
    days: list[str] = []
    with app_ledger.begin() as tx:
        savepoint = tx.begin_nested()
        accounts.create_account(tx, "acme", now=1)
        for zone, hours in steps:
            now += hours * HOUR
            accounts.change_account(tx, "acme", timezone=zone, now=1)
            following = check_ins.next_check_in(tx, "acme")
            if now < following:
                with pytest.raises(CheckedIn) as error:
                    check_ins.check_in(tx, "acme", REWARD, now=now)
                assert error.value.extra["next_at"] == format_instant(following, load_zone(zone))
            else:
                made = check_ins.check_in(tx, "acme", REWARD, now=now)
                assert made.day == datetime.fromtimestamp(now // 1000, ZoneInfo(zone)).date().isoformat()
                days.append(made.day)
        assert list(rules.faults(tx)) == []
        savepoint.rollback()
    assert days == sorted(set(days))
    assert len(days) <= (now - first) // DAY + 3
