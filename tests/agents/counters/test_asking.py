"""A program that is asked gets its time-out and its bound, whatever it does."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from flowtally.agents.counters import asking
from flowtally.agents.counters.asking import ask_socket, run
from flowtally.agents.counters.stood import Unasked


def test_what_a_program_prints_is_the_answer() -> None:
    assert run(["sh", "-c", "printf abc; printf more >&2"], 30) == b"abc"


@pytest.mark.parametrize(
    ("script", "timeout_s", "told"),
    [
        ("sleep 60", 0.2, "sh did not answer in time"),
        ("exec >&-; sleep 60", 0.2, "sh did not answer in time"),
        ("while :; do echo; sleep 0.01; done", 0.3, "sh did not answer in time"),
        ("head -c 2000000 /dev/zero", 30, "sh answers more than 1000000 bytes"),
        ("echo 'no such table\nmore' >&2; exit 3", 30, "sh ended with 3: no such table$"),
    ],
)
def test_a_program_that_hangs_or_says_too_much_is_ended(
    monkeypatch: pytest.MonkeyPatch, script: str, timeout_s: float, told: str
) -> None:
    monkeypatch.setattr(asking, "MAX_ANSWER_BYTES", 1_000_000)
    began = time.monotonic()
    with pytest.raises(Unasked, match=told):
        run(["sh", "-c", script], timeout_s)
    assert time.monotonic() - began < 30


def test_a_program_that_is_not_there_is_told() -> None:
    with pytest.raises(Unasked, match="flowtally-nothing: No such file"):
        run(["flowtally-nothing"], 1)


@contextmanager
def answering(door: socket.socket, answer: Callable[[socket.socket], object]) -> Iterator[None]:
    def serve() -> None:
        with suppress(OSError):
            line, _ = door.accept()
            with line:
                answer(line)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with door:
        yield
    thread.join(30)


def test_a_path_and_an_address_are_asked_alike(tmp_path: Path) -> None:
    here = socket.socket(socket.AF_UNIX)
    here.bind(str(tmp_path / "sock"))
    here.listen()
    there = socket.create_server(("127.0.0.1", 0))
    for door, address in ((here, str(tmp_path / "sock")), (there, f"127.0.0.1:{there.getsockname()[1]}")):
        with answering(door, lambda line: line.sendall(line.recv(100) * 100_000)):
            assert ask_socket(address, "show info", 30) == b"show info\n" * 100_000


def test_a_socket_that_says_nothing_or_too_slowly_is_given_up() -> None:
    def dribble(line: socket.socket) -> None:
        for _ in range(1_000):
            line.sendall(b"x")
            time.sleep(0.01)

    given_up = threading.Event()
    for answer in (lambda line: given_up.wait(30), dribble):
        door = socket.create_server(("127.0.0.1", 0))
        with answering(door, answer):
            with pytest.raises(Unasked, match="in time"):
                ask_socket(f"127.0.0.1:{door.getsockname()[1]}", "show info", 0.1)
            given_up.set()
