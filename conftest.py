"""What a whole run of tests obeys.

Each test gets the marks of its kind, and one without them starts nothing (tests/kinds.py). Long files go first, so that
no process waits for another at the end. A program that must be there may not be missing: a test marked `system` drives
a program of the machine (Squid, nginx, PostgreSQL) and skips where it is not installed; with
FLOWTALLY_TEST_REQUIRE_SYSTEM=1, which `.ci/run` sets, such a skip is a failure. Campaigns go on for longer in a soak
(tests/soak.py). Programs that tests start hear their signals (tests/signals.py).

The tests start hundreds of servers and commands. Where the environment forbids Python to keep what it compiled
(PYTHONDONTWRITEBYTECODE), each of them compiles all of flowtally anew: a fifth of its time.

What is collected lives as long as the process: the garbage collector need not look through it again in each test.
A process that runs tests for another reports no more than that one prints (tests/few_reports.py). The files of a quick
sample are in memory (tests/temporary.py).

FLOWTALLY_TEST_ORDER=7 puts files, and the tests in a file, in a random order, by this seed.
"""

from __future__ import annotations

import gc
import os
import sys
import time
from collections import Counter
from collections.abc import Generator
from itertools import groupby
from random import Random
from typing import Any

import pytest
from tests import few_reports, kinds, signals, soak, temporary
from tests.kinds import GUARD

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

BEGAN = time.monotonic()
ORDER = os.environ.get("FLOWTALLY_TEST_ORDER")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--minutes", type=float, help="after so long, the tests that have not begun are skipped")


def pytest_configure(config: pytest.Config) -> None:
    gc.disable()  # until all is collected
    signals.let_children_hear()
    sys.addaudithook(GUARD.hear)
    if soak.SAMPLE:
        temporary.use_memory()
    if few_reports.wanted(config):
        config.pluginmanager.register(few_reports.FewReports())


def pytest_sessionstart() -> None:
    gc.freeze()  # also in the process that only prints: pytest looks through all of it at the end


def pytest_collection() -> None:
    """Not in the process that only prints."""
    soak.take_time()
    if soak.SOAK or soak.SAMPLE:
        soak.set_examples()


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    for item in items:
        kinds.mark(item)
        if soak.SOAK:
            _give_time(config, item)
    files = [list(file) for _, file in groupby(items, key=lambda item: item.path)]
    if ORDER is None:
        files.sort(key=lambda file: -sum(map(kinds.weight, file)))
    else:
        chance = Random(ORDER)  # noqa: S311 - of tests
        chance.shuffle(files)
        for file in files:
            chance.shuffle(file)
    items[:] = [item for file in files for item in file]


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)  # a test makes and forgets objects by the thousand: looked for less often
    gc.enable()


def _give_time(config: pytest.Config, item: pytest.Item) -> None:
    own = item.get_closest_marker("timeout")
    seconds = own.args[0] if own is not None else float(config.getini("timeout"))
    item.add_marker(pytest.mark.timeout(seconds * (1 + soak.SOAK)), append=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    GUARD.begin(item)
    try:
        return (yield)
    finally:
        GUARD.end()


def pytest_runtest_setup(item: pytest.Item) -> None:
    minutes = item.config.getoption("minutes")
    if minutes is not None and time.monotonic() - BEGAN > minutes * 60:
        pytest.skip("the time is up")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if figures := soak.take_done():
        report.user_properties.append(("done", figures))
    if report.passed and GUARD.broken:
        report.outcome = "failed"
        report.longrepr = "\n".join(GUARD.broken)
        GUARD.broken.clear()
    required = os.environ.get("FLOWTALLY_TEST_REQUIRE_SYSTEM") == "1" and item.get_closest_marker("system") is not None
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must not be skipped here: {report.longrepr}"
    return report


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not soak.SOAK:
        return
    figures: Counter[str] = Counter()
    for report in [one for kind in terminalreporter.stats.values() for one in kind]:
        figures.update(dict(getattr(report, "user_properties", ())).get("done", {}))
        figures["tests"] += getattr(report, "when", "") == "call"
    minutes = (time.monotonic() - BEGAN) / 60
    terminalreporter.section(f"soak {soak.SOAK}, seeds from {soak.FIRST_SEED}")
    terminalreporter.line(f"{', '.join(f'{count:,} {name}' for name, count in figures.items())} in {minutes:.0f} min")
    terminalreporter.line(soak.versions())
