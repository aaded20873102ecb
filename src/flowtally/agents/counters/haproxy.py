"""HAProxy: what frontends, backends, servers or the keys of a stick table stand at, over its stats or master socket.

A worker's counters begin with it, also at a reload: then the old one goes on with the connections it has, and only the
master socket still reaches it. Its epoch is the instant it started. With `option contstats` counters move every five
seconds, without it when a stream ends. `bin` is what the client sent: up.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from contextlib import suppress
from typing import Final

from flowtally.agents.counters.asking import ask_socket
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked, bounded, hidden
from flowtally.core.edges import format_instant

TYPES: Final = {"frontend": 1, "backend": 2, "server": 4}  # bits of `show stat`
OLD_WORKERS: Final = 4  # as many runs before the present one does the server remember of a counter
APART_S: Final = 5  # starts that are nearer are one to it
_ESCAPED: Final = re.compile(rb"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_WORD: Final = re.compile(rb"(?:\\.|[^\\ ])+", re.DOTALL)
_LETTERS: Final = {b"t": b"\t", b"n": b"\n", b"r": b"\r", b"e": b"\x1b"}

Ask = Callable[[str, str, float], bytes]


class HAProxy:
    def __init__(self, counters: Counters, ask: Ask = ask_socket) -> None:
        self._counters = counters
        self._ask = ask

    def __call__(self) -> list[Stood]:
        ours = self._counters
        command = f"show table {ours.table}" if ours.table else f"show stat -1 {TYPES[ours.lines]} -1"
        if not ours.master:
            info, _, answer = self._asked(f"show info;{command}").partition(b"\n\n")
            return self._stood(answer, started(info))
        found: list[Stood] = []
        *old, (pid, began) = newest(self._starts())
        for other, before in old:
            with suppress(Unasked):  # it may end at any moment
                found += self._stood(self._asked(f"@!{other} {command}"), before)
        return bounded(found + self._stood(self._asked(f"@!{pid} {command}"), began))

    def _starts(self) -> list[tuple[int, int]]:
        """Workers, and when each started."""
        present, *old = workers(self._asked("show proc"))
        starts = [(present, started(self._asked(f"@!{present} show info")))]
        for pid in old:
            with suppress(Unasked):
                starts.append((pid, started(self._asked(f"@!{pid} show info"))))
        return starts

    def _stood(self, answer: bytes, began: int) -> list[Stood]:
        epoch = "" if self._counters.peers else format_instant(began * 1000)
        return entries(answer, self._counters.table, epoch) if self._counters.table else lines(answer, epoch)

    def _asked(self, command: str) -> bytes:
        return self._ask(self._counters.address, command, self._counters.timeout_s)


def started(info: bytes) -> int:
    """When the process of a `show info` started, in seconds since 1970."""
    found = re.search(rb"^Start_time_sec: (\d{1,12})$", info, re.MULTILINE)
    if found is None:
        raise Unasked("`show info` does not say when the process started (Start_time_sec; HAProxy 2.6 does)")
    return int(found[1])


def workers(answer: bytes) -> list[int]:
    """The processes of a `show proc` that have counters, the present ones first. Unasked where no master answered."""
    found = re.findall(rb"^(\d{1,10})\s+worker\s", answer, re.MULTILINE)
    if not found:
        raise Unasked("`show proc` names no workers: is it the master's socket (haproxy -W -S)?")
    return [int(pid) for pid in found]


def newest(starts: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """Those that are told apart, the oldest first: the server takes starts that are near for one, and remembers few of
    those before. What the others still count is left out rather than counted twice."""
    kept: list[tuple[int, int]] = []
    for pid, began in sorted(starts, key=lambda one: one[1], reverse=True):
        if len(kept) <= OLD_WORKERS and (not kept or kept[-1][1] - began > APART_S):
            kept.append((pid, began))
    return kept[::-1]


def lines(answer: bytes, epoch: str) -> list[Stood]:
    """The lines of a `show stat`, as `proxy/FRONTEND`, `proxy/BACKEND`, `proxy/server`."""
    text = answer.decode("utf-8", "backslashreplace").lstrip()
    if not text.startswith("# pxname,svname,"):
        raise Unasked(f"`show stat` answered {text[:60]!r}")
    found = []
    for row in csv.DictReader(text[2:].splitlines()):
        if row["pxname"] and row["svname"]:
            name = f"{row['pxname']}/{row['svname']}"
            found.append(Stood(name, _line(name), _number(row, "bin"), _number(row, "bout"), _requests(row), epoch))
    return bounded(found)


def _line(name: str) -> str:
    return f"line/{name}" if len(name) <= 150 else hidden("line", name)


def _number(row: dict[str, str], field: str) -> int:
    text = row.get(field) or ""
    if not (text.isascii() and text.isdigit()):
        raise Unasked(f"`show stat` has no number in {field} of {row['pxname']}/{row['svname']}: {text[:20]!r}")
    return int(text)


def _requests(row: dict[str, str]) -> int:
    """Of a frontend for HTTP; else sessions. Never now this and now that: a counter that falls has begun anew."""
    of_http = row["svname"] == "FRONTEND" and row.get("mode") == "http"
    return _number(row, "req_tot" if of_http else "stot")


def entries(answer: bytes, table: str, epoch: str) -> list[Stood]:
    """The keys of a `show table` with what was counted for each."""
    head, *rows = answer.strip().split(b"\n")
    if not head.startswith(f"# table: {table},".encode()):
        raise Unasked(f"`show table {table}` answered {head[:80].decode('utf-8', 'replace')!r}")
    if rows and rows[0].startswith(b"# contents not dumped"):
        raise Unasked(f"table {table} is shown to `level operator` only: give the stats socket that level")
    found = []
    for row in rows:
        key, counted = _entry(row, table)
        up, down = counted.get(b"bytes_in_cnt"), counted.get(b"bytes_out_cnt")
        if up is None or down is None:
            raise Unasked(f"table {table} must store bytes_in_cnt,bytes_out_cnt")
        found.append(Stood(key, hidden(table, key), up, down, counted.get(b"http_req_cnt", 0), epoch))
    return bounded(found)


def _entry(row: bytes, table: str) -> tuple[str, dict[bytes, int]]:
    r"""`0x55d0: key=al\ ice use=0 exp=3599 bytes_in_cnt=117 bytes_out_cnt=83`: blanks and `=` of a key are escaped."""
    pairs = [word.partition(b"=") for word in _WORD.findall(row)]
    key = next((value for name, _, value in pairs if name == b"key"), None)
    if key is None:
        raise Unasked(f"table {table} has a line without key")
    return unescaped(key), {name: int(value) for name, _, value in pairs if name != b"key" and value.isdigit()}


def unescaped(key: bytes) -> str:
    r"""A key as it was before `show table` wrote it: `\ `, `\=`, `\\`, `\t`, `\n`, `\r`, `\e` and `\xC3`."""

    def plain(found: re.Match[bytes]) -> bytes:
        escaped = found[1]
        return bytes([int(escaped[1:], 16)]) if len(escaped) == 3 else _LETTERS.get(escaped, escaped)

    return _ESCAPED.sub(plain, key).decode("utf-8", "backslashreplace")
