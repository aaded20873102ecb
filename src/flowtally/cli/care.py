"""`flowtally verify`, `flowtally backup`: asked of a running server, followed to the end."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Final, Protocol, TypeVar

import typer

from flowtally.cli import ask
from flowtally.cli.backup_check import check_backup
from flowtally.cli.failures import FAILED
from flowtally.cli.show.output import Json, document, facts, note, printable, say, table
from flowtally.cli.show.steps import Steps
from flowtally.client import ApiError, Client
from flowtally.core.units import human_bytes, human_count
from flowtally.core.words import JobState
from flowtally.protocol import BackupAnswer, VerifyAnswer

VERIFY: Final = """\
\b
Examples:
  flowtally verify
  flowtally verify --json > verify.json

\b
Exit code 0: everything is right. Exit code 1: something differs. Ctrl-C stops this command, not the check; run it
again to follow the check that is under way.
"""
BACKUP: Final = """\
\b
Examples:
  flowtally backup
  flowtally backup before-upgrade --json
  flowtally backup --keep 7
  flowtally backup --list
  flowtally backup --check /mnt/copies/20260315T120000Z

The server decides where: FLOWTALLY_BACKUP_DIR, or `backups` in its data directory. Copy what is there to another
machine: a backup on the same disk is lost with the disk. --keep removes older backups when the new one is complete;
backups with a NAME stay. --check asks no server: it compares a backup, or a copy of one, with its manifest.
"""
LOOK_S: Final = 0.3
SHOWN: Final = 50


class _Job(Protocol):
    @property
    def state(self) -> JobState: ...
    @property
    def step(self) -> str: ...
    @property
    def done(self) -> int: ...
    @property
    def total(self) -> int: ...
    @property
    def started_at(self) -> str | None: ...
    @property
    def detail(self) -> str: ...


J = TypeVar("J", bound=_Job)


def verify(json: Json = False) -> int:
    """Check that every figure is what the stored rows say. The server goes on working meanwhile."""
    with ask.client() as client:
        answer = followed(client.start_verify(), client.verify)
    if json:
        document(answer)
    else:
        show_verify(answer)
    return FAILED if answer.found or answer.state != "done" else 0


def show_verify(answer: VerifyAnswer) -> None:
    """What was compared, then what differs."""
    if answer.state != "done":
        say(f"The check failed: {answer.detail}", style="red")
        return
    show_report(answer)


def show_report(answer: VerifyAnswer) -> None:
    """A check that is done."""
    rows = [(one.name, human_count(one.looked_at), human_count(one.found)) for one in answer.checks]
    table(("checked", "looked at", "differ"), rows, right=frozenset({1, 2}))
    for line in answer.notes:
        say(line, style="yellow")
    for one in answer.findings[:SHOWN]:
        say(printable(f"{one.code}: {one.where}: {one.detail}"), style="red")
    found = answer.found or 0
    if found > SHOWN:
        say(f"... and {found - min(SHOWN, len(answer.findings))} more")
    if found:
        say(f"{human_count(found)} differences up to block {answer.block}. See docs/operations.md.", style="red")
    else:
        say(f"Everything up to block {answer.block} is what it says it is.", style="green")


def backup(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Name of the backup. Default: the present instant.")
    ] = None,
    keep: Annotated[
        int | None,
        typer.Option(
            "--keep",
            min=1,
            max=10_000,
            metavar="N",
            help="Afterwards remove the oldest backups without a name, until N of them are left.",
        ),
    ] = None,
    kept: Annotated[bool, typer.Option("--list", help="List the backups there are instead.")] = False,
    checked: Annotated[
        Path | None,
        typer.Option("--check", metavar="DIR", help="Check this backup instead: compare every file with its manifest."),
    ] = None,
    json: Json = False,
) -> int:
    """Make a backup of a running server, on its machine; list the backups; or check one."""
    _check_together(name, keep, kept, checked)
    if checked is not None:
        return check_backup(checked.expanduser().absolute(), json)
    with ask.client() as client:
        if kept:
            _list(client, json)
            return 0
        answer = followed(client.start_backup(name, keep=keep), lambda: client.backups().last)
    if json:
        document(answer)
    else:
        _show_backup(answer)
    return 0 if answer.state == "done" else FAILED


def _check_together(name: str | None, keep: int | None, kept: bool, checked: Path | None) -> None:
    if name is not None and keep is not None:
        raise typer.BadParameter(
            "A backup with a NAME stays until somebody removes it; --keep is for those without one. Leave one out."
        )
    if (kept or checked is not None) and ((kept and checked is not None) or name is not None or keep is not None):
        raise typer.BadParameter("--list and --check make no backup: give one of them alone.")


def _show_backup(answer: BackupAnswer) -> None:
    if answer.state != "done":
        say(f"No backup was made: {answer.detail}", style="red")
        return
    facts(
        {
            "backup": answer.path or "",
            "events": human_count(answer.rows or 0),
            "block": str(answer.block),
            "size": f"{human_bytes(answer.size or 0)} in {human_count(answer.files or 0)} files",
            "writers waited": f"{answer.paused_ms or 0:g} ms",
        }
    )
    if answer.removed:
        note(f"removed: {', '.join(answer.removed)}")
    for line in answer.notes:
        note(line, style="yellow")


def _list(client: Client, json: bool) -> None:
    answer = client.backups()
    if json:
        document(answer)
        return
    rows = [
        (one.name, one.made_at, human_count(one.rows), str(one.block), human_bytes(one.size)) for one in answer.backups
    ]
    say(answer.place, style="bold")
    table(("name", "made", "events", "block", "size"), rows, right=frozenset({2, 3, 4}))


def followed(begun: J, look: Callable[[], J]) -> J:
    """The job when it has ended."""
    answer = begun
    with Steps() as steps:
        while answer.state == "running":
            steps.show(answer.step, answer.done, answer.total)
            time.sleep(LOOK_S)
            answer = look()
            if answer.state == "never":
                raise ApiError("restarted", 0, "The server was restarted meanwhile; begin again")
    return answer
