"""The options that say how a log is written, for every command that reads one: one `Declared` of all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import typer

from flowtally.agents.format_from import format_from
from flowtally.agents.formats import ENVELOPES, KNOWN, Declared
from flowtally.agents.formats.times import NAMES
from flowtally.errors import ConfigError

WRITTEN: Final = "How its lines are written (exactly one format)"


def _option(name: str, help: str) -> Any:
    return typer.Option(name, help=help, rich_help_panel=WRITTEN)


_NAMED: Final = f"A known format: {', '.join(KNOWN)}; docker:NAME, syslog:NAME. Default: squid."
_FIELDS: Final = "JSON lines: time=ts,bytes_up=read,bytes_down=size,user=req.user,status=code."

FormatName = Annotated[str, _option("--format", _NAMED)]
FormatFrom = Annotated[
    str, _option("--format-from", "The server's configuration, FILE or FILE#NAME: the format it has for this log.")
]
SquidLogformat = Annotated[str, _option("--squid-logformat", "Squid's own logformat, as in squid.conf.")]
NginxLogFormat = Annotated[str, _option("--nginx-log-format", "nginx's own log_format.")]
ApacheLogFormat = Annotated[str, _option("--apache-log-format", "Apache's own LogFormat.")]
HaproxyLogFormat = Annotated[str, _option("--haproxy-log-format", "HAProxy's own log-format, as in haproxy.cfg.")]
EnvoyFormat = Annotated[str, _option("--envoy-format", "Envoy's own text_format, or its json_format as JSON.")]
ThreeproxyLogformat = Annotated[str, _option("--3proxy-logformat", "3proxy's own logformat.")]
JsonFields = Annotated[str, _option("--json-fields", _FIELDS)]
EnvelopeName = Annotated[str, _option("--envelope", f"What each line is wrapped in: {', '.join(ENVELOPES)}.")]
TimeFormat = Annotated[
    str, _option("--time-format", f"How its times are written: {', '.join(NAMES)}, or as for strptime.")
]
Zone = Annotated[str, _option("--zone", "The zone of times that say none: Europe/Berlin, UTC, +01:00.")]
DEFAULT: Final = "squid"
_BESIDE: Final = ("envelope", "time_format", "zone")


def declared(*, configuration: str = "", logs: Sequence[str] = (), **options: str) -> Declared:
    """What was said; without any format it is Squid's. `configuration`: what `--format-from` names, for these logs."""
    said: dict[str, Any] = {name: text for name, text in options.items() if text}
    formats = [name for name in said if name not in _BESIDE]
    if configuration:
        if formats:
            raise ConfigError("--format-from says the format, and so does another option")
        found = {log: format_from(configuration, "" if log == "-" else log) for log in logs}
        if len(set(map(repr, found.values()))) != 1:
            raise ConfigError(
                f"--format-from {configuration}: these logs have different formats: import them one by one"
            )
        return msgspec.structs.replace(found[logs[0]], **said)
    if not formats:
        said["format"] = DEFAULT
    return msgspec.structs.replace(Declared(), **said)
