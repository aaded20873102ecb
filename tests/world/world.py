"""One installation that lives through many processes, and the model beside it.

A process is the whole server in this one: the application over its services of ingest, the ledger's file and the usage
store. Stores and files outlive it. Time moves only when a step says so.
"""

from __future__ import annotations

import random
import shutil
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from tests.applications import served
from tests.conftest import NOW, Clock
from tests.filling import copy_of
from tests.ingest.conftest import Services
from tests.world.model import Account, Model, User

from flowtally.config import load_config
from flowtally.core.clock import SteadyClock
from flowtally.core.edges import format_instant
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import credentials
from flowtally.usage.memory import MemoryStore
from flowtally.usage.store import UsageStore

DAY = 86_400_000
ACCOUNTS = (
    Account("acme", "Europe/Berlin", "carry", NOW - 20 * DAY),
    Account("beta", "America/New_York", "forgive", NOW - 60 * DAY),
    Account("gamma", "Australia/Lord_Howe", "carry", NOW - 2 * DAY),
)
REWARD = {"check_in_bytes": 7, "check_in_days": 3, "check_in_cap_bytes": 30}
NAMES = ("ann", "bob", "fay", "guy", "kim")


@dataclass(frozen=True)
class Backup:
    """Where it is, and what was the case when it was made."""

    place: Path
    model: Model
    at: int


@dataclass(frozen=True)
class Told:
    """What was answered, to be asked for again."""

    path: str
    query: dict[str, Any]
    answer: Any


@dataclass
class Key:
    """A token; `ends`: from when on it is refused."""

    id: str
    token: str
    ends: int | None
    life: int | None  # the end it had before it was rotated
    rotated: bool = False


class World:
    """`chance` is all the randomness there is; `ask` is how everything is done."""

    def __init__(self, place: Path, ledger: Path, store: UsageStore, seed: int) -> None:
        opened = Ledger.open(f"sqlite:///{ledger}")
        with opened.begin() as tx:
            credential, self.token = credentials.issue(tx, "admin", None, "world", NOW)[:2]
        self._begin(place, ledger, Services(place / "data", store, opened, credential, Clock(NOW)), seed)
        self.services.data.mkdir()
        self.open()
        for one in ACCOUNTS:
            settings = {"timezone": one.zone, "overage": one.overage, "carry_from": format_instant(one.carry_from)}
            self.ask("POST", "/v1/accounts", {"id": one.name, **settings}, status=201)

    @classmethod
    def copied(cls, other: World, place: Path, seed: int) -> World:
        """One in another place, which begins as `other` ended: that was closed, is in memory, and nobody played it."""
        assert other.memory is not None
        ledger = place / Path(other.ledger_url).name
        shutil.copytree(other.place, place, dirs_exist_ok=True)
        opened, store = Ledger.open(f"sqlite:///{ledger}"), copy_of(other.memory)
        services = Services(place / "data", store, opened, other.services.credential, Clock(other.clock.at))
        made = cls.__new__(cls)
        made._begin(place, ledger, services, seed)
        made.token, made.made = other.token, other.made
        made.open()
        return made

    def _begin(self, place: Path, ledger: Path, services: Services, seed: int) -> None:
        self.place, self.services, self.clock = place, services, services.clock
        store = services.store.inner
        self.memory = store if isinstance(store, MemoryStore) else None  # None: the engine
        self.backs_up = store.freezing is not None or self.memory is not None  # not what a server has
        self.ledger_url = f"sqlite:///{ledger}"
        self.backup: Backup | None = None  # the last one
        self.restores = 0
        self.chance = random.Random(seed)
        self.model = Model({one.name: one for one in ACCOUNTS})
        self.made = 0
        self.told: list[Told] = []  # some answers, with the moments they are of
        self.edges: list[int] = []  # instants at which something changed: use is dated there, and just before
        self.keys: list[Key] = []  # tokens there were, and when each ends
        self.past_moments: list[tuple[str, int]] = []  # its token, and how many rows there were then

    # Processes

    def open(self) -> None:
        self.steady = SteadyClock(self.clock)  # of this process: it knows only what the stores tell it
        self.services.clock = self.steady
        config = load_config(
            {},
            data=str(self.services.data),
            usage_url="memory://",
            min_free_bytes=0,
            retain_rows_days=62,
            pull_providers=False,
            deliver_webhooks=False,
            **REWARD,
        )
        self.process = ExitStack()
        self.process.callback(self.services.ledger.close)
        services = self.services
        stores: dict[str, Any] = {"usage": services.store.inner, "ledger": services.ledger, "ingest": services.open()}
        self.client: httpx.Client = self.process.enter_context(served(config, clock=self.steady, **stores))
        self.client.headers["Authorization"] = f"Bearer {self.token}"

    def close(self) -> None:
        """As on a signal to stop."""
        self.services.close()
        self.process.close()

    def kill(self) -> None:
        """As when the process is no more: nothing says that it ended well."""
        self.services.crash()
        self.process.close()

    def reopen(self) -> None:
        self.services.ledger = Ledger.open(self.ledger_url)
        self.open()

    # Asking

    def ask(self, method: str, path: str, body: Any = None, *, status: int = 200, key: str = "", **query: Any) -> Any:
        headers = {"Idempotency-Key": key} if key else {}
        answer = self.client.request(method, path, json=body, params=query or None, headers=headers)
        assert answer.status_code == status, f"{method} {path} {body} {query}: {answer.status_code} {answer.text}"
        return answer.json()

    def write(self, path: str, body: Any, *, status: int = 201) -> Any:
        """A promise, asked for twice now and then, as after an answer that was lost: it is made once."""
        self.made += 1
        key = f"key-{self.made}"
        made = self.ask("POST", path, body, status=status, key=key)
        if status < 400 and self.chance.random() < 0.3:
            assert self.ask("POST", path, body, status=status, key=key) == made
        return made

    @property
    def now(self) -> int:
        """What is promised now is dated so: not before anything that was, were the clock set back."""
        return self.steady()

    def pass_time(self) -> None:
        """A few milliseconds, and once in a while hours."""
        self.clock.at += self.chance.choice([2, 2, 2, 50, 4000, DAY // 24, DAY // 3])

    def settle_held(self) -> None:
        """What is held counts by itself once it may: wait for it."""
        due = self.model.due(self.now)
        if not due:
            return
        for key in due:
            self.model.release(key, self.now)
        left = sorted(int(number) for _, number in self.model.held)
        until = time.monotonic() + 30
        while self.held() != left:
            assert time.monotonic() < until, (self.held(), left)
            time.sleep(0.01)
        self.learn_users()

    def held(self) -> list[int]:
        return [one["sequence"] for one in self.ask("GET", "/v1/held", limit=1000)["items"]]

    def learn_users(self) -> None:
        """What the server calls the users that were just made."""
        for user in self.model.users:
            if not user.id:
                user.id = self.ask("GET", f"/v1/accounts/{user.account}/users/{user.name}")["id"]
                assert [one.id for one in self.model.users].count(user.id) == 1, "a new user is nobody else"

    def compact(self) -> None:
        """Everything that is old enough."""
        told = self.ask("POST", "/v1/retention", {}, status=202)
        until = time.monotonic() + 60
        while told["state"] == "running" and time.monotonic() < until:
            time.sleep(0.02)
            told = self.ask("GET", "/v1/retention")
        assert (told["state"], bool(told["months"])) == ("done", True), told
        self.model.rolled_up_to_block = told["rolled_up_to_block"]

    # Choosing

    @property
    def late_account(self) -> str:
        """The next one to appear."""
        return f"late{len(self.model.accounts) - len(ACCOUNTS)}"

    def account(self) -> str:
        return self.chance.choice(ACCOUNTS).name

    def past(self, days: int = 40) -> int:
        return self.now - self.chance.randrange(days * DAY)

    def instant(self) -> int:
        """Of some use: now, in the past, or where it matters."""
        edges = [edge - self.chance.randrange(2) for edge in self.edges if edge <= self.now]
        return self.chance.choice([self.now, self.now - 1, self.past(1), self.past(), *edges[-4:]])

    def name(self, account: str) -> str:
        """Of some user, also one that was called so once; or of nobody yet."""
        known = [name for its, name in self.model.bearers if its == account]
        return self.chance.choice(["", *NAMES, *known])

    def user(self, *, funded: bool | None = None) -> User | None:
        """Some user that is not deleted."""
        fit = [one for one in self.model.users if not one.deleted and funded in (None, one.funded)]
        return self.chance.choice(fit) if fit else None
