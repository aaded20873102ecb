"""`flowtally import`: log files into usage, once and for ever."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Final

import msgspec
import typer

from flowtally.agents.dry_run import dry_run
from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.agents.report import ImportReport
from flowtally.agents.sending import BATCH_EVENTS
from flowtally.agents.ship import Importer
from flowtally.cli import ask
from flowtally.cli.declaring import (
    WRITTEN,
    ApacheLogFormat,
    EnvelopeName,
    EnvoyFormat,
    FormatFrom,
    FormatName,
    HaproxyLogFormat,
    JsonFields,
    NginxLogFormat,
    SquidLogformat,
    ThreeproxyLogformat,
    TimeFormat,
    Zone,
    declared,
)
from flowtally.cli.failures import PARTLY
from flowtally.cli.import_report import show_report
from flowtally.cli.show.output import Json, document, note, printable, say
from flowtally.cli.show.progress import ProgressMeter, meter
from flowtally.client import ApiError, Client
from flowtally.core.errors import ConfigError
from flowtally.core.units import counted
from flowtally.core.words import RefuseOrAllow
from flowtally.protocol import MAX_EVENTS

EXAMPLES: Final = """\
\b
Examples:
  flowtally import access.log --format squid --account acme --dry-run
  flowtally import /var/log/squid/access.log --format squid --account acme --skip-status 407
  flowtally import access.log.2.gz access.log.1 --format squid --user-from 'user:(?P<account>[^-]+)-(?P<user>.+)'
  flowtally import access.log --format combined --account web --user-from client --product api
  flowtally import - --format cloudevents --source nightly < events.ndjson

\b
You can stop it (Ctrl-C) and run the same command again: it goes on where it was, and nothing counts twice.
The exit code is 3 if a line could not be read, or an event was refused or is held.
"""
IMPORT_PATIENCE_S: Final = 60
INTERRUPTED: Final = 130
LOOK_LINES: Final = 1_000  # of a log that is new, before somebody says that it is read right

WHOSE: Final = "Whose use the lines are"
COUNTED: Final = "What counts"
LOOKED: Final = "Look before it counts"


class ImportOptions(msgspec.Struct, frozen=True):
    """The options, but for the files."""

    formats: dict[str, str]
    format_from: str
    mapping: Mapping
    source: str
    batch: int
    last_line: bool
    again: bool
    overlap_allowed: bool
    asks: bool
    json: bool

    def declared(self, log: LogFile) -> Declared:
        return declared(log, self.mapping, self.format_from, **self.formats)


def import_log(
    files: Annotated[
        list[str],
        typer.Argument(
            metavar="FILE",
            help="Logs, the oldest first: plain text, gzip, xz, bzip2 or zstd; UTF-8 or UTF-16. - "
            "reads standard input.",
        ),
    ],
    format_name: FormatName = "",
    format_from: FormatFrom = "",
    squid_logformat: SquidLogformat = "",
    nginx_log_format: NginxLogFormat = "",
    apache_log_format: ApacheLogFormat = "",
    haproxy_log_format: HaproxyLogFormat = "",
    envoy_format: EnvoyFormat = "",
    threeproxy_logformat: ThreeproxyLogformat = "",
    json_fields: JsonFields = "",
    envelope: EnvelopeName = "",
    time_format: TimeFormat = "",
    zone: Zone = "",
    pattern: Annotated[
        str,
        typer.Option(
            "--pattern",
            help="A regular expression over the whole line. Its named groups replace what was read.",
            rich_help_panel=WRITTEN,
        ),
    ] = "",
    account: Annotated[
        str, typer.Option("--account", help="The account that every line belongs to.", rich_help_panel=WHOSE)
    ] = "",
    user_from: Annotated[
        str,
        typer.Option(
            "--user-from",
            help="Where the user's name stands: user, client, url or none; FIELD:REGEX with groups account and user; "
            "user:thordata or user:ipfoxy for logins of such gateways (td-customer-NAME-country-us).",
            rich_help_panel=WHOSE,
        ),
    ] = "user",
    product: Annotated[
        str, typer.Option("--product", help="The product of lines that do not name one.", rich_help_panel=WHOSE)
    ] = "",
    skip_status: Annotated[
        list[int] | None,
        typer.Option("--skip-status", help="Leave out lines with this status. Repeatable.", rich_help_panel=WHOSE),
    ] = None,
    source: Annotated[
        str,
        typer.Option(
            "--source", help="Name of the source. Default: made from the log's first line.", rich_help_panel=COUNTED
        ),
    ] = "",
    last_line: Annotated[
        bool,
        typer.Option(
            "--last-line",
            help="Count a last line without newline, too: the log is finished, and the line is complete.",
            rich_help_panel=COUNTED,
        ),
    ] = False,
    again: Annotated[
        bool,
        typer.Option(
            "--again",
            help="If the log was imported before with other options: read the lines that could not be read then.",
            rich_help_panel=COUNTED,
        ),
    ] = False,
    overlap: Annotated[
        RefuseOrAllow,
        typer.Option(
            "--overlap",
            help="What to do with lines that are stored already, under another source or earlier in this log.",
            rich_help_panel=COUNTED,
        ),
    ] = "refuse",
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Read and show, but store nothing. This needs no server.", rich_help_panel=LOOKED
        ),
    ] = False,
    lines: Annotated[
        int,
        typer.Option(
            "--lines", help="With --dry-run: read only this many lines. 0 reads all.", min=0, rich_help_panel=LOOKED
        ),
    ] = 0,
    yes: Annotated[
        bool,
        typer.Option("--yes", "-y", help="Do not ask whether a new log is read correctly.", rich_help_panel=LOOKED),
    ] = False,
    json: Json = False,
    batch: Annotated[
        int,
        typer.Option(
            "--batch",
            help="Events in one request. Make it smaller if the server refuses a request with too many new users.",
            min=1,
            max=MAX_EVENTS,
        ),
    ] = BATCH_EVENTS,
) -> None:
    """Read access logs and count every line once."""
    options = ImportOptions(
        formats={
            "format": format_name,
            "squid_logformat": squid_logformat,
            "nginx_log_format": nginx_log_format,
            "apache_log_format": apache_log_format,
            "haproxy_log_format": haproxy_log_format,
            "envoy_format": envoy_format,
            "threeproxy_logformat": threeproxy_logformat,
            "json_fields": json_fields,
            "envelope": envelope,
            "time_format": time_format,
            "zone": zone,
        },
        format_from=format_from,
        mapping=Mapping(account, user_from, pattern, product, tuple(skip_status or ())),
        source=source,
        batch=batch,
        last_line=last_line,
        again=again,
        overlap_allowed=overlap == "allow",
        asks=not (yes or json or again) and sys.stdin.isatty() and sys.stdout.isatty(),
        json=json,
    )
    if source and len(files) > 1:
        raise ConfigError(f"--source names one log; there are {len(files)} files")
    if lines and not dry_run:
        raise ConfigError(f"--lines {lines} goes with --dry-run")
    if again and dry_run:
        raise ConfigError("--dry-run shows how all of a log is read: leave --again out")
    reports: list[ImportReport] = []
    try:
        for file in files:
            if len(files) > 1 and not json:
                say(f"{printable(file)}", style="bold cyan")
            reports.append(_look(file, options, lines) if dry_run else _import(file, options, reports))
            if not json:
                show_report(reports[-1])
    finally:
        if json and reports:
            document(reports[0] if len(files) == 1 else reports)
    if not all(report.clean for report in reports):
        raise typer.Exit(PARTLY)


def _import(file: str, options: ImportOptions, reports: list[ImportReport]) -> ImportReport:
    with _open(file) as log, ask.client(IMPORT_PATIENCE_S) as client:
        said = options.declared(log)
        shown = meter(Path(file).name)
        run = Importer(
            client,
            log,
            said,
            options.mapping,
            source=options.source,
            progress=shown.show,
            batch_events=options.batch,
            finished=options.last_line,
            again=options.again,
            overlap_allowed=options.overlap_allowed,
        )
        run.check_account()
        if options.asks and log.seekable and run.known() is None:
            _ask_whether_right(log, said, options)
        if _run(run, shown, options, reports):
            _told(run, options, reports)
            note("Stopped. Run the same command again: it goes on where it was.")
            raise typer.Exit(INTERRUPTED)
        return run.report()


def _run(run: Importer, shown: ProgressMeter, options: ImportOptions, reports: list[ImportReport]) -> bool:
    """Import to the end, or until Ctrl-C: whether it was stopped."""
    try:
        with shown:
            run.run()
    except KeyboardInterrupt:
        return True
    except Exception:
        if run.report().lines:  # what was sent is stored, whatever came then
            _told(run, options, reports)
        raise
    return False


def _told(run: Importer, options: ImportOptions, reports: list[ImportReport]) -> None:
    """What was done so far, of a run that has not ended well."""
    reports.append(run.report())
    if not options.json:
        show_report(reports[-1], samples=False)


def _ask_whether_right(log: LogFile, said: Declared, options: ImportOptions) -> None:
    """A log that was never imported: somebody looks at how it is read. Nothing is sent unless that is right."""
    report = dry_run(log, said, options.mapping, most_lines=LOOK_LINES, finished=options.last_line)
    show_report(report)
    if report.lines and not typer.confirm("This log is new. Is this right?", default=False):
        note("Nothing was imported.")
        raise typer.Exit(1)
    say()


def _look(file: str, options: ImportOptions, lines: int) -> ImportReport:
    with _open(file) as log:
        said = options.declared(log)
        with suppress(ConfigError, ApiError), ask.client(0) as client:
            standing = _standing(client, log, said, options)
            if standing and not options.json:
                say(standing)
        return dry_run(
            log,
            said,
            options.mapping,
            source=options.source,
            most_lines=lines,
            finished=options.last_line,
        )


def _standing(client: Client, log: LogFile, said: Declared, options: ImportOptions) -> str:
    """What the server knows of this log, where there is one that answers."""
    if not log.seekable:
        return ""
    run = Importer(client, log, said, options.mapping, source=options.source, finished=options.last_line)
    answer = run.known()
    if answer is None:
        return f"a new log: source {printable(run.source)}" if run.source else ""
    return f"imported before: source {printable(run.source)}, {counted(answer.sequence or 0, 'event')}"


def _open(file: str) -> LogFile:
    return (
        LogFile(open(sys.stdin.fileno(), "rb", closefd=False), "standard input")
        if file == "-"
        else LogFile.open(Path(file))
    )
