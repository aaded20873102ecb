"""How a call of our dialect is asked of IPFoxy itself, and what of its answers is compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowtally.providers.shadow import Shadow, Shown, by_code
from flowtally.vendors.ipfoxy.service import ACCOUNTS, FLOW, HISTORY, MAX_SAID, MONEY, PACKAGE, USE, refusal
from flowtally.vendors.ipfoxy.wire import OK, PATH

READS: Final = (MONEY, PACKAGE, HISTORY, ACCOUNTS, FLOW, USE)


def show(path: str, secrets: Mapping[str, str]) -> Shown:
    """Two headers, whatever is asked."""
    return Shown(headers={"api-id": secrets["api_id"], "api-token": secrets["api_token"]})


SHADOW: Final = Shadow(
    vendor="ipfoxy",
    routes={f"{PATH}{name}": f"/{name}" for name in READS},
    show=show,
    refusal=by_code(OK, refusal, MAX_SAID),
    keys=("date", "timestamp", "account"),
    volatile=frozenset({"msg", "query_time"}),
)
