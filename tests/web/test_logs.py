"""Lines of the log: bounded, on one line, harmless to a terminal, and not a thousand alike."""

from __future__ import annotations

import json
import logging
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st
from tests.live import Live, live_server

from flowtally.web import log_bounds
from flowtally.web.log_bounds import Bursts, bounded

HARMLESS = "\u200c\u200d"
UGLY = b"\x1b[31m\xff\r\x9b2J\xe2\x80\xae" * 400


@given(st.dictionaries(st.text(min_size=1), st.text() | st.integers() | st.none() | st.binary() | st.lists(st.text())))
def test_whatever_is_logged_is_on_one_line_bounded_and_shown(line: dict[str, Any]) -> None:
    kept = bounded(None, "", {f"x{name}": value for name, value in line.items()})
    assert len(kept) <= log_bounds.FIELDS
    for value in kept.values():
        if isinstance(value, str):
            assert len(value) <= log_bounds.VALUE_CHARS
            assert all(char.isprintable() or char in HARMLESS for char in value)


def test_a_trace_keeps_its_lines_and_its_end() -> None:
    trace = "Traceback\n" + '  File "x"\n' * 5000 + "ValueError: \x1b[31mred"
    [kept] = bounded(None, "", {"exception": trace}).values()
    assert len(kept) <= log_bounds.TRACE_CHARS + 100
    assert kept.startswith("Traceback\n")
    assert kept.endswith("ValueError: \\x1b[31mred")


def test_of_many_lines_alike_the_first_are_written_and_the_others_counted() -> None:
    now = [0.0]
    bursts = Bursts(lambda: now[0])

    def write(event: str = "unavailable", level: str = "warning", **more: str) -> Any:
        try:
            return bursts(None, level, {"event": event, "level": level, **more})
        except structlog.DropEvent:
            return None

    written = [write(request_id=f"{number}") for number in range(100)]
    assert [line is not None for line in written] == [True] * log_bounds.BURST + [False] * (100 - log_bounds.BURST)
    assert write("another") is not None
    assert write(cause="another reason") is not None
    assert write(exception="Traceback\nOSError: another end") is not None
    assert all(write("request", "info") for _ in range(100))  # a request is a line
    now[0] = log_bounds.WINDOW_S
    assert write()["left_out"] == 100 - log_bounds.BURST
    assert "left_out" not in write()


def test_libraries_lines_are_bounded_alike() -> None:
    bursts = Bursts()
    record = logging.LogRecord("urllib3", logging.WARNING, "", 1, "Retrying %s", ("x",), None)
    assert sum(bursts.filter(record) for _ in range(100)) == log_bounds.BURST


def test_kinds_of_lines_are_forgotten_before_they_fill_the_memory() -> None:
    bursts = Bursts()
    for number in range(log_bounds.REMEMBERED * 2):
        bursts(None, "warning", {"event": f"{number}", "level": "warning"})
    assert len(bursts._seen) <= log_bounds.REMEMBERED


@pytest.fixture(params=["json", "console"])
def live(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    with live_server(tmp_path / "data", {"FLOWTALLY_LOG_FORMAT": request.param}) as served:
        yield served


def ask(live: Live, path: bytes, *more: bytes) -> bytes:
    with socket.create_connection(live.place, timeout=20) as connection:
        connection.sendall(
            b"\r\n".join([b"GET " + path + b" HTTP/1.1", b"Host: x", b"Connection: close", *more, b"", b""])
        )
        answer = b""
        while chunk := connection.recv(65_536):
            answer += chunk
        return answer


def written(live: Live, count: int) -> tuple[bytes, list[bytes]]:
    """The whole log, as soon as it has so many lines of requests, and these."""
    for _ in range(500):
        text = Path(f"{live.data}.log").read_bytes()
        requests = [line for line in text.splitlines() if b"/v1/" in line]
        if len(requests) >= count:
            break
        time.sleep(0.02)
    assert len(requests) == count
    return text, requests


def test_no_caller_writes_more_than_a_line_into_the_log_or_drives_its_terminal(live: Live) -> None:
    long = b"".join(b"%%%02x" % byte for byte in UGLY)
    emoji = "".join(f"%{byte:02x}" for byte in "👨‍👩‍👧".encode() * 400).encode()
    asked = [b"/v1/" + long[:60_000], b"/v1/%0a2026-01-01%20[info]%20forged", b"/v1/" + emoji]
    for path in asked:
        assert ask(live, path).startswith(b"HTTP/1.1 40")
    ask(live, b"/v1/x", b"User-Agent: " + b"u" * 5000, b"X-Request-Id: {a b}", b"X-Forwarded-For: 198.51.100.1")
    text, requests = written(live, len(asked) + 1)
    assert all(len(line) <= 2048 for line in requests), [len(line) for line in requests]
    assert b"\x1b[31m" not in text.replace(b"\x1b[0m", b"")
    assert b"\nforged" not in text
    assert all(b"127.0.0.1" in line for line in requests)
    for line in requests:
        if line.startswith(b"{"):
            assert json.loads(line)["client"] == "127.0.0.1"
    assert all(char.isprintable() or char in HARMLESS + "\n" for char in text.decode())
