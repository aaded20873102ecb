"""Envoy's JSON access log."""

from __future__ import annotations

import json
from typing import Any, Final

from flowtally.agents.recipes.recipe import Recipe, rotation

LOG: Final = "/var/log/envoy/flowtally.log"
MEMBERS: Final = {  # what the agent reads it as: how Envoy is asked for it
    "time": "%EMIT_TIME(%s.%3f)%",
    "id": "%STREAM_ID%",
    "client": "%DOWNSTREAM_REMOTE_ADDRESS_WITHOUT_PORT%",
    "user": "%REQ(X-USER)%",
    "bytes_up": "%DOWNSTREAM_WIRE_BYTES_RECEIVED%",
    "bytes_down": "%DOWNSTREAM_WIRE_BYTES_SENT%",
    "status": "%RESPONSE_CODE%",
    "url": "%REQ(:PATH)%",
}
ACCESS_LOG: Final[dict[str, Any]] = {
    "name": "envoy.access_loggers.file",
    "filter": {"log_type_filter": {"types": ["DownstreamEnd", "TcpConnectionEnd"]}},
    "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.access_loggers.file.v3.FileAccessLog",
        "path": LOG,
        "log_format": {"json_format": MEMBERS},
    },
}

ENVOY: Final = Recipe(
    name="envoy",
    title="Envoy",
    place="access_log of the HTTP connection manager, or of the TCP proxy (JSON is YAML, too)",
    lines="access_log:\n- " + json.dumps(ACCESS_LOG, indent=2).replace("\n", "\n  ") + "\n",
    entry={
        "name": "envoy",
        "path": LOG,
        "json-fields": ",".join(f"{name}={name}" for name in MEMBERS),
        "skip-status": [401],
    },
    rotate=rotation(LOG, "0640 envoy adm", "pkill -USR1 -x envoy || true"),
    counts="bytes on the wire in both directions, heads included, without TLS. A line comes when a request has ended.",
    cannot=(
        "The user is the header x-user: what sets it must be a filter of yours that overwrites what a client sent, as"
        " basic_auth with forward_username_header does. 401 lines are left out: no filter has checked it there.",
        "Lines of access_log_flush_interval count from the beginning each time; the filter leaves them out.",
        "Lines come up to 10 s late: start Envoy with --file-flush-interval-msec 500.",
        "EMIT_TIME needs Envoy 1.31; before, take START_TIME, which is when a request began.",
    ),
)
