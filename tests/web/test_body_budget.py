"""Bodies in work are bounded together."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.errors import QueueFull
from flowtally.web.capacity.body_budget import BodyBudget, Hold


def test_bodies_together_hold_at_most_the_limit() -> None:
    budget = BodyBudget(100)
    with budget.hold() as first, budget.hold() as second:
        first.add(60)
        second.add(40)
        with pytest.raises(QueueFull, match="60 bytes are in work"):
            second.add(1)
    assert budget.held == 0


def test_a_body_alone_is_never_without_room() -> None:
    budget = BodyBudget(10)
    with budget.hold() as only:
        only.add(8)
        only.add(8)
    assert budget.held == 0


def test_room_comes_back_when_a_request_fails() -> None:
    budget = BodyBudget(10)
    with budget.hold() as hold:
        hold.add(10)
        with budget.hold() as other, pytest.raises(QueueFull):
            other.add(1)
    with budget.hold() as next_one:
        next_one.add(10)


def test_bodies_of_one_account_leave_half_of_the_budget_to_others() -> None:
    budget = BodyBudget(100)
    with (
        budget.hold("acme") as first,
        budget.hold("acme") as second,
        budget.hold("bob") as theirs,
        budget.hold() as ours,
    ):
        first.add(40)
        second.add(10)
        with pytest.raises(QueueFull, match="Bodies of the account 'acme' of 40 bytes are in work already; at most 50"):
            second.add(1)
        theirs.add(20)
        ours.add(30)
    assert (budget.held, budget.held_of) == (0, {})


def test_the_first_body_of_an_account_may_be_larger_than_half_of_the_room() -> None:
    budget = BodyBudget(100)
    with budget.hold("bob") as other, budget.hold("acme") as only:
        other.add(1)
        only.add(99)
        with pytest.raises(QueueFull), budget.hold("acme") as next_one:
            next_one.add(1)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(["", "acme", "bob"]), st.integers(0, 60)), max_size=40))
def test_whatever_bodies_come_and_end_all_room_comes_back(steps: list[tuple[int, str, int]]) -> None:
    budget = BodyBudget(100)
    open_: dict[int, Hold] = {}
    for number, account, size in steps:
        if number in open_ and size == 0:
            open_.pop(number).end()
            continue
        hold = open_.setdefault(number, Hold(budget, account))
        with suppress(QueueFull):
            hold.add(size)
        assert budget.held == sum(one.size for one in open_.values())
    for hold in open_.values():
        hold.end()
    assert (budget.held, dict(budget.held_of)) == (0, {})


def test_an_answer_is_held_instead_of_its_body_and_never_refused() -> None:
    budget = BodyBudget(100)
    with budget.hold("acme") as hold, budget.hold("acme") as next_one, budget.hold("bob") as other:
        hold.add(10)
        hold.become(80)
        with pytest.raises(QueueFull):
            next_one.add(1)
        other.add(20)
        hold.become(2)
        assert (budget.held, budget.held_of) == (22, {"acme": 2, "bob": 20})
        next_one.add(1)
    assert (budget.held, budget.held_of) == (0, {})
