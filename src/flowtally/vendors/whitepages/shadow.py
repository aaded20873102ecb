"""How a call of our dialect is asked of Whitepages itself, and what of its answers is compared. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowtally.core.times import DAY_S
from flowtally.providers.puller import Denied, Limited, VendorAnswer
from flowtally.providers.shadow import Shadow, Shown
from flowtally.vendors.whitepages.pull import USAGE
from flowtally.vendors.whitepages.wire import LIMIT_EXCEEDED, TOO_MANY, decode_fault


def show(path: str, secrets: Mapping[str, str]) -> Shown:
    """One header."""
    return Shown(headers={"X-Api-Key": secrets["key"]})


def refused(answer: VendorAnswer) -> Exception | None:
    """The limit of a month is said with the status of a wrong key."""
    if not 400 <= answer.status < 500:
        return None
    message = decode_fault(answer.body).message.strip().casefold()
    if message == LIMIT_EXCEEDED.casefold():
        return Limited(f"HTTP {answer.status}: {LIMIT_EXCEEDED}", DAY_S)
    if message == TOO_MANY.casefold():
        return Limited(f"HTTP {answer.status}: {TOO_MANY}")
    return Denied(f"HTTP {answer.status}") if answer.status in {401, 403} else None


SHADOW: Final = Shadow(
    vendor="whitepages",
    routes={USAGE.rstrip("/"): USAGE},
    show=show,
    refusal=refused,
    keys=("date",),
    volatile=frozenset({"wp_trace_id"}),
)
