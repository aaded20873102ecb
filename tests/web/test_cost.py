"""What work costs: its part of the processors, so that all of it together is never more than there is."""

from __future__ import annotations

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.web.capacity import cost as module
from flowtally.web.capacity.cost import Cost, processors


class Beside:
    """So many works are at it."""

    def __init__(self, running: int) -> None:
        self.running = running


def costs(running: list[int], seconds: float, cores: int, monkeypatch: pytest.MonkeyPatch) -> float:
    """What one work cost that began beside so many and ended beside so many, itself included."""
    now = 100.0
    monkeypatch.setattr(module, "processors", lambda: cores)
    monkeypatch.setattr(time, "perf_counter", lambda: now)
    beside: Any = Beside(running[0])
    cost = Cost(beside)
    beside.running, now = running[1], now + seconds
    assert cost.busy() == pytest.approx(seconds)
    return cost.seconds()


@given(works=st.integers(1, 50), seconds=st.floats(0.001, 60), cores=st.integers(1, 64))
def test_all_together_cost_no_more_than_the_machine_has(works: int, seconds: float, cores: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        each = costs([works, works], seconds, cores, patch)
    assert works * each <= cores * seconds * 1.000001
    assert each == pytest.approx(seconds * min(1, cores / works))


def test_alone_it_costs_the_time_it_took_and_beside_others_its_part(monkeypatch: pytest.MonkeyPatch) -> None:
    assert costs([1, 1], 3.0, 2, monkeypatch) == pytest.approx(3.0)
    assert costs([8, 8], 3.0, 2, monkeypatch) == pytest.approx(0.75)
    assert costs([1, 7], 3.0, 2, monkeypatch) == pytest.approx(1.5)


def test_waiting_for_a_turn_to_write_costs_nothing() -> None:
    lanes: Any = Beside(1)
    waiting, busy = Cost(lanes, waits=True), Cost(lanes)
    time.sleep(0.05)
    assert busy.seconds() >= 0.04
    assert waiting.seconds() < 0.04


def test_there_is_at_least_one_processor() -> None:
    assert processors() >= 1
