"""A vendor and its customer, both real servers: what one serves in its dialects is what the other asks for.

Owns their processes, which end and begin as a test says, what is used at the vendor, and how both sides are read. The
vendor is read by the pullers themselves, over a connection of the test's own; and natively, where it tells bytes.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, Final

import httpx
from tests.fork_server import Program
from tests.live import clean_environment
from tests.providers.waits import ONCE
from tests.vendors.asked_app import wanted
from tests.vendors.pulling import Told

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.times import DAY_MS
from flowtally.providers.asking import VendorClient
from flowtally.providers.puller import Puller
from flowtally.vendors import PULLERS

TOKEN: Final = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
WAIT_S: Final = 60
DAYS: Final = 12  # back that anything is used
USERS: Final[dict[str, list[str]]] = {  # of the account at each vendor
    "thordata": ["user123", "user456"],
    "ipfoxy": ["ABCDEFHGJ2000", "ABCDEFHGJ2001"],
    "whitepages": [],
    "bytesflows": [],
}
PATHS: Final = {"thordata": "/api", "ipfoxy": "/ip/open-api", "whitepages": "", "bytesflows": ""}
ZONES: Final = {"thordata": "UTC", "ipfoxy": "Asia/Shanghai", "whitepages": "UTC", "bytesflows": "UTC"}
Figures = dict[tuple[str, str, int], int]  # by user, product and instant


class Server:
    """One process after another over the same directory, at the same port."""

    def __init__(self, data: Path, module: str = "flowtally") -> None:
        self.data, self._module = data, module
        self._port = 0
        self._process: Program | None = None
        self.url = ""
        self._http = httpx.Client(headers={"Authorization": f"Bearer {TOKEN}"}, timeout=WAIT_S, trust_env=False)

    @property
    def log(self) -> Path:
        return self.data.with_suffix(".log")

    def start(self) -> None:
        command = ("serve", "--data", str(self.data), "--port", str(self._port), "--json")
        environment = {**clean_environment(), "FLOWTALLY_ADMIN_TOKEN": TOKEN}
        with self.log.open("a") as log:
            process = Program(*command, module=self._module, env=environment, stdout=subprocess.PIPE, stderr=log)
        assert process.stdout is not None
        self._process = process
        line = process.stdout.readline()
        assert line, f"the server did not start: {self.log.read_text()[-2000:]}"
        self.url = json.loads(line)["url"]
        self._port = int(self.url.rpartition(":")[2])

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._left()

    def stop(self) -> None:
        assert self._process is not None
        self._process.terminate()
        assert self._left() == 0, self.log.read_text()[-2000:]

    def _left(self) -> int:
        assert self._process is not None
        assert self._process.stdout is not None
        code = self._process.wait(WAIT_S)
        self._process.stdout.close()
        self._process = None
        return code

    def close(self) -> None:
        """At the end of a test, however it went."""
        self.kill()
        self._http.close()

    def answer(self, method: str, path: str, body: Any = None, token: str = TOKEN, **query: Any) -> httpx.Response:
        headers = {"Authorization": f"Bearer {token}"}
        return self._http.request(method, f"{self.url}/v1{path}", json=body, params=query or None, headers=headers)

    def ask(self, method: str, path: str, body: Any = None, **query: Any) -> Any:
        answer = self.answer(method, path, body, **query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def verify(self) -> None:
        """All that it has, to the end: nothing is wrong."""
        self.ask("POST", "/verify", {})
        until = time.monotonic() + WAIT_S
        while (told := self.ask("GET", "/verify"))["state"] == "running":
            assert time.monotonic() < until, told
            time.sleep(0.05)
        assert (told["state"], told["found"]) == ("done", 0), told


@contextmanager
def serving(data: Path, module: str = "flowtally") -> Iterator[Server]:
    server = Server(data, module)
    try:
        server.start()
        yield server
    finally:
        server.close()


class AtVendor:
    """An account at the vendor that this is: its users, its secrets, and what is used of it."""

    _ids = count()

    def __init__(self, vendor: Server, dialect: str, account: str) -> None:
        self.vendor, self.dialect, self.account = vendor, dialect, account
        self.puller: Puller = PULLERS[dialect]
        self.users = USERS[dialect]
        vendor.ask("POST", "/accounts", {"id": account, "timezone": ZONES[dialect]})
        vendor.ask("POST", f"/accounts/{account}/grants", {"amount": 10**12})
        for name in self.users:
            self.add_user(name)
        self.credential: dict[str, Any] = {}
        self.renew()

    def add_user(self, name: str) -> None:
        funded = self.dialect == "ipfoxy"
        more = {"funded": True} if funded else {"product": "residential"}
        self.vendor.ask("POST", f"/accounts/{self.account}/users", {"name": name, "password": "password12", **more})
        if funded:
            self.vendor.ask("POST", f"/accounts/{self.account}/users/{name}/allocations", {"amount": 10**10})

    def renew(self) -> None:
        """Another token; the one before is good no more."""
        was = self.credential
        scope = "manage" if self.users else "account"
        self.credential = self.vendor.ask("POST", f"/accounts/{self.account}/credentials", {"scope": scope})
        if was:
            self.vendor.ask("POST", f"/credentials/{was['id']}/revoke")

    @property
    def address(self) -> str:
        return self.vendor.url + PATHS[self.dialect]

    @property
    def secrets(self) -> dict[str, str]:
        token = self.credential["token"]
        return {
            "thordata": {"token": token, "key": self.credential["key"]},
            "ipfoxy": {"api_id": self.credential["id"], "api_token": token},
            "whitepages": {"key": token},
            "bytesflows": {"token": token},
        }[self.dialect]

    def use(self, *uses: tuple[str, int, int]) -> None:
        """Who used when how much."""
        asked = "requests" if self.dialect == "whitepages" else "bytes_down"
        product = "api" if self.dialect == "whitepages" else "residential"
        events = [
            {"source": "gw", "id": f"e{next(self._ids)}", "account": self.account, "user": user, "product": product}
            | {"time": format_instant(at), asked: amount}
            for user, at, amount in uses
        ]
        assert self.vendor.ask("POST", "/events", events)["stored"] == len(events)

    def says(self, since: int, now: int, **settings: str) -> Told:
        """All that it says now to whoever asks."""
        with VendorClient(self.address, ONCE, plain=True, private=True) as ask:
            return Told(ask.pull(self.puller, wanted(self.puller, self.secrets, since, now, **settings)))

    def natively(self, bucket: str, since: int) -> Figures:
        """The same to the byte, which no dialect of these tells."""
        query = {"bucket": bucket, "by": "user", "fill": "none", "from": format_instant(since)}
        query |= {"to": format_instant(tomorrow(since)), "tz": ZONES[self.dialect]}
        rows = self.vendor.ask("GET", f"/accounts/{self.account}/usage", **query)["rows"]
        return {(one["user"], "", parse_instant(one["start"])): one["bytes"] or one["requests"] for one in rows}


def tomorrow(since: int) -> int:
    return since + (DAYS + 3) * DAY_MS


def now() -> int:
    return time.time_ns() // 1_000_000


def first_day() -> int:
    """From when on usage is wanted: a beginning of a day both in UTC and at UTC+8, as hours are counted from."""
    return now() // DAY_MS * DAY_MS - DAYS * DAY_MS


class Buyer:
    """An account with providers, on a server of its own."""

    def __init__(self, server: Server, account: str, *, there: bool = False) -> None:
        self.server, self.account = server, account
        if not there:
            server.ask("POST", "/accounts", {"id": account})

    def connect(self, name: str, vendor: AtVendor, since: int, **settings: str) -> None:
        body = {"name": name, "vendor": vendor.dialect, "secrets": vendor.secrets, "settings": settings}
        body |= {"address": vendor.address, "since": format_instant(since)}
        self.server.ask("POST", f"/accounts/{self.account}/providers", body)

    def read(self, name: str) -> Any:
        return self.server.ask("GET", f"/providers/{name}")

    def want(self, name: str) -> None:
        self.server.ask("POST", f"/accounts/{self.account}/providers/{name}/pull")

    def pull(self, name: str, state: str = "ok") -> Any:
        """Ask it, and wait until that is done."""
        before = self.read(name)["tried_at"]
        self.want(name)
        return self.wait(name, state, before)

    def wait(self, name: str, state: str = "ok", before: str | None = None) -> Any:
        until = time.monotonic() + WAIT_S
        while (found := self.read(name))["tried_at"] == before or found["state"] == "new":
            assert time.monotonic() < until, found
            time.sleep(0.02)
        assert found["state"] == state, found
        return found

    def series(self, name: str, since: int, bucket: str = "hour", tz: str = "UTC", **more: Any) -> Figures:
        query = {"series": name, "bucket": bucket, "by": "user,product", "fill": "none", "tz": tz, **more}
        query |= {"from": format_instant(since), "to": format_instant(tomorrow(since))}
        answer = self.server.ask("GET", f"/accounts/{self.account}/usage", **query)
        rows = answer["rows"]
        assert answer["total"]["bytes"] + answer["total"]["requests"] == sum(map(amount_of, rows))
        return {
            (one["user"], one["product"], parse_instant(one["start"])): amount_of(one) for one in rows if amount_of(one)
        }

    def total(self, name: str, since: int) -> int:
        return sum(self.series(name, since).values())


def amount_of(row: dict[str, Any]) -> int:
    return int(row["bytes"]) + int(row["requests"])


def by_user(figures: Figures) -> dict[str, int]:
    found: dict[str, int] = {}
    for (user, _, _), amount in figures.items():
        found[user] = found.get(user, 0) + amount
    return found
