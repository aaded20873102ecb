"""What a process of the tests tells the one that prints: that a test passed is one report, not three.

pytest-xdist sends each report of a test by itself (set up, called, torn down), packed and unpacked in Python: of nine
thousand short tests that was a third of what pytest itself costs. Where somebody asks for times, for XML or for more
words, all of them are sent.
"""

from __future__ import annotations

import pytest
from _pytest.runner import runtestprotocol


def wanted(config: pytest.Config) -> bool:
    """Whether few reports do: in a worker of pytest-xdist, for a run that prints a dot for each test."""
    option = config.option
    talks = option.verbose > 0 or option.durations is not None or option.xmlpath
    return hasattr(config, "workerinput") and not talks


def says_something(report: pytest.TestReport) -> bool:
    return report.when == "call" or not report.passed or bool(report.user_properties)


class FewReports:
    """Runs a test as pytest does, and reports what says something."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> bool:
        for report in runtestprotocol(item, log=False, nextitem=nextitem):
            if says_something(report):
                item.ihook.pytest_runtest_logreport(report=report)
        item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
        return True
