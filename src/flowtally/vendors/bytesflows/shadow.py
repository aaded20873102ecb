"""How a call of our dialect is asked of BytesFlows itself, and what of its answers is compared. Pure.

A grant there and the one given here for it have ids of their own: their order is what they share.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from typing import Final

from flowtally.providers.puller import ChangedShape, Denied, Failed, Limited, VendorAnswer
from flowtally.providers.reading import told
from flowtally.providers.shadow import Shadow, Shown
from flowtally.vendors.bytesflows.pull import RECORDS
from flowtally.vendors.bytesflows.wire import ASSET, FAULT, OK, THROTTLED


def show(path: str, secrets: Mapping[str, str]) -> Shown:
    """The token; for the balances the cookie instead, where there is one."""
    cookie = secrets.get("cookie", "") if path == ASSET else ""
    return Shown(headers={"Cookie": cookie} if cookie else {"Authorization": f"Bearer {secrets['token']}"})


def refused(answer: VendorAnswer) -> Exception | None:
    """What is wrong may be said by HTTP or in the envelope."""
    code = answer.status
    if 200 <= code < 300:
        with suppress(ChangedShape):
            said = told(answer).member("code").whole(least=None)
            code = code if said == OK else said
    if code in {401, 403}:
        return Denied(f"code {code}")
    if code == THROTTLED:
        return Limited(f"code {code}")
    return Failed(f"code {code}") if code >= FAULT else None


SHADOW: Final = Shadow(
    vendor="bytesflows",
    routes={path: path for path in (ASSET, RECORDS)},
    show=show,
    refusal=refused,
    keys=("orderId",),
    volatile=frozenset({"msg", "id"}),
)
