"""How far something is, where nobody sees a line change: in a log."""

from __future__ import annotations

import pytest

from flowtally.cli.show.steps import PAUSE_S, Steps


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_a_step_that_is_quickly_done_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    with Steps(lambda: 7.0) as steps:
        for done in range(1001):
            steps.show("rebuild", done, 1000)
            steps.show("numbers", done, 1000)
        steps.show("ledger")
    assert lines(capsys) == ["rebuild 0 of 1,000", "numbers 0 of 1,000", "ledger"]


def test_a_slow_step_is_a_line_per_tenth(capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(0, 1001 * 10, 10))
    with Steps(lambda: float(next(clock))) as steps:
        for done in range(1001):
            steps.show("rebuild", done, 1000)
    assert lines(capsys) == [f"rebuild {done:,} of 1,000" for done in range(0, 1001, 100)]


def test_a_step_is_told_at_most_every_few_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    """Parts of very unequal size: what is counted may also begin anew."""
    clock = iter(range(100))
    with Steps(lambda: float(next(clock))) as steps:
        for number in range(100):
            steps.show("roll-ups", number % 7, 7)
    told = lines(capsys)
    assert 10 < len(told) <= 100 / PAUSE_S + 1
