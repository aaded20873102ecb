"""What was read of a log, to be looked at before it counts: figures, users, the first and last instant, samples.

A wrong format shows here: an upload that is a duration, a user a second, a port for a name. Bounded memory: of more
than `MAX_USERS` users only those that came first are known by name, and the figures say so. Pure.
"""

from __future__ import annotations

import heapq
import ipaddress
import re
from typing import Final

import msgspec

from flowtally.agents.mapping import Mapping
from flowtally.agents.reading import LineReading, text_of
from flowtally.core.edges import format_if_any
from flowtally.core.events import MAX_NAME_CHARS
from flowtally.core.texts import printable, text_fault

MAX_USERS: Final = 50_000
LARGEST: Final = 5
ODD: Final = 5
SAMPLES: Final = 2  # the first so many lines, and the largest one
EXCERPT_CHARS: Final = 160

_ESCAPES: Final = re.compile(r"%[0-9A-Fa-f]{2}|\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\[0-7]{3}|\\[\\\"]|&[a-z]+;")
_FRAGMENT: Final = re.compile(r"[\[\]\"]|HTTP/|://|^(?:GET|POST|CONNECT|HEAD|PUT)\b|^\w+=")
_PORT: Final = re.compile(r"\[?([0-9A-Fa-f.:]+?)\]?(?::\d+)?")


class UserUse(msgspec.Struct, frozen=True):
    account: str
    user: str
    bytes_up: int
    bytes_down: int
    requests: int


class OddUser(msgspec.Struct, frozen=True):
    """A name that may not be one; `why` for people."""

    account: str
    user: str
    requests: int
    why: str


class Sample(msgspec.Struct, frozen=True):
    """One line as it stands (`excerpt`), and what it was read as; `line` counts from 1 over the whole log."""

    line: int
    excerpt: str
    time: str | None
    account: str
    user: str
    product: str
    bytes_up: int
    bytes_down: int
    requests: int
    status: int


class Look(msgspec.Struct, frozen=True):
    """Of all lines that were read as use. `users` counts names of users within accounts, exactly unless `more_users`:
    then there are more. `largest` by bytes; `odd` are the first of `odd_users`, those with most requests. Instants are
    RFC 3339, None where no line says one."""

    bytes_up: int = 0
    bytes_down: int = 0
    requests: int = 0
    users: int = 0
    more_users: bool = False
    largest: tuple[UserUse, ...] = ()
    odd_users: int = 0
    odd: tuple[OddUser, ...] = ()
    first_at: str | None = None
    last_at: str | None = None
    samples: tuple[Sample, ...] = ()


class Looking:
    """The running figures behind a Look."""

    def __init__(self, *, addresses: bool = False, nobody: bool = False) -> None:
        """On purpose users are named by their `addresses`, or not at all (`nobody`)."""
        self._addresses = addresses
        self._nobody = nobody
        self._up = self._down = self._requests = 0
        self._users: dict[tuple[str, str], list[int]] = {}
        self._more = False
        self._first: int | None = None
        self._last: int | None = None
        self._samples: list[tuple[int, bytes, LineReading]] = []
        self._largest: tuple[int, bytes, LineReading] | None = None
        self._most = -1

    def add(self, line: int, text: bytes, reading: LineReading) -> None:
        up, down, requests = reading.bytes_up, reading.bytes_down, reading.requests
        self._up += up
        self._down += down
        self._requests += requests
        self._count(reading.account, reading.user[:MAX_NAME_CHARS], up, down, requests)
        at = reading.time_at
        if at is not None:
            if self._first is None or at < self._first:
                self._first = at
            if self._last is None or at > self._last:
                self._last = at
        if len(self._samples) < SAMPLES:
            self._samples.append((line, text, reading))
        elif up + down > self._most:
            self._most = up + down
            self._largest = (line, text, reading)

    def _count(self, account: str, user: str, up: int, down: int, requests: int) -> None:
        use = self._users.get((account, user))
        if use is None:
            if len(self._users) == MAX_USERS:
                self._more = True
                return
            self._users[account, user] = [up, down, requests]
        else:
            use[0] += up
            use[1] += down
            use[2] += requests

    def look(self) -> Look:
        odd = [(use[2], name, why) for name, use in self._users.items() if (why := self._oddity(name[1]))]
        largest = heapq.nlargest(LARGEST, self._users.items(), key=lambda one: (one[1][0] + one[1][1], one[1][2]))
        shown = [*self._samples, *([self._largest] if self._largest else [])]
        return Look(
            bytes_up=self._up,
            bytes_down=self._down,
            requests=self._requests,
            users=len(self._users),
            more_users=self._more,
            largest=tuple(UserUse(account, user, *use) for (account, user), use in largest),
            odd_users=len(odd),
            odd=tuple(OddUser(*name, count, why) for count, name, why in heapq.nlargest(ODD, odd)),
            first_at=format_if_any(self._first) or None,
            last_at=format_if_any(self._last) or None,
            samples=tuple(_sample(*one) for one in shown),
        )

    def _oddity(self, user: str) -> str:
        return "" if self._nobody and not user else oddity(user, addresses=self._addresses)


def looking_for(mapping: Mapping) -> Looking:
    """What is odd depends on what was asked for."""
    field = mapping.user_from.partition(":")[0]
    return Looking(addresses=field == "client", nobody=field == "none")


def oddity(user: str, *, addresses: bool = False) -> str:
    """Why this may be no name of a user; empty where it looks like one."""
    if not user:
        return "empty: the line names nobody"
    if user == "-":
        return "what logs write for nobody"
    if text_fault(user) or "\ufffd" in user:
        return "control characters"
    if _ESCAPES.search(user):
        return "escapes are left in it"
    if not addresses and _is_address(user):
        return "looks like an address"
    if user.isdigit():
        return "only digits"
    if _FRAGMENT.search(user):
        return "looks like a piece of a log line"
    return "blanks in it" if any(char.isspace() for char in user) else ""


def excerpt(text: bytes) -> str:
    """The beginning of a line, fit for a terminal: control characters are written out."""
    return printable(text_of(text[: 4 * EXCERPT_CHARS])[:EXCERPT_CHARS])


def _is_address(user: str) -> bool:
    match = _PORT.fullmatch(user)
    if match is None or not ("." in user or ":" in user):
        return False
    for text in (user, match[1]):
        try:
            ipaddress.ip_address(text)
        except ValueError:
            continue
        return True
    return False


def _sample(line: int, text: bytes, reading: LineReading) -> Sample:
    return Sample(
        line=line,
        excerpt=excerpt(text),
        time=format_if_any(reading.time_at) or None,
        account=reading.account,
        user=reading.user,
        product=reading.product,
        bytes_up=reading.bytes_up,
        bytes_down=reading.bytes_down,
        requests=reading.requests,
        status=reading.status,
    )
