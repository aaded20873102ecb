"""Where messages may go: addresses of the whole internet, by https; and what the operator opens to itself.

Customers type these URLs, and this server is inside somebody's network. Owns what a URL may be and which addresses a
connection may have. A name is looked up at every attempt, none of its addresses may be off limits, and the one that was
judged is the one that is connected to (`providers.connecting`).
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Network, IPv6Network, ip_address, ip_network
from typing import Final
from urllib.parse import urlsplit

import httpx

from flowtally.core.errors import Unprocessable
from flowtally.providers.connecting import Connecting, LookUp, OffLimits, Place, Waiting, is_public, look_up

Network = IPv4Network | IPv6Network

LEAST_PORT: Final = 1024  # besides 443: what listens below is no web server that a customer runs
# Beside what is not public: translators whose prefix is local (RFC 8215), what is thrown away (RFC 6666), protocols and
# tunnels (RFC 2928, RFC 3056). Some versions of the standard library call them global.
_CLOSED: Final = tuple(map(ip_network, ("64:ff9b:1::/48", "100::/64", "2001::/23", "2002::/16", "::/96")))


def check_url(url: str, *, whole: bool) -> str:
    """A URL to which messages may go. `whole`: the operator's own, which may be http where its addresses are opened.
    Unprocessable, without what may be secret in it."""
    try:
        found, parts = httpx.URL(url), urlsplit(url)
        port = parts.port
    except (httpx.InvalidURL, ValueError, TypeError, UnicodeError):
        raise _wrong("it cannot be read") from None
    if found.scheme != "https" and not (whole and found.scheme == "http"):
        raise _wrong("it must begin with https://")
    if not found.host or found.host != found.host.strip() or "%" in found.host:
        raise _wrong("it has no host")
    if found.userinfo or "@" in parts.netloc:
        raise _wrong("it must not have a user or a password")
    if found.fragment or "#" in url or not url.isprintable() or " " in url or "\\" in url:
        raise _wrong("it must not have a fragment, a blank or a backslash")
    if not whole and port not in (None, 443) and (port is None or port < LEAST_PORT):
        raise _wrong(f"its port must be 443, or {LEAST_PORT} and more")
    return url


def may_be_reached(address: str, opened: Sequence[Network] = ()) -> bool:
    """Whether it is of the whole internet, or in one of these networks.

    >>> may_be_reached("64:ff9b:1::1")
    False
    """
    one = ip_address(address.partition("%")[0])
    if any(one.version == network.version and one in network for network in opened):
        return True
    return is_public(address) and not any(one.version == closed.version and one in closed for closed in _CLOSED)


class Reaching(Connecting):
    """Connects only where all that a name means may be reached. `plain`: without TLS, so only to what is opened."""

    def __init__(
        self, waiting: Waiting, opened: Sequence[Network] = (), *, plain: bool = False, look_up: LookUp = look_up
    ) -> None:
        super().__init__(waiting, private=False, look_up=look_up)
        self._opened = opened
        self._plain = plain

    def _allowed(self, host: str, places: Sequence[Place]) -> Sequence[Place]:
        addresses = [str(place[1][0]) for place in places]
        if not places:
            raise OffLimits(f"{host} has no address")
        if not all(may_be_reached(one, self._opened) for one in addresses):
            raise OffLimits(f"{host} has an address that is not public: messages go to public addresses alone")
        if self._plain and not all(_is_in(one, self._opened) for one in addresses):
            raise OffLimits(f"{host} is asked without TLS: only what FLOWTALLY_WEBHOOK_NETWORKS opens may be")
        return places


def _is_in(address: str, opened: Sequence[Network]) -> bool:
    one = ip_address(address.partition("%")[0])
    return any(one.version == network.version and one in network for network in opened)


def _wrong(why: str) -> Unprocessable:
    return Unprocessable(f"url: {why}", field="url")
