"""Caddy's JSON access log."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe

LOG: Final = "/var/log/caddy/flowtally.log"

CADDY: Final = Recipe(
    name="caddy",
    title="Caddy",
    place="/etc/caddy/Caddyfile, inside each site that is metered",
    lines=f"""\
log {{
    output file {LOG} {{
        mode 0640
        roll_size 100MiB
        roll_keep 14
    }}
    format json
}}
""",
    entry={
        "name": "caddy",
        "path": LOG,
        "rotated": ["/var/log/caddy/flowtally-*.log*"],
        "format": "caddy",
        "skip-status": [401],
    },
    counts="bodies only, in both directions. A line comes when a request has ended.",
    cannot=(
        "Bytes of heads, and of a WebSocket or another upgraded connection: Caddy does not count them.",
        "Caddy rotates its log itself: no logrotate. It has no signal to open the file again.",
        "mode 0640 (Caddy 2.8.5): otherwise nobody but Caddy may read the log.",
    ),
)
