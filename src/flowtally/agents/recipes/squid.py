"""Squid: both directions as its clients' connections saw them, tunnels included."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe, rotation

FORMAT: Final = "%ts.%03tu %6tr %>a:%>p %Ss/%03>Hs %>st %<st %#un %rm %ru"
LOG: Final = "/var/log/squid/flowtally.log"

SQUID: Final = Recipe(
    name="squid",
    title="Squid",
    place="/etc/squid/conf.d/flowtally.conf",
    lines=f"""\
# %>st and %<st: bytes from and to the client, heads and tunnels included. %#un: the user, percent-encoded, so that a
# name with a blank in it is one field. stdio writes each line itself; daemon may leave lines out when it is too slow.
logformat flowtally {FORMAT}
access_log stdio:{LOG} logformat=flowtally
""",
    entry={"name": "squid", "path": LOG, "squid-logformat": FORMAT, "skip-status": [407]},
    rotate=rotation(LOG, "0640 proxy proxy", "test ! -e /run/squid.pid || /usr/sbin/squid -k rotate"),
    counts="bytes on the wire in both directions, heads and tunnels (CONNECT) included. A line comes when a request or"
    " tunnel has ended, and is dated then.",
    cannot=(
        "Of a tunnel that is open nothing is known before it ends.",
        "407 lines are left out: they carry a name that was claimed, not proved.",
        "logfile_rotate must be 0 where logrotate renames the log (Debian's default).",
    ),
)
