"""Care: what an operator asks of a serving installation. Checks, backups, how it is doing.

Owns the three jobs and where backups go; built once by the server, closed before the stores.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec

from flowtally.care import doctor, verify
from flowtally.care.backup import Backup, BetweenBlocks, MadeBackup, name_at, newest_of
from flowtally.care.daily import Daily
from flowtally.care.doctor import Check
from flowtally.care.erasing import FinishedErasures, finish_erasures
from flowtally.care.flushed import Flushed, flushing_checks
from flowtally.care.job import Job, Progress, Status
from flowtally.care.retention import CompactionRun, Retention
from flowtally.care.verify import Baseline, Report
from flowtally.core.clock import SteadyClock
from flowtally.core.edges import format_instant
from flowtally.core.errors import ClockJumped, Conflict
from flowtally.keys.store import Keys
from flowtally.ledger.checks import rules as ledger_audit
from flowtally.ledger.database import Ledger
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import revived
from flowtally.samples.store import FILE as SAMPLES
from flowtally.usage.store import UsageStore
from flowtally.usage.values import Kept


class Figures(msgspec.Struct, frozen=True):
    """What the installation holds. Sizes in bytes; `received_at` is the last block's instant, in milliseconds."""

    events: int
    accounts: int
    block: int
    received_at: int
    starts: int
    last_stop_clean: bool
    parts: int
    usage_bytes: int
    keys_bytes: int
    ledger_bytes: int | None
    waiting_events: int
    waiting_bytes: int


class CareSettings(msgspec.Struct, frozen=True):
    """Where the installation and its backups are, how much room must be left there, and how long rows stay as they came
    in (None: for ever)."""

    data: Path
    backups: Path
    min_free_bytes: int
    retain_rows_days: int | None = None


class Care:
    """Of one server."""

    def __init__(
        self,
        settings: CareSettings,
        clock: Callable[[], int],
        usage: UsageStore,
        ledger: Ledger,
        between_blocks: BetweenBlocks,
        forget_names: Callable[[str], None],
        forget_held: Callable[[Sequence[str]], int],
        metrics: Callable[[], Mapping[str, float]],
        forget_held_of: Callable[[Sequence[str]], int] = lambda accounts: 0,
        flushed: Flushed | None = None,
    ) -> None:
        self._settings = settings
        self._clock = clock
        self._usage = usage
        self._ledger = ledger
        self._between_blocks = between_blocks
        self._forget_names = forget_names
        self._forget_held = forget_held
        self._metrics = metrics
        self._forget_held_of = forget_held_of
        self._flushed = flushed
        self._verify: Job[Report] = Job("verify", clock)
        self._backup: Job[MadeBackup] = Job("backup", clock)
        self._erasing: Job[FinishedErasures] = Job("erasing", clock)
        self._retention: Job[CompactionRun] = Job("retention", clock)
        self._daily: Daily | None = None

    @property
    def backups(self) -> Path:
        return self._settings.backups

    def verify(self) -> Status[Report]:
        """How the last check is doing, or ended."""
        return self._verify.status

    def start_verify(self) -> Status[Report]:
        """Begin a check, or join the one that is running. Conflict for a store that keeps nothing."""
        rows = self._usage.rows_check
        if rows is None:
            raise Conflict("Usage is in memory: there is nothing to verify")

        def take(keys: Keys) -> Baseline:
            return verify.take_baseline(rows, keys.path, () if self._flushed is None else self._flushed.records())

        def work(progress: Progress) -> Report:
            progress("moment")
            baseline = self._between_blocks(take)
            return verify.verify(rows, baseline, self._ledger, progress, self._clock(), self._settings.data / SAMPLES)

        return self._verify.start(work)

    def backup(self) -> Status[MadeBackup]:
        """How the last backup is doing, or ended."""
        return self._backup.status

    def start_backup(self, name: str | None, keep: int | None = None) -> Status[MadeBackup]:
        """Begin a backup below the server's own place for them, or join the one that is running. `keep`: how many of
        those that the server named are left when it is complete."""
        now = self._clock()
        backup = Backup(
            self._settings.backups,
            name or name_at(now),
            data=self._settings.data,
            usage=self._usage,
            ledger=self._ledger,
            between_blocks=self._between_blocks,
            now=now,
            keep=keep,
        )
        return self._backup.start(backup.make)

    def erasing(self) -> Status[FinishedErasures]:
        """How finishing erasures is doing, or ended."""
        return self._erasing.status

    def resume(self) -> None:
        """At a start: go on with what the process before this one promised and did not come to."""
        with self._ledger.read() as tx:
            pending = erasures.pending(tx, 1) or erased_accounts.pending(tx, 1)
        if pending:
            self.finish_erasures()

    def finish_erasures(self) -> Status[FinishedErasures]:
        """Begin finishing what is pending; who does so already looks again when done. Call it after the commit that
        asks for an erasure."""

        def work(progress: Progress) -> FinishedErasures:
            return finish_erasures(
                self._ledger,
                self._usage,
                self._forget_names,
                self._between_blocks,
                self._clock,
                progress,
                self._forget_held,
                self._forget_held_of,
                (lambda block: None) if self._flushed is None else self._flushed.erase,
            )

        return self._erasing.start(work, again=True)

    def retention(self) -> Status[CompactionRun]:
        """How the last compacting is doing, or ended."""
        return self._retention.status

    def start_retention(self, *, dry: bool = False) -> Status[CompactionRun]:
        """Begin to compact what is old, or join what is running. Conflict where no age is set, or nothing is kept."""
        days = self._settings.retain_rows_days
        if days is None:
            raise Conflict("retain_rows_days is not set: rows are kept for ever")
        compaction = self._usage.compaction
        if compaction is None:
            raise Conflict("Usage is in memory: there is nothing to compact")
        retention = Retention(
            days, compaction, self._usage, self._ledger, self._between_blocks, self._clock, self._flushed
        )
        return self._retention.start(lambda say: retention.run(say, dry=dry))

    def kept(self) -> Kept | None:
        """Since when rows are as they came in; None where nothing is compacted."""
        compaction = self._usage.compaction
        return None if compaction is None else compaction.kept()

    def begin_daily(self) -> None:
        """Compact by itself, where an age is set and rows are kept."""
        if self._settings.retain_rows_days is not None and self._usage.compaction is not None:
            self._daily = Daily("retention", self.start_retention)

    def machine(self) -> list[Check]:
        found = doctor.checks(
            self._settings.data,
            min_free=self._settings.min_free_bytes,
            received_at=self._received_at(),
            serving=True,
            now=self._clock.machine if isinstance(self._clock, SteadyClock) else self._clock,
        )
        of_journal = [] if self._flushed is None else flushing_checks(self._flushed)
        return [*found, self._parts(), *of_journal, *self._revived()]

    def _revived(self) -> list[Check]:
        """Credentials of a restored backup that nobody has looked at."""
        with self._ledger.read() as tx:
            made_at = revived.unconfirmed(tx)
        if made_at is None:
            return []
        seen = f"they live as they did on {format_instant(made_at)}, in the backup that was restored"
        detail = "Those that were revoked since live again: see `flowtally key list`, then `flowtally key confirm`."
        return [Check("credentials", "warn", seen, detail)]

    def _parts(self) -> Check:
        """Without reading their files: what the engine took from the parts, and what it put aside."""
        broken = [*self._usage.damage(), *map(str, self._usage.broken(self._usage.published().block))]
        if broken:
            return Check("parts", "fail", "; ".join(broken[:5]), "See docs/operations.md, after damage.")
        return Check("parts", "ok", "what the engine took from them is what their rows say")

    def measures(self) -> dict[str, float]:
        """For /metrics: the clock, room, backups, and what the last check found."""
        room = shutil.disk_usage(self._settings.data)
        newest, backups = newest_of(self._settings.backups)
        verified = self._verify.status
        told = {
            "clock_right": float(self._clock_right()),
            "disk_free": float(room.free),
            "disk_size": float(room.total),
            "disk_reserve": float(self._settings.min_free_bytes),
            "backups": float(backups),
            "backup_at": newest / 1000,
            "backup_failed": float(self._backup.status.state == "failed"),
            "verify_at": (verified.ended_at or 0) / 1000 if verified.state == "done" else 0.0,
            "verify_failed": float(verified.state == "failed"),
        }
        return told if verified.result is None else {**told, "verify_found": float(verified.result.found)}

    def _clock_right(self) -> bool:
        if not isinstance(self._clock, SteadyClock):
            return True
        try:
            self._clock.check()
        except ClockJumped:
            return False
        return True

    def figures(self) -> Figures:
        told = self._metrics()
        file = self._ledger.file
        with self._ledger.read() as tx:
            accounts = ledger_audit.count_accounts(tx)
        return Figures(
            events=int(told.get("rows_acknowledged", 0)),
            accounts=accounts,
            block=int(told.get("last_block", 0)),
            received_at=self._received_at(),
            starts=int(told.get("starts", 0)),
            last_stop_clean=bool(told.get("started_clean", 1)),
            parts=int(told.get("usage_parts", 0)),
            usage_bytes=int(told.get("usage_bytes_on_disk", 0)),
            keys_bytes=int(told.get("keys_bytes_on_disk", 0)),
            ledger_bytes=file.stat().st_size if file is not None else None,
            waiting_events=int(told.get("waiting_events", 0)),
            waiting_bytes=int(told.get("waiting_bytes", 0)),
        )

    def _received_at(self) -> int:
        return self._usage.published().received_at

    def close(self) -> None:
        """Give up what is under way."""
        if self._daily is not None:
            self._daily.close()
        self._retention.close()
        self._verify.close()
        self._backup.close()
        self._erasing.close()
