"""Traefik's JSON access log."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe, rotation

LOG: Final = "/var/log/traefik/flowtally.log"

TRAEFIK: Final = Recipe(
    name="traefik",
    title="Traefik",
    place="its static configuration (traefik.yml)",
    lines=f"""\
accessLog:
  filePath: {LOG}
  format: json
""",
    entry={"name": "traefik", "path": LOG, "format": "traefik", "skip-status": [401]},
    rotate=rotation(LOG, "0640 root adm", "pkill -USR1 -x traefik || true"),
    counts="bodies only, in both directions. A line comes when a request has ended.",
    cannot=(
        "Bytes of heads, and of a WebSocket or a TCP router: Traefik does not count them.",
        "Without bufferingSize: lines in a buffer are lost when Traefik is killed.",
        "401 lines are left out: they carry a name that was claimed, not proved.",
    ),
)
