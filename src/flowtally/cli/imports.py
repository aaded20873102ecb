"""`flowtally import`: a log file into usage, once and for ever."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Final

import typer

from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.agents.report import SHOWN, ImportReport, LineProblem
from flowtally.agents.sending import BATCH_EVENTS
from flowtally.agents.ship import Importer
from flowtally.cli import ask
from flowtally.cli.chart import fit
from flowtally.cli.declaring import (
    EnvelopeName,
    EnvoyFormat,
    FormatName,
    HaproxyLogFormat,
    JsonFields,
    ThreeproxyLogformat,
    TimeFormat,
    Zone,
    declared,
)
from flowtally.cli.failures import PARTLY
from flowtally.cli.output import Json, document, note, printable, say, width
from flowtally.cli.progress import Meter, meter
from flowtally.protocol import MAX_EVENTS
from flowtally.units import human_count

EXAMPLES: Final = """\
\b
Examples:
  flowtally import /var/log/squid/access.log --account acme --skip-status 407
  flowtally import access.log.gz --user-from 'user:(?P<account>[^-]+)-(?P<user>.+)'
  flowtally import access.log --format combined --account web --user-from client --product api
  flowtally import - --format cloudevents --source nightly < events.ndjson

\b
Stop it (Ctrl-C) and run the same command again: it goes on where it was, and nothing counts twice.
It ends with 3 if a line could not be read or an event was refused.
"""
IMPORT_PATIENCE_S: Final = 60
INTERRUPTED: Final = 130


def import_log(
    file: Annotated[
        str, typer.Argument(metavar="FILE", help="A log, plain or gzip, xz, bzip2, zstd; - reads standard input.")
    ],
    format_name: FormatName = "",
    account: Annotated[str, typer.Option("--account", help="Every line is this account's.")] = "",
    user_from: Annotated[
        str, typer.Option("--user-from", help="user, client, url or none, or FIELD:REGEX with groups account, user.")
    ] = "user",
    pattern: Annotated[
        str, typer.Option("--pattern", help="REGEX over the whole line; its named groups replace what was read.")
    ] = "",
    product: Annotated[str, typer.Option("--product", help="The product of lines that name none.")] = "",
    skip_status: Annotated[
        list[int] | None, typer.Option("--skip-status", help="Leave out lines of this status; repeatable.")
    ] = None,
    source: Annotated[
        str, typer.Option("--source", help="Name of the source; default made from the log's first line.")
    ] = "",
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            help="Events in one request. The server refuses one with more new users than max_new_users_per_request.",
            min=1,
            max=MAX_EVENTS,
        ),
    ] = BATCH_EVENTS,
    haproxy_log_format: HaproxyLogFormat = "",
    envoy_format: EnvoyFormat = "",
    threeproxy_logformat: ThreeproxyLogformat = "",
    json_fields: JsonFields = "",
    envelope: EnvelopeName = "",
    time_format: TimeFormat = "",
    zone: Zone = "",
    json: Json = False,
) -> None:
    """Read an access log and count every line once."""
    log_format = declared(
        format=format_name,
        haproxy_log_format=haproxy_log_format,
        envoy_format=envoy_format,
        threeproxy_logformat=threeproxy_logformat,
        json_fields=json_fields,
        envelope=envelope,
        time_format=time_format,
        zone=zone,
    )
    mapping = Mapping(account, user_from, pattern, product, tuple(skip_status or ()))
    with _open(file) as log, ask.client(IMPORT_PATIENCE_S) as client:
        shown = meter(Path(file).name)
        run = Importer(client, log, log_format, mapping, source=source, progress=shown.show, batch_events=batch)
        stopped = _run(run, shown, json)
    _show(run.report(), json)
    if stopped:
        note("Stopped. Run the same command again: it goes on where it was.")
        raise typer.Exit(INTERRUPTED)
    if not run.report().clean:
        raise typer.Exit(PARTLY)


def _run(run: Importer, shown: Meter, json: bool) -> bool:
    """Import to the end, or until Ctrl-C: whether it was stopped."""
    try:
        with shown:
            run.run()
    except KeyboardInterrupt:
        return True
    except Exception:
        if run.report().lines:  # what was sent is stored, whatever came then
            _show(run.report(), json)
        raise
    return False


def _open(file: str) -> LogFile:
    return (
        LogFile(open(sys.stdin.fileno(), "rb", closefd=False), "standard input")
        if file == "-"
        else LogFile.open(Path(file))
    )


def _show(report: ImportReport, json: bool) -> None:
    if json:
        document(report)
    else:
        show_report(report)


def show_report(report: ImportReport, most: int = SHOWN) -> None:
    """What this run did, then the first lines that gave trouble, `most` of each kind."""
    if report.resumed_at:
        say(f"went on after line {human_count(report.resumed_lines)} (byte {human_count(report.resumed_at)})")
    say(f"{human_count(report.lines)} lines: {_counts(report)}")
    if report.source:
        say(f"source {printable(report.source)}, last number {human_count(report.sequence)}")
    if report.waiting_bytes:
        count = "1 byte waits" if report.waiting_bytes == 1 else f"{human_count(report.waiting_bytes)} bytes wait"
        say(f"{count} after the last newline, maybe half a line; a finished log gives them with --last-line")
    if report.nul_bytes:
        say(f"{human_count(report.nul_bytes)} NUL bytes left out: the log was cut while a program wrote on, or a crash")
    _show_problems("unreadable", report.unreadable, report.first_unreadable[:most])
    _show_held(report)
    _show_problems("refused or in conflict", report.refused + report.conflict, report.first_refused[:most])


def _show_held(report: ImportReport) -> None:
    if report.held:
        events = "1 event is" if report.held == 1 else f"{human_count(report.held)} events are"
        say(f"{events} held by the server, and count once the reason has passed:", style="yellow")
    for reason, count in report.held_for.items():
        say(f"  {human_count(count)}: {printable(reason)}{_remedy(reason)}")


def _remedy(reason: str) -> str:
    return "; create it and they count" if reason.startswith("there is no account") else ""


def _counts(report: ImportReport) -> str:
    """`12 stored, 3 duplicate`: stored always, the others when there are any."""
    names = ("stored", "duplicate", "conflict", "refused", "unreadable", "skipped")
    counts = [(name, getattr(report, name)) for name in names]
    return ", ".join(f"{human_count(count)} {name}" for name, count in counts if count or name == "stored")


def _show_problems(what: str, count: int, first: tuple[LineProblem, ...]) -> None:
    if not count:
        return
    say(f"{human_count(count)} {what}, the first:", style="yellow")
    for one in first:
        say(f"  line {human_count(one.line)}: {one.detail or one.reason} ({one.reason})")
        if one.excerpt:
            say("    " + fit(printable(one.excerpt), width() - 4).rstrip(), style="dim")
