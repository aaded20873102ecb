"""A backup while serving: keys, samples, then usage, then the ledger, each as it was at its moment.

All are taken between two blocks, so keys and usage agree to the row; the writer waits for that moment only, then files
are copied beside the running server. Of the journal nothing is copied: by then all that it has stands in the usage
table, and a block that the table does not take is a reason to make no backup. The ledger's moment comes last, so it
knows every account and user the rows name; and before the next block, so no statement it holds is about rows that are
not there. Owns where a backup is made and its order; the directory appears under its name when all of it is on the
disk.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, Protocol, TypeVar

import msgspec
import structlog

from flowtally.care import manifest
from flowtally.care.job import Progress
from flowtally.care.manifest import Manifest
from flowtally.care.pruning import Pruned, prune
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.errors import (
    BadRange,
    BrokenParts,
    ConfigError,
    Conflict,
    Damage,
    KeysBroken,
    LedgerBroken,
    MissingRows,
    StorageFull,
    Unprocessable,
)
from flowtally.host.permissions import close
from flowtally.keys.store import Keys
from flowtally.keys.values import Committed
from flowtally.ledger.database import Ledger
from flowtally.ledger.installation import read_installation
from flowtally.ledger.snapshot import LedgerSnapshot, Snapshot, complaints, snapshot_of
from flowtally.ledger.vault import KEY_FILE
from flowtally.samples.store import FILE as SAMPLES
from flowtally.usage.store import UsageStore

if TYPE_CHECKING:
    from flowtally.usage.frozen import Freezing, Frozen

T = TypeVar("T")

log = structlog.get_logger(__name__)

FLUSHES: Final = 10  # before the moment, at most
FLUSHED_IN_PAUSE: Final = 20_000  # rows, some 50 ms
NAMED: Final = 10  # of what is broken, in one message
PARTIAL: Final = ".partial-"
_OF_ONE: Final = re.compile(r"\.partial-(ins_[0-9a-f]+)-.*")  # whose it is
SECRETS: Final = (KEY_FILE,)  # beside the stores: without it sealed passwords stay sealed
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class BetweenBlocks(Protocol):
    """`ingest.door.Ingest.between_blocks`."""

    def __call__(self, work: Callable[[Keys], T]) -> T: ...


class MadeBackup(msgspec.Struct, frozen=True):
    """A backup that is there."""

    name: str
    path: str
    made_at: str
    block: int
    rows: int
    files: int
    size: int
    paused_ms: float
    notes: list[str]
    removed: list[str] = []


class BackupMoment(NamedTuple):
    """What was taken between two blocks."""

    place: Committed
    keys: Snapshot
    samples: Snapshot | None
    frozen: Frozen
    ledger: LedgerSnapshot
    surplus: int  # entries that have no row of their own: compacted
    paused_ms: float


class StoredBackup(msgspec.Struct, frozen=True):
    """A backup as its manifest tells."""

    name: str
    made_at: str
    block: int
    rows: int
    size: int


def check_name(name: str) -> str:
    """One plain word: it is a directory below the server's own place for backups, and nothing else."""
    if not _NAME.fullmatch(name):
        raise Unprocessable("a backup's name has 1 to 64 of A-Z, a-z, 0-9, _ and -", field="name")
    return name


def name_at(now: int) -> str:
    """`20260315T120000Z`."""
    return format_instant(now // 1000 * 1000).replace("-", "").replace(":", "")


def kept(place: Path) -> list[StoredBackup]:
    """The backups that are there, by name; what has no manifest that can be read is none."""
    found = []
    for one in sorted(place.glob(f"*/{manifest.NAME}")) if place.is_dir() else ():
        if one.parent.name.startswith("."):
            continue
        try:
            told = manifest.read(one.parent)
        except ConfigError as error:
            log.warning("backup_unreadable", backup=one.parent.name, error=str(error))
            continue
        size = sum(file.size for file in told.files)
        found.append(StoredBackup(one.parent.name, told.made_at, told.block, told.rows, size))
    return found


def newest_of(place: Path) -> tuple[int, int]:
    """When the newest backup was made, in milliseconds (0: there is none), and how many there are."""
    made = [at for one in place.glob(f"[!.]*/{manifest.NAME}") if (at := _made_at(one))]
    return max(made, default=0), len(made)


def _made_at(file: Path) -> int:
    """0 for a manifest that says nothing, or is being removed."""
    try:
        return _told_at(file, file.stat().st_mtime_ns)
    except (OSError, ConfigError, BadRange):
        return 0


@lru_cache(1024)
def _told_at(file: Path, changed_ns: int) -> int:
    """Manifests are long, never written again, and asked for at every scrape: what they say is kept."""
    return parse_instant(manifest.read(file.parent).made_at)


class Backup:
    """One run."""

    def __init__(
        self,
        place: Path,
        name: str,
        *,
        data: Path,
        usage: UsageStore,
        ledger: Ledger,
        between_blocks: BetweenBlocks,
        now: int,
        keep: int | None = None,
    ) -> None:
        self._data = data
        self._keep = keep
        self._target = place / check_name(name)
        self._usage = usage
        self._ledger = ledger
        self._between_blocks = between_blocks
        self._now = now
        self._installation = ""

    def make(self, say: Progress) -> MadeBackup:
        freezing = self._usage.freezing
        if freezing is None:
            raise Conflict(
                "The usage rows are not in this process: back up the ClickHouse server, after a copy of keys.db and "
                "before one of the ledger"
            )
        if self._target.exists():
            raise Conflict(f"There is a backup {self._target.name!r} already", name=self._target.name)
        with self._ledger.read() as tx:
            self._installation = read_installation(tx).id
        self._partial = self._target.with_name(f"{PARTIAL}{self._installation}-{self._target.name}")
        self._refuse_damage(say)
        self._prepare()
        freezing.remove_leftovers()
        try:
            say("moment")
            self._flush_most()
            with snapshot_of(self._ledger) as ledger:
                taken: BackupMoment = self._between_blocks(lambda keys: self._take(keys, ledger, freezing))
                try:
                    return self._write(taken, freezing.schema(), say)
                finally:
                    taken.keys.close()
                    if taken.samples is not None:
                        taken.samples.close()
                    taken.frozen.thaw()
        except BaseException as error:
            shutil.rmtree(self._partial, ignore_errors=True)
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise StorageFull(f"There is no room for a backup in {self._target.parent}") from error
            raise

    def _flush_most(self) -> None:
        """The moment is kept short: what comes while much is flushed is little, and what comes meanwhile is less."""
        for _ in range(FLUSHES):
            self._usage.settle()
            if self._usage.unflushed().rows <= FLUSHED_IN_PAUSE:
                return

    def _refuse_damage(self, say: Progress) -> None:
        """A backup of damage would be the one that is restored, and the digests of its files would be right."""
        rows = self._usage.rows_check
        assert rows is not None
        if found := [*rows.damage(), *map(str, rows.broken(say)[1])]:
            raise BrokenParts(f"Nothing is backed up, usage is not what was written: {'; '.join(found[:NAMED])}")

    def _prepare(self) -> None:
        place = self._target.parent
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        for left in place.glob(f"{PARTIAL}*"):  # of a process that died; jobs are one at a time
            if (of := _OF_ONE.fullmatch(left.name)) is None or of[1] == self._installation:
                shutil.rmtree(left, ignore_errors=True)  # another server may be making its own at this moment
        self._partial.mkdir(mode=0o700)

    def _take(self, keys: Keys, ledger: LedgerSnapshot, freezing: Freezing) -> BackupMoment:
        began = time.perf_counter()
        # What is copied is the table: all stands there, and no more is moved into it.
        self._usage.settle()
        place = keys.committed()
        with ExitStack() as undo:
            snapshot = Snapshot(keys.path)
            undo.callback(snapshot.close)
            samples = self._samples()
            if samples is not None:
                undo.callback(samples.close)
            parts = freezing.freeze("backup")
            undo.callback(parts.thaw)
            ledger.take()
            undo.pop_all()
        compaction = self._usage.compaction
        surplus = 0 if compaction is None else compaction.surplus()
        paused_ms = round((time.perf_counter() - began) * 1000, 1)
        return BackupMoment(place, snapshot, samples, parts, ledger, surplus, paused_ms)

    def _samples(self) -> Snapshot | None:
        """Before the ledger, which then knows every server that has some. None where there was never one."""
        path = self._data / SAMPLES
        return Snapshot(path) if path.exists() else None

    def _refuse_broken(self, copy: Path, kind: type[Damage]) -> None:
        if copy.exists() and (said := complaints(copy, quick=kind is not LedgerBroken)):
            raise kind(f"Nothing is backed up, {copy.name} is not whole: {'; '.join(said)}")

    def _write(self, taken: BackupMoment, usage_schema: int, say: Progress) -> MadeBackup:
        say("ledger")
        version_of_ledger = taken.ledger.write(self._partial, say)
        self._refuse_broken(self._partial / "ledger.db", LedgerBroken)
        for secret in SECRETS:
            if (self._data / secret).exists():
                shutil.copy2(self._data / secret, self._partial / secret)
        say("keys")
        taken.keys.copy_to(self._partial / "keys.db")
        self._refuse_broken(self._partial / "keys.db", KeysBroken)
        if taken.samples is not None:
            say("samples")
            taken.samples.copy_to(self._partial / SAMPLES)
            self._refuse_broken(self._partial / SAMPLES, BrokenParts)
        parts = taken.frozen.parts()
        if (rows := taken.frozen.rows() + taken.surplus) != taken.place.rows_total:
            raise MissingRows(f"{taken.place.rows_total} rows were acknowledged, {rows} were taken")
        for number, part in enumerate(parts):
            say("usage", number, len(parts))
            _link_tree(part, self._partial / "usage" / part.name)
        size = sum(one.stat().st_size for one in self._partial.rglob("*") if one.is_file())
        read = 0

        def count(some: int) -> None:
            nonlocal read
            read += some
            say("digests", read, size)

        files = list(manifest.describe(self._partial, count))
        told = Manifest(
            format=manifest.FORMAT,
            flowtally=version("flowtally"),
            engine=version("chdb"),
            made_at=format_instant(self._now),
            block=taken.place.block,
            rows=taken.place.rows_total,
            usage_schema=usage_schema,
            ledger=taken.ledger.kind,
            ledger_schema=version_of_ledger,
            installation=self._installation,
            notes=[],
            files=files,
        )
        manifest.write(self._partial, told)
        os.rename(self._partial, self._target)
        manifest.sync_directory(self._target.parent)
        pruned = self._pruned(say)
        return MadeBackup(
            self._target.name, str(self._target), told.made_at, told.block, told.rows, len(files), size,
            taken.paused_ms, pruned.notes, pruned.removed,
        )  # fmt: skip

    def _pruned(self, say: Progress) -> Pruned:
        """The new one is complete and on the disk: only now may an old one go."""
        if self._keep is None:
            return Pruned([], [])
        say("old backups")
        return prune(self._target.parent, self._keep, self._target.name, self._installation)


def _link_tree(source: Path, target: Path) -> None:
    """The same files, by hard links where source and target are on one file system, else copied."""
    for one in sorted(source.rglob("*")):
        if one.is_file():
            place = target / one.relative_to(source)
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            try:
                os.link(one, place)
            except OSError as error:
                if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.EOPNOTSUPP):
                    raise
                shutil.copyfile(one, place)
            close(place)  # what was linked is the engine's own file, from before we kept to the owner
