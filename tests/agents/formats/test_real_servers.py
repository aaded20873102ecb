"""The real Squid, nginx and Apache write odd names into logs of many formats: what is read back is the name that was
sent, or the line is not read; never another name. Each is started once, and is asked once under each name.
"""

from __future__ import annotations

import base64
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack

import msgspec
import pytest
from tests.agents.formats.servers import BINARIES, LOGS, Serving, serving
from tests.agents.programs.running import program

from flowtally.agents.formats import format_of
from flowtally.agents.reading import LineReading, Unreadable, text_of

PATIENCE_S = 60
# Nothing behind a colon: basic authentication ends a name there.
NAMES = {
    "plain": b"bob",
    "blank": b"bob b",
    "two blanks": b"bob  b",
    "blank at the end": b"bob ",
    "blank at the beginning": b" bob",
    "blanks alone": b"  ",
    "quote": b'a "b"',
    "quote at the end": b'bob"',
    "pair of quotes": b'""',
    "backslash": b"corp\\bob b",
    "backslash alone": b"\\",
    "backslash before a quote": b'a\\"b',
    "looks escaped": b"a\\nb\\x41\\u0041\\\\",
    "accent": "josé".encode(),
    "emoji": "zoë 🦊".encode(),
    "no UTF-8": b"jos\xe9",
    "percent": b"%41%c3%a9%",
    "plus": b"a+b",
    "brackets": b"[x] ]y[",
    "marks": b"o'neil <x> {y} #z ~^`|",
    "control": b"\x01\x1b\x7f\x08\x0b\x0c",
    "tab": b"a\tb",
    "carriage return": b"a\rb",
    "newline": b"a\nb",
    "nul": b"a\0b",
    "rest of a native line": b"eve HIER_NONE/- text/html",
    "rest of a combined line": b'eve [10/Mar/2026] "GET / HTTP/1.1" 200 9 "-" "a"',
    "rest of a quoted line": b'eve" 9 9 200 "GET /',
    "rest of a raw line": b"eve 9 9 200 /x",
    "rest of a line of three": b'eve" 9 "/x',
    "rest of a JSON line": b'eve","b',
    "dash": b"-",
    "two dashes": b"- -",
    "empty": b"",
    "long": b"long" * 750,
}
BLANKS = {name for name, raw in NAMES.items() if b" " in raw[:-1]}
LIKE_NUMBERS = {"rest of a quoted line", "rest of a raw line", "two dashes"}

# What the server itself takes a name for. Squid and Apache end it at a NUL. Squid lets nobody in who is called `-` or
# whose name has a line's end; the others write `-` for who is called so as for nobody.
TAKEN: Mapping[str, Mapping[str, str]] = {
    "squid": {"nul": "a", "carriage return": "", "newline": "", "dash": ""},
    "nginx": {"dash": ""},
    "apache": {"nul": "a", "dash": ""},
}
TELLS_A_DASH = ("json", "none-inside", "none-at-the-end")  # of nginx: for nobody it writes nothing there
# Whose lines are not read, and why: where between the name and what is beside it stand blanks or quotes that may be in
# either, and where the name is written raw and has a newline.
AMBIGUOUS: Mapping[tuple[str, str], set[str]] = {
    ("squid", "native"): BLANKS,
    ("squid", "raw-at-the-end"): BLANKS,
    ("squid", "bracket-code"): LIKE_NUMBERS,
    ("squid", "quote-code"): LIKE_NUMBERS,
    ("squid", "raw-code"): LIKE_NUMBERS,
    ("squid", "raw"): LIKE_NUMBERS,
    ("nginx", "none-inside"): {"rest of a line of three"},
    ("nginx", "none-at-the-end"): {"rest of a combined line"},
    ("apache", "bare"): LIKE_NUMBERS | {"rest of a combined line"},
}
TORN: Mapping[tuple[str, str], set[str]] = {
    ("nginx", "none-inside"): {"newline"},
    ("nginx", "none-at-the-end"): {"newline"},
}
ALL_LOGS = [(server, log) for server, logs in LOGS.items() for log in logs]


class Written(msgspec.Struct, frozen=True):
    """`marks` is a part of the address that each name's request asked for."""

    serving: Serving
    marks: Mapping[str, str]

    def lines(self, log: str) -> list[bytes]:
        """All lines of a log, as soon as everything is in it."""
        path, end = self.serving.log(log), time.monotonic() + PATIENCE_S
        while True:
            written = path.read_bytes() if path.exists() else b""
            if written.endswith(b"\n") and all(mark.encode() in written for mark in self.marks.values()):
                return written.removesuffix(b"\n").split(b"\n")
            assert time.monotonic() < end, f"not everything was logged: {path}"
            time.sleep(0.05)


def send(to: Serving, path: str, name: bytes) -> None:
    proof = base64.b64encode(name + b":any").decode()
    lines = (f"GET {to.site}{path} HTTP/1.1", "Host: site.test", f"{to.header}: Basic {proof}", "Connection: close")
    with socket.create_connection(("127.0.0.1", to.port), timeout=PATIENCE_S) as one:
        one.sendall("\r\n".join([*lines, "", ""]).encode())
        while one.recv(1 << 16):
            pass


@pytest.fixture(scope="module")
def servers() -> Iterator[Callable[[str], Written]]:
    """A server is started when the first test asks for what it wrote, and asked once under each name."""
    started: dict[str, Written] = {}
    with ExitStack() as stack:

        def of(server: str) -> Written:
            if program(BINARIES[server]) is None:
                pytest.skip(f"{server} is not installed")
            if server not in started:
                one = stack.enter_context(serving(server))
                marks = {name: f"/{number}of{len(NAMES)}/" for number, name in enumerate(NAMES)}
                for name, raw in NAMES.items():
                    send(one, marks[name] + "bytes/0", raw)
                started[server] = Written(one, marks)
            return started[server]

        yield of


def right(server: str, log: str) -> dict[str, str]:
    """Who the server was asked by under each name, or why that cannot be read."""
    users = {name: text_of(raw) for name, raw in NAMES.items()}
    users.update(TAKEN[server])
    if server == "nginx" and log in TELLS_A_DASH:
        users["dash"] = "-"
    users.update(dict.fromkeys(AMBIGUOUS.get((server, log), ()), "(ambiguous)"))
    users.update(dict.fromkeys(TORN.get((server, log), ()), "(not_this_format)"))
    return users


@pytest.mark.system
@pytest.mark.parametrize(("server", "log"), ALL_LOGS)
def test_a_name_is_read_back_as_it_was_sent_or_its_line_is_not_read(
    servers: Callable[[str], Written], server: str, log: str
) -> None:
    written = servers(server)
    wanted = right(server, log)
    lines = written.lines(log)
    read_line = format_of(LOGS[server][log].declared).read_line
    found = {}
    for name, mark in written.marks.items():
        read = read_line(next(line for line in lines if mark.encode() in line))
        assert isinstance(read, Unreadable) or (isinstance(read, LineReading) and mark in read.url), read
        found[name] = read.user if isinstance(read, LineReading) else f"({read.reason})"
    assert found == wanted
    everybody = {read.user for line in lines if isinstance(read := read_line(line), LineReading)}
    assert everybody == {user for user in wanted.values() if user[:1] != "("}
