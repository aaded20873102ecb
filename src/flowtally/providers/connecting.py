"""Connections to servers of other people: only to addresses that may be reached, no wait without an end.

Owns looking names up, which addresses are public, and sockets that give up when their time is over or this server
stops. Leaves HTTP and TLS to httpcore, which this is a backend of. The address that is looked at is the one that is
connected to: a name that is looked up twice may mean another one the second time.
"""

from __future__ import annotations

import queue
import select
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Any, Final, TypeVar

import httpcore

from flowtally.providers.puller import Failed

T = TypeVar("T")
Place = tuple[int, tuple[Any, ...]]  # a family of addresses, and an address with its port as sockets take it
LookUp = Callable[[str, int], Sequence[Place]]

SLICE_S: Final = 0.2  # how soon a wait hears that the server stops
_NAT64: Final = IPv6Network("64:ff9b::/96")  # IPv4 as machines without it see it: the last 32 bits are the address
# What is in no list of the standard library, or not in that of each version: addresses of protocols (RFC 6890), relays
# of 6to4 (RFC 7526), and where machines of Azure ask their host, which tells them secrets.
_NOT_PUBLIC: Final = tuple(map(IPv4Network, ("192.0.0.0/24", "192.88.99.0/24", "168.63.129.16/32")))


class ServerStops(Exception):
    """This server stops; what was being asked is left."""


class OffLimits(Failed):
    """What the name means, or who answers there, is nobody that may be asked. It is not tried again at once."""


def look_up(host: str, port: int) -> Sequence[Place]:
    """What the name means, in the order of preference of this machine."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [(family, place) for family, _, _, _, place in found]


def is_public(address: str) -> bool:
    """Whether it is an address of the whole internet: none of this machine, of a private network, of a link, of many.

    >>> is_public("169.254.169.254")
    False
    """
    one: IPv4Address | IPv6Address = ip_address(address)
    if isinstance(one, IPv6Address):
        within = one.ipv4_mapped or one.sixtofour or (one.teredo and one.teredo[1])
        if one in _NAT64:
            within = IPv4Address(int(one) & 0xFFFF_FFFF)
        if within is not None:
            return is_public(str(within))
        if one.is_site_local:
            return False
    elif any(one in network for network in _NOT_PUBLIC):
        return False
    return one.is_global and not one.is_multicast and not one.is_reserved


class Waiting:
    """How long the present call may take, and whether the server stops."""

    def __init__(self, stop: threading.Event, clock: Callable[[], float] = time.monotonic) -> None:
        self._stop = stop
        self._clock = clock
        self._ends_at = float("inf")

    def begin(self, total_s: float) -> None:
        """Of all waits from now on together."""
        self._ends_at = self._clock() + total_s

    def until(self, timeout_s: float | None) -> float:
        return self._ends_at if timeout_s is None else min(self._ends_at, self._clock() + timeout_s)

    def slice_s(self, until: float) -> float:
        """How long to wait now. TimeoutError where the time is over, ServerStops where nothing is worth it."""
        if self._stop.is_set():
            raise ServerStops
        left = until - self._clock()
        if left <= 0:
            raise TimeoutError("the time is over")
        return min(left, SLICE_S)

    def ready(self, sock: socket.socket, event: int, until: float) -> None:
        """Returns when the socket can be read from, or written to."""
        waiting = select.poll()
        waiting.register(sock, event)
        while not waiting.poll(self.slice_s(until) * 1000):
            pass

    def carry_out(self, work: Callable[[], T], sock: socket.socket, event: int, until: float) -> T:
        """Tries until it does not have to wait any more; `event`: for what plain sockets wait."""
        while True:
            self.slice_s(until)  # also where there is always something to do, as with one who never ends
            try:
                return work()
            except ssl.SSLWantReadError:
                awaited = select.POLLIN
            except ssl.SSLWantWriteError:
                awaited = select.POLLOUT
            except BlockingIOError:
                awaited = event
            self.ready(sock, awaited, until)


class Connecting(httpcore.NetworkBackend):
    """`private`: also addresses that are not public."""

    def __init__(self, waiting: Waiting, *, private: bool, look_up: LookUp = look_up) -> None:
        self._waiting = waiting
        self._private = private
        self._look_up = look_up

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        until = self._waiting.until(timeout)
        with _Told(httpcore.ConnectTimeout, httpcore.ConnectError):
            places = self._allowed(host, self._find(host, port, until))
            for place in places[:-1]:
                try:
                    return _Stream(self._connect(place, until), self._waiting)
                except OSError:
                    continue  # the next one may be there
            return _Stream(self._connect(places[-1], until), self._waiting)

    def _find(self, host: str, port: int, until: float) -> Sequence[Place]:
        """In a thread of its own: who looks a name up waits as long as the machine's settings say."""
        found: queue.SimpleQueue[Sequence[Place] | Exception] = queue.SimpleQueue()

        def look() -> None:
            try:
                found.put(self._look_up(host, port))
            except (OSError, UnicodeError) as error:
                found.put(error)

        threading.Thread(target=look, name="look up a vendor", daemon=True).start()
        while True:
            try:
                got = found.get(timeout=self._waiting.slice_s(until))
            except queue.Empty:
                continue
            if isinstance(got, Exception):
                raise OSError(f"{host} is not known: {got}")
            return got

    def _allowed(self, host: str, places: Sequence[Place]) -> Sequence[Place]:
        allowed = [place for place in places if self._private or is_public(place[1][0])]
        if not allowed:
            shown = ", ".join(sorted({str(address[0]) for _, address in places})) or "nothing"
            raise OffLimits(f"{host} is {shown}: only public addresses are asked, unless an administrator sets another")
        return allowed

    def _connect(self, place: Place, until: float) -> socket.socket:
        sock = socket.socket(place[0], socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            try:
                sock.connect(place[1])
            except BlockingIOError:
                self._waiting.ready(sock, select.POLLOUT, until)
                if failed := sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                    raise OSError(failed, f"{place[1][0]} is not to be reached") from None
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except BaseException:
            sock.close()
            raise
        return sock


class _Stream(httpcore.NetworkStream):
    """A socket that never blocks: `Waiting` does."""

    def __init__(self, sock: socket.socket, waiting: Waiting) -> None:
        self._sock = sock
        self._waiting = waiting

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _Told(httpcore.ReadTimeout, httpcore.ReadError):
            return self._try(lambda: self._sock.recv(max_bytes), select.POLLIN, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        with _Told(httpcore.WriteTimeout, httpcore.WriteError):
            while buffer:
                rest = buffer
                buffer = buffer[self._try(lambda: self._sock.send(rest), select.POLLOUT, timeout) :]  # noqa: B023

    def close(self) -> None:
        self._sock.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        try:
            with _Told(httpcore.ConnectTimeout, httpcore.ConnectError):
                wrapped = ssl_context.wrap_socket(
                    self._sock, server_hostname=server_hostname, do_handshake_on_connect=False
                )
                secure = _Stream(wrapped, self._waiting)
                secure._try(wrapped.do_handshake, select.POLLIN, timeout)
                return secure
        except BaseException:
            self._sock.close()
            raise

    def get_extra_info(self, info: str) -> Any:
        if info == "is_readable":
            watching = select.poll()
            watching.register(self._sock, select.POLLIN)
            return bool(watching.poll(0))
        return None

    def _try(self, work: Callable[[], T], event: int, timeout_s: float | None) -> T:
        return self._waiting.carry_out(work, self._sock, event, self._waiting.until(timeout_s))


class _Told:
    """What goes wrong at a socket in httpcore's words. A certificate that is not to be trusted is not tried again."""

    def __init__(self, late: type[Exception], broken: type[Exception]) -> None:
        self._late = late
        self._broken = broken

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, ssl.SSLCertVerificationError):
            raise OffLimits(f"its certificate is not to be trusted: {error.verify_message}") from None
        if isinstance(error, TimeoutError):
            raise self._late(str(error)) from None
        if isinstance(error, OSError):
            raise self._broken(str(error)) from None
