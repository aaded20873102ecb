"""HAProxy, by the journal (exact) or by syslog over TCP (best effort)."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe

FORMAT: Final = "%Ts.%ms %Tt %ci:%cp %ft %rt %ts %ST %U %B %{+Q,+E}[var(txn.user)] %{+Q}r"
_COUNTS: Final = (
    "bodies exactly, heads as HAProxy keeps them: of HTTP/1 each head is 15 bytes longer than on the wire, less 4 for"
    " each of its fields. In mode tcp it is the bytes on the wire. A line comes when a request has ended, and is dated"
    " when it began."
)
_CANNOT: Final = (
    "Of a tunnel or a long answer nothing is known before it ends.",
    "The user is the one that http_auth proved, or what else you set txn.user to; never a header a client can send.",
)
_FRONTEND: Final = f"""\
    # in the frontend, after the rule that checks who it is:
    http-request set-var(txn.user) http_auth_user
    log-format '{FORMAT}'
"""

HAPROXY: Final = Recipe(
    name="haproxy",
    title="HAProxy, through journald",
    place="/etc/haproxy/haproxy.cfg",
    lines=f"""\
    # in global, and `log global` in defaults: one line may have 8 kB, else a long URL is cut in the middle
    log /dev/log len 8192 local0 info

{_FRONTEND}
# journald leaves lines out above 10,000 in 30 s of a service: systemctl edit haproxy, and write
#   [Service]
#   LogRateLimitIntervalSec=0
""",
    table="journal",
    entry={
        "name": "haproxy",
        "unit": "haproxy.service",
        "match": ["PRIORITY=6"],
        "haproxy-log-format": FORMAT,
        "skip-status": [401, 407],
    },
    counts=_COUNTS,
    cannot=_CANNOT,
)
HAPROXY_SYSLOG: Final = Recipe(
    name="haproxy-syslog",
    title="HAProxy, by syslog over TCP",
    place="/etc/haproxy/haproxy.cfg",
    lines=f"""\
# a section of its own: keeps up to `size` bytes of lines while the agent is away; then the oldest are lost
ring flowtally
    format rfc5424
    maxlen 8192
    size 33554432
    timeout connect 5s
    timeout server 10s
    server agent 127.0.0.1:6514 log-proto octet-count

    # in global, and `log global` in defaults:
    log ring@flowtally len 8192 format rfc5424 local0 info

{_FRONTEND}""",
    table="syslog",
    entry={
        "name": "haproxy-syslog",
        "listen": "127.0.0.1:6514",
        "haproxy-log-format": FORMAT,
        "envelope": "syslog",
        "skip-status": [401, 407],
    },
    counts=_COUNTS,
    cannot=(
        *_CANNOT,
        "Syslog has no acknowledgement: lines on their way are lost when either side ends. The journal loses none.",
    ),
)
