"""When a message is tried again: ten times in 76 hours, and never in step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.alerts.schedule import PAUSES_S, pause_s


def test_ten_attempts_in_76_hours() -> None:
    assert [pause_s(n) for n in range(1, 11)] == [*map(float, PAUSES_S), None]
    assert 75.5 * 3600 < sum(PAUSES_S) < 76.5 * 3600


@given(st.integers(1, 9), st.floats(0, 1), st.none() | st.floats(0, 86_400))
def test_chance_moves_it_by_a_tenth_and_a_server_may_ask_for_more(
    attempts: int, chance: float, hold_s: float | None
) -> None:
    found = pause_s(attempts, hold_s=hold_s, chance=chance)
    assert found is not None
    assert found >= (hold_s or 0)
    assert found == hold_s or found == pytest.approx(PAUSES_S[attempts - 1], rel=0.1001)
