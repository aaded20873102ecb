"""Traefik's access log: `format: json`, or its own default, `common` with more at its end. Either, line by line: one
begins with a brace, the other with an address.

The user stands in the default log as the client sent it, blanks and all. See
https://doc.traefik.io/traefik/reference/install-configuration/observability/logs-and-accesslogs/.
"""

from __future__ import annotations

from typing import Final

from flowtally.agents.formats import jsonlogs
from flowtally.agents.formats.compiled import Compiled, Field, Piece
from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.formats.times import Times
from flowtally.agents.reading import Line, text_of

_BODIES: Final = "its default log tells no bytes from the client: set accessLog.format to json"


def _name(raw: bytes) -> str:
    return "" if raw == b"-" else text_of(raw)


def _url(raw: bytes) -> str:
    parts = raw.split(b" ")
    return text_of(parts[1]) if len(parts) > 1 else ""


_COMMON: Final[list[Piece]] = [
    Field(name="remote_IP_address", pattern=rb"[^\s\[\]]+", means="client", convert=_name),
    b" - ",
    Field(name="client_user_name", wide=b".", means="user", convert=_name),
    b" [",
    Field(name="timestamp", pattern=rb"[^\]]{26}", means="time", convert=Times("clf").at_bytes),
    b'] "',
    Field(name="request", pattern=b'[^"]*', means="url", convert=_url),
    b'" ',
    Field(name="HTTP_status", pattern=rb"\d{1,3}|-", means="status"),
    b" ",
    Field(name="content-length", pattern=rb"\d+|-", means="bytes_down"),
    b' "',
    Field(name="referrer, agent, count, router, server", pattern=b".*"),
    b'" ',
    Field(name="duration", pattern=rb"\d+"),
    b"ms",
]


def traefik(declared: Declared) -> Format:
    made = jsonlogs.traefik(declared)
    common = Compiled(_COMMON, "Traefik's default log")

    def read_line(line: bytes) -> Line:
        return made.read_line(line) if line.lstrip()[:1] == b"{" else common.read_line(line)

    return Format(declared, read_line, made.means, (*made.notes, _BODIES), takes_times=True)
