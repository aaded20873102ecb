"""How a call of our dialect is asked of IPFoxy itself, and what of its answers is compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from flowtally.providers.puller import ChangedShape, Declined, Denied, VendorAnswer
from flowtally.providers.reading import told
from flowtally.providers.shadow import Shadow, Shown
from flowtally.vendors.ipfoxy.service import ACCOUNTS, FLOW, HISTORY, MAX_SAID, MONEY, PACKAGE, USE, refusal
from flowtally.vendors.ipfoxy.wire import OK, PATH

READS: Final = (MONEY, PACKAGE, HISTORY, ACCOUNTS, FLOW, USE)


def show(path: str, secrets: Mapping[str, str]) -> Shown:
    """Two headers, whatever is asked."""
    return Shown(headers={"api-id": secrets["api_id"], "api-token": secrets["api_token"]})


def refused(answer: VendorAnswer) -> Exception | None:
    """What it declines for the question alone is an answer to it."""
    if answer.status in {401, 403}:
        return Denied(f"HTTP {answer.status}")
    with suppress(ChangedShape):
        body = told(answer)
        code = body.member("code").whole()
        error = None if code == OK else refusal("", code, str(body.value.get("msg") or "")[:MAX_SAID])
        return None if isinstance(error, Declined) else error
    return None


SHADOW: Final = Shadow(
    vendor="ipfoxy",
    routes={f"{PATH}{name}": f"/{name}" for name in READS},
    show=show,
    refusal=refused,
    keys=("date", "timestamp", "account"),
    volatile=frozenset({"msg", "query_time"}),
)
