"""Checks and backups run for minutes, so a request begins one and others ask how it is doing."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant
from flowtally.core.words import JobState, Verdict


class CheckAnswer(msgspec.Struct, frozen=True):
    """A comparison that was made.

    name: What is compared.
    looked_at: How many things were compared.
    found: How many of them differ.
    """

    name: str
    looked_at: int
    found: int


class FindingAnswer(msgspec.Struct, frozen=True):
    """One difference.

    check: The comparison that found it.
    code: A stable word for the kind of difference.
    where: The thing that differs.
    detail: What differs, for people; this text may change.
    """

    check: str
    code: str
    where: str
    detail: str


class VerifyAnswer(msgspec.Struct, frozen=True):
    """A check: how far it is (`done` of `total` in `step`), and what it found about everything up to `block`.

    total: How much there is to do in this step.
    block: Everything up to this block is checked; null until it is known.
    rows: How many rows were checked; null until it is done.
    found: How many differences there are; null until it is done.
    checks: The comparisons that were made.
    findings: The first 200 differences.
    detail: Why it failed; empty where it did not.
    """

    state: JobState
    started_at: Instant | None = None
    ended_at: Instant | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    block: int | None = None
    rows: int | None = None
    found: int | None = None
    checks: list[CheckAnswer] = []
    findings: list[FindingAnswer] = []
    notes: list[str] = []
    detail: str = ""


class RetentionRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What to compact.

    dry_run: Only tell what would be compacted.
    """

    dry_run: bool = False


class RolledMonth(msgspec.Struct, frozen=True):
    """A month of receipt (UTC) that was compacted.

    month: The month, as 2026-03.
    entries: How many entries had rows of their own.
    bytes: Bytes on the disk before.
    bytes_after: Bytes on the disk after; null where nothing was done.
    """

    month: str
    entries: int
    bytes: int
    bytes_after: int | None = None


class RetentionAnswer(msgspec.Struct, frozen=True):
    """Since when rows are kept as they came in, and how the last compacting is doing. Null: not set, never, or not
    known until it is done.

    retain_rows_days: For how many days rows are kept as they came in; null: for ever.
    rows_kept_since: Rows received since then are kept as they came in.
    rolled_up_to_block: Past moments and changes up to this block may be refused.
    total: How much there is to do in this step.
    dry_run: Whether it only told what would be compacted.
    months: What was compacted, month by month.
    detail: Why it failed; empty where it did not.
    """

    state: JobState
    retain_rows_days: int | None
    rows_kept_since: Instant | None = None
    rolled_up_to_block: int | None = None
    started_at: Instant | None = None
    ended_at: Instant | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    dry_run: bool | None = None
    months: list[RolledMonth] = []
    detail: str = ""


class BackupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A backup to make.

    name: The name of the directory in the server's place for backups; null: the present instant.
    keep: When the new backup is complete, remove older ones until this many are left; null: remove none. Only backups
        of this installation that nobody gave a name are removed and counted.
    """

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None
    keep: Annotated[int, Meta(ge=1, le=10_000)] | None = None


class BackupAnswer(msgspec.Struct, frozen=True):
    """A backup under way or made: what is null is not known until it is done.

    total: How much there is to do in this step.
    name: The name of its directory.
    path: Where it is on the server.
    block: What was stored up to this block is in it.
    rows: How many rows of usage are in it.
    files: How many files it has.
    size: How many bytes it has.
    paused_ms: For how many milliseconds writers waited.
    removed: The names of old backups that were removed.
    detail: Why it failed; empty where it did not.
    """

    state: JobState
    started_at: Instant | None = None
    ended_at: Instant | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    name: str | None = None
    path: str | None = None
    block: int | None = None
    rows: int | None = None
    files: int | None = None
    size: int | None = None
    paused_ms: float | None = None
    notes: list[str] = []
    removed: list[str] = []
    detail: str = ""


class KeptBackup(msgspec.Struct, frozen=True):
    """A backup that is in the server's place for them.

    name: The name of its directory.
    made_at: When it was made.
    block: What was stored up to this block is in it.
    rows: How many rows of usage are in it.
    size: How many bytes it has.
    """

    name: str
    made_at: Instant
    block: int
    rows: int
    size: int


class BackupsAnswer(msgspec.Struct, frozen=True):
    """The last backup this process was asked for, and all that are there.

    last: The last backup that this process was asked for.
    place: The directory of the server where backups are made.
    backups: The backups that are there.
    """

    last: BackupAnswer
    place: str
    backups: list[KeptBackup]


class MachineCheck(msgspec.Struct, frozen=True):
    """One thing that the machine must do well.

    name: What is checked.
    verdict: Whether it is well.
    seen: What was seen.
    detail: Why it matters and what to do; empty where it is well.
    """

    name: str
    verdict: Verdict
    seen: str
    detail: str = ""


class Installation(msgspec.Struct, frozen=True):
    """What the installation holds; null where nothing is known.

    events: How many events, corrections and adjustments are stored.
    accounts: How many accounts there are.
    block: The last block.
    received_at: When the last block was received.
    lag_s: Seconds since then.
    starts: How often the server was started on this data.
    last_stop_clean: Whether the server ended in good order before this start.
    parts: How many parts the usage table has.
    usage_bytes: Bytes of the usage store on the disk.
    keys_bytes: Bytes of the store of event keys on the disk.
    ledger_bytes: Bytes of the ledger on the disk; null where it is on another server.
    waiting_events: How many events wait to be stored.
    waiting_bytes: Bytes of them.
    """

    events: int
    accounts: int
    block: int
    received_at: Instant | None
    lag_s: float | None
    starts: int
    last_stop_clean: bool
    parts: int
    usage_bytes: int
    keys_bytes: int
    ledger_bytes: int | None
    waiting_events: int
    waiting_bytes: int


class DoctorAnswer(msgspec.Struct, frozen=True):
    """What the machine does well, and the installation's figures.

    checks: What was looked at on the machine.
    installation: The installation's figures; null where no server was asked.
    """

    checks: list[MachineCheck]
    installation: Installation | None = None
