"""What docs/logs.md says about the formats of Squid, nginx and Apache is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from flowtally.agents.format_from import format_from
from flowtally.agents.formats import format_of
from flowtally.agents.formats.names import NAMES
from flowtally.agents.reading import LineReading

PAGE = (Path(__file__).parents[3] / "docs/logs.md").read_text()
EXAMPLES = re.findall(r"```(squid|nginx|apache)\n(.*?)```", PAGE, re.DOTALL)
LINES = [
    rb'1773133200.123 192.0.2.10 "corp\\eve b" 7 9 200 "http://example.org/a b"',
    rb'1773133200.123 192.0.2.10 "corp\x5Ceve b" 7 9 200 "GET /a HTTP/1.1"',
    b"1773133200.123 192.0.2.10 7 9 0.100",
    rb'1773133200123456 192.0.2.10 "corp\\eve b" 7 9 200 "GET /a HTTP/1.1"',
]


def test_the_table_of_names_has_the_exact_strings() -> None:
    rows = dict(re.findall(r"^\| `([a-z0-9_-]+)` \| `([%$].*?)` \| ", PAGE, re.MULTILINE))
    assert rows == {name: named.string for name, named in NAMES.items()}


@pytest.mark.parametrize(("example", "line"), list(zip(EXAMPLES, LINES, strict=True)))
def test_what_to_log_has_both_directions_and_needs_no_guess(
    example: tuple[str, str], line: bytes, tmp_path: Path
) -> None:
    path = tmp_path / "server.conf"
    path.write_text(example[1])
    made = format_of(format_from(str(path)))
    assert {"time", "client", "bytes_up", "bytes_down"} <= made.means.keys()
    assert made.notes == (() if "user" in made.means else ("the format does not tell a user's name",))
    assert made.doubts == ()
    read = made.read_line(line)
    assert isinstance(read, LineReading), read
    user = "corp\\eve b" if "user" in made.means else ""
    assert (read.time_at, read.bytes_up, read.bytes_down, read.user) == (1_773_133_200_123, 7, 9, user)
