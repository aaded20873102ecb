"""Where something listens, as the configuration writes it."""

from __future__ import annotations

import re
from typing import Final

from flowtally.core.errors import ConfigError

_ADDRESS: Final = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):(\d{1,5})")


def address_of(text: str, what: str) -> tuple[str, int]:
    """`127.0.0.1:9100` or `[::1]:9100`; ConfigError otherwise."""
    found = _ADDRESS.fullmatch(text)
    if found is None or int(found[3]) > 65535:
        raise ConfigError(f"{what} {text!r}: an address and a port, as 127.0.0.1:9100 or [::1]:9100")
    return found[1] or found[2], int(found[3])
