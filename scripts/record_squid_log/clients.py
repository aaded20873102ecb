"""Who uses the proxy and what they do: seven customers' users, each with habits, an own address and a pace.

Nothing here knows about Squid's log: these are ordinary clients (httpx, curl, bare sockets) that do what clients do,
including giving up half-way, mistyping passwords and speaking nonsense.
"""

from __future__ import annotations

import base64
import contextlib
import random
import socket
import ssl
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field

import httpcore
import httpx

NO_VERIFY = ssl._create_unverified_context()  # noqa: S323  the sites sign their own certificates
HOSTS = ("shop.test", "api.test", "cdn.test", "news.test", "banner.ads.test")


class From(httpcore.SyncBackend):
    """Connect from this address: the proxied pools of httpx and httpcore do not pass `local_address` on."""

    def __init__(self, address: str) -> None:
        self.address = address

    def connect_tcp(self, host, port, timeout=None, local_address=None, socket_options=None):  # type: ignore[no-untyped-def]
        return super().connect_tcp(host, port, timeout, self.address, socket_options)


@dataclass(frozen=True)
class World:
    """Where things are: the proxy's port, the sites' ports, a port nobody listens on."""

    proxy_port: int
    plain_port: int
    tls_port: int
    dead_port: int

    def site(self, host: str, path: str, *, tls: bool = False) -> str:
        return f"https://{host}:{self.tls_port}{path}" if tls else f"http://{host}:{self.plain_port}{path}"


@dataclass(frozen=True)
class Persona:
    """`habits` are weights of the actions below; `pause_s` the mean time between two; `busy` (on, off) in seconds."""

    name: str
    address: str
    pause_s: float
    habits: dict[str, int]
    busy: tuple[int, int] = (1, 0)


# fmt: off
PERSONAS = (
    Persona("acme-ana", "127.0.0.11", 2.2,
            {"browse": 8, "secure_page": 8, "download": 1, "missing": 1, "wrong_password": 1}),
    Persona("acme-bob", "127.0.0.12", 2.0,
            {"secure_page": 9, "upload": 3, "secure_upload": 3, "abort": 2, "blocked": 1}),
    Persona("acme-ci", "127.0.0.13", 0.35,
            {"call_api": 12, "server_error": 1, "secure_download": 2, "delete": 1}, (70, 230)),
    Persona("globex-dora", "127.0.0.21", 1.6,
            {"browse": 6, "curl_page": 2, "redirect": 2, "slow": 1, "give_up": 1, "stream": 1}),
    Persona("globex-eli", "::1", 1.8,
            {"secure_page": 6, "secure_download": 3, "call_api": 3, "refused": 1, "tunnel_denied": 1}),
    Persona("globex-jörg", "127.0.0.23", 4.0,
            {"browse": 5, "secure_page": 3, "head": 2, "unknown_host": 1}),
    Persona("initech-fay", "127.0.0.31", 1.5,
            {"browse": 7, "secure_page": 7, "download": 2, "cut": 1, "curl_page": 1}, (400, 200)),
    Persona("", "127.0.0.66", 13.0,
            {"stranger": 3, "nonsense": 2, "silent": 1, "post_stranger": 1}),
)
# fmt: on


@dataclass
class Client:
    world: World
    persona: Persona
    password: str
    chance: random.Random
    http: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self.http = self._session(self.password)

    def run(self, seconds: float) -> int:
        """Act until the time is over; returns how many actions."""
        started = time.monotonic()
        names, weights = list(self.persona.habits), list(self.persona.habits.values())
        actions = 0
        while (passed := time.monotonic() - started) < seconds:
            on, off = self.persona.busy
            if passed % (on + off) >= on:
                time.sleep(1)
                continue
            action: Callable[[], None] = getattr(self, self.chance.choices(names, weights)[0])
            with contextlib.suppress(httpx.HTTPError, OSError, subprocess.TimeoutExpired):
                action()
            actions += 1
            pause_s = min(self.chance.expovariate(1 / self.persona.pause_s), 5 * self.persona.pause_s)
            time.sleep(max(0, min(pause_s, started + seconds - time.monotonic())))
        return actions

    # what customers do

    def browse(self) -> None:
        self._get("news.test", f"/page/{self.chance.randrange(5000)}")
        for _ in range(self.chance.randrange(4)):
            self._get("cdn.test", f"/asset/{self.chance.randrange(40)}")

    def secure_page(self) -> None:
        with self._session(self.password) as session:  # a tunnel of its own, hence a line of its own
            session.get(self.world.site("shop.test", f"/page/{self.chance.randrange(5000)}", tls=True))
            for _ in range(self.chance.randrange(5)):
                session.get(self.world.site("shop.test", f"/asset/{self.chance.randrange(40)}", tls=True))

    def call_api(self) -> None:
        self._get("api.test", f"/api/{self.chance.randrange(1000)}?q=a%20b&page={self.chance.randrange(9)}")

    def download(self) -> None:
        self._get("cdn.test", f"/file/{int(self.chance.lognormvariate(13, 1.2)) % 6_000_000}")

    def secure_download(self) -> None:
        with self._session(self.password) as session:
            size = int(self.chance.lognormvariate(13, 1.2)) % 6_000_000
            session.get(self.world.site("cdn.test", f"/file/{size}", tls=True))

    def upload(self) -> None:
        self.http.post(self.world.site("api.test", "/upload"), content=self._payload())

    def secure_upload(self) -> None:
        with self._session(self.password) as session:
            session.put(self.world.site("api.test", "/upload", tls=True), content=self._payload())

    def curl_page(self) -> None:
        """curl that waits to be asked: a 407 line, then the page."""
        self._curl("--proxy-anyauth", self.world.site("news.test", f"/page/{self.chance.randrange(5000)}"))

    def head(self) -> None:
        self.http.head(self.world.site("cdn.test", f"/asset/{self.chance.randrange(40)}"))

    def delete(self) -> None:
        self.http.delete(self.world.site("api.test", f"/api/{self.chance.randrange(100)}"))

    def redirect(self) -> None:
        self.http.get(self.world.site("news.test", f"/redirect/{self.chance.randrange(50)}"), follow_redirects=True)

    def stream(self) -> None:
        self._get("api.test", f"/chunked/{self.chance.randrange(1, 300)}")

    # what goes wrong for them

    def missing(self) -> None:
        self._get("news.test", "/no/such/page")

    def server_error(self) -> None:
        self._get("api.test", f"/status/{self.chance.choice((500, 502, 429, 204))}")

    def slow(self) -> None:
        self._get("news.test", f"/slow/{self.chance.randrange(200, 3000)}")

    def give_up(self) -> None:
        self.http.get(self.world.site("news.test", "/slow/4000"), timeout=0.8)

    def abort(self) -> None:
        with self.http.stream("GET", self.world.site("cdn.test", "/file/4000000")) as answer:
            for read, _ in enumerate(answer.iter_bytes(16384)):
                if read > self.chance.randrange(2, 40):
                    return

    def cut(self) -> None:
        self._get("cdn.test", f"/cut/{self.chance.randrange(1000, 90_000)}")

    def blocked(self) -> None:
        self._get("banner.ads.test", "/asset/1")

    def refused(self) -> None:
        self.http.get(f"http://api.test:{self.world.dead_port}/")

    def unknown_host(self) -> None:
        self.http.get("http://nowhere.test/", timeout=10)

    def tunnel_denied(self) -> None:
        with self._session(self.password) as session:
            session.get(f"https://shop.test:{self.world.plain_port}/")

    def wrong_password(self) -> None:
        with self._session("not the password") as session:
            session.get(self.world.site("news.test", "/page/1"))

    # what arrives without a name

    def stranger(self) -> None:
        with httpx.Client(transport=self._transport(None)) as session:
            session.get(self.world.site("news.test", "/page/7"))

    def post_stranger(self) -> None:
        with httpx.Client(transport=self._transport(None)) as session:
            session.post(self.world.site("api.test", "/upload"), content=b"x" * 2000)

    def nonsense(self) -> None:
        self._raw(
            self.chance.choice((b"HELLO\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc", b"GET / HTTP/1.1\r\n\r\n"))
        )

    def silent(self) -> None:
        self._raw(b"")

    # how

    def _get(self, host: str, path: str) -> None:
        self.http.get(self.world.site(host, path))

    def _payload(self) -> bytes:
        return self.chance.randbytes(int(self.chance.lognormvariate(11, 1.3)) % 2_000_000)

    def _session(self, password: str) -> httpx.Client:
        return httpx.Client(transport=self._transport(password), timeout=15)

    def _transport(self, password: str | None) -> httpx.HTTPTransport:
        headers = {}
        if password is not None:
            pair = f"{self.persona.name}:{password}".encode()
            headers["Proxy-Authorization"] = "Basic " + base64.b64encode(pair).decode()
        transport = httpx.HTTPTransport()
        transport._pool = httpcore.HTTPProxy(
            f"http://{self._proxy()}",
            proxy_headers=headers,
            ssl_context=NO_VERIFY,
            network_backend=From(self.persona.address),
        )
        return transport

    def _proxy(self) -> str:
        host = "[::1]" if ":" in self.persona.address else "127.0.0.1"
        return f"{host}:{self.world.proxy_port}"

    def _curl(self, *arguments: str) -> None:
        subprocess.run(  # noqa: S603
            ["curl", "--silent", "--insecure", "--max-time", "15", "--interface", self.persona.address,  # noqa: S607
             "--proxy", f"http://{self._proxy()}", "--proxy-user", f"{self.persona.name}:{self.password}",
             "--output", "/dev/null", *arguments],
            check=False,
            timeout=20,
        )  # fmt: skip

    def _raw(self, request: bytes) -> None:
        there = ("127.0.0.1", self.world.proxy_port)
        with socket.create_connection(there, timeout=8, source_address=(self.persona.address, 0)) as connection:
            connection.sendall(request)
            if request:
                connection.recv(4096)
