"""How programs end, fork and start again: each in a process of its own, against the model on a port."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from tests.client.model import ModelServer, serving

BEGIN = """
import asyncio, multiprocessing, os, sys, threading
from flowtally.client import AsyncClient, AsyncMeter, Client, Limits, Meter, MeterClosed
url, spool = sys.argv[1:]
client = Client(url, "secret", retry_s=0)
"""


def run(program: str, url: str, spool: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", BEGIN + program, url, str(spool)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


ENDS = {
    "falls off its end": "",
    "exits": "sys.exit(3)",
    "raises": "raise RuntimeError('a bug')",
    "is interrupted": "raise KeyboardInterrupt",
    "handles SIGTERM": "import signal, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit())\n"
    "os.kill(os.getpid(), signal.SIGTERM); time.sleep(30)",
}


@pytest.mark.parametrize("end", ENDS)
def test_however_a_program_ends_what_it_recorded_is_delivered(end: str, tmp_path: Path) -> None:
    server = ModelServer()
    with serving(server) as url:
        program = "meter = Meter(client, 'gw', limits=Limits(batch_age_s=60))\n"
        done = run(program + "for _ in range(9): meter.record(account='acme')\n" + ENDS[end], url, tmp_path)
    assert len(server.named) == 9, done.stderr


def test_a_program_that_ends_in_an_outage_says_what_was_not_delivered(tmp_path: Path) -> None:
    server = ModelServer()
    server.down = True
    with serving(server) as url:
        program = "meter = Meter(client, 'gw', close_s=0.1)\nfor _ in range(9): meter.record(account='acme')"
        done = run(program, url, tmp_path)
    assert "Undelivered: 9 events of source 'gw' have no receipt: http://127.0.0.1" in done.stderr


def test_the_next_run_sends_what_an_outage_left_in_the_spool(tmp_path: Path) -> None:
    server, spool = ModelServer(), tmp_path / "spool"
    program = "meter = Meter(client, 'gw', close_s={}, spool=spool)\nprint(meter.record(account='acme'))"
    with serving(server) as url:
        server.down = True
        first = run(program.format(0.1), url, spool)
        assert f"1 events wait in {spool}" in first.stderr
        assert msgspec.json.decode(spool.read_bytes())["id"] == first.stdout.strip()
        server.down = False
        second = run(program.format(10), url, spool)
    assert [id for _, id in server.named] == [first.stdout.strip(), second.stdout.strip()]
    assert (spool.read_bytes(), second.stderr) == (b"", "")


def test_a_loop_that_ends_without_close_leaves_the_spool_or_says_so(tmp_path: Path) -> None:
    server, spool = ModelServer(), tmp_path / "spool"
    program = """
async def live():
    meter = AsyncMeter(AsyncClient(url, "secret"), "gw", limits=Limits(batch_age_s=60), {})
    meter.record(account="acme")
asyncio.run(live())
"""
    with serving(server) as url:
        assert "Undelivered: 1 events" in run(program.format(""), url, spool).stderr
        run(program.format("spool=spool"), url, spool)
    assert len(spool.read_bytes().splitlines()) == 1


def test_a_forked_child_starts_empty_and_delivers_its_own(tmp_path: Path) -> None:
    """Also its ids are its own: a child that went on with its parent's chance would make the same ones."""
    server = ModelServer()
    program = """
meter = Meter(client, "gw", spool=spool, limits=Limits(batch_age_s=60))
for _ in range(500): meter.record(account="acme", user="parent")
meter.flush()
for _ in range(500): meter.record(account="acme", user="parent")
children = []
for number in range(3):
    if not (child := os.fork()):
        assert meter.counts.recorded == 0
        for _ in range(500): meter.record(account="acme", user=f"child {number}")
        sys.exit()
    children.append(child)
for _ in range(500): meter.record(account="acme", user="parent")
assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]
"""
    with serving(server) as url:
        done = run(program, url, tmp_path / "spool")
    assert (done.returncode, done.stderr) == (0, "")
    users = [event.user for event in server.named.values()]
    assert {user: users.count(user) for user in users} == {
        "parent": 1500, "child 0": 500, "child 1": 500, "child 2": 500,
    }  # fmt: skip


@pytest.mark.parametrize("client", ["Client", "AsyncClient"])
def test_a_forked_child_asks_over_connections_of_its_own(client: str, tmp_path: Path) -> None:
    server = ModelServer()
    program = """
def say(what): print(what, flush=True)
client = {client}(url, "secret")
def mine(): return id(client._http.mine())
before = mine()
assert mine() == before
if not (child := os.fork()):
    say(mine() != before and mine() == mine())
    os._exit(0)
os.waitpid(child, 0)
say(mine() == before)
"""
    with serving(server) as url:
        done = run(program.replace("{client}", client), url, tmp_path)
    assert (done.stdout.split(), done.stderr) == (["True", "True"], "")


def test_a_worker_of_multiprocessing_delivers_before_it_ends(tmp_path: Path) -> None:
    """Its process ends without the interpreter's exit handlers."""
    server = ModelServer()
    program = """
meter = Meter(client, "gw", limits=Limits(batch_age_s=60))
def work(number): meter.record(account="acme", user=str(number))
context = multiprocessing.get_context("fork")
workers = [context.Process(target=work, args=[number]) for number in range(3)]
for worker in workers: worker.start()
for worker in workers: worker.join()
"""
    with serving(server) as url:
        done = run(program, url, tmp_path)
    assert sorted(event.user for event in server.named.values()) == ["0", "1", "2"], done.stderr


def test_a_forked_child_of_a_loop_is_told(tmp_path: Path) -> None:
    server = ModelServer()
    program = """
async def live():
    async with AsyncMeter(AsyncClient(url, "secret"), "gw") as meter:
        meter.record(account="acme")
        if not (child := os.fork()):
            try: meter.record(account="acme")
            except MeterClosed as error: print(error, flush=True)
            os._exit(0)
        os.waitpid(child, 0)
asyncio.run(live())
"""
    with serving(server) as url:
        done = run(program, url, tmp_path)
    assert "the meter of source 'gw' belongs to the parent process; the event was not recorded" in done.stdout
    assert len(server.named) == 1
