"""Checks, backups and the doctor: work of minutes is begun by one request and asked about by others."""

from __future__ import annotations

import msgspec

from flowtally.care import backup
from flowtally.care.care import Figures
from flowtally.care.job import Status
from flowtally.care.verify import Report
from flowtally.core.edges import format_if_any
from flowtally.core.errors import Conflict, Unavailable, Unprocessable
from flowtally.ledger.trail import note
from flowtally.protocol import (
    BackupAnswer,
    BackupRequest,
    BackupsAnswer,
    CheckAnswer,
    DoctorAnswer,
    FindingAnswer,
    Installation,
    KeptBackup,
    MachineCheck,
    VerifyAnswer,
)
from flowtally.web.call import Call
from flowtally.web.operation import operation

BEGUN = VerifyAnswer("running", started_at="2026-03-15T12:00:00Z")
FOUND = VerifyAnswer(
    "done",
    started_at="2026-03-15T12:00:00Z",
    ended_at="2026-03-15T12:01:40Z",
    step="ledger",
    block=1200,
    rows=90_000_000,
    found=1,
    checks=[CheckAnswer("keys", 90_000_000, 1)],
    findings=[FindingAnswer("keys", "row_without_key", "event 'a1' of source 'gw'", "has a row in block 7 and no key")],
)
KEEPING = BackupAnswer("running", started_at="2026-03-15T12:00:00Z", step="usage", done=3, total=40)
KEPT = BackupAnswer(
    "done",
    started_at="2026-03-15T12:00:00Z",
    ended_at="2026-03-15T12:00:09Z",
    step="digests",
    done=1_800_000_000,
    total=1_800_000_000,
    name="20260315T120000Z",
    path="/var/lib/flowtally/backups/20260315T120000Z",
    block=1200,
    rows=90_000_000,
    files=1100,
    size=1_800_000_000,
    paused_ms=21.4,
)


@operation(
    "POST",
    "/v1/verify",
    may="verify:write",
    summary="Start a check of everything",
    status=202,
    answer=VerifyAnswer,
    errors=(Conflict,),
    example=BEGUN,
)
def start_verify(call: Call) -> VerifyAnswer:
    """Every total is derived again from the rows and compared: projections, event keys, numbers and marks of sources,
    the ledger's own rules, every balance, the statements of closed periods. It is about one moment and takes minutes
    where there are many millions of events; writing and reading go on. One check at a time: while one runs, this
    answers with that one. Ask `GET /v1/verify` how it is doing."""
    return _verified(call.services.care.start_verify())


@operation(
    "GET",
    "/v1/verify",
    may="verify:read",
    summary="The last check of everything",
    answer=VerifyAnswer,
    example=FOUND,
)
def read_verify(call: Call) -> VerifyAnswer:
    """How far it is, or what it found. It is forgotten when the server stops."""
    return _verified(call.services.care.verify())


@operation(
    "POST",
    "/v1/backups",
    may="backups:write",
    summary="Start a backup",
    status=202,
    body=BackupRequest,
    answer=BackupAnswer,
    errors=(Conflict, Unprocessable, Unavailable),
    body_example={"name": "before-upgrade"},
    example=KEEPING,
)
def start_backup(call: Call, body: BackupRequest) -> BackupAnswer:
    """Keys, usage and ledger as they are now, consistent to the row, in a directory of the server's machine: below its
    own place for backups (a setting), never anywhere else. Writers wait for milliseconds. With `keep`, older backups of
    this installation that nobody gave a name are removed when the new one is complete. One backup at a time: while one
    runs, this answers with that one. Ask `GET /v1/backups` how it is doing."""
    if body.name and body.keep:
        raise Unprocessable(
            "A backup with a name stays until somebody removes it; `keep` is for those without a name. Leave one out",
            field="keep",
        )
    if body.name and (call.services.care.backups / body.name).exists():
        raise Conflict(f"there is a backup {body.name!r} already", name=body.name)
    begun = call.services.care.start_backup(body.name, body.keep)
    note(call.tx, "backup.start", subject=body.name or "", after={"keep": body.keep} if body.keep else None)
    return _backed_up(begun)


@operation(
    "GET",
    "/v1/backups",
    may="backups:read",
    summary="The last backup, and all that are kept",
    answer=BackupsAnswer,
    example=BackupsAnswer(
        KEPT,
        "/var/lib/flowtally/backups",
        [KeptBackup("20260315T120000Z", "2026-03-15T12:00:00Z", 1200, 90_000_000, 1_800_000_000)],
    ),
)
def list_backups(call: Call) -> BackupsAnswer:
    """Those whose manifest is written, hence complete. `keep` of `POST /v1/backups` removes old ones."""
    care = call.services.care
    kept = [KeptBackup(*msgspec.structs.astuple(one)) for one in backup.kept(care.backups)]
    return BackupsAnswer(_backed_up(care.backup()), str(care.backups), kept)


@operation(
    "GET",
    "/v1/doctor",
    may="doctor:read",
    summary="Check whether the machine is fit, and what the installation holds",
    answer=DoctorAnswer,
    example=DoctorAnswer(
        [MachineCheck("fsync", "ok", "820 us (median of 24 writes of 4 KiB)")],
        Installation(
            90_000_000, 12, 1200, "2026-03-15T11:59:58Z", 2.0, 3, True, 40, 1_500_000_000, 290_000_000, 400_000, 0, 0
        ),
    ),
)
def read_doctor(call: Call) -> DoctorAnswer:
    """Whether a sync reaches the disk, the file system, the clock, room, limits, versions; and what the installation
    holds. Takes about a second: it writes and syncs a small file."""
    care = call.services.care
    checks = [MachineCheck(one.name, one.verdict, one.seen, one.detail) for one in care.machine()]
    return DoctorAnswer(checks, _installation(care.figures(), call.now))


def _verified(status: Status[Report]) -> VerifyAnswer:
    report = status.result
    told = VerifyAnswer(
        status.state, format_if_any(status.started_at), format_if_any(status.ended_at), status.step, status.done,
        status.total, detail=status.detail,
    )  # fmt: skip
    if report is None:
        return told
    return msgspec.structs.replace(
        told,
        block=report.block,
        rows=report.rows,
        found=report.found,
        checks=[CheckAnswer(one.name, one.looked_at, one.found) for one in report.checks],
        findings=[FindingAnswer(one.check, one.code, one.where, one.detail) for one in report.findings],
        notes=report.notes,
    )


def _backed_up(status: Status[backup.MadeBackup]) -> BackupAnswer:
    made = status.result
    told = BackupAnswer(
        status.state, format_if_any(status.started_at), format_if_any(status.ended_at), status.step, status.done,
        status.total, detail=status.detail,
    )  # fmt: skip
    if made is None:
        return told
    names = ("name", "path", "block", "rows", "files", "size", "paused_ms", "notes", "removed")
    return msgspec.structs.replace(told, **{name: getattr(made, name) for name in names})


def _installation(figures: Figures, now: int) -> Installation:
    values = msgspec.structs.asdict(figures) | {"received_at": format_if_any(figures.received_at or None)}
    lag_s = max(0, now - figures.received_at) / 1000 if figures.received_at else None
    return Installation(lag_s=lag_s, **values)
