"""The options that say how a log is written, for every command that reads one: one `Declared` of all of them."""

from __future__ import annotations

from typing import Annotated, Any, Final

import msgspec
import typer

from flowtally.agents.formats import ENVELOPES, KNOWN, Declared
from flowtally.agents.formats.times import NAMES

FormatName = Annotated[
    str,
    typer.Option(
        "--format", help=f"How its lines are written: {', '.join(KNOWN)}; docker:NAME, syslog:NAME. Default: squid."
    ),
]
HaproxyLogFormat = Annotated[
    str, typer.Option("--haproxy-log-format", help="HAProxy's own log-format, as in haproxy.cfg.")
]
EnvoyFormat = Annotated[
    str, typer.Option("--envoy-format", help="Envoy's own text_format, or its json_format as JSON.")
]
ThreeproxyLogformat = Annotated[str, typer.Option("--3proxy-logformat", help="3proxy's own logformat.")]
JsonFields = Annotated[
    str,
    typer.Option("--json-fields", help="JSON lines: time=ts,bytes_up=read,bytes_down=size,user=req.user,status=code."),
]
EnvelopeName = Annotated[str, typer.Option("--envelope", help=f"What each line is wrapped in: {', '.join(ENVELOPES)}.")]
TimeFormat = Annotated[
    str, typer.Option("--time-format", help=f"How its times are written: {', '.join(NAMES)}, or as for strptime.")
]
Zone = Annotated[str, typer.Option("--zone", help="The zone of times that say none: Europe/Berlin, UTC, +01:00.")]
DEFAULT: Final = "squid"
_BESIDE: Final = ("envelope", "time_format", "zone")


def declared(**options: str) -> Declared:
    """What was said; without any format it is Squid's."""
    said: dict[str, Any] = {name: text for name, text in options.items() if text}
    if not any(name not in _BESIDE for name in said):
        said["format"] = DEFAULT
    return msgspec.structs.replace(Declared(), **said)
