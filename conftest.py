"""What a whole run of tests obeys: a program that must be there may not be missing, and code is compiled once.

A test marked `system` drives a program of the machine (Squid, nginx, PostgreSQL) and skips where it is not installed.
With FLOWTALLY_TEST_REQUIRE_SYSTEM=1, which `.ci/run` sets, such a skip is a failure: a test that never runs proves
nothing.

The tests start hundreds of servers and commands. Where the environment forbids Python to keep what it compiled
(PYTHONDONTWRITEBYTECODE), each of them compiles all of flowtally anew: a fifth of its time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Generator
from typing import Any

import pytest

sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

SYSTEM_FIXTURES = frozenset({"postgres"})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if SYSTEM_FIXTURES & set(getattr(item, "fixturenames", ())):
            item.add_marker(pytest.mark.system)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[Any]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    required = os.environ.get("FLOWTALLY_TEST_REQUIRE_SYSTEM") == "1" and item.get_closest_marker("system") is not None
    if required and report.skipped and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"{item.nodeid} must not be skipped here: {report.longrepr}"
    return report
