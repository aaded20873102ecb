"""A backup put back into an empty data directory, and into empty databases where some of it goes there: checked,
settled, verified, and only then in its place.

Owns the order. Everything happens in a directory of its own inside the new data directory; what is finished is moved
out of it, keys first, so that a restore that was cut short is refused by a start instead of served. Which places may be
named is `destination`'s, how a ledger changes its database `portable`'s.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Final

import msgspec

from flowtally.care import destination, manifest, verify
from flowtally.care.backup import SECRETS
from flowtally.care.destination import LEDGER, WORK, Destination
from flowtally.care.job import Progress
from flowtally.care.manifest import Manifest
from flowtally.care.verify import Report
from flowtally.core.edges import parse_instant
from flowtally.core.errors import BackupBroken, BackupTooNew, BrokenParts
from flowtally.core.refusal import refusing
from flowtally.core.unshown import repr_without
from flowtally.host.lease import Lease, of_data
from flowtally.host.permissions import check_directory, close
from flowtally.ingest import identity, recovery
from flowtally.ingest.settings import journal_path
from flowtally.keys.store import Keys
from flowtally.ledger import portable, trail
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import revived
from flowtally.ledger.people.credentials import live_credentials
from flowtally.ledger.snapshot import complaints
from flowtally.ledger.trail import server
from flowtally.samples.store import FILE as SAMPLES
from flowtally.usage.journal import Journal
from flowtally.usage.open import open_usage
from flowtally.usage.schema import latest_migration
from flowtally.usage.store import UsageStore

UNREADABLE: Final = ("broken_part", "keys_file", "ledger_file", "samples_file")  # a start would refuse them, or should


class Revive(msgspec.Struct, frozen=True):
    """What becomes of the credentials in the backup: `revoke` all, end what the ledger of before (its URL) has ended,
    or (neither) let them live and have somebody look at them."""

    revoke: bool = False
    before: str | None = None


class Revived(msgspec.Struct, frozen=True):
    """How many credentials live, how many were ended; the token of one that was made. `unconfirmed`: those that live
    are as they were when the backup was made, and nobody knows which were revoked since."""

    live: int
    ended: int
    unconfirmed: bool
    token: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "token")


class Restored(msgspec.Struct, frozen=True):
    """What is there now. `settled` says what the start would have had to do; `report` what a check of all found."""

    data: str
    made_at: str
    block: int
    rows: int
    settled: list[str]
    report: Report
    credentials: Revived


Choose = Callable[[Tx, int], Revived]


def restore(
    source: Path,
    data: Path,
    ledger_url: str | None,
    say: Progress,
    now: int,
    revive: Revive | None = None,
    usage_url: str | None = None,
) -> Restored:
    """ConfigError: no backup, or a directory or database that is not empty. BackupBroken: files are not as they were
    written. What went into a database is taken out of it again where the restore fails later."""
    told = manifest.read(source)
    choose = _chosen(revive or Revive(), told)
    _check_schema(source, told)
    to = destination.chosen(told, data, ledger_url, usage_url)
    destination.check_empty(source, to)
    check_directory(data, "data")
    destination.check_databases(to)
    _check_files(source, told, say)
    with Lease(of_data(data), "data") as lease, destination.lease_of_ledger(to):
        destination.check_empty(source, to)  # again: nobody comes in between now
        work = data / WORK
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(mode=0o700)
        try:
            with ExitStack() as undo:  # what went elsewhere
                settled, report, lives = _assembled(source, work, told, to, say, now, choose, undo)
                os.sync()
                lease.keep()
                close(data)
                _put_in_place(work, data)
                undo.pop_all()
        except BaseException:
            shutil.rmtree(work, ignore_errors=True)
            raise
    return Restored(str(data), told.made_at, report.block, report.rows, settled, report, lives)


def _check_schema(source: Path, told: Manifest) -> None:
    """Before anything is made. Keys and ledger are asked for theirs when they are opened."""
    if told.usage_schema > (known := latest_migration()):
        raise BackupTooNew(
            f"The backup {source} has usage schema {told.usage_schema}, made by flowtally {told.flowtally}; this one "
            f"knows up to {known}. Restore it with the version that made it, or a later one"
        )


def _check_files(source: Path, told: Manifest, say: Progress) -> None:
    size, read = sum(file.size for file in told.files), 0

    def count(some: int) -> None:
        nonlocal read
        read += some
        say("check", read, size)

    differing = manifest.differences(source, told, count)
    if differing:
        raise BackupBroken(f"{source} is not as it was written: {'; '.join(differing[:10])}")


def _chosen(revive: Revive, told: Manifest) -> Choose:
    """What is done to the credentials, in the transaction of the restore. The ledger of before is looked at now, before
    anything is made."""
    before = None if revive.before is None else revived.look_at(revive.before)

    def choose(tx: Tx, now: int) -> Revived:
        ended, token = 0, None
        if revive.revoke:
            ended, token = revived.revoke_all(tx, now)
        elif before is not None:
            ended, token = revived.end_as_before(tx, before, now)
        live = len(live_credentials(tx, now))
        unconfirmed = live > 0 and not revive.revoke and before is None
        if unconfirmed:
            revived.mark(tx, parse_instant(told.made_at))
        found = Revived(live, ended, unconfirmed, token)
        said = {"made_at": told.made_at, "live": found.live, "ended": ended, "unconfirmed": unconfirmed}
        trail.note(tx, "ledger.restore", after=said)
        return found

    return choose


def _assembled(
    source: Path, work: Path, told: Manifest, to: Destination, say: Progress, now: int, choose: Choose, undo: ExitStack
) -> tuple[list[str], Report, Revived]:
    try:
        with refusing():
            return _assemble(source, work, told, to, say, now, choose, undo)
    except BrokenParts as error:
        raise BackupBroken(f"{source} was made of damaged files: {error}") from error


def _assemble(
    source: Path, work: Path, told: Manifest, to: Destination, say: Progress, now: int, choose: Choose, undo: ExitStack
) -> tuple[list[str], Report, Revived]:
    say("copy")
    _copy(source, work, "keys.db", SAMPLES, *SECRETS)
    with ExitStack() as closing:
        ledger_url = _put_ledger(source, work, told, to, say, undo)
        usage = _put_usage(source, work, to, say, undo)
        closing.callback(usage.close)
        keys = Keys(work / "keys.db")
        closing.callback(keys.close)
        journal = Journal(journal_path(keys.path))
        closing.callback(journal.close)
        ledger = Ledger.open(ledger_url)
        closing.callback(ledger.close)
        ledger.use_clock(lambda: now)
        whose = identity.make_identity(identity.decide(identity.look(ledger, keys.committed())))
        settled: list[str] = []
        recovery.recover(usage, keys, journal, holder="restore", promise=ledger.promises(), say=settled.append)
        usage.settle()
        identity.bind_first(whose, keys, usage, journal)
        with ledger.begin(server("restore")) as tx:
            identity.bind_ledger(tx, whose)
            lives = choose(tx, now)
            erasures.reopen(tx)  # rows are a moment older than the ledger: the start looks at all of them again
            erased_accounts.reopen(tx)
        rows = usage.rows_check
        assert rows is not None
        report = verify.verify(rows, verify.take_baseline(rows, keys.path), ledger, say, now, work / SAMPLES)
        _refuse_broken(source, report)
        recovery.give_up_stated_blocks(keys, ledger)
        recovery.give_up_earlier_blocks(keys, now)
        os.sync()
        keys.mark_clean(keys.committed().block, stopped=True)
        return settled, report, lives


def _copy(source: Path, work: Path, *names: str) -> None:
    for name in names:
        if (source / name).exists():
            shutil.copyfile(source / name, work / name)
            (work / name).chmod(0o600)  # whatever mode the copy of the backup was given on its way here


def _put_ledger(source: Path, work: Path, told: Manifest, to: Destination, say: Progress, undo: ExitStack) -> str:
    """The ledger where it goes, with the schema it had or a later one; returns its URL. `undo` takes it out of a
    database again."""
    here, tables, version = destination.in_file(work), source / "ledger", told.ledger_schema
    if told.ledger == "sqlite":
        _copy(source, work, LEDGER)
        if to.ledger_url is None:
            return here
        if said := complaints(work / LEDGER):
            raise BackupBroken(f"{source} was made of damaged files: {LEDGER}: {'; '.join(said)}")
        tables = work / "ledger"
        version = portable.write_from(here, tables, say)
        for side in ("", "-wal", "-shm"):
            (work / f"{LEDGER}{side}").unlink(missing_ok=True)
    url = to.ledger_url or here
    portable.read(url, tables, version, say)
    if to.ledger_url is not None:
        undo.callback(portable.take_away, to.ledger_url)
    return url


def _put_usage(source: Path, work: Path, to: Destination, say: Progress, undo: ExitStack) -> UsageStore:
    """The rows where they go; those for a server are put together here first. `undo` takes them away from there."""
    from flowtally.usage import copying  # noqa: PLC0415 - the engine is only loaded where it is used

    usage = open_usage(f"chdb:///{work / 'usage'}")
    freezing = usage.freezing
    assert freezing is not None
    try:
        parts = sorted(one for one in (source / "usage").glob("*") if one.is_dir())
        for number, part in enumerate(parts):
            say("usage", number, len(parts))
            freezing.put_back([part])
        if to.usage_url is None:
            return usage
        _refuse_broken_parts(source, usage, say)
        target = copying.open_empty(to.usage_url)
        undo.callback(copying.take_away, to.usage_url)
        try:
            copying.copy(usage, target, say)
        except BaseException:
            target.close()
            raise
    except BaseException:
        usage.close()
        raise
    usage.close()
    shutil.rmtree(work / "usage")
    return target


def _refuse_broken_parts(source: Path, usage: UsageStore, say: Progress) -> None:
    """Before rows are read from them: where they go, their files are new ones. Projections are made anew there."""
    rows = usage.rows_check
    assert rows is not None
    if broken := [str(one) for one in rows.broken(say)[1] if not one.in_projection]:
        raise BackupBroken(f"{source} was made of damaged files: {'; '.join(broken[:10])}")


def _refuse_broken(source: Path, report: Report) -> None:
    """The digests of a backup say that it is as it was made, not that what was copied then was whole."""
    if broken := [one for one in report.findings if one.code in UNREADABLE]:
        told = "; ".join(f"{one.where}: {one.detail}" for one in broken[:10])
        raise BackupBroken(f"{source} was made of damaged files: {told}")


def _put_in_place(work: Path, data: Path) -> None:
    """Keys without rows are refused by a start, and so are keys and ledger without rows: usage comes last."""
    journal = journal_path(work / "keys.db").name
    files = [f"{name}{side}" for name in ("keys.db", SAMPLES, journal, LEDGER) for side in ("", "-wal")]
    _move(work, data, (*files, *SECRETS, "usage"))
    shutil.rmtree(work)
    manifest.sync_directory(data)


def _move(work: Path, data: Path, names: Iterable[str]) -> None:
    for name in names:
        if (work / name).exists():
            os.rename(work / name, data / name)
            manifest.sync_directory(data)
