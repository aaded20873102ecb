"""What an operator does while the world goes on: backups, restores, checks, exports. Verbs; joined by being imported.

A restored installation is compared with a copy of the model from the moment of the backup, by the checks that only
ask; then it is thrown away and the original goes on. Over the engine the server makes the backup and the program
restores it, served by a process of its own (a process has one directory of the engine); over the list in memory the
same moments are taken between two blocks and put back here.
"""

from __future__ import annotations

import copy
import csv
import io
import json
import shutil
import time
from contextlib import ExitStack
from pathlib import Path
from random import Random
from typing import Any

import httpx
from tests import fork_server
from tests.conftest import Clock
from tests.ingest.conftest import Services
from tests.live import live_server
from tests.world import checks
from tests.world.model import total
from tests.world.verbs import verb
from tests.world.world import DAY, Backup, World

from flowtally.care.rotate import rotate_key
from flowtally.config import load_config
from flowtally.core.clock import SteadyClock, now_ms
from flowtally.core.corrections import Quantities
from flowtally.core.edges import format_instant
from flowtally.ledger import portable
from flowtally.ledger.database import Ledger
from flowtally.ledger.snapshot import Snapshot, snapshot_of
from flowtally.ledger.vault import KEY_FILE
from flowtally.usage.memory import MemoryStore

ASKING: tuple[checks.Check, ...] = (  # those that look into no process
    checks.usage,
    checks.usage_of_all,
    checks.changes,
    checks.balances,
    checks.users,
    checks.limits,
    checks.passed_on,
    checks.whitelists,
    checks.vouchers,
    checks.check_ins,
    checks.explanations,
    checks.events,
    checks.held,
    checks.periods,
)


@verb(1)
def make_a_backup(world: World, chance: Random) -> None:
    """While serving. Only the last is kept: the one that will be restored."""
    if not world.backs_up:
        assert "ClickHouse server" in finished(world, "/v1/backups", {}, state="failed")["detail"]
        return
    world.made += 1
    place = world.place / f"backup{world.made}"
    if world.memory is None:
        place = Path(finished(world, "/v1/backups", {"name": place.name})["path"])
    else:
        take(world, place)
    if world.backup is not None:
        shutil.rmtree(world.backup.place)
    world.backup = Backup(place, copy.deepcopy(world.model), world.now)


@verb(1)
def restore_the_last_backup(world: World, chance: Random) -> None:
    """Once each; what happened since is not there, and all else is. Over the engine once in a life: two programs have
    to start for it."""
    if world.backup is None or (world.restores and world.memory is None):
        return
    world.restores += 1
    with ExitStack() as closing:
        restored = served(world, closing) if world.memory is None else put_back(world, closing)
        for check in ASKING:
            check(restored, restored.chance)
    shutil.rmtree(world.backup.place)
    world.backup = None


@verb(1)
def verify(world: World, chance: Random) -> None:
    """It finds nothing; of a list in memory there is nothing to look at, and it says so."""
    if world.memory is None:
        checks.verify_finds_nothing(world)
    else:
        assert world.ask("POST", "/v1/verify", status=409)["code"] == "conflict"


@verb(1)
def rotate_the_key(world: World, chance: Random) -> None:
    """While the server is stopped; codes that were given out are found and shown as before."""
    world.close()
    config = load_config({}, data=str(world.services.data), usage_url="memory://", ledger_url=world.ledger_url)
    rotate_key(config, world.steady)
    world.reopen()


@verb(1)
def export_an_account(world: World, chance: Random) -> None:
    """Its rows add up to what the account used, all of it or of a span."""
    account, start = world.account(), chance.choice([0, world.past(60)])
    span: dict[str, Any] = {"from": format_instant(start), "to": format_instant(world.now + DAY), "format": "csv"}
    answer = world.client.get(f"/v1/accounts/{account}/export", params=span)
    assert answer.status_code == 200, answer.text
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    mine = [row for row in world.model.rows if row.account == account and start <= row.time < world.now + DAY]
    sums = (sum(int(row[name]) for row in rows) for name in ("bytes_up", "bytes_down", "requests"))
    assert (sum(int(row["entries"]) for row in rows), Quantities(*sums)) == (len(mine), total(mine))
    assert answer.headers["Flowtally-Rows"] == str(len(mine))


@verb(1)
def ask_the_doctor(world: World, chance: Random) -> None:
    """Its figures are what is there."""
    told = world.ask("GET", "/v1/doctor")["installation"]
    place = world.services.keys.committed()
    assert (told["events"], told["accounts"]) == (world.model.stored, len(world.model.accounts))
    assert (told["block"], told["waiting_events"], told["starts"]) == (place.block, 0, place.epoch)


# How it is done


def finished(world: World, path: str, body: Any, *, state: str = "done") -> Any:
    """A job, when it has ended: well, in most cases."""
    told = world.ask("POST", path, body, status=202)
    until = time.monotonic() + 60
    while told["state"] == "running" and time.monotonic() < until:
        time.sleep(0.02)
        told = world.ask("GET", path)["last"]
    assert told["state"] == state, told
    return told


def take(world: World, place: Path) -> None:
    """As `care.backup` does it: keys, then usage, then the ledger, between two blocks; written afterwards."""
    assert world.memory is not None
    place.mkdir()
    with snapshot_of(world.services.ledger) as ledger:

        def moments(keys: Any) -> tuple[Snapshot, list[dict[str, Any]]]:
            taken = Snapshot(keys.path), world.memory.rows if world.memory else []
            ledger.take()
            return taken

        keys, rows = world.services.door.between_blocks(moments)
        keys.copy_to(place / "keys.db")
        keys.close()
        ledger.write(place, lambda *_: None)
    (place / "rows.json").write_text(json.dumps(rows))
    shutil.copy(world.services.data / KEY_FILE, place / KEY_FILE)  # without it no voucher's code can be read


class Restored(World):
    """What was restored, beside the model of that moment."""

    def __init__(self, world: World, backup: Backup) -> None:
        self.model, self.token = backup.model, world.token
        self.chance = Random(world.chance.randrange(2**32))
        self.clock = Clock(backup.at)
        self.steady = SteadyClock(self.clock)


def put_back(world: World, closing: ExitStack) -> World:
    """In this process: opened and settled as any start is."""
    assert world.backup is not None
    place, restored = world.place / f"restored{world.made}", Restored(world, world.backup)
    (place / "data").mkdir(parents=True)
    closing.callback(shutil.rmtree, place)
    shutil.copy(world.backup.place / "keys.db", place / "data" / "keys.db")
    shutil.copy(world.backup.place / KEY_FILE, place / "data" / KEY_FILE)
    put_ledger(world.backup.place, place, moves=restored.chance.random() < 0.5)
    assert world.memory is not None
    restored.memory = MemoryStore()
    restored.memory.bind(world.memory.identity())
    restored.memory.rows = json.loads((world.backup.place / "rows.json").read_text())
    ledger = Ledger.open(f"sqlite:///{place / 'ledger.db'}")
    restored.services = Services(place / "data", restored.memory, ledger, world.services.credential, restored.clock)
    restored.open()
    closing.callback(restored.kill)
    checks.nothing_is_lost(restored, restored.chance)
    checks.the_ledger_keeps_its_own_rules(restored, restored.chance)
    return restored


def put_ledger(backup: Path, place: Path, *, moves: bool) -> None:
    """As the file it is, or by way of the files that any kind of database takes, as one that changes its database."""
    shutil.copy(backup / "ledger.db", place / "ledger.db")
    if moves:
        version = portable.write_from(f"sqlite:///{place / 'ledger.db'}", place / "tables", lambda *_: None)
        (place / "ledger.db").unlink()
        portable.read(f"sqlite:///{place / 'ledger.db'}", place / "tables", version, lambda *_: None)


def served(world: World, closing: ExitStack) -> World:
    """By the program, into a directory, and by a server of its own."""
    assert world.backup is not None
    place, restored = world.place / f"restored{world.made}", Restored(world, world.backup)
    done = fork_server.run("restore", str(world.backup.place), "--data", str(place), "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    assert json.loads(done.stdout)["report"]["rows"] == restored.model.stored
    closing.callback(shutil.rmtree, place)
    live = closing.enter_context(live_server(place))
    headers = {"Authorization": f"Bearer {restored.token}"}
    restored.client = closing.enter_context(httpx.Client(base_url=live.url, headers=headers, timeout=30))
    restored.clock.at = max(restored.now, now_ms())  # its clock is the machine's
    restored.settle_held()
    restored.clock.at = world.backup.at
    return restored
