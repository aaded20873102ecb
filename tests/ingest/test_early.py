"""Events that nothing will pay are told in the answer to their request: as much as the balance says afterwards."""

from __future__ import annotations

from typing import Any, Final

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW
from tests.ingest.conftest import Services, named, numbered

from flowtally.answers.account_balance import make_balance
from flowtally.answers.user_balance import make_user_balance
from flowtally.core.edges import format_instant
from flowtally.core.errors import Unavailable
from flowtally.ingest.early import MOST
from flowtally.ledger.people import accounts, managed, users
from flowtally.ledger.traffic import allocations, grants
from flowtally.protocol import NeverPaid, NeverPaidEvents

DAY: Final = 86_400_000
BEGAN: Final = NOW - 10 * DAY


def at(instant: int) -> str:
    return format_instant(instant)


def event(id: str, **more: Any) -> dict[str, Any]:
    return named(id, **more)[0]


def open_account(services: Services, name: str, *, carry_from: int = BEGAN, overage: Any = "carry") -> None:
    with services.ledger.begin() as tx:
        accounts.create_account(tx, name, now=BEGAN, carry_from=carry_from, overage=overage)


def give(services: Services, name: str, starts_at: int, pool: str = "traffic") -> str:
    with services.ledger.begin() as tx:
        made = grants.give_grant(tx, name, 1000, now=NOW, starts_at=starts_at, pool=pool).id
    services.door.gave(name)
    return made


def test_events_before_the_account_are_told_and_told_again(light: Services) -> None:
    open_account(light, "new")
    early = [event(f"e{n}", account="new", time=at(BEGAN - n * DAY), bytes_up=0, bytes_down=10) for n in (1, 2)]
    late = event("late", account="new", time=at(BEGAN))
    told = NeverPaidEvents("new", "traffic", "bytes", 2, 20, at(BEGAN - 2 * DAY), at(BEGAN), "account")
    first = light.send(*early, late)
    assert (first.stored, first.never_paid) == (3, [told])
    again = light.send(*early, late)
    assert (again.duplicate, again.never_paid) == (3, [told])
    assert light.send(event("live", account="new", time=at(NOW))).never_paid == []


def test_numbered_events_are_told_too_and_refused_ones_are_not(light: Services) -> None:
    open_account(light, "new")
    odd: dict[str, Any] = {"account": "new", "time": at(BEGAN - 1), "bytes_up": 1, "bytes_down": 1}
    answer = light.send(*numbered(1, 2, **odd), *numbered(3, 3, **odd | {"time": at(NOW + DAY)}))
    assert (answer.stored, answer.refused) == (2, 1)
    assert [(one.events, one.amount) for one in answer.never_paid] == [(2, 4)]


def test_a_grant_that_starts_earlier_ends_it(light: Services) -> None:
    open_account(light, "new")
    early = event("e", account="new", time=at(BEGAN - DAY))
    assert light.send(early).never_paid
    give(light, "new", BEGAN - DAY)
    assert light.send(early).never_paid == []
    [told] = light.send(event("f", account="new", time=at(BEGAN - 2 * DAY))).never_paid
    assert (told.began, told.before) == ("grant", at(BEGAN - DAY))


def test_the_first_grant_of_who_forgives_is_met_as_soon_as_it_is_given(light: Services) -> None:
    open_account(light, "new", overage="forgive")
    assert light.send(event("e", account="new", time=at(BEGAN + DAY))).never_paid == []
    grant = give(light, "new", BEGAN + 2 * DAY)
    [told] = light.send(event("f", account="new", time=at(BEGAN + DAY))).never_paid
    assert (told.began, told.grant, told.before) == ("grant", grant, at(BEGAN + 2 * DAY))


def test_a_funded_user_who_is_made_later_is_met_at_once(light: Services) -> None:
    open_account(light, "new")
    assert light.send(event("e", account="new", user="ann", time=at(BEGAN + DAY))).never_paid == []
    with light.ledger.begin() as tx:
        managed.create_user(tx, "new", "shop", funded=True, now=NOW - 900)
    light.door.gave("new")
    answer = light.send(*(event(user, account="new", user=user, time=at(NOW - 1001)) for user in ("ann", "shop")))
    [told] = answer.never_paid
    assert (told.user, told.began, told.events) == ("shop", "user", 1)


def test_a_name_that_was_used_twice_is_whoever_bore_it_at_the_time_of_the_event(light: Services) -> None:
    """The first `shop` pays from a purse of its own, the second does not."""
    open_account(light, "new")
    with light.ledger.begin() as tx:
        first = managed.create_user(tx, "new", "shop", funded=True, now=BEGAN + DAY)
        managed.delete_user(tx, "new", first.id, now=BEGAN + 2 * DAY)
        managed.create_user(tx, "new", "shop", now=BEGAN + 2 * DAY)
    light.door.gave("new")
    sent = [
        event(f"e{n}", account="new", user="shop", time=at(when), bytes_up=0, bytes_down=size)
        for n, (when, size) in enumerate([(BEGAN + 3 * DAY, 1), (BEGAN - DAY, 2), (BEGAN, 4), (BEGAN + 2 * DAY, 8)])
    ]
    [told] = light.send(*sent).never_paid
    assert (told.user, told.began, told.before, told.amount) == ("shop", "user", at(BEGAN + DAY), 6)
    assert light.send(*reversed(sent)).never_paid == [told]


def test_of_many_purses_those_with_the_most_events_are_told(light: Services) -> None:
    names = [f"n{n:02d}" for n in range(MOST + 3)]
    for name in names:
        open_account(light, name)
    events = [event(f"e{name}", account=name, time=at(BEGAN - 1)) for name in names]
    answer = light.send(*events, event("more", account=names[-1], time=at(BEGAN - 1)))
    assert (len(answer.never_paid), answer.more_never_paid) == (MOST, 3)
    assert (answer.never_paid[0].account, answer.never_paid[0].events) == (names[-1], 2)


def test_a_ledger_that_does_not_answer_afterwards_changes_no_receipt(
    light: Services, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_account(light, "new")

    def down(*_: object) -> None:
        raise Unavailable("the ledger does not answer")

    monkeypatch.setattr("flowtally.ledger.traffic.beginnings.of_accounts", down)
    answer = light.send(event("e", account="new", time=at(BEGAN - 1)))
    assert (answer.stored, answer.never_paid) == (1, [])


INSTANTS: Final = st.integers(-4, 4)
EVENTS: Final = st.lists(
    st.tuples(st.sampled_from(("", "ann", "shop")), st.sampled_from(("residential", "api", "mobile")), INSTANTS,
              st.integers(1, 9)),
    min_size=1, max_size=8,
)  # fmt: skip
NUMBER: Final = iter(range(10**9))


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    overage=st.sampled_from(("carry", "forgive")), carry=INSTANTS, given_=st.lists(INSTANTS, max_size=2),
    allocated=st.none() | INSTANTS, events=EVENTS,
)  # fmt: skip
def test_it_is_what_the_balance_says_of_use_before_any_grant(
    light: Services, overage: Any, carry: int, given_: list[int], allocated: int | None, events: list[Any]
) -> None:
    name = f"a{next(NUMBER)}"
    open_account(light, name, carry_from=BEGAN + carry, overage=overage)
    for starts in given_:
        give(light, name, BEGAN + starts)
    with light.ledger.begin() as tx:
        shop = managed.create_user(tx, name, "shop", funded=True, now=BEGAN)
        if allocated is not None:
            made = users.read_user(tx, name, shop.id)
            allocations.allocate(tx, made, 500, now=BEGAN + 9 + 1000 * max(0, allocated), pool="traffic", left=500)
    light.door.gave(name)
    sent = [
        event(f"{name}-{n}", account=name, user=user, product=product, time=at(BEGAN + when), bytes_up=0,
              bytes_down=size, requests=size)
        for n, (user, product, when, size) in enumerate(events)
    ]  # fmt: skip
    answer = light.send(*sent)
    assert answer.stored == len(sent)
    told = {
        (one.user, one.pool): (one.amount, one.before, one.began, one.grant, one.first) for one in answer.never_paid
    }
    assert told == said_by_balances(light, name, shop.id)


def said_by_balances(services: Services, account: str, shop: str) -> dict[tuple[str, str], tuple[Any, ...]]:
    with services.ledger.read() as tx:
        mine = make_balance(tx, services.store, account, NOW, tell_never_paid=True).never_paid
        users_own = make_user_balance(tx, services.store, account, shop, NOW, tell_never_paid=True).never_paid
    both = [("", one) for one in mine] + [("shop", one) for one in users_own]
    return {(user, one.pool): figures(one) for user, one in both if one.why == "no_grant"}


def figures(one: NeverPaidEvents | NeverPaid) -> tuple[object, ...]:
    return one.amount, one.before, one.began, one.grant, one.first
