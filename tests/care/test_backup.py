"""Backups of a real server under load, put back, started: everything acknowledged before is there, nothing twice."""

from __future__ import annotations

import hashlib
import json
import os
import random
import shutil
import sqlite3
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests import fork_server
from tests.live import Live, live_server
from tests.small_disk import small_disk
from tests.soak import FIRST_SEED, done, rounds

TIME = "2026-03-01T00:00:00Z"
TOKEN = "ours-Zk3vQ9xTn2Wb7Jr5Hc8Pd4Ys6Lf1Mg"
SEED = 20260315 + FIRST_SEED
BACKUPS = rounds(2, 10)
PAUSE_S = 0.05  # of each sender between two requests: all that was sent is sent again to each restored one
KEY = b"c2VhbGVkc2VhbGVkc2VhbGVkc2VhbGVkc2VhbGVkLi4="


def run(*arguments: str, live: Live | None = None, code: int = 0) -> Any:
    """What a command prints with `--json`."""
    done = fork_server.run(*arguments, "--json", env=live.environment if live else os.environ)
    assert done.returncode == code, done.stderr + done.stdout
    return json.loads(done.stdout) if done.stdout else done.stderr


def as_admin(live: Live) -> httpx.Client:
    return httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30)


@contextmanager
def serving(data: Path, **extra: str) -> Iterator[tuple[Live, httpx.Client]]:
    with live_server(data, {"FLOWTALLY_ADMIN_TOKEN": TOKEN, **extra}) as live:
        known = Live(live.url, TOKEN, live.data)
        with as_admin(known) as client:
            yield known, client


class Sender(threading.Thread):
    """Sends named or numbered batches, and remembers those that were acknowledged, with when."""

    def __init__(self, url: str, source: str, numbered: bool, seed: int) -> None:
        super().__init__(daemon=True)
        self.source, self.numbered, self.chance = source, numbered, random.Random(seed)
        self.url = url
        self.done = threading.Event()
        self.acknowledged: list[tuple[float, list[dict[str, Any]]]] = []

    def run(self) -> None:
        made = 0
        with httpx.Client(base_url=self.url, headers={"Authorization": f"Bearer {TOKEN}"}, timeout=30) as client:
            while not self.done.is_set():
                size = self.chance.choice((1, 3, 100))
                batch = [self.event(number) for number in range(made + 1, made + size + 1)]
                made += size
                assert client.post("/v1/events", json=batch).json()["stored"] == size
                self.acknowledged.append((time.monotonic(), batch))
                self.done.wait(PAUSE_S)

    def event(self, number: int) -> dict[str, Any]:
        event = {"source": self.source, "account": "acme", "time": TIME, "user": self.source, "bytes_up": number}
        return event | ({"sequence": number, "position": f"p{number}"} if self.numbered else {"id": f"e{number}"})


def usage(client: httpx.Client) -> dict[str, int]:
    answer = client.get("/v1/accounts/acme/usage", params={"from": "2026-03-01", "to": "2026-03-02", "by": "user"})
    return {row["user"]: row["bytes"] for row in answer.json()["rows"]}


@pytest.mark.soak
def test_backups_at_random_moments_under_load_lose_nothing_and_count_nothing_twice(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    print(f"seed {SEED}")
    moments: list[tuple[float, str]] = []
    with serving(tmp_path / "data") as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/accounts/acme/grants", json={"amount": 1000})
        senders = [Sender(live.url, f"s{n}", n % 2 == 0, SEED + n) for n in range(4)]
        for sender in senders:
            sender.start()
        for _ in range(BACKUPS):
            time.sleep(chance.random())
            asked = time.monotonic()
            made = run("backup", live=live)
            assert made["state"] == "done"
            moments.append((asked, made["path"]))
            time.sleep(1)  # names are instants of whole seconds
        kept = run("backup", "--list", live=live)["backups"]
        for sender in senders:
            sender.done.set()
            sender.join()
        assert [one["name"] for one in kept] == [Path(path).name for _, path in moments]
        everything = usage(client)
        assert run("verify", live=live)["found"] == 0
        done(backups=BACKUPS)
    for number, (asked, path) in enumerate(moments):
        data = tmp_path / f"restored{number}"
        told = run("restore", path, "--data", str(data))
        assert told["report"]["found"] == 0
        before = sum(len(batch) for sender in senders for at, batch in sender.acknowledged if at < asked)
        assert told["report"]["rows"] >= before > 0
        assert sorted(one.name for one in data.iterdir() if one.suffix != ".lock") == [
            "journal.db",
            "keys.db",
            "ledger.db",
            "passwords.key",
            "usage",
        ]
        with serving(data) as (restored, client):
            for sender in senders:
                mine = client.get("/v1/sources", params={"source": sender.source})
                early = [event for at, batch in sender.acknowledged if at < asked for event in batch]
                late = [event for at, batch in sender.acknowledged if at >= asked for event in batch]
                for batch, again in ((early, True), (late, False)):
                    for start in range(0, len(batch), 10_000):
                        some = batch[start : start + 10_000]
                        counts = client.post("/v1/events", json=some).json()
                        assert counts["stored"] + counts["duplicate"] == len(some), counts
                        assert counts["duplicate"] == len(some) or not again
                if sender.numbered:
                    assert mine.json()["position"] == f"p{mine.json()['sequence']}"
            assert usage(client) == everything
            assert client.get("/v1/accounts/acme/balance").json()["grants"][0]["amount"] == 1000
            assert run("verify", live=restored)["found"] == 0


def until_flushed(client: httpx.Client) -> None:
    """All that is acknowledged stands in the usage table."""
    until = time.monotonic() + 60
    while "\nflowtally_tail_rows 0.0\n" not in client.get("/metrics").text:
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backup of a few events, refused numbers and a file that seals passwords, after one that was cut short."""
    place = tmp_path_factory.mktemp("made")
    (place / "data").mkdir()
    (place / "data" / "passwords.key").write_bytes(KEY)
    backups = place / "elsewhere"
    (backups / ".partial-old" / "usage").mkdir(parents=True)
    (backups / f".partial-ins_{1:032x}-weekly" / "usage").mkdir(parents=True)  # of another server
    (place / "data" / "usage" / "shadow" / "flowtally_old").mkdir(parents=True)
    with serving(place / "data", FLOWTALLY_BACKUP_DIR=str(backups)) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        event = {"account": "acme", "time": TIME, "bytes_up": 1}
        client.post("/v1/events", json=[event | {"source": "gw", "id": str(n)} for n in range(10)])
        until_flushed(client)  # two blocks in parts of their own
        client.post("/v1/events", json=[event | {"source": "log", "sequence": n, "account": "acme" if n < 4 else "no"}
                                        for n in range(1, 6)])  # fmt: skip
        path = run("backup", "weekly", live=live)["path"]
        assert path == str(backups / "weekly")
        again = client.post("/v1/backups", json={"name": "weekly"})
        assert (again.status_code, again.json()["code"]) == (409, "conflict")
        for name in ("../out", "a/b", "/etc/x", ".hidden", "", "x" * 65):
            assert client.post("/v1/backups", json={"name": name}).status_code == 422
        assert sorted(one.name for one in backups.iterdir()) == [f".partial-ins_{1:032x}-weekly", "weekly"]
        assert not list((place / "data" / "usage" / "shadow").glob("flowtally_*"))
    return Path(path)


@pytest.mark.system
def test_a_backup_goes_to_another_file_system_and_says_where_there_is_no_room(tmp_path: Path) -> None:
    with small_disk(3 << 20) as disk, serving(tmp_path / "data", FLOWTALLY_BACKUP_DIR=str(disk)) as (live, client):
        client.post("/v1/accounts", json={"id": "acme"})
        client.post("/v1/events", json=[{"source": "gw", "id": "1", "account": "acme", "time": TIME}])
        made = Path(run("backup", "first", live=live)["path"])
        assert made.stat().st_dev != tmp_path.stat().st_dev
        assert list(made.glob("usage/*/data.bin"))
        run("restore", str(made), "--data", str(tmp_path / "new"))
        (disk / "ballast").write_bytes(bytes(shutil.disk_usage(disk).free - 50_000))
        failed = run("backup", "second", live=live, code=1)
        assert "no room" in failed["detail"]
        assert sorted(one.name for one in disk.iterdir()) == ["ballast", "first"]
        assert client.get("/readyz").status_code == 200
        (disk / "ballast").unlink()
        assert run("backup", "second", live=live)["state"] == "done"


def test_a_backup_is_for_its_owner_alone_and_whole(made: Path) -> None:
    told = json.loads((made / "manifest.json").read_text())
    assert (told["block"], told["rows"], told["ledger"]) == (2, 13, "sqlite")
    assert {"keys.db", "ledger.db", "passwords.key"} <= {file["path"] for file in told["files"]}
    assert made.stat().st_mode & 0o077 == 0


def test_what_only_the_keys_knew_comes_back_too(made: Path, tmp_path: Path) -> None:
    run("restore", str(made), "--data", str(tmp_path / "new"))
    assert (tmp_path / "new" / "passwords.key").read_bytes() == KEY
    assert (tmp_path / "new" / "passwords.key").stat().st_mode & 0o077 == 0
    with serving(tmp_path / "new") as (_, client):
        assert client.get("/v1/sources", params={"source": "log"}).json()["sequence"] == 5
        refused = client.get("/v1/events", params={"source": "log", "id": "5"}).json()
        assert (refused["status"], refused["code"]) == ("refused", "unknown_account")


@pytest.mark.parametrize("damage", ["changed", "short", "missing", "strange", "no manifest"])
def test_a_backup_that_is_not_as_it_was_written_is_not_restored(made: Path, tmp_path: Path, damage: str) -> None:
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    [file] = list(copy.glob("usage/*1_1_0/data.bin")) or list(copy.glob("usage/*/data.bin"))[:1]
    content = file.read_bytes()
    match damage:
        case "changed":
            file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        case "short":
            file.write_bytes(content[:-1])
        case "missing":
            file.unlink()
        case "strange":
            file.with_name("more").write_bytes(b"")
        case _:
            (copy / "manifest.json").unlink()
    told = run("restore", str(copy), "--data", str(tmp_path / "new"), code=2 if damage == "no manifest" else 1)
    assert "is no backup" in told if damage == "no manifest" else "backup_broken" in told
    assert not (tmp_path / "new").exists()


def test_a_directory_that_is_not_empty_is_left_alone(made: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    assert "is not empty" in run("restore", str(made), "--data", str(tmp_path), code=2)
    assert [one.name for one in tmp_path.iterdir()] == ["file"]


def test_damage_that_was_backed_up_is_named_by_the_restore(made: Path, tmp_path: Path) -> None:
    """The files are as they were written; what they say is not right: that is another thing, and is said."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    with sqlite3.connect(copy / "keys.db") as db:
        for table in ("keys", "log0", "log1"):
            db.execute(f"DELETE FROM {table} WHERE key = x'0133'")
    db.close()
    told = json.loads((copy / "manifest.json").read_text())
    for file in told["files"]:
        if file["path"] == "keys.db":
            content = (copy / "keys.db").read_bytes()
            file |= {"size": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    del told["sha256"]  # it was of what was said before
    (copy / "manifest.json").write_text(json.dumps(told))
    found = run("restore", str(copy), "--data", str(tmp_path / "new"), code=1)["report"]["findings"]
    assert [one["code"] for one in found] == ["row_without_key"]
    assert "'3'" in found[0]["where"]


@pytest.mark.parametrize("name", ["data.bin", "minmax_received_at.idx"])
def test_a_backup_that_was_made_of_a_broken_part_is_not_put_back(made: Path, tmp_path: Path, name: str) -> None:
    """Its files are as they were copied: only the part itself says that they are not what was written."""
    copy = tmp_path / "copy"
    shutil.copytree(made, copy)
    [part, *_] = sorted(copy.glob("usage/*"))
    content = bytearray((part / name).read_bytes())
    content[len(content) // 2] ^= 0x11
    (part / name).unlink()
    (part / name).write_bytes(content)
    told = json.loads((copy / "manifest.json").read_text())
    for file in told["files"]:
        if file["path"].endswith(f"{part.name}/{name}"):
            file["sha256"] = hashlib.sha256(content).hexdigest()
    del told["sha256"]  # it was of what was said before
    (copy / "manifest.json").write_text(json.dumps(told))
    refused = run("restore", str(copy), "--data", str(tmp_path / "new"), code=1)
    assert "Nothing is restored" in refused
    assert name in refused
    assert not (tmp_path / "new").exists()


def test_a_backup_with_newer_usage_than_keys_heals_and_with_older_usage_is_refused(made: Path, tmp_path: Path) -> None:
    """Law 9: keys that know more than the rows mean lost rows."""
    older = tmp_path / "older"
    shutil.copytree(made, older)
    [part] = older.glob("usage/*_2_2_0")
    shutil.rmtree(part)
    told = json.loads((older / "manifest.json").read_text())
    told["files"] = [file for file in told["files"] if part.name not in file["path"]]
    del told["sha256"]  # it was of what was said before
    (older / "manifest.json").write_text(json.dumps(told))
    refused = run("restore", str(older), "--data", str(tmp_path / "new"), code=1)
    assert "Block 2 was acknowledged" in refused
    assert not (tmp_path / "new").exists()
