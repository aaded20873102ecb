from __future__ import annotations

import re

from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.lines import CHECK_BYTES, MAX_LINE_BYTES, Lines, LogLine
from flowtally.core.media import BOM

parts = st.sampled_from(
    [
        b"",
        b"a",
        b"some text",
        b"\n",
        b"\r\n",
        b"\0",
        bytes(50),
        bytes(CHECK_BYTES + 9),
        bytes(200_000),
        BOM,
        b"x" * 70_000,
    ]
)
logs = st.lists(parts, max_size=12).map(b"".join)


def model(data: bytes) -> list[LogLine]:
    """All at once, as obvious as can be."""
    found, end = [], 0
    for raw in data.split(b"\n")[:-1]:
        end += len(raw) + 1
        *cut, last = re.split(rb"\0+", raw)
        text = last.removesuffix(b"\r").removeprefix(BOM)
        short = len(text) <= MAX_LINE_BYTES
        found.append(LogLine(text if short else None, end, tuple(part for part in cut if part)))
    return found


def lines_of(lines: Lines) -> list[LogLine]:
    found = []
    while (line := lines.next()) is not None:
        found.append(line)
    return found


@settings(deadline=None, max_examples=60)
@given(data=logs, sizes=st.lists(st.integers(1, 40), min_size=1, max_size=6))
def test_however_the_bytes_come_the_lines_are_the_same(data: bytes, sizes: list[int]) -> None:
    lines, found, at = Lines(), list[LogLine](), 0
    while at < len(data):
        size = sizes[at % len(sizes)] * (1 + len(data) // 100)
        lines.feed(data[at : at + size])
        at += size
        found += lines_of(lines)
    expected = model(data)
    long = {line.end for line in found if line.text is None}
    assert [line for line in found if line.end not in long] == [line for line in expected if line.end not in long]
    assert {line.end for line in expected if line.text is None} <= long
    assert [line.end for line in found] == [line.end for line in expected]
    assert lines.waiting == len(data) - lines.offset
    assert lines.window() == data[max(0, lines.offset - CHECK_BYTES) : lines.offset]
    assert lines.nuls == data[: lines.offset].count(b"\0")


def test_half_a_line_before_nuls_is_cut_and_what_follows_them_is_a_line() -> None:
    lines = Lines()
    lines.feed(b"whole\nhal" + b"\0" * 300_000 + b"next\n\0\0\0")
    assert lines_of(lines) == [LogLine(b"whole", 6), LogLine(b"next", 300_014, (b"hal",))]
    assert (lines.nuls, lines.waiting) == (300_000, 3)


def test_a_long_run_of_nuls_takes_no_memory_and_hides_no_line() -> None:
    lines = Lines()
    for _ in range(100):
        lines.feed(bytes(1 << 20))
        assert len(lines._data) < 2 << 20
    lines.feed(b"a line\n")
    assert lines_of(lines) == [LogLine(b"a line", (100 << 20) + 7)]
    assert lines.nuls == 100 << 20
