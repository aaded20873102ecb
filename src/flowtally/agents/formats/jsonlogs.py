"""JSON access logs known by name: Caddy's, Traefik's, Envoy's and nginx's with its variables' own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.formats.envoy import ends, peer
from flowtally.agents.formats.members import Member, Members, Object
from flowtally.agents.formats.strictjson import bytes_in
from flowtally.agents.formats.times import Times

_BODIES: Final = "sizes are of bodies: heads, TLS and what a tunnel carried are not in them"

# https://caddyserver.com/docs/caddyfile/directives/log; `ts` is whatever time_format says
CADDY: Final = {
    "time": Member(("ts",), needed=True),
    "bytes_up": Member(("bytes_read",), needed=True),
    "bytes_down": Member(("size",), needed=True),
    "status": Member(("status",)),
    "user": Member(("user_id",)),
    "client": Member(("request.client_ip", "request.remote_ip")),
    "url": Member(("request.uri",)),
}
# https://doc.traefik.io/traefik/observe/logs-and-access-logs: accessLog.format json; StartUTC has nanoseconds
TRAEFIK: Final = {
    "time": Member(("StartUTC", "time"), needed=True),
    "bytes_up": Member(("RequestContentSize",), needed=True),
    "bytes_down": Member(("DownstreamContentSize",), needed=True),
    "status": Member(("DownstreamStatus",)),
    "user": Member(("ClientUsername",)),
    "client": Member(("ClientHost",)),
    "url": Member(("RequestPath",)),
}
# A log_format with escape=json whose members are called as nginx's variables
NGINX: Final = {
    "time": Member(("msec", "time_iso8601", "time_local"), needed=True),
    "bytes_up": Member(("request_length", "bytes_received")),
    "bytes_down": Member(("bytes_sent", "body_bytes_sent"), needed=True),
    "status": Member(("status",)),
    "user": Member(("remote_user",)),
    "client": Member(("remote_addr",)),
    "url": Member(("request_uri", "uri")),
}


# json_format with the operators' names in lower case, as Envoy's and Istio's examples have them
ENVOY: Final = {
    "time": Member(("start_time",), needed=True),
    "bytes_up": Member(("downstream_wire_bytes_received", "bytes_received"), needed=True),
    "bytes_down": Member(("downstream_wire_bytes_sent", "bytes_sent"), needed=True),
    "status": Member(("response_code",)),
    "user": Member(("user",)),
    "client": Member(
        ("downstream_remote_address_without_port", "downstream_remote_address"),
        convert=lambda text: peer(bytes_in(text)),
    ),
    "url": Member(("path",)),
}


def caddy(declared: Declared) -> Format:
    return _named(declared, CADDY, (_BODIES,), _is_of_another_logger)


def traefik(declared: Declared) -> Format:
    return _named(declared, TRAEFIK, (_BODIES,))


def nginx(declared: Declared) -> Format:
    notes = (
        "bytes up only where the log has request_length",
        "body_bytes_sent, where there is no bytes_sent, is bodies",
    )
    return _named(declared, NGINX, notes)


def envoy(declared: Declared) -> Format:
    note = "bytes_received and bytes_sent are of bodies: log downstream_wire_bytes_received and _sent"
    return _named(declared, ENVOY, (note,), lambda line: not ends(str(line.get("access_log_type", "-"))))


_CADDYS: Final = "http.log.access"


def _is_of_another_logger(line: Object) -> bool:
    """What Caddy says beside its access log. JSON of another program is none of it, and is not left out in silence."""
    if not {"level", "ts", "msg"} <= line.keys():
        return False
    if logger := line.get("logger"):
        return not str(logger).startswith(_CADDYS)
    return "bytes_read" not in line and "size" not in line


def _named(
    declared: Declared,
    members: Mapping[str, Member],
    notes: tuple[str, ...],
    passes: Callable[[Object], bool] | None = None,
) -> Format:
    times = Times(declared.time_format, declared.zone)
    reader = Members(members, times, needs_time=not declared.envelope, passes=passes)
    return Format(declared, reader.read_line, reader.means, notes, takes_times=True)
