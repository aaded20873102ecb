"""Apache httpd, with mod_logio (built in on Debian)."""

from __future__ import annotations

from typing import Final

from flowtally.agents.recipes.recipe import Recipe, rotation

FORMAT: Final = r'%{end:usec}t %a %{remote}p %k %>s %I %O "%u" "%r"'
LOG: Final = "/var/log/apache2/flowtally.log"
_QUOTED: Final = FORMAT.replace('"', r"\"")

APACHE: Final = Recipe(
    name="apache",
    title="Apache httpd",
    place="/etc/apache2/conf-available/flowtally.conf, then: a2enconf flowtally",
    lines=f"""\
# %I and %O (mod_logio): bytes received and sent, heads and TLS included. GlobalLog (2.4.19) is for all virtual hosts,
# those with a CustomLog of their own, too.
LogFormat "{_QUOTED}" flowtally
GlobalLog {LOG} flowtally
""",
    entry={"name": "apache", "path": LOG, "apache-log-format": FORMAT, "skip-status": [401, 407]},
    rotate=rotation(LOG, "0640 root adm", "test ! -e /run/apache2/apache2.pid || apachectl graceful"),
    counts="bytes on the wire in both directions, heads included. A line comes when a request has ended.",
    cannot=(
        "401 and 407 lines are left out: they carry a name that was claimed, not proved.",
        "Without BufferedLogs: lines in a buffer are lost when Apache is killed.",
    ),
)
