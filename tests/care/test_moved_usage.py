"""Usage goes to a ClickHouse server with a restore, and the installation goes on there: nothing lost, nothing twice."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import inspect
from tests.care.test_backup import run, serving, usage
from tests.care.test_moved_ledger import EVENTS, MANIFEST, NUMBERED, declare, promise_some_of_each_kind
from tests.clickhouse import ClickHouse, clickhouse_server  # noqa: F401
from tests.fixtures import ADMIN, differences, unpack
from tests.live import live_server
from tests.postgres import Postgres, postgres  # noqa: F401

from flowtally.care import destination
from flowtally.core.errors import ConfigError
from flowtally.ledger.database import Ledger
from flowtally.usage import copying
from flowtally.usage.engine import Engine

DOWN, UP = 7, 3  # of the two events


@pytest.fixture
def url(clickhouse_server: ClickHouse) -> Iterator[str]:  # noqa: F811
    named = clickhouse_server.new_url()
    yield named
    copying.take_away(named)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of an installation that has its stores in its directory."""
    place = tmp_path_factory.mktemp("embedded")
    with serving(place / "data") as (live, client):
        promise_some_of_each_kind(client)
        return Path(run("backup", live=live)["path"])


def tables(url: str) -> list[Any]:
    engine = Engine(url)
    found = engine.rows("SHOW TABLES")
    engine.close()
    return found


def test_usage_and_ledger_go_to_servers_of_their_own(
    made: Path,
    tmp_path: Path,
    url: str,
    postgres: Postgres,  # noqa: F811
) -> None:
    database, data = postgres.new_database(), tmp_path / "new"
    engine = Engine(url)
    engine.command("CREATE TABLE others (a String) ENGINE = MergeTree ORDER BY a")
    refused = run("restore", str(made), "--data", str(data), "--usage-url", url, "--ledger-url", database, code=2)
    assert "this database is not empty, it has others" in refused
    assert (engine.rows("SHOW TABLES"), data.exists()) == ([("others",)], False)
    engine.command("DROP TABLE others")
    engine.close()
    told = run("restore", str(made), "--data", str(data), "--usage-url", url, "--ledger-url", database)
    assert (told["report"]["found"], told["report"]["rows"], told["settled"]) == (0, 2, [])
    assert sorted(one.name for one in data.iterdir()) == ["flowtally.lock", "journal.db", "keys.db", "passwords.key"]
    stores = {"FLOWTALLY_USAGE_URL": url, "FLOWTALLY_LEDGER_URL": database}
    with serving(data, **stores) as (live, client):
        assert usage(client) == {"ann": DOWN, "": UP}
        for batch in (EVENTS, NUMBERED):
            assert client.post("/v1/events", json=batch).json()["duplicate"] == 1
        assert client.post("/v1/events", json=[{**EVENTS[0], "id": "2"}]).json()["stored"] == 1
        assert usage(client) == {"ann": 2 * DOWN, "": UP}
        assert run("verify", live=live)["found"] == 0
        assert client.get("/readyz").status_code == 200
        assert "ClickHouse" in run("backup", live=live, code=1)["detail"]
    postgres.give_back(database)


def test_an_installation_of_an_earlier_version_answers_from_both_servers_as_before(
    tmp_path: Path,
    url: str,
    postgres: Postgres,  # noqa: F811
) -> None:
    wanted, settings = unpack(tmp_path), {"FLOWTALLY_ADMIN_TOKEN": ADMIN, "FLOWTALLY_CHECK_IN_BYTES": "5000"}
    backup, data, database = tmp_path / "backups" / "whole", tmp_path / "new", postgres.new_database()
    run("restore", str(backup), "--data", str(data), "--usage-url", url, "--ledger-url", database)
    stores = {"FLOWTALLY_USAGE_URL": url, "FLOWTALLY_LEDGER_URL": database}
    with live_server(data, {**settings, **stores}) as live:
        assert differences(live.url, wanted["clean"]) == []
    postgres.give_back(database)


def test_a_restore_that_fails_later_leaves_both_databases_empty(
    made: Path,
    tmp_path: Path,
    url: str,
    postgres: Postgres,  # noqa: F811
) -> None:
    database, copy = postgres.new_database(), tmp_path / "copy"
    shutil.copytree(made, copy)
    [part, *_] = copy.glob("usage/*")
    shutil.rmtree(part)
    declare(copy)
    arguments = ("restore", str(copy), "--data", str(tmp_path / "new"))
    said = run(*arguments, "--usage-url", url, "--ledger-url", database, code=1)
    assert "acknowledged" in said
    assert tables(url) == []
    with Ledger.connected(database) as ledger, ledger.read() as tx:
        assert inspect(tx).get_table_names() == []
    assert not (tmp_path / "new" / "keys.db").exists()
    postgres.give_back(database)


def test_a_part_that_was_broken_when_it_was_backed_up_is_not_copied(made: Path, tmp_path: Path, url: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    [part, *_] = copy.glob("usage/*")
    data = bytearray((part / "data.bin").read_bytes())
    data[len(data) // 2] ^= 0xFF
    (part / "data.bin").write_bytes(data)
    declare(copy)
    said = run("restore", str(copy), "--data", str(tmp_path / "new"), "--usage-url", url, code=1)
    assert f"was made of damaged files: part {part.name}, data.bin" in said
    assert tables(url) == []


def test_what_is_no_server_is_told() -> None:
    for named in ("chdb:///somewhere", "http://x/y", "clickhouse+native://x/y"):
        with pytest.raises(ConfigError, match="clickhouse://HOST/DATABASE"):
            destination.chosen(MANIFEST, Path("/nowhere"), None, named)
    with pytest.raises(ConfigError, match=r"usage_url: .* cannot be opened"):
        copying.check_empty("clickhouse://u:secret@127.0.0.1:1/flowtally")
