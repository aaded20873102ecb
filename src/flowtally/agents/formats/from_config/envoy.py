"""Envoy's configuration, as YAML or JSON: each access log by the path that it is written to."""

from __future__ import annotations

import re

from flowtally.agents.formats.envoyconfig import formats_in
from flowtally.agents.formats.from_config.found import Formats, Include


def read(text: str, include: Include) -> Formats | None:
    if not re.search(r"\b(?:access_log|envoy\.[a-z_.]+)\b", text):
        return None
    found = formats_in(text)
    return Formats(found, [(path, path) for path in found]) if found else None
