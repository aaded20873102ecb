"""Checks and backups run for minutes, so a request begins one and others ask how it is doing."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

JobState = Literal["never", "running", "done", "failed"]


class CheckAnswer(msgspec.Struct, frozen=True):
    """A comparison that was made over `looked_at` things, of which `found` differ."""

    name: str
    looked_at: int
    found: int


class FindingAnswer(msgspec.Struct, frozen=True):
    """One difference: `code` is stable, `where` names the thing, `detail` says what differs."""

    check: str
    code: str
    where: str
    detail: str


class VerifyAnswer(msgspec.Struct, frozen=True):
    """A check: how far it is (`done` of `total` in `step`), and what it found about everything up to `block`.

    The first 200 findings are listed, `found` counts all: null until it is done. `detail` says why it failed."""

    state: JobState
    started_at: str | None = None
    ended_at: str | None = None
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
    """`dry_run`: only tell what would be rolled up."""

    dry_run: bool = False


class RolledMonth(msgspec.Struct, frozen=True):
    """A month of receipt (UTC): entries that had rows of their own, and bytes on the disk before and after; after is
    null where nothing was done."""

    month: str
    entries: int
    bytes: int
    bytes_after: int | None = None


class RetentionAnswer(msgspec.Struct, frozen=True):
    """Since when rows are kept as they came in, and how the last rolling up is doing. Null: not set, never, or not
    known until it is done. `rolled_up_to_block`: up to it, past moments and changes may be refused."""

    state: JobState
    retain_rows_days: int | None
    rows_kept_since: str | None = None
    rolled_up_to_block: int | None = None
    started_at: str | None = None
    ended_at: str | None = None
    step: str = ""
    done: int = 0
    total: int = 0
    dry_run: bool | None = None
    months: list[RolledMonth] = []
    detail: str = ""


class BackupRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`name`: of the directory in the server's place for backups; default the present instant."""

    name: Annotated[str, Meta(pattern="^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")] | None = None


class BackupAnswer(msgspec.Struct, frozen=True):
    """A backup under way or made: what is null is not known until it is done. `size` in bytes; `paused_ms` is how
    long writers waited."""

    state: JobState
    started_at: str | None = None
    ended_at: str | None = None
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
    detail: str = ""


class KeptBackup(msgspec.Struct, frozen=True):
    """A backup that is in the server's place for them."""

    name: str
    made_at: str
    block: int
    rows: int
    size: int


class BackupsAnswer(msgspec.Struct, frozen=True):
    """The last backup this process was asked for, and all that are there."""

    last: BackupAnswer
    place: str
    backups: list[KeptBackup]


class MachineCheck(msgspec.Struct, frozen=True):
    """One promise of the machine: what was seen, and why it matters where it is not well."""

    name: str
    verdict: Literal["ok", "warn", "fail"]
    seen: str
    detail: str = ""


class Installation(msgspec.Struct, frozen=True):
    """What it holds. Sizes in bytes, `lag_s` since the last block was received; null where nothing is known."""

    events: int
    accounts: int
    block: int
    received_at: str | None
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
    """The machine's promises and the installation's figures; no figures where no server was asked."""

    checks: list[MachineCheck]
    installation: Installation | None = None
