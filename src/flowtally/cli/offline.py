"""`flowtally restore`, `rebuild-keys`, `doctor --data`: on the files themselves, with no server to ask."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
import typer

from flowtally.cli import ask
from flowtally.cli.care import show_report
from flowtally.cli.configured import KeysUrl, UsageUrl, configured_for
from flowtally.cli.failures import FAILED
from flowtally.cli.installed import need_server
from flowtally.cli.show.output import Json, document, facts, note, say, table
from flowtally.cli.show.steps import Steps
from flowtally.config import Config
from flowtally.core import clock
from flowtally.core.units import counted, human_bytes, human_count
from flowtally.protocol import (
    CheckAnswer,
    DoctorAnswer,
    FindingAnswer,
    Installation,
    MachineCheck,
    VerifyAnswer,
)

if TYPE_CHECKING:
    from flowtally.care.job import Progress
    from flowtally.care.restore import Revived

RESTORE: Final = """\
\b
Examples:
  flowtally restore ./data/backups/20260315T120000Z --data ./restored
  flowtally serve --data ./restored
  flowtally restore ./data/backups/20260315T120000Z --data ./moved --ledger-url postgresql://db/flowtally

\b
No server is asked. Every file is compared with the manifest, the stores are opened, settled and verified as
`flowtally verify` does, and only then put in their place. Ends with 1 where something differs.
"""
REBUILD: Final = """\
\b
Example:
  flowtally rebuild-keys --data ./data

\b
Stop the server first. The old keys database stays beside the new one; owners of sources, reasons of refused
numbers and events that were held are taken from it where it can still be read. Without it they are lost, but for
the newest blocks, which the journal still has: what was held is refused from then on.
"""
PROJECTIONS: Final = """\
\b
Example:
  flowtally rebuild-roll-ups --data ./data

\b
Stop the server first. Rebuilt are the months in which a part differs; the rows are not changed.
"""
DOCTOR: Final = """\
\b
Examples:
  flowtally doctor
  flowtally doctor --data ./data

\b
Ends with 1 where a check fails. With --data no server is asked, and it may run or not.
"""
STYLES: Final = {"ok": "green", "warn": "yellow", "fail": "red"}

Data = Annotated[str, typer.Option("--data", help="The data directory.")]


class Settled(msgspec.Struct, frozen=True):
    """What `restore --json` prints."""

    data: str
    made_at: str
    settled: list[str]
    report: VerifyAnswer
    credentials: Revived


def restore(
    source: Annotated[Path, typer.Argument(metavar="DIR", help="The backup's directory.")],
    data: Annotated[Path, typer.Option("--data", help="The new data directory. It must not exist, or be empty.")],
    ledger_url: Annotated[
        str | None,
        typer.Option(
            "--ledger-url",
            help="Where the ledger goes: an empty PostgreSQL database, or sqlite:///DATA/ledger.db. Default: a file in"
            " the data directory, if it was one.",
        ),
    ] = None,
    usage_url: Annotated[
        str | None,
        typer.Option(
            "--usage-url",
            help="Where usage goes: an empty database of a ClickHouse server. Default: the data directory.",
        ),
    ] = None,
    old_ledger: Annotated[
        str | None,
        typer.Option(
            "--old-ledger",
            help="The ledger that was in use before: a data directory or a URL. Keys that are revoked "
            "there are revoked here too.",
        ),
    ] = None,
    revoke_credentials: Annotated[
        bool, typer.Option("--revoke-credentials", help="Revoke every key of the backup, and print a new admin key.")
    ] = False,
    json: Json = False,
) -> int:
    """Restore a backup into an empty data directory, check it, and say what it holds."""
    if old_ledger is not None and revoke_credentials:
        raise typer.BadParameter("--old-ledger and --revoke-credentials: one of them is enough")
    need_server()
    # Imported here: the engine is for the processes that use it, other commands start without it.
    from flowtally.care.restore import Revive  # noqa: PLC0415
    from flowtally.care.restore import restore as put_back  # noqa: PLC0415

    with Steps() as steps:
        places = (source.expanduser().absolute(), data.expanduser().absolute())
        revive = Revive(revoke_credentials, _as_url(old_ledger))
        done = put_back(*places, ledger_url, _progress(steps), clock.now_ms(), revive, usage_url)
    report = done.report
    answer = VerifyAnswer(
        "done",
        block=report.block,
        rows=report.rows,
        found=report.found,
        checks=[CheckAnswer(one.name, one.looked_at, one.found) for one in report.checks],
        findings=[FindingAnswer(one.check, one.code, one.where, one.detail) for one in report.findings],
        notes=report.notes,
    )
    if json:
        document(Settled(done.data, done.made_at, done.settled, answer, done.credentials))
    else:
        facts({"restored": done.data, "made": done.made_at, "events": human_count(report.rows)})
        for line in done.settled:
            note(line)
        show_report(answer)
        _show_keys(done.credentials, done.made_at)
    return FAILED if report.found else 0


def _as_url(place: str | None) -> str | None:
    """A data directory stands for the ledger in it."""
    if place is None or "://" in place:
        return place
    return f"sqlite:///{Path(place).expanduser().absolute() / 'ledger.db'}"


def _show_keys(found: Revived, made_at: str) -> None:
    if found.token is not None:
        facts({"token": found.token})
        note("Keep it now: it administers, and is never shown again.")
    if found.ended:
        note(f"{counted(found.ended, 'key')} of the backup ended with it; {found.live} still valid.")
    if found.unconfirmed:
        note(
            f"{counted(found.live, 'key')} of the backup can be used as on {made_at}, also those that were revoked"
            " after it. Look at `flowtally key list`, revoke what nobody should use, then say `flowtally key confirm`:"
            " until then the server and its doctor warn. If you have the ledger of before, --old-ledger does it."
        )


def rebuild_keys(
    data: Data,
    usage_url: UsageUrl = None,
    keys_url: KeysUrl = None,
    json: Json = False,
) -> None:
    """Make the event keys again from the usage rows, block by block."""
    config = _existing(data, usage_url, keys_url)
    from flowtally.care.offline import usage_of  # noqa: PLC0415
    from flowtally.care.rebuild import rebuild_keys as rebuild  # noqa: PLC0415
    from flowtally.ingest.settings import keys_path  # noqa: PLC0415

    with usage_of(config) as usage, Steps() as steps:
        done = rebuild(usage, keys_path(config.keys_url), clock.now_ms(), _progress(steps))
    if json:
        document(done)
        return
    facts(
        {
            "events": f"{human_count(done.rows)} in {counted(done.blocks, 'block')}",
            "of these from the journal": counted(done.records, "block"),
            "sources": human_count(done.sources),
            "owners known": human_count(done.owners or 0),
            "reasons kept": human_count(done.reasons or 0),
            "held events kept": human_count(done.held or 0) if done.held is not None else "none: all are lost",
            "old keys": done.kept_old or "there were none",
        }
    )


def rebuild_projections(
    data: Data,
    usage_url: UsageUrl = None,
    keys_url: KeysUrl = None,
    json: Json = False,
) -> None:
    """Compare the sums that are kept beside the usage rows with the rows, and repair those that differ."""
    config = _existing(data, usage_url, keys_url)
    from flowtally.care.offline import usage_of  # noqa: PLC0415
    from flowtally.care.rebuild import rebuild_projections as rebuild  # noqa: PLC0415
    from flowtally.ingest.settings import keys_path  # noqa: PLC0415

    with usage_of(config) as usage, Steps() as steps:
        done = rebuild(usage, keys_path(config.keys_url), _progress(steps))
    if json:
        document(done)
        return
    facts({"parts": human_count(done.parts), "months rebuilt": ", ".join(done.rebuilt) or "none: all agree"})


def _existing(data: str, usage_url: str | None, keys_url: str | None) -> Config:
    config = configured_for(data, usage_url=usage_url, keys_url=keys_url)
    from flowtally.start import check_places  # noqa: PLC0415

    check_places(config)
    return config


def _progress(steps: Steps) -> Progress:
    from flowtally.care.job import Progress  # noqa: PLC0415

    return Progress(steps.show)


def doctor(
    data: Annotated[
        str | None, typer.Option("--data", help="Check this data directory instead of asking a server.")
    ] = None,
    json: Json = False,
) -> int:
    """Check whether this machine is fit for flowtally, and show what the installation holds."""
    if data is None:
        with ask.client() as client:
            answer = client.doctor()
    else:
        answer = _look_at(data)
    if json:
        document(answer)
    else:
        _show(answer)
    return FAILED if any(one.verdict == "fail" for one in answer.checks) else 0


def _look_at(data: str) -> DoctorAnswer:
    config = configured_for(data)
    from flowtally.care import doctor  # noqa: PLC0415
    from flowtally.care.stopped import journal_check, stop_check  # noqa: PLC0415
    from flowtally.ingest.settings import journal_path, keys_path  # noqa: PLC0415

    keys = keys_path(config.keys_url)
    last, received_at = stop_check(keys)
    found = doctor.checks(config.data_dir, min_free=config.min_free_bytes, received_at=received_at)
    journal = journal_check(journal_path(keys), keys, running=doctor.in_use(config.data_dir, keys))
    return DoctorAnswer([MachineCheck(one.name, one.verdict, one.seen, one.detail) for one in [*found, last, journal]])


def _show(answer: DoctorAnswer) -> None:
    rows = [(one.verdict, one.name, one.seen) for one in answer.checks]
    table(("", "check", "seen"), rows)
    for one in answer.checks:
        if one.detail:
            say(f"{one.verdict}: {one.name}: {one.detail}", style=STYLES[one.verdict])
    if answer.installation is not None:
        say()
        facts(_figures(answer.installation))


def _figures(one: Installation) -> dict[str, str]:
    return {
        "events": human_count(one.events),
        "accounts": human_count(one.accounts),
        "last block": f"{one.block}, received {one.received_at}" if one.received_at else "none",
        "lag": "" if one.lag_s is None else f"{one.lag_s:,.0f} s since then",
        "waiting": f"{counted(one.waiting_events, 'event')}, {human_bytes(one.waiting_bytes)}",
        "usage": f"{human_bytes(one.usage_bytes)} in {counted(one.parts, 'part')}",
        "keys": human_bytes(one.keys_bytes),
        "ledger": "" if one.ledger_bytes is None else human_bytes(one.ledger_bytes),
        "starts": f"{human_count(one.starts)}, the last stop was {'clean' if one.last_stop_clean else 'not clean'}",
    }
