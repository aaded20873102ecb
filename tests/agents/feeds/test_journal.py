"""The journal as an input: every entry once, whatever ends in between, and what is gone is told."""

from __future__ import annotations

import itertools
import json
import os
import signal
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.fake import FakeServer
from tests.agents.feeds.driving import Driven, sizes, squid_line
from tests.agents.journald import LINE, Journald, journald, recorded, why_not

from flowtally.agents.feeds.journal import JournalEntry, Journals
from flowtally.core.errors import ConfigError

pytestmark = pytest.mark.process  # the agent starts journalctl
SOURCE = "agent:gw:proxy:journal"
names = itertools.count()


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Journald]:
    if why := why_not():
        pytest.skip(f"no journald can be started here: {why}")
    with journald(tmp_path_factory.mktemp("run")) as one:
        yield one


def entry(directory: Path, identifier: str) -> JournalEntry:
    match = (f"SYSLOG_IDENTIFIER={identifier}",)
    return JournalEntry(name="proxy", match=match, directory=str(directory), format="squid", account="acme")


def write(live: Journald, identifier: str, numbers: range) -> None:
    for number in numbers:
        live.write(identifier, squid_line(number))


@pytest.mark.system
def test_a_recorded_journal_is_read_to_its_end_once(tmp_path: Path) -> None:
    directory, fake = recorded(tmp_path), FakeServer()
    unreadable = []
    for _ in range(2):
        driven = Driven(Journals(), entry(directory, "squid"), fake, once=True)
        driven.until(driven.input.settled)
        driven.end()
        unreadable.append(driven.input.facts()["unreadable"])
    assert unreadable[0] == {"not_this_format": 5, "too_long": 1}
    assert [event.bytes_down for event in fake.stored(SOURCE)] == [int(LINE.split()[4])]


def test_every_entry_once_whoever_dies_in_between(live: Journald) -> None:
    fake, identifier = FakeServer(), f"case{next(names)}"
    written = 0
    for fault in ("", "lose_answers", "child", "store_only", "rotate", ""):
        driven = Driven(Journals(), entry(live.directory, identifier), fake)
        write(live, identifier, range(written, written + 50))
        if fault == "lose_answers":
            fake.lose_answers = 1
        if fault == "store_only":
            fake.store_only = 20
        if fault == "rotate":
            live.rotate()
        written += 50
        driven.until_stored(written - 20)
        if fault == "child":
            kill_children()
        write(live, identifier, range(written, written + 50))
        written += 50
        driven.until_stored(written)
        driven.end()
    assert sizes(fake, SOURCE) == list(range(written))
    assert "journal_hole" not in driven.told.getvalue()


def kill_children() -> None:
    """The journalctl of this process."""
    mine = str(os.getpid())
    for status in Path("/proc").glob("[0-9]*/stat"):
        fields = status.read_text().rpartition(")")[2].split()
        if fields[1] == mine and "journalctl" in (status.parent / "cmdline").read_text():
            os.kill(int(status.parent.name), signal.SIGKILL)


def test_what_was_removed_before_it_was_read_is_told_with_its_span(live: Journald) -> None:
    fake, identifier = FakeServer(), f"case{next(names)}"
    write(live, identifier, range(10))
    driven = Driven(Journals(), entry(live.directory, identifier), fake)
    driven.until(lambda: len(sizes(fake, SOURCE)) == 10)
    driven.end()
    write(live, identifier, range(10, 20))  # while nobody reads
    live.rotate()
    live.vacuum()
    write(live, identifier, range(20, 30))
    driven = Driven(Journals(), entry(live.directory, identifier), fake)
    driven.until(lambda: len(sizes(fake, SOURCE)) == 20)
    driven.end()
    told = [json.loads(line) for line in driven.told.getvalue().splitlines()]
    holes = [one for one in told if one["event"] == "journal_hole"]
    assert len(holes) == 1
    assert holes[0]["since"] < holes[0]["until"]
    assert driven.input.facts()["holes"] == 1
    assert sizes(fake, SOURCE) == [*range(10), *range(20, 30)]


def test_lines_that_cannot_be_read_are_not_read_again_every_hour(live: Journald) -> None:
    fake, identifier = FakeServer(), f"case{next(names)}"
    live.write(identifier, squid_line(1))
    live.write(identifier, b"started")
    driven = Driven(Journals(), entry(live.directory, identifier), fake)
    driven.until(lambda: driven.input.facts()["lines"] == 2 and not driven.input.facts()["waiting"])
    for _ in range(3):
        driven.now += 4000
        driven.turn(5)
    live.write(identifier, squid_line(2))
    driven.until(lambda: len(sizes(fake, SOURCE)) == 2)
    driven.end()
    assert driven.input.facts()["unreadable"] == {"not_this_format": 1}


def test_a_journalctl_that_ends_at_once_is_told_and_tried_again(tmp_path: Path) -> None:
    program = tmp_path / "journalctl"
    program.write_text("#!/bin/sh\necho 'no such journal' >&2\nexit 1\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    driven = Driven(Journals(str(program)), entry(tmp_path, "x"), FakeServer())
    driven.until(lambda: driven.input.facts()["restarts"] >= 3)
    driven.end()
    assert driven.told.getvalue().count("no such journal") == 1


def test_a_machine_without_journalctl_says_so(tmp_path: Path) -> None:
    driven = Driven(Journals(str(tmp_path / "none")), entry(tmp_path, "x"), FakeServer())
    driven.until(lambda: "cannot be started" in driven.told.getvalue())
    driven.end()


def test_an_entry_without_a_unit_or_a_match_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="unit, or match"):
        Driven(Journals(), JournalEntry(name="proxy", format="squid"), FakeServer())
