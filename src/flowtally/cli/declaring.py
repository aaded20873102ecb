"""The options that say how a log is written, for every command that reads one: one `Declared` of all of them."""

from __future__ import annotations

from itertools import islice
from typing import Annotated, Any, Final

import msgspec
import typer

from flowtally.agents.format_from import format_from
from flowtally.agents.formats import ENVELOPES, KNOWN, Declared
from flowtally.agents.formats.suggest import suggest, undeclared
from flowtally.agents.formats.times import NAMES
from flowtally.agents.mapping import Mapping
from flowtally.agents.reader import LogFile
from flowtally.core.errors import ConfigError

WRITTEN: Final = "How lines are written (give exactly one format)"


def _option(name: str, help: str) -> Any:
    return typer.Option(name, help=help, rich_help_panel=WRITTEN)


_NAMED: Final = f"A known format: {', '.join(KNOWN)}; docker:NAME, syslog:NAME."
_FIELDS: Final = "JSON lines: time=ts,bytes_up=read,bytes_down=size,user=req.user,status=code."

FormatName = Annotated[str, _option("--format", _NAMED)]
FormatFrom = Annotated[
    str,
    _option(
        "--format-from",
        "The configuration of the program that writes the log, FILE or FILE#NAME: its format for this log.",
    ),
]
SquidLogformat = Annotated[str, _option("--squid-logformat", "Squid's own logformat, as in squid.conf.")]
NginxLogFormat = Annotated[str, _option("--nginx-log-format", "nginx's own log_format.")]
ApacheLogFormat = Annotated[str, _option("--apache-log-format", "Apache's own LogFormat.")]
HaproxyLogFormat = Annotated[str, _option("--haproxy-log-format", "HAProxy's own log-format, as in haproxy.cfg.")]
EnvoyFormat = Annotated[str, _option("--envoy-format", "Envoy's own text_format, or its json_format as JSON.")]
ThreeproxyLogformat = Annotated[str, _option("--3proxy-logformat", "3proxy's own logformat.")]
JsonFields = Annotated[str, _option("--json-fields", _FIELDS)]
EnvelopeName = Annotated[str, _option("--envelope", f"What is written around each line: {', '.join(ENVELOPES)}.")]
TimeFormat = Annotated[
    str, _option("--time-format", f"How times are written: {', '.join(NAMES)}, or a format as for strptime.")
]
Zone = Annotated[str, _option("--zone", "Time zone of times that name none: Europe/Berlin, UTC, +01:00.")]
OF_PATTERN: Final = "squid"  # never asked where --pattern says the time, too; earlier versions called it so
_BESIDE: Final = ("envelope", "time_format", "zone")
_LOOKED_AT: Final = (20, 5, 1)  # first lines that a suggestion is made of: as many as one format reads


def declared(log: LogFile, mapping: Mapping, format_from_file: str, **options: str) -> Declared:
    """What was said of how this log is written. ConfigError where nothing was, with the formats that its first lines
    read as: none is ever chosen by us."""
    said: dict[str, Any] = {name: text for name, text in options.items() if text}
    formats = [name for name in said if name not in _BESIDE]
    if format_from_file and formats:
        raise ConfigError(f"--format-from {format_from_file} and --{formats[0].replace('_', '-')}: say one of them")
    if format_from_file:
        return msgspec.structs.replace(format_from(format_from_file, log.name if log.seekable else ""), **said)
    if not formats and "(?P<time>" in mapping.pattern:
        said["format"] = OF_PATTERN
    elif not formats:
        raise ConfigError(f"{log.name}: say how its lines are written: {_suggestion(log)}")
    return msgspec.structs.replace(Declared(), **said)


def _suggestion(log: LogFile) -> str:
    lines = [line.text for line in islice(log.lines(), _LOOKED_AT[0]) if line.text]
    looked_at = next((lines[:most] for most in _LOOKED_AT if suggest(lines[:most])), lines)
    if looked_at:
        return undeclared(looked_at)
    return f"--format with one of {', '.join(KNOWN)}, or the server's own format string"
