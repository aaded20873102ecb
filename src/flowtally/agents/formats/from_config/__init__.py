"""The log formats that a server's configuration declares, and which log is written in which. See README.md."""

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
