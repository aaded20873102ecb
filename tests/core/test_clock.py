"""A clock that dates: never back, never in the wrong year. `wall`: what the machine says; `passed`: what went by."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.clock import SteadyClock, elapsed_ms, now_ms
from flowtally.core.errors import ClockJumped

BOUND = 300_000
START = 1_800_000_000_000
HOUR = 3_600_000


class Machine:
    """A machine whose clock can be set."""

    def __init__(self) -> None:
        self.wall, self.passed = START, 77
        self.clock = SteadyClock(lambda: self.wall, lambda: self.passed, BOUND)

    def go(self, ms: int) -> None:
        self.wall, self.passed = self.wall + ms, self.passed + ms


@pytest.fixture
def machine() -> Machine:
    made = Machine()
    made.clock.date()
    return made


def test_a_clock_that_goes_right_is_believed(machine: Machine) -> None:
    for _ in range(10):
        machine.go(HOUR)
        assert machine.clock.date() == machine.clock() == machine.wall


def test_a_clock_set_back_by_seconds_dates_nothing_earlier(machine: Machine) -> None:
    machine.wall -= 7_000
    assert machine.clock.date() == machine.clock() == START
    machine.go(5_000)
    assert machine.clock.date() == START
    machine.go(5_000)
    assert machine.clock.date() == START + 3_000


@pytest.mark.parametrize("jump", [BOUND + 1, HOUR, 365 * 24 * HOUR, -BOUND - 1, -HOUR, -365 * 24 * HOUR])
def test_a_clock_that_jumps_dates_nothing_until_it_is_right_again(machine: Machine, jump: int) -> None:
    machine.go(HOUR)
    dated = machine.clock.date()
    machine.go(60_000)
    machine.wall += jump
    with pytest.raises(ClockJumped) as refused:
        machine.clock.date()
    assert str(refused.value.extra["clock"]) in refused.value.detail
    assert str(refused.value.extra["expected"]) in refused.value.detail
    with pytest.raises(ClockJumped):
        machine.clock.check()
    assert machine.clock() == dated + 60_000  # what is only looked at goes on by what has passed
    machine.go(60_000)
    machine.wall -= jump
    assert machine.clock.date() == dated + 120_000


def test_a_jump_up_to_the_bound_is_believed(machine: Machine) -> None:
    machine.wall += BOUND
    assert machine.clock.date() == START + BOUND


def test_a_start_with_a_clock_ahead_is_believed_and_one_behind_waits_until_it_has_caught_up() -> None:
    ahead, behind = Machine(), Machine()
    for one in (ahead, behind):
        one.clock.not_before(START)  # what the process before dated last
    ahead.wall += 365 * 24 * HOUR
    assert ahead.clock.date() == ahead.wall
    behind.wall -= HOUR
    with pytest.raises(ClockJumped):
        behind.clock.date()
    assert behind.clock() == START
    behind.go(HOUR - BOUND)
    assert behind.clock.date() == START
    behind.go(BOUND + 5)
    assert behind.clock.date() == START + 5


def test_a_clock_that_was_behind_at_the_start_may_be_set_right_at_once() -> None:
    machine = Machine()
    machine.clock.not_before(START)
    machine.wall -= 24 * HOUR
    with pytest.raises(ClockJumped):
        machine.clock.date()
    machine.wall = START + 48 * HOUR  # the machine was off for two days
    assert machine.clock.date() == START + 48 * HOUR


def test_a_clock_without_elapsed_time_may_go_forward_as_it_likes_and_back_as_far_as_the_bound() -> None:
    wall = [START]
    clock = SteadyClock(lambda: wall[0])
    assert clock.date() == START
    wall[0] += 365 * 24 * HOUR
    assert clock.date() == wall[0]
    wall[0] -= BOUND + 1
    with pytest.raises(ClockJumped):
        clock.date()


def test_looking_dates_nothing() -> None:
    wall = [START]
    clock = SteadyClock(lambda: wall[0])
    assert clock() == START
    wall[0] -= 365 * 24 * HOUR
    assert clock.date() == clock() == wall[0]


def test_the_machines_own_clock_and_elapsed_time_go_together() -> None:
    clock = SteadyClock(now_ms, elapsed_ms)
    first = clock.date()
    assert first <= clock.date() <= now_ms()


@given(st.lists(st.tuples(st.integers(0, 10**6), st.integers(-(10**6), 10**6)), max_size=30))
def test_dates_never_go_back_and_are_never_far_from_a_clock_that_was_believed(steps: list[tuple[int, int]]) -> None:
    machine, dated = Machine(), [0]
    for passed, set_by in steps:
        machine.go(passed)
        machine.wall += set_by
        try:
            at = machine.clock.date()
        except ClockJumped:
            assert machine.clock() >= dated[-1]
            continue
        assert at >= dated[-1]
        assert abs(at - machine.wall) <= BOUND
        dated.append(at)
