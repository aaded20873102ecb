"""The connections of this server: how many one address may have, and which end when there are too many.

The HTTP server accepts by itself, up to a number of connections, and ends those whose head is not whole in time. It
knows no addresses. So a sweep looks every second at the sockets of this process that came in at our port, and shuts
down what is beyond the bounds. While there are no more open files than the least bound it looks at nothing; where there
are thousands, and nothing to do, it looks less often.

* An address (of IPv6 a /64, which is what one caller has) has at most so many connections. Those of this machine and
  of trusted proxies are not counted: they speak for many, and bound these themselves.
* Three quarters of all connections taken: those that have not said a word since the sweep before this one end, and
  those that are idle for so long that their answer is stuck: the HTTP server ends idle ones sooner, but waits without
  end for who reads nothing.
* Three quarters of all taken by those that asked something: idle ones end too, as many as are beyond, the longest idle
  first. Only those without a request in work since the sweep before: a request that is on its way meets its end rarely.
* Where the rest of a body was given up nothing more is read, or the HTTP server would wait for it without end.

Of an address those end first that never asked anything, then idle ones, and of each the newest; one with a request in
work comes last.
"""

from __future__ import annotations

import os
import socket
import stat
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from ipaddress import IPv4Network, IPv6Network
from typing import Final, TypeAlias

import msgspec
import structlog

from flowtally.config import Config
from flowtally.web.forwarded import Networks, address_of, is_in

log = structlog.get_logger("flowtally.server")

SWEEP_S: Final = 1.0
MOST_S: Final = 5.0  # between two sweeps while there is nothing to do: so that they take a fiftieth of the time
PART: Final = 50
OPEN_FILES: Final = "/dev/fd"  # of this process, on Linux and macOS; elsewhere nothing is swept
STUCK_S: Final = 30.0
IPV6_CALLER: Final = 64  # bits of the network that one caller is given
HERE: Final = (IPv4Network("127.0.0.0/8"), IPv6Network("::1"))

Peer: TypeAlias = tuple[str, int]


class Found(msgspec.Struct, frozen=True):
    """A connection: under which number it is open here, and who is at its other end."""

    file: int
    peer: Peer


class ConnectionLimits:
    """Told by the event loop what is asked over which connection; `sweep` runs in a thread beside it."""

    def __init__(self, config: Config, here: Networks = HERE, clock: Callable[[], float] = time.monotonic) -> None:
        self._config = config
        self._uncounted = (*here, *config.proxies)
        self.most = config.max_connections  # or fewer, where not so many files may be open
        self._in_work: set[Peer] = set()
        self._served: dict[Peer, float] = {}  # when those that asked something were answered, and some that are gone
        self._given_up: set[Peer] = set()
        self._since: dict[Peer, int] = {}  # at which sweep each was seen first
        self._clock = clock
        self._sweeps = 0
        self._began = self._before = clock()  # this sweep, and the one before
        self.pause_s = SWEEP_S  # until the next sweep

    @property
    def _crowded(self) -> int:
        return self.most * 3 // 4

    @property
    def _least(self) -> int:
        per_address = self._config.max_connections_per_address
        return min(per_address, self._crowded) if per_address else self._crowded

    def begin(self, peer: Peer) -> None:
        """A request of this connection is in work."""
        self._in_work.add(peer)
        self._given_up.discard(peer)

    def end(self, peer: Peer) -> None:
        self._in_work.discard(peer)
        self._served[peer] = self._clock()

    def give_up(self, peer: Peer) -> None:
        """Nothing more is to be read of this connection; what is on its way out is still sent."""
        self._given_up.add(peer)

    def break_off(self, peer: Peer, server: tuple[str, int | None] | None) -> None:
        """End this connection at once, in a thread: what was not sent yet is not, so nobody takes it for whole."""
        if server is not None and server[1] is not None:
            for one in connections(int(server[1]), _open_files()):
                if one.peer == peer:
                    _shut(one)

    def sweep(self, port: int) -> int:
        """Shut down what is beyond the bounds or was given up; how many that were."""
        self._before, self._began = self._began, self._clock()
        ended, crowded = self._sweep(port)
        self.pause_s = SWEEP_S if ended or crowded else min(max(SWEEP_S, PART * (self._clock() - self._began)), MOST_S)
        return ended

    def _sweep(self, port: int) -> tuple[int, bool]:
        self._sweeps += 1
        served = list(self._served) if len(self._served) > 2 * self.most else []
        files, given_up = _open_files(), set(self._given_up)
        if len(files) <= self._least and not given_up:
            self._since.clear()
            self._forget(served)  # costs nothing but the order in which idle ones end
            return 0, False
        self._given_up.difference_update(given_up)
        found = list(connections(port, files))
        self._forget(set(served).difference(one.peer for one in found))
        self._since = {one.peer: self._since.get(one.peer, self._sweeps) for one in found}
        unread = [one for one in found if one.peer in given_up]
        ended = sum(_shut(one, socket.SHUT_RD) for one in unread)
        ended += sum(map(_shut, (*self._too_many(found), *self._silent(found))))
        ended += sum(_shut(one) for one in self._idle(found) if one.peer not in self._in_work)  # looked at once more
        return ended, len(found) > self._crowded

    def _forget(self, gone: Iterable[Peer]) -> None:
        for peer in gone:
            self._served.pop(peer, None)

    def _too_many(self, found: Sequence[Found]) -> Iterator[Found]:
        limit = self._config.max_connections_per_address
        by_caller: dict[str, list[Found]] = defaultdict(list)
        for one in found:
            if limit and (caller := self._counted(one.peer[0])):
                by_caller[caller].append(one)
        for caller, own in by_caller.items():
            if len(own) > limit:
                log.warning("too_many_connections_of_address", client=caller, open=len(own), limit=limit)
                yield from sorted(own, key=self._worth)[: len(own) - limit]

    def _silent(self, found: Sequence[Found]) -> Iterator[Found]:
        if len(found) <= self._crowded:
            return
        silent = [one for one in found if self._is_silent(one.peer)]
        log.warning("silent_connections_closed", open=len(found), silent=len(silent))
        yield from silent

    def _is_silent(self, peer: Peer) -> bool:
        if peer in self._in_work:
            return False
        answered_at = self._served.get(peer)
        if answered_at is None:
            return self._since[peer] < self._sweeps
        return self._clock() - answered_at > STUCK_S

    def _idle(self, found: Sequence[Found]) -> Sequence[Found]:
        # What never asked is not counted: it ends by itself at the next sweep, and no idle one has to for it.
        asked = [one for one in found if one.peer in self._in_work or one.peer in self._served]
        if len(asked) <= self._crowded:
            return ()
        since = {one.peer: at for one in asked if (at := self._idle_since(one.peer)) is not None}
        idle = sorted((one for one in asked if one.peer in since), key=lambda one: since[one.peer])
        if idle:
            log.warning("idle_connections_closed", open=len(found), asked=len(asked), idle=len(idle))
        return idle[: len(asked) - self._crowded]

    def _idle_since(self, peer: Peer) -> float | None:
        """None: not since the sweep before, or it is new and only its number was another's before."""
        answered_at = self._served.get(peer)
        if peer in self._in_work or answered_at is None or self._since[peer] == self._sweeps:
            return None
        return answered_at if answered_at < self._before else None

    def _worth(self, one: Found) -> tuple[bool, bool, int]:
        """The least ends first."""
        return one.peer in self._in_work, one.peer in self._served, -self._since[one.peer]

    def _counted(self, text: str) -> str:
        """What this peer's address is counted as; empty: it is not."""
        address = address_of(text)
        if address is None or is_in(address, self._uncounted):
            return ""
        return str(address) if address.version == 4 else str(IPv6Network((address, IPV6_CALLER), strict=False))


def connections(port: int, files: Sequence[int]) -> Iterator[Found]:
    """Those of these open files that are connections to this port."""
    for file in files:
        with suppress(OSError):  # closed meanwhile, or not connected
            if not stat.S_ISSOCK(os.fstat(file).st_mode):
                continue
            with _copy(file) as own:
                if own.family in (socket.AF_INET, socket.AF_INET6) and own.getsockname()[1] == port:
                    yield Found(file, _peer(own))


def peer_of(client: tuple[str, int] | None) -> Peer:
    """Who is at the other end of a request; of no connection where nobody knows."""
    return ("", 0) if client is None else (client[0], int(client[1]))  # the HTTP server has the port as text


def _open_files() -> list[int]:
    try:
        return [int(name) for name in os.listdir(OPEN_FILES)]
    except OSError:
        return []


def _copy(file: int) -> socket.socket:
    """The socket under a number of its own: whatever becomes of the other meanwhile, this stays what it is."""
    return socket.socket(fileno=os.dup(file))


def _peer(own: socket.socket) -> Peer:
    host, port = own.getpeername()[:2]
    return host.partition("%")[0], port


def _shut(one: Found, how: int = socket.SHUT_RDWR) -> bool:
    """Whether it was still the same connection; who owns it sees its end."""
    with suppress(OSError), _copy(one.file) as own:
        if _peer(own) == one.peer:
            own.shutdown(how)
            return True
    return False
