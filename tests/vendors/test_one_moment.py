"""An answer of a dialect is of one moment, and takes as many questions for many users as for one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from itertools import count
from typing import Any

import pytest
from sqlalchemy import event
from tests.conftest import NOW, Client
from tests.soak import sampled
from tests.vendors.asking import PLACES, issue
from tests.vendors.recorded import LIMITS, MB, VARIANTS, World, client_of

from flowtally.core.words import LimitWindow
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import managed
from flowtally.ledger.people.users import Limit
from flowtally.ledger.traffic import grants
from flowtally.usage.memory import MemoryStore
from flowtally.usage.values import MAX_SUMS, Sum, Where
from flowtally.vendors import VENDORS

READS = [(dialect, route) for dialect in VENDORS for route in dialect.routes if not route.writes]
READS += [(dialect, route) for dialect, route in READS if "usage-statistics" in route.path] * 5  # of several questions
WINDOWS: list[LimitWindow] = ["day", "month", "lifetime"]
QUESTIONS = sampled(80, 16)


class WatchedStore(MemoryStore):
    """Counts what it is asked; `meanwhile` happens after each answer."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.meanwhile: Callable[[], None] = lambda: None

    def sums(self, edges: Sequence[int], where: Where, by: Sequence[str] = (), *, limit: int = MAX_SUMS) -> list[Sum]:
        found = super().sums(edges, where, by, limit=limit)
        self.asked += 1
        self.meanwhile()
        return found


@pytest.fixture
def usage() -> WatchedStore:
    return WatchedStore()


class Writer:
    """What others do meanwhile: use of any user, another grant, another limit."""

    def __init__(self, usage: WatchedStore, ledger: Ledger, chance: random.Random) -> None:
        self.usage, self.ledger, self.chance = usage, ledger, chance
        self.blocks = count(2)

    def write(self) -> None:
        whose = self.chance.choice(self.usage.rows)
        size = self.chance.randrange(1, 50 * MB)
        row = whose | {"block": next(self.blocks), "received_at": NOW, "bytes_down": size, "requests": 3}
        self.usage.rows = [*self.usage.rows, row]
        name, window = self.chance.choice(sorted(LIMITS.keys() - {"user008", "user009"})), self.chance.choice(WINDOWS)
        with self.ledger.begin() as tx:
            grants.give_grant(tx, "shop", size, now=NOW)
            managed.change_user(tx, "shop", name, now=NOW, limit=Limit(size, window=window))


@pytest.mark.parametrize("seed", range(len(VARIANTS)))
def test_what_is_written_between_two_questions_is_in_no_answer(
    make_client: Callable[..., Client], usage: WatchedStore, app_ledger: Ledger, seed: int
) -> None:
    chance = random.Random(seed)
    world = World(client_of(make_client, seed), chance)
    writer = Writer(usage, app_ledger, random.Random(seed))
    several = 0
    for _ in range(QUESTIONS):
        request = world.draw(*chance.choice(READS))
        usage.asked, usage.meanwhile = 0, lambda: None
        before = world.ask(request)
        several += usage.asked > 1
        usage.meanwhile = writer.write
        assert world.ask(request) == before
    assert several > QUESTIONS // 16, "answers of several questions are what it is about"


class Counted:
    """How many statements the ledger was sent, and how many questions the usage store."""

    def __init__(self, usage: WatchedStore, ledger: Ledger) -> None:
        self._usage, self._statements = usage, 0
        event.listen(ledger._engine, "before_cursor_execute", self._tell)

    def _tell(self, *_: Any) -> None:
        self._statements += 1

    def of(self, ask: Callable[[], Any]) -> tuple[int, int]:
        ask()  # once before, so that nothing is looked up for the first time
        self._statements = self._usage.asked = 0
        ask()
        return self._statements, self._usage.asked


@pytest.fixture
def counted(usage: WatchedStore, app_ledger: Ledger) -> Iterator[Counted]:
    made = Counted(usage, app_ledger)
    yield made
    event.remove(app_ledger._engine, "before_cursor_execute", made._tell)


def make_users(client: Client, names: Sequence[str], *, funded: bool) -> None:
    services = client.app.state.services
    password = services.vault.seal("password123")
    with services.ledger.begin() as tx:
        for number, name in enumerate(names):
            limit = Limit(100 * MB, window=WINDOWS[number % 3])
            more: Any = {"limit": limit, "password": password, "product": "residential", "funded": funded}
            managed.create_user(tx, "acme", name, now=NOW, **more)


DAYS = {"from_date": "2026-03-01", "to_date": "2026-03-15"}
HOURS = {"from_date": "2026-03-14 00", "to_date": "2026-03-15 23"}


@pytest.mark.parametrize(
    ("vendor", "path", "funded", "params"),
    [
        ("thordata", "/api/proxy-users/usage-statistics", False, DAYS),
        ("thordata", "/api/proxy-users/usage-statistics-hour", False, HOURS),
        ("thordata", "/api/proxy-users/user-list", False, {}),
        ("ipfoxy", "/ip/open-api/get-sub-account-list", True, {"page_size": "100"}),
    ],
)
def test_many_users_take_as_many_questions_as_few(
    client: Client, acme: str, counted: Counted, vendor: str, path: str, funded: bool, params: dict[str, str]
) -> None:
    secrets, headers = PLACES[vendor](issue(client, acme, "manage"))

    def ask(names: Sequence[str]) -> Any:
        named = {"username": ",".join(names)} if "usage" in path else {}
        asked = {**secrets, **params, **named}
        answer = client.get(path, params=asked, headers={"Authorization": "", **headers}).json()
        assert answer["code"] in (0, 200), answer
        return answer

    names = [f"user{number:03}" for number in range(sampled(60, 20))]
    make_users(client, names[:3], funded=funded)
    few = counted.of(lambda: ask(names[:3]))
    make_users(client, names[3:], funded=funded)
    assert counted.of(lambda: ask(names)) == few
