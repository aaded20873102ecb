"""How a call of our dialect is asked of Thordata itself, and what of its answers is compared. Pure.

Left out: vouchers (CDKs). Their codes are worth money, so no answer that has them is asked for or kept. And what is
asked in another manner: the links that extract endpoints, which choose others each time, and the first generation.
Locations are the operator's own offer.
Left out: vouchers (CDKs). Their codes are worth money, so no answer that has them is asked for or kept. And monitors of
servers, which are named by ids of ours.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowtally.providers.shadow import Shadow, Shown, by_code
from flowtally.vendors.thordata.service import (
    ACCOUNT_DAYS,
    BALANCE,
    MAX_SAID,
    USER_DAYS,
    USER_HOURS,
    USERS,
    WALLET,
    refusal,
)
from flowtally.vendors.thordata.wire import OK

ADDRESSES: Final = "/whitelisted-ips/ip-list"
LEASED: Final = ("/proxy/proxy-list", "/proxy/expiration-time", "/unlimited/server-list")
READS: Final = (BALANCE, WALLET, ACCOUNT_DAYS, USERS, USER_DAYS, USER_HOURS, ADDRESSES, *LEASED)


def show(path: str, secrets: Mapping[str, str]) -> Shown:
    """In the query; the key where there is one."""
    return Shown(query=tuple((name, secrets[name]) for name in ("token", "key") if secrets.get(name)))


SHADOW: Final = Shadow(
    vendor="thordata",
    routes={f"/api{path}": path for path in READS},
    show=show,
    refusal=by_code(OK, refusal, MAX_SAID),
    keys=("date", "username", "ip", "plan_name"),
    volatile=frozenset({"msg"}),
)
