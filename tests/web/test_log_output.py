"""The log: whole lines in their order, and nothing fails over one that cannot be written."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import subprocess
import sys
import threading
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.live import live_server

from flowtally.web import log_output
from flowtally.web.log_output import LogOutput


class Disk(BytesIO):
    """A file that takes `room` bytes, at most `at_once` of them at a time."""

    def __init__(self, room: int, at_once: int = 7) -> None:
        super().__init__()
        self.room, self.at_once = room, at_once

    def write(self, data: Any) -> int:
        taken = min(self.room, self.at_once, len(data))
        if not taken:
            raise OSError(errno.ENOSPC, "full")
        self.room -= taken
        return super().write(data[:taken])


async def _say(stream: LogOutput, lines: list[str]) -> None:
    for line in lines:
        stream.later(line)
    await asyncio.sleep(0)


def test_lines_of_one_turn_are_written_together_and_before_any_later_one() -> None:
    writes: list[bytes] = []

    class File(BytesIO):
        def write(self, data: Any) -> int:
            writes.append(bytes(data))
            return len(data)

    async def run() -> None:
        stream = LogOutput(File())
        await _say(stream, ["a\n", "b\n"])
        stream.later("c\n")
        stream.write("d\n")
        stream.flush()
        await _say(stream, ["e\n"])

    asyncio.run(run())
    assert writes == [b"a\nb\n", b"c\nd\n", b"e\n"]


async def _only(stream: LogOutput) -> None:
    """Its loop ends before its turn."""
    stream.later("a\n")


def test_lines_that_wait_are_written_by_whoever_flushes_last() -> None:
    out = BytesIO()
    stream = LogOutput(out)

    loop = asyncio.new_event_loop()
    loop.run_until_complete(_only(stream))
    loop.close()
    stream.flush()
    assert out.getvalue() == b"a\n"
    asyncio.run(_say(stream, ["b\n"]))  # another loop has turns of its own
    assert out.getvalue() == b"a\nb\n"


def test_lines_of_many_threads_stay_whole() -> None:
    out = Disk(1 << 30)
    stream = LogOutput(out)

    def work(name: int) -> None:
        for number in range(200):
            stream.write(f"{name}:{number}:{'x' * 50}\n")
            stream.flush()

    threads = [threading.Thread(target=work, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    lines = out.getvalue().decode().splitlines()
    assert sorted(lines) == sorted(f"{name}:{number}:{'x' * 50}" for name in range(4) for number in range(200))


def test_what_a_full_disk_does_not_take_is_written_when_it_has_room() -> None:
    disk, told = Disk(5), list[int]()
    stream = LogOutput(disk, told.append)
    for number in range(10):
        stream.write(f"line {number}\n")
        stream.flush()
    disk.room = 1 << 20
    stream.write("last\n")
    stream.flush()
    assert disk.getvalue().decode().splitlines() == [*(f"line {number}" for number in range(10)), "last"]
    assert told == []


def test_beyond_the_bound_lines_are_left_out_whole_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_output, "MAX_KEPT", 50)
    disk, told = Disk(0), list[int]()
    stream = LogOutput(disk, told.append)
    for number in range(20):
        stream.write(f"line {number:02}\n")
        stream.flush()
    disk.room = 1 << 20
    stream.write("last\n")
    stream.flush()
    kept = disk.getvalue().decode().splitlines()
    assert kept == [*(f"line {number:02}" for number in range(6)), "last"]
    assert told == [14]


@pytest.mark.parametrize("how", ["closed", "reader gone", "reader stands still", "none"])
def test_no_line_fails_whoever_says_it(how: str) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    out = os.fdopen(writing, "wb", buffering=0)
    if how == "closed":
        out.close()
    if how == "reader gone":
        os.close(reading)
    stream = LogOutput(None if how == "none" else out)
    for _ in range(30):
        stream.write("\ud800" + "x" * 10_000 + "\n")
        stream.flush()
    assert len(stream._rest) <= log_output.MAX_KEPT
    if how == "reader stands still":
        assert os.read(reading, 7) == b"\\ud800x"


@pytest.mark.parametrize("shape", ["json", "console"])
def test_no_line_of_a_request_is_lost_at_an_orderly_stop(shape: str, tmp_path: Path) -> None:
    with live_server(tmp_path / "data", {"FLOWTALLY_LOG_FORMAT": shape}) as live:
        assert [httpx.get(f"{live.url}/v1/pools").status_code for _ in range(20)] == [401] * 20
    text = (tmp_path / "data.log").read_text()
    assert text.count("/v1/pools") == 20


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk here")
def test_a_server_whose_log_cannot_be_written_serves(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "flowtally", "serve", "--data", str(tmp_path / "data"), "--port", "0", "--json"]
    with open("/dev/full", "w") as full, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=full) as server:
        try:
            assert server.stdout is not None
            url = json.loads(server.stdout.readline())["url"]
            assert [httpx.get(f"{url}/v1/accounts").status_code for _ in range(20)] == [401] * 20
        finally:
            server.terminate()
        assert server.wait(60) == 0
