"""An installation in a process of its own, to be killed, filled up and damaged: JSON lines in, JSON lines out.

`python -m tests.ingest.child DATA [setting=value ...]` says `{"open": true}` or which damage it found, then obeys.
With `now=MS` that is the time, which then stands still.
chDB allows one path per process, so whatever needs another path than the test session's happens here.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, Self

import msgspec
import structlog
from tests.fork_server import Program

from flowtally.core.errors import Damage, FlowtallyError
from flowtally.usage.values import BUCKET_MS, Where

FIRST_AT, SECOND_AT = 1_772_400_000_000, 1_775_100_000_000  # in two months, hence two parts


class Child:
    """The test's end of it."""

    def __init__(self, data: Path, **settings: object) -> None:
        self.data = data
        given = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
        self._log = (data.parent / f"{data.name}.log").open("a+")
        self._process = Program(
            str(data), *given, module="tests.ingest.child",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._log,
        )  # fmt: skip
        self.opened = self._read()

    def __enter__(self) -> Self:
        assert self.opened == {"open": True}, self.opened
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def ask(self, do: str, **more: object) -> Any:
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"do": do, **more}) + "\n")
        self._process.stdin.flush()
        return self._read()

    def send(self, *events: dict[str, Any]) -> Any:
        return self.ask("send", events=events)

    def _read(self) -> Any:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"died": self._process.wait(60)}

    def stop(self) -> None:
        """As it should be stopped."""
        assert self.ask("stop") == {"stopped": True}
        self._process.wait(60)
        self.kill()

    def kill(self) -> None:
        """As a power cut stops it, but for what the system still keeps in memory."""
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout, self._log):
            if stream is not None:
                stream.close()


def refusal(data: Path, **settings: object) -> dict[str, Any]:
    """What a start says that must not open."""
    child = Child(data, **settings)
    child.kill()
    found: dict[str, Any] = child.opened
    return found


def main(data: str, *arguments: str) -> None:
    from flowtally.care.backup import Backup
    from flowtally.care.job import Progress
    from flowtally.care.retention import Retention
    from flowtally.care.verify import take_baseline, verify
    from flowtally.config import load_config
    from flowtally.core.clock import now_ms
    from flowtally.ingest.door import Ingest
    from flowtally.ingest.opening import opened
    from flowtally.ingest.settings import ingest_settings, journal_path, keys_path
    from flowtally.ledger.database import Ledger
    from flowtally.ledger.people import accounts, credentials
    from flowtally.protocol import HeldFilter
    from flowtally.usage import compaction
    from flowtally.usage.clickhouse import ClickHouseStore
    from flowtally.usage.open import open_usage
    from flowtally.usage.place import embedded_directory
    from flowtally.web.log_output import LogOutput

    # As a server says its lines: no disk that is full keeps anybody from going on. Answers alone go to stdout.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(LogOutput(sys.stderr.buffer.raw)))  # type: ignore
    settings = {name: json.loads(value) for name, _, value in (one.partition("=") for one in arguments)}
    at = settings.pop("now", None)
    clock = now_ms if at is None else lambda: int(at)
    # The ledger stands outside the directory, so that it can be filled up and damaged without it.
    config = load_config({}, **{"data": data, "ledger_url": f"sqlite:///{data}.ledger.db", **settings})
    ledger = Ledger.open(config.ledger_url)
    with ledger.begin() as tx:
        if not credentials.has_admin(tx):
            accounts.create_account(tx, "acme", now=clock())
        credential = credentials.issue(tx, "admin", None, "tests", now_ms())[0]
    try:
        usage, ingest = opened(
            lambda: open_usage(config.usage_url),
            lambda usage: Ingest.open(ingest_settings(config), usage, ledger, clock=clock),
            embedded_directory(config.usage_url),
            journal_path(keys_path(config.keys_url)),
        )
        assert isinstance(usage, ClickHouseStore)
    except (Damage, FlowtallyError) as error:
        say(damage=type(error).__name__, detail=str(error))
        return
    rows_check = usage.rows_check
    say(open=True)
    for line in sys.stdin:
        asked = json.loads(line)
        match asked["do"]:
            case "send":
                body = msgspec.json.encode(asked["events"])
                try:
                    say(**msgspec.to_builtins(asyncio.run(ingest.take(body, "application/json", None, credential))))
                except FlowtallyError as error:
                    say(error=error.code, **error.extra)
            case "total":
                ever = [0, 2**47 // BUCKET_MS * BUCKET_MS]  # aligned, so that the projection answers
                by_user = [[one.by[0], one.bytes_up] for one in usage.sums(ever, Where(), ("user",))]
                rows, acknowledged = usage.totals().rows, ingest._keys.committed().rows_total
                bytes_up = sum(one.bytes_up for one in usage.sums([0, 2**47], Where()))
                say(rows=rows, acknowledged=acknowledged, bytes_up=bytes_up, by_user=by_user)
            case "account":
                with ledger.begin() as tx:
                    accounts.create_account(tx, asked["id"], now=clock())
                ingest.look_again(asked["id"])
                say(done=True)
            case "held":
                where = HeldFilter()
                say(held=[one.sequence for one in ingest.held(where, credential, None, 1000).items])
            case "answers":
                say(**{name: said(figure) for name, figure in figures(usage).items()})
            case "verify":
                try:
                    moment = ingest.between_blocks(lambda keys: take_baseline(rows_check, keys.path))
                    report = verify(rows_check, moment, ledger, Progress(), clock())
                    say(findings=[f"{one.code}: {one.where}: {one.detail}" for one in report.findings])
                except Damage as error:
                    say(findings=[f"{type(error).__name__}: {error}"])
            case "backup":
                backup = Backup(
                    Path(asked["place"]), "made", data=Path(data), usage=usage, ledger=ledger,
                    between_blocks=ingest.between_blocks, now=clock(),
                )  # fmt: skip
                say(backup=said(partial(backup.make, Progress())))
            case "source":
                found = ingest.source(asked["source"], credential)
                say(sequence=found.sequence, position=found.position)
            case "sql":
                say(rows=[[str(value) for value in row] for row in usage.engine.rows(asked["text"])])
            case "command":
                usage.engine.command(asked["text"])
                say(done=True)
            case "die_between_the_commits":
                die_after(ingest._journal, "commit", 1)
                say(done=True)
            case "die_before_settling":
                ingest._journal.settle = lambda block: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
                say(done=True)
            case "settle":
                usage.settle()
                say(done=True)
            case "compact":
                if "die_in" in asked:
                    die_after(compaction, asked["die_in"], asked["call"])
                retention = Retention(asked["days"], usage.compaction, usage, ledger, ingest.between_blocks, clock)
                try:
                    say(months=[one.month for one in retention.run(Progress()).months])
                except FlowtallyError as error:
                    say(error=error.code, detail=error.detail)
            case "ready":
                ready, why = ingest.ready()
                say(ready=ready, why=why)
            case "stop":
                ingest.close()
                usage.close()
                ledger.close()
                say(stopped=True)
                return


def figures(usage: Any) -> dict[str, Callable[[], object]]:
    """Every kind of question to the usage rows."""
    ever = [0, 2**47 // BUCKET_MS * BUCKET_MS]
    acme = Where(account="acme")
    by = {f"by {name}": partial(usage.sums, ever, acme, (name,)) for name in ("user", "status", "source", "label:k")}
    return by | {
        "total": lambda: usage.sums(ever, acme),
        "of all": lambda: usage.sums(ever, Where()),
        "cut": lambda: usage.sums([0, 1_772_323_200_001, 2**47], acme),
        "until block 1": lambda: usage.sums(ever, Where(account="acme", until_block=1)),
        "after block 1": lambda: usage.sums(ever, Where(account="acme", after_block=1)),
        "by block": lambda: usage.block_sums(ever, acme),
        "extent": lambda: usage.extent(0, 2**47, acme),
        "rows": lambda: usage.read_rows(0, 2**47, acme, limit=1000).to_pylist(),
        "largest": lambda: usage.largest(0, 2**47, acme, 2, "bytes", 1000),
        "parts": lambda: usage.parts(ever, acme, 2),
        "moves": lambda: usage.moves(1, 0, 100),
        "changed": lambda: usage.changed_since(0),
        "found": lambda: usage.find("gw", id="a3", sequence=None, block=None),
        "first": usage.first_commit,
        "last": usage.last_commit,
        "at": lambda: [usage.last_commit(at=at) for at in (FIRST_AT - 1, FIRST_AT, SECOND_AT - 1, SECOND_AT)],
    }


def said(work: Callable[[], object]) -> str:
    """The answer, or the problem's code and words."""
    try:
        return repr(work())
    except FlowtallyError as error:
        return f"!{error.code}: {error.detail}"
    except Damage as error:
        return f"!{type(error).__name__}: {error}"


def die_after(module: Any, name: str, call: int) -> None:
    """Kill this process once that function of a module has done its work for the `call`-th time."""
    work, calls = getattr(module, name), iter(range(1, call + 1))

    def deadly(*arguments: Any) -> Any:
        done = work(*arguments)
        if next(calls) == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return done

    setattr(module, name, deadly)


def say(**what: object) -> None:
    print(json.dumps(what, default=str), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
