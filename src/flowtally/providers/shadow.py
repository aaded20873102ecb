"""What a shadow is: how a call of a vendor's dialect is asked of the vendor itself, declared as values.

    SHADOW = Shadow(vendor="thordata", routes={"/api/account/traffic-balance": "/account/traffic-balance"}, ...)

Owns nothing that travels. Only what the vendor's documents list as reads is in `routes`: nothing else is ever sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import msgspec

from flowtally.providers.puller import VendorAnswer


class Shown(msgspec.Struct, frozen=True):
    """What a call shows of the provider's secrets, as this vendor wants it."""

    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}


class Shadow(msgspec.Struct, frozen=True):
    """One vendor's.

    routes: Paths of the dialect, each with that of the vendor under its own address. All of them are GETs that read.
    show: Of a path of the vendor and the secrets of a provider.
    refusal: Denied, Limited or Failed where an answer says so, whatever its status: it is then none to compare.
    keys: Members that name a row of a list.
    volatile: Members that are never the same, or only words for people.
    secret: Members that nobody keeps: passwords.
    """

    vendor: str
    routes: Mapping[str, str]
    show: Callable[[str, Mapping[str, str]], Shown]
    refusal: Callable[[VendorAnswer], Exception | None]
    keys: tuple[str, ...]
    volatile: frozenset[str] = frozenset()
    secret: frozenset[str] = frozenset({"password"})
