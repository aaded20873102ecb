"""Thordata's own clients: which of them asks, and what each reads otherwise than Thordata's pages say it. Pure.

Owns what they call themselves (`User-Agent: thordata-python-sdk/1.8.4 python/3.11.7 (...)`) and how they differ, as
their source has it: Python 1.8.5 (requests and aiohttp), JavaScript 1.4.0, Java 1.2.0. Their Go client never asks for
what differs. Leaves to the settings whether that counts, and to the routes what is shown.
"""

from __future__ import annotations

import re
from typing import Final, Literal, cast

from flowtally.vendors.base import Asked

OwnClient = Literal["python", "js", "java"]

_AGENT: Final = re.compile(r"thordata-(python|js|java)-sdk/")

# Who reads `data` of ip-list as an array. All three take texts; Java takes nothing else, though it fails only where an
# address is used.
READS_ARRAY: Final[frozenset[OwnClient | None]] = frozenset({"python", "js", "java"})
# Whose `usage_gb()` divides `usage_traffic` of user-list by 1024 * 1024: it is in KB there.
COUNTS_KB: Final[frozenset[OwnClient | None]] = frozenset({"python"})

# Who reads the servers of get_unlimited_servers_bind_user inside an object, as `list`, and an array as nothing.
READS_LIST: Final[frozenset[OwnClient | None]] = frozenset({"python"})


def client_of(asked: Asked) -> OwnClient | None:
    """Which of their clients says that it asks; None for any other."""
    found = _AGENT.match(asked.headers.get("user-agent", ""))
    return None if found is None else cast(OwnClient, found[1])
