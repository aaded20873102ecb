"""Asking a program of this machine: over a socket, or by running one. Each answer within a deadline and a size.

Leaves to the kinds what is asked and what the answer means. Everything that goes wrong is `Unasked`, without what the
program said beyond a line of it.
"""

from __future__ import annotations

import os
import select
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Final

from flowtally.agents.counters.settings import place
from flowtally.agents.counters.stood import Unasked
from flowtally.core.texts import printable

MAX_ANSWER_BYTES: Final = 64 * 1024 * 1024
_PIECE: Final = 65_536


def ask_socket(address: str, command: str, timeout_s: float) -> bytes:
    """All that is answered to one line, until the other side closes. A path, or HOST:PORT."""
    end = time.monotonic() + timeout_s
    try:
        with _connected(address, timeout_s) as line:
            line.sendall(command.encode() + b"\n")
            line.shutdown(socket.SHUT_WR)  # HAProxy's master answers no more then, and closes
            line.setblocking(False)
            return _read(line.fileno(), end, lambda: line.recv(_PIECE), address)
    except OSError as error:
        raise Unasked(f"{address}: {error.strerror or error}") from None


def _connected(address: str, timeout_s: float) -> socket.socket:
    if not address.startswith("/"):
        return socket.create_connection(place(address), timeout_s)
    line = socket.socket(socket.AF_UNIX)
    try:
        line.settimeout(timeout_s)
        line.connect(address)
    except OSError:
        line.close()
        raise
    return line


def run(command: Sequence[str], timeout_s: float) -> bytes:
    """What a program prints. It is ended where it takes too long or says too much."""
    end = time.monotonic() + timeout_s
    try:
        child = subprocess.Popen(  # noqa: S603 - words of our own and names that settings were checked for
            command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
    except OSError as error:
        raise Unasked(f"{command[0]}: {error.strerror or error}") from None
    assert child.stdout is not None
    assert child.stderr is not None
    told = child.stdout.fileno()
    with child:
        try:
            answer = _read(told, end, lambda: os.read(told, _PIECE), command[0])
            code = child.wait(max(0.1, end - time.monotonic()))
        except (Unasked, subprocess.TimeoutExpired) as error:
            child.kill()
            raise error if isinstance(error, Unasked) else Unasked(_slow(command[0])) from None
        if code != 0:
            first = child.stderr.read(_PIECE).decode("utf-8", "replace").strip().partition("\n")[0]
            raise Unasked(f"{command[0]} ended with {code}: {printable(first, 200)}")
    return answer


def _read(where: int, end: float, piece: Callable[[], bytes], who: str) -> bytes:
    pieces: list[bytes] = []
    size = 0
    waiting = select.poll()
    waiting.register(where, select.POLLIN)
    while True:
        left_s = end - time.monotonic()
        if left_s <= 0 or not waiting.poll(left_s * 1000):
            raise Unasked(_slow(who))
        with suppress(BlockingIOError):
            got = piece()
            if not got:
                return b"".join(pieces)
            pieces.append(got)
            size += len(got)
        if size > MAX_ANSWER_BYTES:
            raise Unasked(f"{who} answers more than {MAX_ANSWER_BYTES} bytes")


def _slow(who: str) -> str:
    return f"{who} did not answer in time"
