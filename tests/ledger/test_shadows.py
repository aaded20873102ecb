"""Shadows in the ledger: off until turned on, counted by route, bounded and forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection

from flowtally.core.comparing import Differs
from flowtally.core.errors import Conflict, NotFound, Unprocessable
from flowtally.core.times import DAY_MS
from flowtally.ledger import trail
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import accounts, users
from flowtally.ledger.providers import connected, shadows
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.shadows import KEPT_DAYS, MAX_ANSWER_CHARS, MOST_DIFFERENCES, RouteCount, Shadowed

NOW = 1_700_000_000_000


@pytest.fixture
def tx(ledger: Ledger) -> Iterator[Connection]:
    with ledger.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=1)
        yield tx


@pytest.fixture
def thor(tx: Connection) -> Provider:
    return add(tx, "thor")


def add(tx: Connection, name: str, account: str = "acme", vendor: str = "thordata") -> Provider:
    return connected.add_provider(tx, account, name, vendor, secrets={"token": "sealed"}, settings={}, since=5, now=NOW)


def turn_on(tx: Connection, provider: str = "thor", share: int = 100, now: int = NOW) -> Any:
    return shadows.set_shadow(tx, "acme", "thordata", enabled=True, provider=provider, share=share, now=now)


def asked(provider: Provider, at: int = NOW, outcome: Any = "differed", **more: Any) -> Shadowed:
    values: dict[str, Any] = {
        "route": "GET /",
        "question": "{}",
        "ours": "1",
        "theirs": "2",
        "fields": (Differs("n", "1", "2", "1"),),
        "count": 1,
    }
    return Shadowed("acme", "thordata", provider.id, at=at, outcome=outcome, **(values | more))


def told(tx: Connection, **which: Any) -> list[str]:
    return [one.ours for one in shadows.list_differences(tx, "acme", limit=1000, **which).items]


def test_it_is_off_until_it_is_turned_on_and_off_again_after(tx: Connection, thor: Provider) -> None:
    assert shadows.read_shadow(tx, "acme", "thordata") is None
    assert shadows.set_shadow(tx, "acme", "thordata", enabled=False, now=NOW) is None
    assert shadows.switched_on(tx) == []
    on = turn_on(tx, share=20)
    assert (on.provider, on.enabled, on.share) == (thor.id, True, 20)
    assert shadows.switched_on(tx) == [on]
    assert shadows.read_asked(tx, "acme", "thordata") == (on, thor)
    assert shadows.read_asked(tx, "acme", "ipfoxy") is shadows.read_asked(tx, "beta", "thordata") is None
    off = shadows.set_shadow(tx, "acme", "thordata", enabled=False, now=NOW + 1)
    assert off is not None
    assert (off.enabled, off.provider, shadows.switched_on(tx)) == (False, thor.id, [])


@pytest.mark.parametrize(
    "why", ["another account's", "another vendor's", "unknown", "none", "removed", "no share", "closed"]
)
def test_it_is_turned_on_only_with_what_can_be_asked(tx: Connection, thor: Provider, why: str) -> None:
    add(tx, "theirs", "beta")
    add(tx, "fox", vendor="ipfoxy")
    names = {"another account's": "theirs", "another vendor's": "fox", "unknown": "nobody", "none": None}
    if why == "removed":
        connected.remove_provider(tx, "thor", now=NOW)
    if why == "closed":
        accounts.change_account(tx, "acme", status="closed", now=NOW)
    share = 0 if why == "no share" else 100
    with pytest.raises((Conflict, NotFound, Unprocessable)):
        turn_on(tx, names.get(why, "thor"), share)  # type: ignore[arg-type]
    assert shadows.switched_on(tx) == []


@pytest.mark.parametrize("ended", ["removed", "paused", "closed"])
def test_nobody_is_asked_with_a_provider_that_is_not_asked_or_for_a_closed_account(
    tx: Connection, thor: Provider, ended: str
) -> None:
    turn_on(tx)
    if ended == "removed":
        connected.remove_provider(tx, "thor", now=NOW)
    elif ended == "paused":
        connected.change_provider(tx, "thor", paused=True, now=NOW)
    else:
        accounts.change_account(tx, "acme", status="closed", now=NOW)
    assert shadows.switched_on(tx) == []
    assert shadows.read_asked(tx, "acme", "thordata") is None
    switch = shadows.read_shadow(tx, "acme", "thordata")
    assert switch is not None
    assert switch.enabled == (ended != "removed")


def test_what_calls_came_to_is_counted_by_route_and_the_last_failure_told(tx: Connection, thor: Provider) -> None:
    turn_on(tx)
    shadows.keep_asked(tx, [asked(thor, NOW + n, "agreed") for n in range(3)], now=NOW)
    failed = [asked(thor, NOW + n, "failed", detail=f"HTTP 50{n}", route="GET /b") for n in range(2)]
    shadows.keep_asked(tx, [*failed, asked(thor, NOW + 9)], now=NOW)
    assert shadows.read_routes(tx, "acme", "thordata") == [
        RouteCount("GET /", 3, 1, 0, NOW + 9),
        RouteCount("GET /b", 0, 0, 2, NOW + 1),
    ]
    switch = shadows.read_shadow(tx, "acme", "thordata")
    assert switch is not None
    assert (switch.detail, switch.detail_at) == ("HTTP 501", NOW + 1)
    assert turn_on(tx, now=NOW + 5).detail == ""


def test_a_difference_is_told_as_it_was_and_long_texts_are_cut(tx: Connection, thor: Provider) -> None:
    shadows.keep_asked(tx, [asked(thor, NOW, ours="x" * 9999)], now=NOW)
    [one] = shadows.list_differences(tx, "acme").items
    assert (one.provider, one.dialect, one.route, one.at, one.question) == ("thor", "thordata", "GET /", NOW, "{}")
    assert (one.theirs, one.fields, one.count) == ("2", (Differs("n", "1", "2", "1"),), 1)
    assert len(one.ours) == MAX_ANSWER_CHARS
    assert told(tx, dialect="ipfoxy") == []
    assert shadows.list_differences(tx, "beta").items == []


def test_only_the_newest_of_an_account_are_kept_and_none_for_long(tx: Connection, thor: Provider) -> None:
    for number in range(MOST_DIFFERENCES + 5):
        shadows.keep_asked(tx, [asked(thor, NOW + number, ours=str(number))], now=NOW)
    assert told(tx) == [str(number) for number in range(5, MOST_DIFFERENCES + 5)]
    later = NOW + MOST_DIFFERENCES + KEPT_DAYS * DAY_MS
    assert shadows.has_old(tx, later)
    assert shadows.forget_differences(tx, now=later) == MOST_DIFFERENCES - 5
    assert told(tx) == [str(number) for number in range(MOST_DIFFERENCES, MOST_DIFFERENCES + 5)]
    assert not shadows.has_old(tx, later)
    shadows.keep_asked(tx, [asked(thor, later + DAY_MS, ours="new")], now=later + DAY_MS)
    assert told(tx) == ["new"]


def test_many_at_once_are_no_more_than_the_newest(tx: Connection, thor: Provider) -> None:
    shadows.keep_asked(tx, [asked(thor, NOW + n, ours=str(n)) for n in range(MOST_DIFFERENCES * 2)], now=NOW)
    assert told(tx) == [str(number) for number in range(MOST_DIFFERENCES, MOST_DIFFERENCES * 2)]


def test_with_a_user_all_texts_go_and_none_of_an_earlier_call_comes_after(tx: Connection, thor: Provider) -> None:
    users.ensure_users(tx, [("acme", "eve")], 4)
    turn_on(tx)
    shadows.keep_asked(tx, [asked(thor), asked(thor, NOW, "failed", detail="no user eve")], now=NOW)
    erasures.erase_user(tx, "acme", "eve", now=NOW + 5)
    late = [asked(thor, NOW + 5, ours="eve"), asked(thor, NOW + 4, "failed", detail="eve")]
    shadows.keep_asked(tx, [*late, asked(thor, NOW + 6, ours="after")], now=NOW + 7)
    switch = shadows.read_shadow(tx, "acme", "thordata")
    assert switch is not None
    assert (told(tx), switch.detail) == (["after"], "")
    [count] = shadows.read_routes(tx, "acme", "thordata")
    assert (count.differed, count.failed) == (3, 2)


def test_of_an_account_that_was_erased_nothing_is_kept_any_more(tx: Connection, thor: Provider) -> None:
    turn_on(tx)
    accounts.change_account(tx, "acme", status="closed", now=NOW)
    erased_accounts.erase_account(tx, "acme", now=NOW + 1)
    shadows.keep_asked(tx, [asked(thor, NOW + 2)], now=NOW + 3)
    assert told(tx) == []
    switch = shadows.read_shadow(tx, "acme", "thordata")
    assert switch is not None
    assert not switch.enabled


def test_it_is_on_the_record_who_turned_it_on_and_no_text_of_a_call_is(tx: Connection, thor: Provider) -> None:
    turn_on(tx)
    shadows.keep_asked(tx, [asked(thor, ours="ours of evelyn", question="of evelyn", detail="evelyn")], now=NOW)
    said = {one.action: one.after for one in trail.made(tx)}
    assert '"enabled":true' in said["shadow.set"]
    assert thor.id in said["shadow.set"]
    assert '"differed":1' in said["shadow.asked"]
    assert not [one for one in trail.made(tx) if "evelyn" in one.before + one.after]
