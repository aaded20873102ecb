"""nginx: HTTP in both directions, and its TCP and UDP proxy (`stream`)."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe, rotation

FORMAT: Final = (
    '$msec $connection $connection_requests $remote_addr $status $request_length $bytes_sent "$remote_user" "$request"'
)
STREAM_FORMAT: Final = "$msec $connection $remote_addr $protocol $status $bytes_received $bytes_sent $session_time"
LOG: Final = "/var/log/nginx/flowtally.log"
STREAM_LOG: Final = "/var/log/nginx/flowtally-stream.log"
_ROTATE: Final = "test ! -e /run/nginx.pid || kill -USR1 $(cat /run/nginx.pid)"

NGINX: Final = Recipe(
    name="nginx",
    title="nginx (HTTP)",
    place="/etc/nginx/conf.d/flowtally.conf, which is inside http { }",
    lines=f"""\
log_format flowtally '{FORMAT}';
access_log {LOG} flowtally;
""",
    entry={"name": "nginx", "path": LOG, "nginx-log-format": FORMAT, "skip-status": [401]},
    rotate=rotation(LOG, "0640 www-data adm", _ROTATE),
    counts="bytes on the wire in both directions, heads included, without TLS. A line comes when a request has ended.",
    cannot=(
        "A server or location with an access_log of its own needs this one, too: only where there is none it is"
        " inherited.",
        "401 lines are left out: they carry a name that was claimed, not proved.",
        "Without buffer=: lines in a buffer are lost when nginx is killed.",
    ),
)
NGINX_STREAM: Final = Recipe(
    name="nginx-stream",
    title="nginx (TCP and UDP)",
    place="/etc/nginx/nginx.conf, inside stream { }",
    lines=f"""\
log_format flowtally '{STREAM_FORMAT}';
access_log {STREAM_LOG} flowtally;
""",
    entry={"name": "nginx-stream", "path": STREAM_LOG, "nginx-log-format": STREAM_FORMAT, "user-from": "client"},
    rotate=rotation(STREAM_LOG, "0640 www-data adm", _ROTATE),
    counts="bytes of both directions, without TLS. A line comes when a connection has ended.",
    cannot=("No user: usage is counted by the client's address.", "Of an open connection nothing is known."),
)
