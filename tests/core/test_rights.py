"""The rule that nobody gives more than they have, against a slow model: all single acts a credential can do."""

from __future__ import annotations

from ipaddress import ip_address, ip_network
from itertools import product
from typing import get_args

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flowtally.core import rights
from flowtally.core.errors import Forbidden
from flowtally.core.rights import ALL, INSTALLATION, MEANINGS, OF_ACCOUNTS, PRESETS, Right, Scope
from flowtally.ledger.people.credentials import Credential
from flowtally.web import auth

ACCOUNTS = ("acme", "beta")
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "10.1.2.3", "2001:db8::/32", "2001:db8::1")
PLACES = ("10.1.2.3", "10.1.9.9", "10.9.9.9", "192.0.2.1", "2001:db8::1", "2001:db8::2")
TIMES = (10, 20, 30)
Act = tuple[str, str | None, str, int]  # a right, for which account (None: the installation), from where, when


def acts(one: Credential) -> set[Act]:
    """Everything it can do, one by one."""
    found: set[Act] = set()
    for right, account, place, time in product(ALL, (*ACCOUNTS, None), PLACES, TIMES):
        held = right in PRESETS[one.scope] or right in one.rights.split()
        whose = one.account is None or one.account == account
        there = not one.addresses or any(ip_address(place) in ip_network(each) for each in one.addresses.split())
        if held and whose and there and (one.expires_at is None or time < one.expires_at):
            found.add((right, account, place, time))
    return found


@st.composite
def credentials(draw: st.DrawFn) -> Credential:
    scope: Scope = draw(st.sampled_from(get_args(Scope)))
    account = None if scope == "admin" else draw(st.sampled_from(ACCOUNTS))
    if scope not in (*OF_ACCOUNTS, "admin"):
        account = draw(st.sampled_from((*ACCOUNTS, None)))
    some = sorted(ALL if account is None else ALL - INSTALLATION)
    more = draw(st.sets(st.sampled_from(some), min_size=scope == "custom", max_size=4))
    addresses = " ".join(draw(st.lists(st.sampled_from(NETWORKS), max_size=3, unique=True)))
    ends = draw(st.sampled_from((None, 5, 15, 25)))
    id = draw(st.sampled_from(("crd_1", "crd_2")))
    return Credential(
        id, scope, account, "", 0, rights=rights.beyond(scope, more), addresses=addresses, expires_at=ends
    )


def gives(giver: Credential, given: Credential) -> bool:
    try:
        auth.require_gives(giver, given)
    except Forbidden:
        return False
    return True


ADMIN = Credential("crd_1", "admin", None, "", 0)
DESK = Credential("crd_2", "custom", "acme", "", 0, rights="credentials:write usage:read")


@settings(max_examples=60, deadline=None)
@given(credentials(), credentials())
@example(ADMIN, DESK)
@example(DESK, ADMIN)
@example(DESK, replace(DESK, account=None))
@example(DESK, replace(DESK, expires_at=25, addresses="10.1.2.3"))
@example(replace(DESK, addresses="10.0.0.0/8"), DESK)
@example(replace(DESK, expires_at=15), DESK)
def test_what_may_be_given_can_do_nothing_that_its_giver_cannot(giver: Credential, given: Credential) -> None:
    allowed = gives(giver, given)
    within = acts(given) <= acts(giver)
    assert not allowed or within
    if within and acts(given) and given.scope != "admin" and given.addresses == giver.addresses:
        same_life = given.expires_at == giver.expires_at  # later than any time of the model looks the same to it
        assert allowed or not same_life


@given(credentials())
def test_everybody_may_give_what_they_are(one: Credential) -> None:
    assert gives(one, one)


@given(credentials(), credentials(), credentials())
def test_nothing_is_gained_by_giving_on(first: Credential, second: Credential, third: Credential) -> None:
    if gives(first, second) and gives(second, third):
        assert gives(first, third)


@settings(max_examples=60, deadline=None)
@given(credentials(), credentials())
def test_what_is_held_is_held_whole(holder: Credential, other: Credential) -> None:
    try:
        auth.require_holds(holder, other)
    except Forbidden:
        return
    forever = (replace(one, addresses="", expires_at=None) for one in (other, holder))
    assert acts(next(forever)) <= acts(next(forever))


def test_every_right_says_what_it_is_good_for_and_scopes_hold_known_rights() -> None:
    assert set(MEANINGS) == ALL == PRESETS["admin"]
    assert PRESETS["account"] < PRESETS["manage"] < ALL
    assert "corrections:write" not in PRESETS["ingest"]
    for scope in OF_ACCOUNTS:
        assert not PRESETS[scope] & INSTALLATION
    assert all(one.partition(":")[2] in ("read", "write") for one in ALL)


@pytest.mark.parametrize("scope", get_args(Scope))
def test_rights_beyond_a_scope_are_kept_once_and_held_with_it(scope: Scope) -> None:
    wanted: list[Right] = ["users:write", "events:write", "users:write", "audit:read"]
    kept = rights.beyond(scope, wanted)
    assert rights.held(scope, kept) == PRESETS[scope] | set(wanted)
    assert not PRESETS[scope].intersection(kept.split())
