"""Each test has the marks of its kind, and one without them starts nothing (tests/kinds.py)."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests import kinds, soak
from tests.kinds import ENGINE, GUARD, PROCESS, QUICK, SOAK

from flowtally.usage.open import open_usage

OF_A_SAMPLE = {"SAMPLE", "sampled", "few"}  # how little a sample does


def through_two_helpers() -> None:
    def inside() -> None:
        Helper().work()

    inside()


class Helper:
    def work(self) -> None:
        subprocess.run(["true"], check=True)


def opens(url: str) -> None:
    open_usage(url)


@pytest.fixture
def starting() -> None:
    through_two_helpers()


@pytest.fixture
def store(request: pytest.FixtureRequest) -> str:
    """As the fixtures of stores do, this one has a parameter that starts nothing."""
    return str(request.param)


def test_what_a_test_reaches_gives_its_kind() -> None:
    found = {one: kinds._of_function(one) for one in (through_two_helpers, opens, Path)}
    assert found == {through_two_helpers: {PROCESS}, opens: {ENGINE}, Path: frozenset()}


def test_what_a_fixture_starts_its_test_starts(request: pytest.FixtureRequest, starting: None) -> None:
    assert request.node.get_closest_marker(PROCESS)
    assert not request.node.get_closest_marker(QUICK)


@pytest.mark.parametrize("store", ["memory", "chdb"], indirect=True)
def test_a_parameter_of_a_fixture_decides(request: pytest.FixtureRequest, store: str) -> None:
    marks = {mark.name for mark in request.node.iter_markers()} & {ENGINE, QUICK}
    assert marks == {ENGINE if store == "chdb" else QUICK}


@contextmanager
def refused(kind: str) -> Iterator[None]:
    """The guard refuses this, and forgets it: here it is what is wanted."""
    with pytest.raises(RuntimeError, match=f"has no mark `{kind}`"):
        yield
    assert len(GUARD.broken) == 1
    GUARD.broken.clear()


def test_a_program_is_refused_to_a_quick_test_also_where_no_name_gives_it_away() -> None:
    hidden: Any = __import__("sub" + "process")
    with refused(PROCESS):
        hidden.run(["true"])


def test_an_engine_is_refused_to_a_quick_test(request: pytest.FixtureRequest) -> None:
    hidden: Any = __import__("flowtally.usage.engine", fromlist=["engine"])
    GUARD.begin(request.node)  # it may just have been imported
    with refused(ENGINE):
        getattr(hidden, "Eng" + "ine")("chdb:///nowhere")


@pytest.mark.parametrize(
    ("times", "sample", "rounds", "examples"),
    [(0, False, 4, 100), (0, True, 1, 3), (1, False, 20, 100), (3, False, 60, 300)],
    ids=["test", "quick", "soak once", "soak"],
)
def test_each_run_has_its_numbers(
    monkeypatch: pytest.MonkeyPatch, times: int, sample: bool, rounds: int, examples: int
) -> None:
    monkeypatch.setattr(soak, "SOAK", times)
    monkeypatch.setattr(soak, "SAMPLE", sample)
    assert (soak.rounds(4, 20), len(soak.seeds(4, 20)), soak.examples(100)) == (rounds, rounds, examples)
    assert soak.examples(3) == 3 * (times or 1)
    assert (soak.sampled(80, 40), soak.sampled(2, 3)) == ((40, 2) if sample else (80, 2))
    assert list(soak.few(range(10), 3)) == ([0, 4, 8] if sample else list(range(10)))
    assert (soak.few([], 3), soak.few([7], 3)) == ([], [7])


def test_hypothesis_tries_as_many_examples_as_this_run_wants() -> None:
    tried = []

    @settings(max_examples=30, database=None)
    @given(st.integers())
    def attempt(number: int) -> None:
        tried.append(number)

    attempt()
    assert len(tried) == soak.examples(30)


def test_only_quick_takes_a_sample() -> None:
    """The whole run and the campaigns have their full numbers."""
    commands = re.findall(r"^\t(.*-m pytest.*)$", (kinds.TESTS.parent / "Makefile").read_text(), re.MULTILINE)
    assert len(commands) == 3
    assert {"-m quick" in one for one in commands if "FLOWTALLY_TEST_SAMPLE=1" in one} == {True}
    assert all("FLOWTALLY_TEST_SAMPLE=1" in one for one in commands if "-m quick" in one)
    assert "FLOWTALLY_TEST_SAMPLE" not in (kinds.TESTS.parent / ".ci/run").read_text()


def test_campaigns_take_their_numbers_from_one_place() -> None:
    """A file that does has the mark, or `make soak` would not play it; one that only says how few are a sample needs
    none."""
    for file in sorted(kinds.TESTS.rglob("test_*.py")):
        text = file.read_text()
        found = re.search(r"^from tests\.soak import (.+)$", text, re.MULTILINE)
        takes = found is not None and not OF_A_SAMPLE.issuperset(found[1].split(", "))
        assert not takes or f"pytest.mark.{SOAK}" in text, file
