"""Whose request it is: the caller's address, through proxies where these are trusted. Pure.

A header of a request is what its sender says. So one header is read, the one our own proxies write (a setting), and
from its right end: each trusted proxy vouches for the hop it added, and the first hop that is no trusted proxy is the
caller, whatever stands left of it. What cannot be read ends the way there: then it is the last one vouched for.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final, TypeAlias

from flowtally.core.words import ForwardedHeader

Address: TypeAlias = IPv4Address | IPv6Address
Networks: TypeAlias = Sequence[IPv4Network | IPv6Network]

# What proxies and networks in front add to a request, each by its own habit.
BY_PROXIES: Final = frozenset(
    {b"forwarded", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-port"}
    | {b"x-forwarded-server", b"x-original-forwarded-for", b"x-real-ip", b"x-client-ip", b"x-cluster-client-ip"}
    | {b"true-client-ip", b"cf-connecting-ip", b"x-envoy-external-address", b"via"}
)
MAX_HOPS: Final = 32
MAX_BYTES: Final = 4096  # of the header, from its right end

_PORT: Final = r"(?::[0-9]{1,5})?"
_IPV4: Final = re.compile(rf"([0-9.]{{7,15}}){_PORT}")
_IPV6: Final = re.compile(rf"\[([0-9A-Fa-f:.]{{2,45}})\]{_PORT}")
# RFC 7239: elements by comma, pairs by semicolon, values plain or quoted
_WORD: Final = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
_VALUE: Final = rf'(?:{_WORD}|"(?:[^"\\]|\\.)*")'
_PAIR: Final = re.compile(rf"(?P<name>{_WORD})=(?P<value>{_VALUE})")
_ELEMENT: Final = re.compile(rf"[ \t]*+(?:{_WORD}={_VALUE}(?:;{_WORD}={_VALUE})*)?[ \t]*+(?:,|\Z)")


def caller_of(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Networks, header: ForwardedHeader) -> str:
    """The caller's address; `peer` is who is connected. Empty where nobody knows (a socket of this machine)."""
    if not trusted:
        return peer
    address = address_of(peer)
    if address is None or not is_in(address, trusted):
        return peer
    for hop in reversed(hops_of(headers, header)):
        found = address_of(hop)
        if found is None:
            break
        address = found
        if not is_in(address, trusted):
            break
    return str(address)


def is_passed_on(peer: str, headers: Iterable[tuple[bytes, bytes]], trusted: Networks) -> bool:
    """Whether a program of this machine passed the request on for somebody, and nobody believes it for whom."""
    address = address_of(peer)
    if address is None or not address.is_loopback or is_in(address, trusted):
        return False
    return any(name in BY_PROXIES for name, _ in headers)


def hops_of(headers: Iterable[tuple[bytes, bytes]], header: ForwardedHeader) -> list[str]:
    """The hops of all lines of this header, left to right; of a long one the last."""
    said = b",".join(value for name, value in headers if name == header.encode())[-MAX_BYTES:].decode("latin-1")
    if not said:
        return []
    hops = said.split(",") if header == "x-forwarded-for" else _elements(said)
    return [hop.strip() for hop in hops[-MAX_HOPS:]]


def address_of(text: str) -> Address | None:
    """One address as proxies write it: IPv6 bare or in brackets, with a port or without. None for anything else."""
    found = _IPV4.fullmatch(text) or _IPV6.fullmatch(text)
    try:
        address = ip_address(found[1] if found else text)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id is not None:
            return None
        return address.ipv4_mapped or address
    return address


def is_in(address: Address, networks: Networks) -> bool:
    return any(address in network for network in networks)


def _elements(said: str) -> list[str]:
    """What `for` says in each element, "" where it says nothing. None of a header that is not written by the rules:
    nobody knows then where an element ends."""
    found: list[str] = []
    at = 0
    while at < len(said):
        element = _ELEMENT.match(said, at)
        if element is None:
            return []
        hops = [pair["value"] for pair in _PAIR.finditer(element[0]) if pair["name"].lower() == "for"]
        found.append(_unquoted(hops[0]) if len(hops) == 1 else "")
        at = element.end()
    return found


def _unquoted(value: str) -> str:
    return re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
