"""What an agent would do, looked at before it does: each input is opened and the first and last lines of it are read,
and the server is asked whether the key may write and where each source stands. Changes nothing, here or there.

A fault is what would keep lines from being counted; all else are facts.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from flowtally.agents.accounts import NoSuchAccount, check_accounts, told
from flowtally.agents.counters.looking import looked
from flowtally.agents.counters.settings import Counters
from flowtally.agents.dry_run import dry_run
from flowtally.agents.feeds.journal import JournalEntry
from flowtally.agents.feeds.syslog import SyslogEntry
from flowtally.agents.follow.agent import Agent
from flowtally.agents.follow.entry import LogEntry
from flowtally.agents.follow.event_log import EventLog
from flowtally.agents.follow.log import source_of
from flowtally.agents.follow.patterns import Patterns
from flowtally.agents.follow.tail import open_log
from flowtally.agents.formats import format_of
from flowtally.agents.journalctl import Journalctl
from flowtally.agents.lines import LogLine
from flowtally.agents.look import Looking
from flowtally.agents.mapping import Mapper
from flowtally.agents.position import CannotResume, decoded, mapping_text
from flowtally.agents.reader import LogDamaged, NotALog
from flowtally.agents.report import ImportReport, Tally
from flowtally.client import ApiError, Client
from flowtally.core.units import counted

RIGHT: Final = "events:write"
RIGHTS: Final = {"counters": "readings:write"}  # kinds of inputs that need another
FIRST_LINES: Final = 1_000
LAST_LINES: Final = 2
LAST_BYTES: Final = 256 * 1024
MOST_FILES: Final = 10
JOURNAL_S: Final = 10.0


class Looked(msgspec.Struct, frozen=True):
    """One input, or one file of a log, or the server. `first` and `last` are how its lines are read."""

    kind: str
    name: str
    what: str
    facts: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    first: ImportReport | None = None
    last: ImportReport | None = None


def check(path: Path, variables: Mapping[str, str]) -> Iterator[Looked]:
    """ConfigError for a configuration of no use."""
    agent = Agent(path, variables, event_log=EventLog(open(os.devnull, "w")))  # noqa: SIM115 - it is told nothing
    try:
        kinds = [kind for kind, entries in agent.config.entries.items() if entries]
        server = _server(agent.server.client, agent.config.server, kinds)
        yield server
        client = None if server.faults else agent.server.client
        for kind, entries in agent.config.entries.items():
            for entry in entries:
                yield from _look(kind, entry, agent.config.host, client, variables)
    finally:
        agent.close()


def _server(client: Client, url: str, kinds: list[str]) -> Looked:
    try:
        key = client.own_credential()
    except ApiError as error:
        return Looked("server", url, "", faults=(f"{error} ({error.code})",))
    facts = (f"key {key.name or key.id}, scope {key.scope}" + (f", of account {key.account}" if key.account else ""),)
    needed = dict.fromkeys(RIGHTS.get(kind, RIGHT) for kind in kinds)
    faults = [f"the key has no right {right}: nothing can be sent" for right in needed if right not in key.rights]
    return Looked("server", url, "", facts, tuple(faults))


def _look(kind: str, entry: Any, host: str, client: Client | None, variables: Mapping[str, str]) -> Iterator[Looked]:
    if isinstance(entry, LogEntry):
        yield from _log(entry, host, client)
    elif isinstance(entry, JournalEntry):
        yield _journal(entry, host, client)
    elif isinstance(entry, SyslogEntry):
        yield _syslog(entry, entry.directory(variables), host, client)
    elif isinstance(entry, Counters):
        yield _counters(entry, host, client)
    else:
        yield Looked(kind, entry.name, "", ("not looked at: it is asked when the agent runs",))


def _counters(entry: Counters, host: str, client: Client | None) -> Looked:
    seen = looked(entry, host, client)
    what = " ".join(filter(None, (entry.kind, entry.address, entry.table, entry.set)))
    return Looked("counters", entry.name, what, seen.facts, seen.faults)


def _log(entry: LogEntry, host: str, client: Client | None) -> Iterator[Looked]:
    patterns = Patterns(entry.paths, entry.rotated)
    live = patterns.live()
    if not live:
        yield Looked("log", entry.name, " ".join(entry.paths), faults=("no such file",))
    for path in live[:MOST_FILES]:
        yield _file(entry, path, host, client)
    rest = [f"more files: {len(live) - MOST_FILES}"] if len(live) > MOST_FILES else []
    if left := patterns.left():
        rest.append(f"left by rotation: {len(left)}, the first {left[0]}")
    if rest:
        yield Looked("log", entry.name, "and", tuple(rest))


def _file(entry: LogEntry, path: str, host: str, client: Client | None) -> Looked:
    looked = Looked("log", entry.name, path)
    try:
        with open_log(Path(path)) as log:
            head = log.head()
            first = dry_run(log, entry.declared, entry.mapping, most_lines=FIRST_LINES)
        last = _last_of_file(Path(path), entry) if first.lines >= FIRST_LINES and not first.kind else None
    except (OSError, NotALog, LogDamaged) as error:
        return msgspec.structs.replace(looked, faults=(str(error),))
    facts: list[str] = []
    faults = _unread(first, last)
    if head is None:
        facts.append("no whole line yet")
    elif client is not None:
        options = mapping_text(entry.declared, entry.mapping)
        _stand(client, source_of(host, entry.name, head), options, facts, faults)
        _accounts(client, first, faults)
    return msgspec.structs.replace(looked, facts=tuple(facts), faults=tuple(faults), first=first, last=last)


def _last_of_file(path: Path, entry: LogEntry) -> ImportReport:
    with path.open("rb") as file:
        begins = file.read(LAST_BYTES).split(b"\n")[:-1]
        size = file.seek(0, os.SEEK_END)
        file.seek(max(0, size - LAST_BYTES))
        lines = file.read().split(b"\n")[1:-1]
    made = format_of(entry.declared)
    if made.remember is not None:
        made.remember(begins)
    return _read(
        [line.removesuffix(b"\r") for line in lines if line.strip()][-LAST_LINES:], Mapper(entry.mapping, made)
    )


def _read(lines: list[bytes | None] | list[bytes], mapper: Mapper) -> ImportReport:
    tally = Tally(Looking())
    for number, line in enumerate(lines):
        tally.take(LogLine(line, number), mapper, 0)
    return msgspec.structs.replace(tally.report("", 0, 0, 0), dry_run=True)


def _unread(*reports: ImportReport | None) -> list[str]:
    return [
        f"no line of {'the first' if number == 0 else 'the last'} {report.lines} can be read"
        for number, report in enumerate(reports)
        if report is not None and report.unreadable and not report.events
    ]


def _accounts(client: Client, first: ImportReport, faults: list[str]) -> None:
    """Whether the accounts that the first lines name are there."""
    look = first.read
    try:
        refused = check_accounts(
            client, [*(one.account for one in look.largest), *(one.account for one in look.samples)]
        )
    except NoSuchAccount as error:
        faults.append(str(error))
    except ApiError as error:
        faults.append(f"{error} ({error.code})")
    else:
        faults.extend([told(client, refused)] if refused else [])


def _stand(client: Client, source: str, options: str, facts: list[str], faults: list[str]) -> None:
    """Where the server says the source stands."""
    try:
        answer = client.source(source)
        position = decoded(source, answer.sequence, answer.position, options, any_options=True)
    except ApiError as error:
        if error.code == "not_found":
            facts.append("new at the server: all of it will be sent")
        else:
            faults.append(f"{error} ({error.code})")
    except CannotResume as error:
        faults.append(str(error))
    else:
        facts.append(
            f"the server has {counted(answer.sequence or 0, 'event')} of it, of {counted(position.lines, 'line')}"
        )


def _journal(entry: JournalEntry, host: str, client: Client | None) -> Looked:
    looked = Looked("journal", entry.name, " ".join(filter(None, (entry.unit, *entry.match))))
    try:
        first = _read(_entries(Journalctl(entry.where, "", follow=False)), entry.mapper())
        last = _read(_entries(Journalctl(entry.where, "", follow=False, last=LAST_LINES)), entry.mapper())
    except OSError as error:
        return msgspec.structs.replace(looked, faults=(f"journalctl: {error.strerror or error}",))
    except _Ended as error:
        return msgspec.structs.replace(looked, faults=(f"journalctl: {error}",))
    facts, faults = [] if first.lines else ["no entry of it is in the journal"], _unread(first, last)
    if client is not None:
        _stand(client, entry.source(host), entry.options(entry.what), facts, faults)
        _accounts(client, first, faults)
    return msgspec.structs.replace(looked, facts=tuple(facts), faults=tuple(faults), first=first, last=last)


class _Ended(Exception):
    """What journalctl said when it ended ill."""


def _entries(child: Journalctl) -> list[bytes | None]:
    found: list[bytes | None] = []
    end = time.monotonic() + JOURNAL_S
    try:
        while child.ended is None and len(found) < FIRST_LINES and time.monotonic() < end:
            found += [one.text for one in child.poll()]
            time.sleep(0.01)
        if child.ended:
            raise _Ended(child.said.strip() or f"it ended with {child.ended}")
    finally:
        child.close()
    return found[:FIRST_LINES]


def _syslog(entry: SyslogEntry, directory: Path, host: str, client: Client | None) -> Looked:
    facts, faults = [], []
    try:
        socket.create_server(
            entry.address, family=socket.AF_INET6 if ":" in entry.address[0] else socket.AF_INET
        ).close()
    except OSError as error:
        facts.append(f"{entry.listen}: {error.strerror or error}; is an agent running?")
    there = next(one for one in (directory, *directory.parents) if one.exists())
    if not os.access(there, os.W_OK | os.X_OK):
        faults.append(f"spool {directory}: {there} cannot be written")
    if spooled := sum(path.stat().st_size for path in directory.glob("*.spool")):
        facts.append(f"{spooled} bytes are spooled")
    if client is not None:
        _stand(client, entry.source(host), entry.options(entry.what), facts, faults)
    return Looked("syslog", entry.name, entry.listen, tuple(facts), tuple(faults))
