"""What was spooled is read once and in order, across segments, starts and full disks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.agents.reader import MAX_LINE_BYTES
from flowtally.agents.syslog.feed import SpoolFeed
from flowtally.agents.syslog.spool import SyslogSpool


def read(feed: SpoolFeed) -> list[bytes | None]:
    return [line.text for line in feed.lines()]


def test_lines_come_in_the_order_they_were_appended(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000, segment_bytes=10)
    feed = SpoolFeed(spool)
    assert read(feed) == []
    spool.append([b"one", b"two"])
    spool.append([b"three", b"four", b"five"])
    spool.append([b"six"])
    assert read(feed) == [b"one", b"two", b"three", b"four", b"five", b"six"]
    assert len(spool.segments()) == 2
    assert feed.behind_bytes == 0


def test_a_place_is_found_again_after_a_start_and_what_stood_before_it_goes(tmp_path: Path) -> None:
    first = SyslogSpool(tmp_path, 1_000_000, segment_bytes=4)
    first.append([b"one"])
    first.append([b"two"])
    feed = SpoolFeed(first)
    lines = feed.lines()
    next(lines)
    next(lines)
    offset, check = feed.offset, feed.check()
    first.append([b"three"])
    first.close()

    second = SyslogSpool(tmp_path, 1_000_000)
    again = SpoolFeed(second)
    again.start_at(offset, check)
    again.release()
    assert second.segments()[0] == check
    assert read(again) == [b"three"]
    again.release()
    assert len(second.segments()) == 1


def test_a_place_that_was_removed_means_the_beginning_of_what_is_left(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    spool.append([b"one"])
    feed = SpoolFeed(spool)
    feed.start_at(400, "000001700000000000-0badf00d.spool")
    assert read(feed) == [b"one"]


def test_a_start_begins_a_new_segment_and_half_a_line_is_left_out(tmp_path: Path) -> None:
    first = SyslogSpool(tmp_path, 1_000_000)
    first.append([b"one"])
    with first.path(first.segments()[0]).open("ab") as file:
        file.write(b"half a li")
    second = SyslogSpool(tmp_path, 1_000_000)
    second.append([b"two"])
    feed = SpoolFeed(second)
    assert read(feed) == [b"one", b"two"]
    assert feed.torn == 1


def test_it_is_full_at_its_bound_and_has_room_when_what_was_read_went(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 100, segment_bytes=40)
    feed = SpoolFeed(spool)
    while not spool.full:
        spool.append([b"x" * 20])
    assert len(read(feed)) == 5
    feed.release()
    assert not spool.full


def test_a_disk_that_takes_nothing_leaves_no_line_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    spool.append([b"one"])
    with monkeypatch.context() as patch:
        patch.setattr(os, "fdatasync", _refuse)
        with pytest.raises(OSError, match="full"):
            spool.append([b"two"])
    spool.append([b"two"])
    assert read(SpoolFeed(spool)) == [b"one", b"two"]
    assert read(SpoolFeed(SyslogSpool(tmp_path, 1_000_000))) == [b"one", b"two"]


def _refuse(file: int) -> None:
    raise OSError(28, "the disk is full")


def test_a_line_longer_than_may_be_is_given_without_its_text(tmp_path: Path) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    spool.append([b"x" * (MAX_LINE_BYTES + 1), b"next"])
    assert read(SpoolFeed(spool)) == [None, b"next"]


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["append", "read", "release", "start"]), max_size=40), st.integers(1, 60))
def test_every_line_is_read_once_whatever_happens(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str], segment_bytes: int
) -> None:
    directory = tmp_path_factory.mktemp("spool")
    spool = SyslogSpool(directory, 1_000_000, segment_bytes)
    feed = SpoolFeed(spool)
    written: list[bytes] = []
    got: list[bytes | None] = []
    place: tuple[int, str] = (0, "")
    for step in [*steps, "start", "read"]:
        if step == "append":
            lines = [b"line %d" % (len(written) + n) for n in range(3)]
            spool.append(lines)
            written += lines
        elif step == "read":
            got += read(feed)
            place = feed.offset, feed.check()
        elif step == "release":
            feed.release()
        else:
            spool.close()
            spool = SyslogSpool(directory, 1_000_000, segment_bytes)
            feed = SpoolFeed(spool)
            feed.start_at(*place)
    assert got == written


def test_what_else_is_in_the_directory_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "zzz.spool").write_bytes(b"of somebody else\n")
    (tmp_path / "notes.spool").mkdir()
    spool = SyslogSpool(tmp_path, 1_000_000)
    spool.append([b"one"])
    assert read(SpoolFeed(spool)) == [b"one"]
    assert (tmp_path / "zzz.spool").exists()


def test_a_disk_that_takes_nothing_back_either_leaves_no_line_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = SyslogSpool(tmp_path, 1_000_000)
    feed = SpoolFeed(spool)
    spool.append([b"one"])

    def broken(*_: int) -> None:
        raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "fdatasync", broken)
        patched.setattr(os, "ftruncate", broken)
        with pytest.raises(OSError, match="Input/output error"):
            spool.append([b"two"])
    spool.append([b"two"])
    assert read(feed) == [b"one", b"two"]
