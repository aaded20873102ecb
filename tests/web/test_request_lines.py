"""The quick line of a request says what the steps of every other line would have said, to the letter."""

from __future__ import annotations

import logging
import re
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from flowtally.web.logs import steps_of
from flowtally.web.request_lines import PLAIN, QuickRequestLines, RequestLine, RequestLines

STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
NAMES = st.from_regex(PLAIN, fullmatch=True).map(lambda text: text[:100]) | st.text(max_size=100)
LINES = st.builds(
    RequestLine,
    st.sampled_from(["GET", "POST", "other"]),
    NAMES,
    st.integers(100, 599),
    st.floats(0, 1e6).map(lambda ms: round(ms, 1)),
    st.sampled_from(["", "127.0.0.1", "2001:db8::1", "a b"]),
    NAMES,
    st.just("") | NAMES,
    st.booleans(),
)


class _Kept:
    """A logger that keeps what it is handed."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def msg(self, line: str) -> None:
        self.lines.append(f"{line}\n")

    debug = info = msg


def sayers(shape: str, level: int) -> tuple[RequestLines, list[str], RequestLines, list[str]]:
    shared, last = steps_of(as_json=shape == "json", colors=shape == "colours")
    steps: list[Any] = [*shared, last]
    kept, quick = _Kept(), _Kept()

    def logger(kept: _Kept) -> Any:
        return structlog.wrap_logger(kept, steps, structlog.make_filtering_bound_logger(level))

    written = quick.lines
    return (
        RequestLines(logger(kept)),
        kept.lines,
        QuickRequestLines(steps, level, written.append, logger(quick)),
        written,
    )


@pytest.mark.parametrize("level", [logging.DEBUG, logging.INFO, logging.WARNING])
@pytest.mark.parametrize("shape", ["json", "console", "colours"])
def test_both_ways_say_the_same(shape: str, level: int) -> None:
    slow, said, quick, written = sayers(shape, level)

    @given(LINES)
    def compare(line: RequestLine) -> None:
        said.clear()
        written.clear()
        slow.say(line)
        quick.say(line)
        assert [STAMP.subn("", one) for one in written] == [STAMP.subn("", one) for one in said]

    compare()


@pytest.mark.parametrize(("nanoseconds", "stamp"), [(999_999_000, "59.999999Z"), (999, "59Z"), (1_000, "59.000001Z")])
def test_an_instant_is_written_as_in_other_lines(nanoseconds: int, stamp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    _, _, quick, written = sayers("json", logging.INFO)
    monkeypatch.setattr("time.time_ns", lambda: 1_772_366_399_000_000_000 + nanoseconds)
    for _ in range(2):
        quick.say(RequestLine("GET", "/", 200, 0.1, "127.0.0.1", "x"))
    assert all(f'"timestamp": "2026-03-01T11:59:{stamp}"' in line for line in written)
