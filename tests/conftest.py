"""The real application, in this process: `client` speaks to it with `admin_token`; time stands still at NOW.

The ledger is SQLite in a temporary directory, usage a MemoryStore, events come in through a fake door (tests of ingest
bring their own). `make_client(...)` builds another application over settings of its own.

The process that only prints what the others report reads this file, too, and so does one that runs tests of pure code:
what a fixture needs of the server is imported where it is needed.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import httpx
import pytest
from tests.app_client import AppClient
from tests.logged import Logged

from flowtally.config import Config, load_config
from flowtally.core.edges import parse_instant

if TYPE_CHECKING:
    from tests.fake_ingest import FakeIngest

    from flowtally.ledger.database import Ledger
    from flowtally.ledger.people.credentials import Credential
    from flowtally.usage.memory import MemoryStore

NOW = parse_instant("2026-03-15T12:00:00Z")
BOUND = ("ins_tests", "gen_tests")  # whose a ledger is, and its keys, that were made for tests of ingest

TOKENS: WeakKeyDictionary[Ledger, object] = WeakKeyDictionary()  # of the admin that a ledger of `app_ledger` has

GIVEN = {"admin_token": "ledger_of_admin", "make_services": "ledger_of_two", "filled_acme": "ledger_of_acme"}

Client = AppClient


def pytest_collection() -> None:
    """Before the first test is looked for, where tests are run.

    What is logged shows in the output of a test that fails, in lines that cost little (tests/log_lines.py)."""
    import structlog
    from tests.log_lines import write_line
    from tests.new_ledgers import write_once
    from tests.statements import compile_once

    compile_once()
    write_once()
    structlog.configure([*structlog.get_config()["processors"][:-1], write_line])


class Clock:
    """Time as the tests say."""

    def __init__(self, at: int = NOW) -> None:
        self.at = at

    def __call__(self) -> int:
        return self.at


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def logged() -> Iterator[Logged]:
    with Logged().hearing() as hearing:
        yield hearing


@pytest.fixture
def config(tmp_path: Path, made_keys: Path) -> Config:
    """Of a data directory whose keys are there: making them waits twice for the disk."""
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    shutil.copy(made_keys, data)
    # No test asks a vendor by the clock: those that ask one bring it.
    return load_config({}, data=str(data), usage_url="memory://", pull_providers=False, deliver_webhooks=False)


@pytest.fixture(scope="session")
def made_keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from flowtally.ledger.vault import KEY_FILE, Vault

    path = tmp_path_factory.mktemp("keys") / KEY_FILE
    Vault.open(path, None)
    return path


@pytest.fixture(scope="session")
def new_ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ledger without content, migrated once: copying the file is quicker than migrating anew for every test."""
    from flowtally.ledger.database import Ledger

    path = tmp_path_factory.mktemp("ledger") / "ledger.db"
    Ledger.open(f"sqlite:///{path}").close()
    return path


@pytest.fixture(scope="session")
def ledger_of_admin(new_ledger: Path) -> tuple[Path, str]:
    """The same with one credential, and its token."""
    return with_admin(new_ledger, new_ledger.with_name("admin.db"))


def with_admin(given: Path, path: Path) -> tuple[Path, str]:
    """A copy of a ledger's file with one credential more, and its token."""
    from flowtally.ledger.database import Ledger
    from flowtally.ledger.people import credentials

    opened = Ledger.open(f"sqlite:///{shutil.copy(given, path)}")
    with closing(opened), opened.begin() as tx:
        return path, credentials.issue(tx, "admin", None, "tests", NOW)[1]


@pytest.fixture(scope="session")
def ledger_of_two(new_ledger: Path) -> tuple[Path, Credential]:
    """A ledger with the accounts acme and beta, and an admin's credential, which belongs to an installation."""
    from flowtally.ledger import installation
    from flowtally.ledger.database import Ledger
    from flowtally.ledger.people import accounts, credentials

    path = new_ledger.with_name("two.db")
    opened = Ledger.open(f"sqlite:///{shutil.copy(new_ledger, path)}")
    with closing(opened), opened.begin() as tx:
        for name in ("acme", "beta"):
            accounts.create_account(tx, name, now=NOW)
        installation.bind(tx, *BOUND)
        return path, credentials.issue(tx, "admin", None, "tests", NOW)[0]


@pytest.fixture
def app_ledger(request: pytest.FixtureRequest, new_ledger: Path, tmp_path: Path) -> Iterator[Ledger]:
    """What those need who ask for these fixtures is in it from the beginning."""
    given: tuple[Path, object] = (new_ledger, None)
    for asking, filled in GIVEN.items():
        if asking in request.fixturenames:
            given = request.getfixturevalue(filled)
    opened = open_copy(Path(shutil.copy(given[0], tmp_path / "ledger.db")))
    TOKENS[opened] = given[1]
    yield opened
    opened.close()


def open_copy(path: Path) -> Ledger:
    """A ledger whose schema is the present one, as that of its original is: nothing is looked up of it.

    Its commits need not survive a power cut, so they do not wait for the disk: a test that kills a process or reads its
    files is none."""
    import sqlalchemy

    from flowtally.ledger import database

    engine = database._engine(sqlalchemy.make_url(f"sqlite:///{path}"))
    sqlalchemy.event.listen(engine, "connect", lambda made, _: made.execute("PRAGMA synchronous = OFF"))
    opened = database.Ledger(engine)
    opened._counts = True
    return opened


@pytest.fixture
def usage() -> MemoryStore:
    from flowtally.usage.memory import MemoryStore

    return MemoryStore()


@pytest.fixture
def ingest(usage: MemoryStore, app_ledger: Ledger) -> FakeIngest:
    from tests.fake_ingest import FakeIngest

    return FakeIngest(usage, app_ledger)


@pytest.fixture
def admin_token(app_ledger: Ledger, ledger_of_admin: tuple[Path, str]) -> str:
    """Of the credential that `app_ledger` has for whoever asks for its token; a ledger of the test's own gets one."""
    from flowtally.ledger.people import credentials

    if TOKENS.get(app_ledger) == ledger_of_admin[1]:
        return ledger_of_admin[1]
    with app_ledger.begin() as tx:
        return credentials.issue(tx, "admin", None, "tests", NOW)[1]


@pytest.fixture
def make_client(
    config: Config, clock: Clock, usage: MemoryStore, app_ledger: Ledger, ingest: FakeIngest, admin_token: str
) -> Iterator[Callable[..., Client]]:
    """`make_client(max_json_bytes=10)`: a client of an application with these settings."""
    from tests.applications import asked_by

    with ExitStack() as serving:

        def make(**settings: Any) -> Client:
            values = {name: getattr(config, name) for name in config.__struct_fields__} | settings
            services = {"clock": clock, "usage": usage, "ledger": app_ledger, "ingest": ingest}
            client = serving.enter_context(asked_by(admin_token, load_config({}, **values), **services))
            serving.callback(write_no_uses, client)
            return client

        yield make


def write_no_uses(client: Client) -> None:
    """When credentials were used last is not written at the end: its ledger goes with the test."""
    client.app.state.services.doorkeeper.uses._noted.clear()


@pytest.fixture(scope="session")
def filling(new_ledger: Path, made_keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    """`with filling(max_users=0) as filled: ...`: see tests/filling.py."""
    from tests.filling import fill

    def filled(**settings: Any) -> Any:
        folder = tmp_path_factory.mktemp("filled")
        return fill(with_admin(new_ledger, folder / "ledger.db"), made_keys, **settings)

    return filled


@pytest.fixture
def client(make_client: Callable[..., Client]) -> Client:
    """Asks as admin."""
    return make_client()


@pytest.fixture(scope="module")
def shared(filling: Callable[..., Any]) -> Iterator[Any]:
    """An installation for all tests of a file that ask for it, which only read it or can be told apart: a
    `tests.filling.Filled` with the accounts acme and other. Whoever breaks something in it does so with `monkeypatch`,
    which mends it again."""
    from tests.filling import fill_two

    with filling() as filled:
        fill_two(filled)
        yield filled


@pytest.fixture
def app(client: Client) -> Any:
    return client.app


@pytest.fixture
def acme(client: Client, filled_acme: Any, usage: MemoryStore, ingest: FakeIngest) -> str:
    """The account of `open_acme`, which is there from the beginning. Who brings a ledger or an `ingest` of another kind
    calls that instead."""
    usage.rows = filled_acme.usage.rows
    ingest.seen = dict(filled_acme.ingest.seen)
    return "acme"


@pytest.fixture(scope="session")
def filled_acme(ledger_of_admin: tuple[Path, str], made_keys: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from tests.filling import fill

    given, token = ledger_of_admin
    path = Path(shutil.copy(given, tmp_path_factory.mktemp("acme") / "ledger.db"))
    with fill((path, token), made_keys) as filled:
        open_acme(filled.client)
    return filled


@pytest.fixture(scope="session")
def ledger_of_acme(filled_acme: Any) -> tuple[Path, str]:
    return filled_acme.ledger_of_admin  # type: ignore[no-any-return]


def open_acme(client: Client) -> str:
    """An account in Berlin with users alice and bob, 100 GB of traffic since 1 March, and some use on two days."""
    client.post("/v1/accounts", json={"id": "acme", "timezone": "Europe/Berlin", "carry_from": "2026-03-01T00:00:00Z"})
    client.post(
        "/v1/accounts/acme/grants",
        json={"amount": 100_000, "starts_at": "2026-03-01T00:00:00Z", "expires_at": "2026-04-01T00:00:00Z"},
    )
    first = event("1", "2026-03-10T12:00:00Z", user="alice", product="residential", bytes_up=100, bytes_down=900)
    second = event("2", "2026-03-11T12:00:00Z", user="bob", product="mobile", bytes_up=1, bytes_down=2, status=404)
    third = event("3", "2026-03-11T13:00:00Z", product="residential", bytes_down=5, labels={"country": "=de"})
    send_all(client, [first, second, third])
    return "acme"


def event(id: str, time: str, account: str = "acme", **more: Any) -> dict[str, Any]:
    return {"source": "gw", "id": id, "account": account, "time": time, **more}


def send(client: Client, id: str, time: str, account: str = "acme", **more: Any) -> None:
    """One event through the door."""
    send_all(client, [event(id, time, account, **more)])


def send_all(client: Client, events: list[dict[str, Any]]) -> None:
    answer = client.post("/v1/events", json=events)
    assert answer.status_code == 200, answer.text


def ask_as_sent(client: Client, method: str, path: str, **sent: Any) -> httpx.Response:
    """Each header in a line of its own, as a server gets them: the test client would join those of one name."""

    async def ask() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(client.app), base_url="http://x") as asking:
            return await asking.request(method, path, **sent)

    return asyncio.run(ask())


def figures(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer without the moment it is of, which goes on with every promise and block."""
    return {name: value for name, value in answer.items() if name != "as_of"}


def token_of(client: Client, path: str, **wanted: Any) -> dict[str, str]:
    """The Authorization header of a new credential."""
    return {"Authorization": f"Bearer {client.post(path, json=wanted).json()['token']}"}
