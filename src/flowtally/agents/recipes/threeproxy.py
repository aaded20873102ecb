"""3proxy's log in its own format. Not one of the programs the tests drive."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe

LOG: Final = "/var/log/3proxy/flowtally.log"
FORMAT: Final = "G%d-%m-%Y %H:%M:%S.%. %N.%p %E %U %C:%c %R:%r %O %I %h %T"  # G: the time is UTC

THREEPROXY: Final = Recipe(
    name="3proxy",
    title="3proxy",
    place="/etc/3proxy/3proxy.cfg",
    lines=f"""\
log {LOG} D
logformat "{FORMAT}"
logdump 10485760 10485760
""",
    entry={"name": "3proxy", "path": LOG + "*", "format": "3proxy", "zone": "UTC"},
    counts="bytes of both directions. A line comes when a connection has ended and, with logdump, each time so many"
    " bytes were moved; it then counts anew, so the lines add up.",
    cannot=(
        "3proxy rotates its log itself (`D`: each day, the date in the name): no logrotate.",
        "This recipe follows 3proxy's documentation; it was not tried with the program.",
    ),
)
