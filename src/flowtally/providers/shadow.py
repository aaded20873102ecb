"""What a shadow is: how a call of a vendor's dialect is asked of the vendor itself, declared as values.

    SHADOW = Shadow(vendor="thordata", routes={"/api/account/traffic-balance": "/account/traffic-balance"}, ...)

Owns nothing that travels. Only what the vendor's documents list as reads is in `routes`: nothing else is ever sent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress

import msgspec

from flowtally.core.unshown import repr_without
from flowtally.providers.puller import ChangedShape, Declined, Denied, VendorAnswer
from flowtally.providers.reading import told


class Shown(msgspec.Struct, frozen=True):
    """What a call shows of the provider's secrets, as this vendor wants it."""

    query: tuple[tuple[str, str], ...] = ()
    headers: Mapping[str, str] = {}

    def __repr__(self) -> str:
        return repr_without(self, "query", "headers")


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


def by_code(
    ok: int, refusal: Callable[[str, int, str], Exception], most: int
) -> Callable[[VendorAnswer], Exception | None]:
    """The `refusal` of a vendor that says what is wrong in a member `code`, whatever the status: `refusal` makes an
    error of a code and of at most so many characters of `msg`. What it declines for the question alone is an answer to
    it."""

    def refused(answer: VendorAnswer) -> Exception | None:
        if answer.status in {401, 403}:
            return Denied(f"HTTP {answer.status}")
        with suppress(ChangedShape):
            body = told(answer)
            code = body.member("code").whole()
            error = None if code == ok else refusal("", code, answer.shown(str(body.value.get("msg") or ""), most))
            return None if isinstance(error, Declined) else error
        return None

    return refused
