"""A start that is refused has changed nothing, and says why in one line; and nobody writes beside a running server."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import fork_server
from tests.live import Live, clean_environment, live_server
from tests.small_disk import small_disk

from flowtally.cli.failures import explain
from flowtally.config import load_config
from flowtally.core.errors import ConfigError, WriterBusy
from flowtally.ledger.database import Ledger
from flowtally.ledger.money import wallet
from flowtally.ledger.people import accounts, managed
from flowtally.ledger.vault import KEY_FILE, Vault
from flowtally.samples.store import FILE as SAMPLES
from flowtally.server import bind, open_services

FIRST, SECOND = (f"chosen-m4Vq8xTzJw2kRb7nHc5pYd9sLf3g-{number}" for number in (1, 2))
EVENT = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}


def seen(place: Path, *, but: tuple[str, ...] = ()) -> dict[str, str]:
    """Every file and directory below this place, with what it holds; but for SQLite's memory of who reads."""
    found = {}
    tops = [top for top in place.iterdir() if top.name not in but]  # an engine at work removes files while one looks
    for path in sorted(path for top in tops for path in (top, *top.rglob("*"))):
        name = path.relative_to(place).as_posix()
        if not name.endswith("-shm"):
            found[name] = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "directory"
    return found


def dump(file: Path) -> list[str]:
    """All of a SQLite database, read beside whoever has it open."""
    with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro", uri=True)) as db:
        return list(db.iterdump())


def told(**settings: Any) -> str:
    """The one line in which a start is refused; an error nobody foresaw fails here."""
    with pytest.raises(Exception) as caught, open_services(load_config({}, **settings), tell=lambda _: None):  # noqa: PT011
        pass
    failure = explain(caught.value)
    assert failure is not None, repr(caught.value)
    return failure.line


def flowtally(*arguments: str, **environment: str) -> tuple[int, str]:
    done = fork_server.run(*arguments, env={**clean_environment(), **environment})
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


# -- beside a running server ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    with live_server(tmp_path_factory.mktemp("start") / "data", {"FLOWTALLY_ADMIN_TOKEN": FIRST}) as one:
        assert asking(Live(one.url, FIRST, one.data), "POST", "/v1/accounts", {"id": "acme"}).status_code == 201
        yield Live(one.url, FIRST, one.data, one.pid)


@contextmanager
def standing_still(live: Live) -> Iterator[None]:
    """It holds all it has and writes nothing meanwhile: each minute it notes which credentials were used."""
    os.kill(live.pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(live.pid, signal.SIGCONT)


def asking(live: Live, method: str, path: str, body: Any = None) -> httpx.Response:
    return httpx.request(method, live.url + path, json=body, headers={"Authorization": f"Bearer {live.token}"})


def works(live: Live, id: str) -> None:
    """Its administrator is let in, what is sent is stored, and it is in the next answer."""
    answer = asking(live, "POST", "/v1/events", [EVENT | {"id": id}])
    assert (answer.status_code, answer.json().get("stored")) == (200, 1), answer.text
    answer = asking(live, "GET", "/v1/usage?account=acme&from=2026-03-01&to=2026-03-02")
    assert answer.status_code == 200, answer.text
    assert answer.json()["total"]["requests"] >= 1, answer.text


@pytest.mark.parametrize(
    ("command", "environment"),
    [
        (("serve", "--port", "0"), {}),
        (("serve", "--port", "0"), {"FLOWTALLY_ADMIN_TOKEN": SECOND}),
        (("serve", "--port", "0", "--keys-url", "sqlite:///{other}/keys.db"), {}),
        (("serve", "--port", "0", "--ledger-url", "sqlite:///{other}/ledger.db"), {}),
        (("serve", "--port", "0", "--usage-url", "memory://"), {"FLOWTALLY_ADMIN_TOKEN": SECOND}),
        (("rebuild-keys",), {}),
        (("rebuild-keys", "--keys-url", "sqlite:///{other}/keys.db"), {}),
        (("rebuild-roll-ups",), {}),
        (("rotate-key",), {}),
        (("key", "admin"), {}),
        (("key", "admin", "--revoke-all", "--keys-url", "sqlite:///{other}/keys.db"), {}),
        (("demo", "--exit"), {}),
    ],
    ids=lambda one: " ".join(one) if isinstance(one, tuple) else ",".join(one),
)
def test_a_second_writer_is_refused_and_changes_nothing(
    live: Live, tmp_path: Path, command: tuple[str, ...], environment: dict[str, str]
) -> None:
    data, other = Path(live.data), tmp_path / "other"
    arguments = [word.format(other=other) for word in command]
    with standing_still(live):
        before = seen(data, but=("usage",)), dump(data / "ledger.db"), dump(data / "keys.db")
        code, said = flowtally(*arguments, "--data", live.data, **environment)
        assert (code, "is written by process" in said) == (1, True), said
        assert (seen(data, but=("usage",)), dump(data / "ledger.db"), dump(data / "keys.db")) == before
    assert not other.exists()
    works(live, "-".join(command) + str(environment))


@pytest.mark.parametrize("store", ["keys", "ledger"])
def test_another_data_directory_cannot_take_the_keys_or_the_ledger_of_a_running_server(
    live: Live, tmp_path: Path, store: str
) -> None:
    line = told(
        data=str(tmp_path / "mine"), usage_url="memory://", **{f"{store}_url": f"sqlite:///{live.data}/{store}.db"}
    )
    assert f"{live.data} is written by process" in line
    assert list(tmp_path.iterdir()) == []
    works(live, f"after {store}")


def test_a_backup_is_not_restored_into_a_running_directory(live: Live, tmp_path: Path) -> None:
    assert flowtally("backup", "one", FLOWTALLY_URL=live.url, FLOWTALLY_TOKEN=live.token)[0] == 0
    code, said = flowtally("restore", f"{live.data}/backups/one", "--data", live.data)
    assert (code, "is not empty" in said) == (2, True)
    works(live, "after restore")


def test_the_temporary_directory_may_be_swept_while_the_server_runs(live: Live) -> None:
    works(live, "before the sweep")
    kept = Path(live.data).stat()
    name = f"flowtally-{os.getuid()}-{kept.st_dev:x}-{kept.st_ino:x}"

    def places() -> list[Path]:
        return [one for one in Path("/dev/shm").glob(f"{name}-*") if one.is_dir()]

    if not places():
        pytest.skip("this machine has no room in memory for temporary files")
    for again in range(2):
        [place] = places()
        shutil.rmtree(place)
        works(live, f"swept {again}")
        assert places() != [place]  # nobody can know the next one, and wait for us there
    [place] = places()
    shutil.rmtree(place)
    place.write_text("something else of that name")
    works(live, "with a file in the way")
    place.unlink()
    [place] = places()
    place.chmod(0o777)
    works(live, "open to others")
    assert [one.stat().st_mode & 0o777 for one in places() if one != place] == [0o700]
    shutil.rmtree(place)
    Path("/dev/shm", name).mkdir()  # what a version before this one, or somebody who knew its name, left
    works(live, "a name that can be known")
    assert list(Path("/dev/shm", name).iterdir()) == []


# -- refused for what is there ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data directory of an installation that has money, a password and an admin token, and does not run."""
    data = tmp_path_factory.mktemp("installed") / "data"
    config = load_config({}, data=str(data), usage_url="memory://", admin_token=FIRST)
    with open_services(config) as services, services.ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        managed.create_user(tx, "acme", "ann", password=services.vault.seal("a secret"), now=2)
        wallet.deposit(tx, "acme", 5, currency="USD", now=3)
    with open_services(load_config({}, data=str(data), usage_url="memory://", admin_token=SECOND)):
        pass
    return data


@pytest.fixture
def stopped(installed: Path, tmp_path: Path) -> Path:
    """The same, to be spoiled."""
    return Path(shutil.copytree(installed, tmp_path / "data"))


def spoil(file: Path) -> None:
    file.write_bytes(b"this is no database at all, but long enough to be looked at" * 100)


def in_its_place(file: Path) -> None:
    file.unlink()
    file.mkdir()


def with_another_key(data: Path) -> None:
    (data / KEY_FILE).unlink()
    Vault.open(data / KEY_FILE, None)


def sql(file: Path, *statements: str) -> None:
    with closing(sqlite3.connect(file)) as db:
        for statement in statements:
            db.execute(statement)
        db.commit()


REFUSED: dict[str, tuple[Callable[[Path], object], dict[str, Any], str]] = {
    "a token that was revoked": (lambda data: None, {"admin_token": FIRST}, "was revoked"),
    "another currency": (lambda data: None, {"currency": "EUR"}, "the ledger keeps USD"),
    "a later ledger": (
        lambda data: sql(data / "ledger.db", "UPDATE alembic_version SET version_num = '9999'"),
        {},
        "at version 9999",
    ),
    "a ledger that is none": (lambda data: spoil(data / "ledger.db"), {}, "ledger_url"),
    "a directory for a ledger": (lambda data: in_its_place(data / "ledger.db"), {}, "ledger_url"),
    "later keys": (lambda data: sql(data / "keys.db", "PRAGMA user_version = 99"), {}, "has schema 99"),
    "keys that are none": (lambda data: spoil(data / "keys.db"), {}, "keys.db cannot be read"),
    "a directory for keys": (lambda data: in_its_place(data / "keys.db"), {}, "keys.db cannot be read"),
    "later samples": (lambda data: sql(data / SAMPLES, "PRAGMA user_version = 99"), {}, "has samples of version 99"),
    "samples that are none": (lambda data: spoil(data / SAMPLES), {}, "samples.db cannot be read"),
    "a key file that is none": (lambda data: (data / KEY_FILE).write_text("no key"), {}, "holds no key"),
    "no key file": (lambda data: os.unlink(data / KEY_FILE), {}, "is missing"),
    "another key": (with_another_key, {}, "is not the key"),
    "a directory for a key file": (lambda data: in_its_place(data / KEY_FILE), {}, "cannot be used"),
    "a usage store that does not answer": (
        lambda data: None,
        {"usage_url": "clickhouse://127.0.0.1:1/flowtally"},
        "usage_url",
    ),
    "a usage store of no kind": (lambda data: None, {"usage_url": "ftp://somewhere"}, "usage_url"),
    "a ledger that does not answer": (
        lambda data: None,
        {"ledger_url": "postgresql://u:hidden@127.0.0.1:1/x?connect_timeout=2"},
        "ledger_url",
    ),
    "a ledger of no kind": (lambda data: None, {"ledger_url": "oracle://somewhere"}, "ledger_url"),
    "keys of no kind": (lambda data: None, {"keys_url": "postgresql://somewhere/x"}, "keys_url"),
}


@pytest.mark.parametrize("why", REFUSED)
def test_a_refused_start_is_one_line_and_everything_is_as_before(stopped: Path, why: str) -> None:
    spoiling, settings, said = REFUSED[why]
    spoiling(stopped)
    before = seen(stopped.parent)
    line = told(data=str(stopped), **{"usage_url": "memory://", "admin_token": SECOND} | settings)
    assert said in line
    assert not {FIRST, SECOND, "hidden"} & set(line.replace(":", " ").replace("@", " ").split())
    assert seen(stopped.parent) == before


@pytest.mark.parametrize(
    "settings",
    [
        {"usage_url": "clickhouse://127.0.0.1:1/flowtally"},
        {"ledger_url": "postgresql://127.0.0.1:1/x?connect_timeout=2"},
        {"keys_url": "redis://somewhere"},
    ],
    ids=lambda one: next(iter(one)),
)
def test_a_refused_start_makes_no_directory(tmp_path: Path, settings: dict[str, str]) -> None:
    assert told(data=str(tmp_path / "a" / "b"), **{"usage_url": "memory://"} | settings)
    assert list(tmp_path.iterdir()) == []


def test_a_port_in_use_is_found_before_anything_is_written(tmp_path: Path) -> None:
    with bind("127.0.0.1", 0) as taken:
        taken.listen()
        port = str(taken.getsockname()[1])
        code, said = flowtally("serve", "--data", str(tmp_path / "data"), "--port", port)
    assert (code, f"Cannot listen at 127.0.0.1 port {port}" in said) == (2, True)
    assert "choose another port (--port)" in said
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("host", ["no.such.host.invalid", "a\0b", "256.1.1.1", "x" * 300, "é" * 70])
def test_a_host_that_cannot_be_listened_at_is_named(host: str) -> None:
    with pytest.raises(ConfigError, match="Cannot listen at"):
        bind(host, 0)


@pytest.mark.system
def test_a_disk_that_cannot_be_written_is_named() -> None:
    with small_disk(16 << 20) as disk:
        config = {"data": str(disk / "data"), "usage_url": "memory://"}
        with open_services(load_config({}, **config)):
            pass
        before = seen(disk)
        subprocess.run(["mount", "-o", "remount,ro", str(disk)], check=True)
        assert "Read-only file system" in told(**config)
        assert "Read-only file system" in told(data=str(disk / "new"), usage_url="memory://")
        assert seen(disk) == before


# -- in one process ---------------------------------------------------------------------------------------------------


def test_two_servers_of_one_directory_refuse_and_of_two_do_not(tmp_path: Path) -> None:
    one, two = (load_config({}, data=str(tmp_path / name), usage_url="memory://") for name in ("one", "two"))
    with open_services(one), open_services(two), pytest.raises(WriterBusy), open_services(one):
        pass
    with open_services(one):
        pass


def test_a_first_admin_is_made_once_and_only_where_somebody_is_told(tmp_path: Path) -> None:
    config = load_config({}, data=str(tmp_path / "data"), usage_url="memory://")
    tokens: list[str] = []
    with open_services(config):
        pass
    for _ in range(2):
        with open_services(config, tell=tokens.append):
            pass
    assert len(tokens) == 1


def test_a_ledger_elsewhere_has_its_own_lock(tmp_path: Path) -> None:
    """A ledger elsewhere: its directory is made, as that of the keys."""
    config = load_config(
        {}, data=str(tmp_path / "data"), usage_url="memory://", ledger_url=f"sqlite:///{tmp_path}/far/ledger.db"
    )
    with open_services(config) as services, services.ledger.read() as tx:
        assert accounts.list_accounts(tx).items == []
    assert (tmp_path / "far" / "ledger.db").exists()
    assert socket.gethostname() in (tmp_path / "far" / "ledger.db.lock").read_text()
    Ledger.open(config.ledger_url).close()


# -- refused for damage -----------------------------------------------------------------------------------------------


def test_a_start_refused_for_damage_leaves_token_ledger_and_keys_as_they_were(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": FIRST}) as one:
        assert asking(Live(one.url, FIRST, one.data), "POST", "/v1/accounts", {"id": "acme"}).status_code == 201
        works(Live(one.url, FIRST, one.data), "1")
    [part] = [one.parent for one in (data / "usage").glob("store/*/*/*/buckets.proj")]
    detached = part.parent / "detached"
    detached.mkdir(exist_ok=True)
    part.rename(detached / part.name)
    before = seen(data, but=("usage",))
    for _ in range(2):
        code, said = flowtally("serve", "--data", str(data), "--port", "0", FLOWTALLY_ADMIN_TOKEN=SECOND)
        assert (code, part.name in said) == (1, True), said
        assert seen(data, but=("usage",)) == before
    (detached / part.name).rename(part)
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": FIRST}) as one:
        works(Live(one.url, FIRST, one.data), "2")


def test_a_ledger_that_was_removed_and_put_back_loses_no_numbered_event(tmp_path: Path) -> None:
    """As it was seen: the start opened, refused the numbers for good and consumed them."""
    data, kept = tmp_path / "data", tmp_path / "kept.db"
    numbered = [EVENT | {"source": "log", "sequence": number} for number in range(1, 5)]
    settings = {"FLOWTALLY_ADMIN_TOKEN": FIRST}
    with live_server(data, settings) as one:
        live = Live(one.url, FIRST, one.data)
        assert asking(live, "POST", "/v1/accounts", {"id": "acme"}).status_code == 201
        early = shutil.copy(data / "ledger.db", tmp_path / "early.db")  # without what its log still holds
        assert asking(live, "POST", "/v1/events", numbered[:2]).json()["stored"] == 2
    shutil.move(data / "ledger.db", kept)
    before = seen(data, but=("usage",))
    code, said = flowtally("serve", "--data", str(data), "--port", "0", **settings)
    assert (code, "ledger_missing" in said, "Put the ledger back" in said) == (1, True, True), said
    assert seen(data, but=("usage",)) == before
    shutil.copy(early, data / "ledger.db")
    code, said = flowtally("serve", "--data", str(data), "--port", "0", **settings)
    assert (code, any(name in said for name in ("ledger_older", "ledger_missing"))) == (1, True), said
    shutil.move(kept, data / "ledger.db")
    with live_server(data, settings) as one:
        answer = asking(Live(one.url, FIRST, one.data), "POST", "/v1/events", numbered).json()
        assert (answer["stored"], answer["duplicate"], answer["refused"]) == (2, 2, 0)
