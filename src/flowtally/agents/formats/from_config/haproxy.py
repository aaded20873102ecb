"""haproxy.cfg: its sections' `log-format`, `option httplog`, `option tcplog`; where the lines go, syslog decides."""

from __future__ import annotations

import re

from flowtally.agents.formats.from_config.found import Formats, Include
from flowtally.agents.formats.hapconfig import formats_in


def read(text: str, include: Include) -> Formats | None:
    if not re.search(r"^\s*(?:frontend|listen|defaults|global|backend)\b", text, re.MULTILINE):
        return None
    return Formats(formats_in(text)) if formats_in(text) else None
