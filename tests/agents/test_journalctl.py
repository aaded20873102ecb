"""What journald kept is read entry by entry, exactly: a recorded journal always, and a journald of our own where one
can be started (root, or user namespaces). The name of each test says which ran."""

from __future__ import annotations

import json
import stat
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import which

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.agents.journald import LINE, SAMPLES, Journald, journald, recorded, why_not, write_samples

from flowtally.agents.journalctl import Hole, Journalctl, JournalFilter, JournalRecord, arguments, entry_of, realtime_us
from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.core.errors import ConfigError

pytestmark = pytest.mark.process  # the agent starts journalctl
EXPECTED = [
    LINE,
    b"bytes \xff\x00 and\nlines",
    b"tab\tand \x1b[0m",
    None,
    b"l" * 5_000,
    b"one\ntwo",
    b"",
    'ünïcode "quoted" \\ '.encode(),
]
PATIENCE_S = 30


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journald]:
    if why := why_not():
        pytest.skip(f"only the recorded journal was read, no journald can be started here: {why}")
    with journald(tmp_path_factory.mktemp("run")) as one:
        write_samples(one)
        yield one


@pytest.fixture(params=["a recorded journal", "a journald started here"])
def directory(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "a recorded journal":
        if which("journalctl") is None:
            pytest.skip("journalctl is not installed")
        return recorded(tmp_path)
    one: Journald = request.getfixturevalue("live")
    return one.directory


def take(child: Journalctl, count: int) -> list[JournalRecord]:
    """At least so many entries."""
    found: list[JournalRecord] = []
    end = time.monotonic() + PATIENCE_S
    while len(found) < count and child.ended is None:
        assert time.monotonic() < end, f"{len(found)} of {count} entries came: {child.said}"
        found += child.poll()
        time.sleep(0.01)
    return found


def everything(directory: Path, cursor: str = "", *match: str) -> tuple[list[JournalRecord], Journalctl]:
    where = JournalFilter(match=match or ("SYSLOG_IDENTIFIER=squid", "PRIORITY=6"), directory=str(directory))
    child = Journalctl(where, cursor, follow=False)
    try:
        return take(child, 10**9), child
    finally:
        child.close()


def test_every_kind_of_message_is_read(directory: Path) -> None:
    entries, child = everything(directory)
    assert [entry.text for entry in entries][: len(SAMPLES)] == EXPECTED
    assert (child.ended, child.hole) == (0, None)


def test_after_each_cursor_comes_the_next_entry(directory: Path) -> None:
    entries, _ = everything(directory)
    for index, entry in enumerate(entries):
        rest, child = everything(directory, entry.cursor)
        assert rest == entries[index + 1 :]
        assert child.hole is None
        assert abs(realtime_us(entry.cursor) - entry.at_us) < 1_000_000


def test_a_cursor_that_is_gone_is_a_hole_and_no_duplicate(directory: Path) -> None:
    entries, _ = everything(directory)
    for index in range(len(entries) - 1):
        gone = entries[index]
        place, _, checksum = gone.cursor.rpartition("x=")
        number = int(checksum, 16) ^ 1  # another entry at the same place: ours was removed
        rest, child = everything(directory, f"{place}x={number:x}")
        assert child.hole == Hole(realtime_us(gone.cursor), rest[0].at_us)
        assert rest[-1] == entries[-1]


def test_a_cursor_that_is_none_ends_with_what_journalctl_says(directory: Path) -> None:
    entries, child = everything(directory, "no cursor")
    assert entries == []
    assert child.ended
    child.close()
    assert "Failed to seek to cursor" in child.said


def test_followed_while_it_is_written_rotated_and_vacuumed(live: Journald) -> None:
    where = JournalFilter(match=("SYSLOG_IDENTIFIER=followed",), directory=str(live.directory))
    live.write("followed", b"0")
    child = Journalctl(where, "")
    got = take(child, 1)
    for number in range(1, 40):
        live.write("followed", b"%d" % number)
        if number % 13 == 0:
            live.rotate()
        if number == 30:
            got += take(child, 30 - len(got))
            live.vacuum()
    got += take(child, 40 - len(got))
    child.close()
    assert [entry.text for entry in got] == [b"%d" % number for number in range(40)]
    again = Journalctl(where, got[5].cursor)  # was vacuumed
    rest = take(again, 1)
    again.close()
    assert again.hole == Hole(realtime_us(got[5].cursor), rest[0].at_us)


def test_a_child_that_is_killed_goes_on_where_it_was(live: Journald) -> None:
    where = JournalFilter(match=("SYSLOG_IDENTIFIER=killed",), directory=str(live.directory))
    got: list[JournalRecord] = []
    for number in range(5):
        live.write("killed", b"%d" % number)
        child = Journalctl(where, got[-1].cursor if got else "")
        got += take(child, 1)
        child.close()
        assert child.hole is None
    assert [entry.text for entry in got] == [b"%d" % number for number in range(5)]


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))


@given(st.one_of(TEXT, st.binary()), st.booleans())
def test_a_message_is_the_same_as_text_and_as_numbers(message: str | bytes, alone: bool) -> None:
    raw = message.encode() if isinstance(message, str) else message
    shown = message if isinstance(message, str) else list(message)
    line = json.dumps({"__CURSOR": "c", "__REALTIME_TIMESTAMP": "17", "MESSAGE": shown if alone else [shown, "x"]})
    if not raw and not isinstance(message, str) and not alone:
        return  # journald keeps no empty field of bytes
    assert entry_of(line.encode()) == JournalRecord("c", 17, raw if alone else raw + b"\nx")


@given(st.binary())
def test_no_line_breaks_it(line: bytes) -> None:
    entry_of(line)


@pytest.mark.parametrize("json", ['{"MESSAGE":[1000]}', '{"__CURSOR":"c","__REALTIME_TIMESTAMP":"x"}', "[]", ""])
def test_what_is_no_entry_is_left_out(json: str) -> None:
    assert entry_of(json.encode()) is None


def test_an_entry_that_is_far_too_long_is_counted_and_the_next_is_read(tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    entry = '{"__CURSOR":"c","__REALTIME_TIMESTAMP":"1","MESSAGE":"next"}'
    program.write_text(f"#!/bin/sh\nhead -c 5000000 /dev/zero | tr '\\\\0' x\necho\necho '{entry}'\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    child = Journalctl(JournalFilter(unit="a.service"), "", program=str(program))
    assert take(child, 10) == [JournalRecord("", 0, None), JournalRecord("c", 1, b"next")]
    child.close()


def test_what_is_asked() -> None:
    asked = arguments(JournalFilter(unit="haproxy.service", match=("PRIORITY=6",)), "s=1", follow=True)
    assert asked[-3:] == ["--cursor=s=1", "_SYSTEMD_UNIT=haproxy.service", "PRIORITY=6"]
    assert "--follow" in asked


@pytest.mark.parametrize(
    "where", [JournalFilter(), JournalFilter(match=("--file=/etc/shadow",)), JournalFilter(match=("+",))]
)
def test_what_is_no_match_is_refused(where: JournalFilter) -> None:
    with pytest.raises(ConfigError):
        arguments(where, "", follow=True)


assert MAX_LINE_BYTES < 70_000
