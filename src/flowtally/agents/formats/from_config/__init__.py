"""The log formats that a server's configuration declares, and which log is written in which. One file a server; pure.

`read` of each takes the text and a function that gives the texts of included files, and gives `Formats`, or None where
the text is no configuration of that server. Who opens files is `agents.format_from`.
"""

from __future__ import annotations

from flowtally.agents.formats.from_config import apache, envoy, haproxy, nginx, squid
from flowtally.agents.formats.from_config.found import Formats, Include

SERVERS = {
    "squid": squid.read,
    "nginx": nginx.read,
    "Apache": apache.read,
    "HAProxy": haproxy.read,
    "Envoy": envoy.read,
}

__all__ = ["SERVERS", "Formats", "Include"]
