"""nginx's `log_format` strings, compiled, of http and of stream. Source: nginx's documentation of variables.

Every variable is escaped as the format says (`escape=default|json|none`); one that has no value is `-`, or nothing at
all with `json` and `none`. `$bytes_sent` and `$request_length` are all bytes, with headers, and outrank
`$body_bytes_sent`. A variable that is not known here (of another module, of `map` or `set`) is passed over as a text.
"""

from __future__ import annotations

import re
from typing import Final

from flowtally.agents.formats import clock
from flowtally.agents.formats.compiled import Field, Means, Piece
from flowtally.agents.formats.escapes import NGINX, NGINX_JSON, RAW, Escape
from flowtally.agents.formats.fields import addresses, client, first_address, name_of, opaque, request_url, text
from flowtally.core.errors import ConfigError

_VARIABLE: Final = re.compile(r"\$(?:\{(\w+)\}|(\w+))", re.ASCII)
_ESCAPES: Final = {"default": NGINX, "json": NGINX_JSON, "none": RAW}
_NUMBER: Final = rb"-|\d+"
_QUANTITIES: Final[dict[str, tuple[Means, int]]] = {
    "bytes_sent": ("bytes_down", 1), "body_bytes_sent": ("bytes_down", 0), "request_length": ("bytes_up", 1),
    "bytes_received": ("bytes_up", 1),
}  # fmt: skip
_SECONDS: Final = rb"-|\d+\.\d{3}"
_OPAQUE: Final = {
    **dict.fromkeys(("connection", "connection_requests", "pid", "content_length"), _NUMBER),
    **dict.fromkeys(("connection_time", "request_time", "session_time"), _SECONDS),
    **dict.fromkeys(("server_port", "remote_port", "realip_remote_port"), rb"-|\d*"),
    **dict.fromkeys(("server_addr", "realip_remote_addr", "server_protocol", "request_method", "hostname"), rb"\S+"),
    "pipe": rb"[p.]",
    "protocol": rb"TCP|UDP",
    "request_id": rb"[0-9a-f]{32}",
    "scheme": rb"https?",
}
# Variables whose values are texts. Any other may be of `map`, `set`, `geo` or another module.
_TEXTS: Final = (
    "args", "content_type", "document_root", "host", "http2", "http3", "https", "is_args", "limit_rate",
    "nginx_version", "query_string", "realpath_root", "request_body", "request_body_file", "request_completion",
    "request_filename", "server_name", "tcpinfo_rtt", "tcpinfo_rttvar", "tcpinfo_snd_cwnd", "tcpinfo_rcv_space",
    "gzip_ratio", "remote_user", "request", "request_uri", "uri", "document_uri",
)  # fmt: skip
_FAMILIES: Final = (
    "arg_", "cookie_", "http_", "sent_http_", "sent_trailer_", "upstream_", "ssl_", "proxy_", "fastcgi_", "geoip_",
)  # fmt: skip
_SCALARS: Final = ("msec", "time_local", "time_iso8601", "status", "remote_addr")
_URLS: Final = {"request_uri": 2, "uri": 0, "document_uri": 0}


def pieces(format_string: str, escape: str = "default") -> list[Piece]:
    """`format_string` is the text between the quotes. Raises ConfigError for one that is not nginx's."""
    if escape not in _ESCAPES:
        raise ConfigError(f"escape={escape}: nginx knows {', '.join(_ESCAPES)}")
    made: list[Piece] = []
    place = 0
    for match in _VARIABLE.finditer(format_string):
        if match.start() > place:
            made.append(format_string[place : match.start()].encode())
        made.append(_field(match[1] or match[2], match[0], _ESCAPES[escape]))
        place = match.end()
    if "$" in _VARIABLE.sub("", format_string):
        raise ConfigError(f"a $ without the name of a variable in {format_string!r}")
    if place < len(format_string):
        made.append(format_string[place:].encode())
    return made


def is_unknown(spelled: str) -> bool:
    """Whether this is a variable whose looks are not known here."""
    match = _VARIABLE.fullmatch(spelled)
    name = (match[1] or match[2]) if match else ""
    known = name in _QUANTITIES or name in _OPAQUE or name in _TEXTS or name in _SCALARS
    return bool(name) and not known and not name.startswith(_FAMILIES)


def _field(name: str, spelled: str, escape: Escape) -> Field:
    if name in _QUANTITIES:
        means, rank = _QUANTITIES[name]
        return Field(name=spelled, pattern=_NUMBER, means=means, rank=rank)
    if name == "msec":
        return clock.seconds_field(spelled, rb"\.\d{3}", rank=10)
    if name == "time_local":
        return clock.clf_field(spelled)
    if name == "time_iso8601":
        return clock.iso_field(spelled)
    if name == "status":
        return Field(name=spelled, pattern=rb"\d{3}", means="status")
    if name == "remote_addr":
        return client(spelled, RAW, rank=1)
    return _text(name, spelled, escape)


def _text(name: str, spelled: str, escape: Escape) -> Field:
    if name == "remote_user":
        nobody = (b"-", b"") if escape is NGINX else (b"",)
        return text(spelled, escape, means="user", convert=name_of(escape, *nobody))
    if name == "request":
        return text(spelled, escape, means="url", convert=request_url(escape), rank=1)
    if name in _URLS:
        return text(spelled, escape, means="url", rank=_URLS[name])
    if name == "http_x_forwarded_for":
        return addresses(spelled, first_address(escape))
    if name in _OPAQUE:
        return opaque(spelled, _OPAQUE[name])
    return text(spelled, escape)
