"""When a provider is asked next."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flowtally.core.times import DAY_S
from flowtally.core.words import PullOutcome
from flowtally.providers.schedule import CHANGED_SHAPE_S, LAST_RETRY_S, pause_s


@pytest.mark.parametrize(
    ("outcome", "failures", "after_s", "seconds"),
    [
        ("ok", 0, None, 1800),
        ("ok", 9, None, 1800),
        ("late", 0, None, 60),
        ("late", 1, None, 120),
        ("late", 5, None, 1920),
        ("late", 6, None, 3600),
        ("late", 10**6, None, 3600),
        ("late", 0, 600.0, 600),
        ("late", 6, 600.0, 3600),
        ("late", 0, 10.0**9, 86_400),  # a vendor that says "in thirty years" is asked tomorrow
        ("denied", 0, None, 86_400),
        ("changed_shape", 3, None, 21_600),
    ],
)
def test_after_a_failure_soon_then_less_and_less_often(
    outcome: PullOutcome, failures: int, after_s: float | None, seconds: int
) -> None:
    assert pause_s(outcome, every_s=1800, failures=failures, after_s=after_s) == seconds


@given(
    st.sampled_from(get_args(PullOutcome)),
    st.integers(60, 7 * 86_400),
    st.integers(0, 10**9),
    st.one_of(st.none(), st.floats(0, 1e12)),
    st.floats(0, 1),
)
def test_nobody_is_asked_without_a_pause_and_none_waits_for_ever(
    outcome: PullOutcome, every_s: int, failures: int, after_s: float | None, chance: float
) -> None:
    pause = pause_s(outcome, every_s=every_s, failures=failures, after_s=after_s, chance=chance)
    assert 60 <= pause <= 1.1 * max(every_s, DAY_S, CHANGED_SHAPE_S, LAST_RETRY_S)
    assert pause >= pause_s(outcome, every_s=every_s, failures=failures, after_s=after_s)
