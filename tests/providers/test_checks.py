"""Test calls: a slow vendor holds the thread of its own check, and nobody else's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from flowtally.core.errors import Overloaded, TooManyAtOnce
from flowtally.providers.checks import AT_ONCE, Checks


@pytest.fixture
def checks() -> Iterator[Checks]:
    with closing(Checks()) as made:
        yield made


def test_an_account_has_one_at_a_time_and_all_together_a_few(checks: Checks) -> None:
    ended = threading.Event()
    under_way = [checks.begin(f"a{number}", lambda: ended.wait(60)) for number in range(AT_ONCE)]
    with pytest.raises(TooManyAtOnce, match="The account 'a0' has a check under way already"):
        checks.begin("a0", bool)
    with pytest.raises(Overloaded, match=f"{AT_ONCE} checks of providers are under way"):
        checks.begin("another", bool)
    ended.set()
    assert [one.result(60) for one in under_way] == [True] * AT_ONCE
    assert checks.begin("a0", lambda: 7).result(60) == 7


def test_one_that_fails_gives_its_place_back(checks: Checks) -> None:
    for _ in range(AT_ONCE + 1):
        with pytest.raises(ZeroDivisionError):
            checks.begin("acme", lambda: 1 // 0).result(60)


def test_one_that_nobody_waits_for_any_more_holds_its_place_until_it_ends(checks: Checks) -> None:
    begun, ended = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        ended.wait(60)

    under_way = checks.begin("acme", work)
    assert begun.wait(60)
    assert not under_way.cancel()
    with pytest.raises(TooManyAtOnce):
        checks.begin("acme", bool)
    ended.set()
    under_way.result(60)
    assert checks.begin("acme", lambda: 8).result(60) == 8
