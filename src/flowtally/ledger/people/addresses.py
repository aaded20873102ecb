"""IP addresses and networks as text: one spelling for each, so that the same one is never there twice.

Pure. IPv6 is written as RFC 5952 has it. An IPv4 address inside IPv6 (`::ffff:1.2.3.4`) is the IPv4 address: a caller
is the same one whichever socket it came in by. A network of one address is that address.
"""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Final

from flowtally.core.errors import Unprocessable

MAX_ADDRESS_CHARS: Final = 49  # the longest text that can be one: full IPv6 with an IPv4 end, and /128
_MAPPED_BITS: Final = 96  # of ::ffff:0:0, before the IPv4 address


def canonical(address: str) -> str:
    """The one spelling of an address or a network (`10.0.0.0/8`); Unprocessable for anything else."""
    network = _network(address)
    if network is None:
        shown = repr(address[:MAX_ADDRESS_CHARS])
        detail = f"{shown} is no IPv4 or IPv6 address, and no network like 10.0.0.0/8 whose other bits are 0"
        raise Unprocessable(detail, field="address", value=address[:MAX_ADDRESS_CHARS])
    if isinstance(network, IPv6Network) and network.prefixlen >= _MAPPED_BITS:
        inside = network.network_address.ipv4_mapped
        network = network if inside is None else IPv4Network((inside, network.prefixlen - _MAPPED_BITS))
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def within(inner: str, outer: Iterable[str]) -> bool:
    """Whether a canonical address or network lies in one of these, which are canonical, too."""
    network = ip_network(inner)
    return any(_is_subnet(network, ip_network(one)) for one in outer)


def is_network(address: str) -> bool:
    """Whether a canonical text stands for several addresses."""
    return "/" in address


def _is_subnet(inner: IPv4Network | IPv6Network, outer: IPv4Network | IPv6Network) -> bool:
    if isinstance(inner, IPv4Network):
        return isinstance(outer, IPv4Network) and inner.subnet_of(outer)
    return isinstance(outer, IPv6Network) and inner.subnet_of(outer)


def _network(address: str) -> IPv4Network | IPv6Network | None:
    bits = address.partition("/")[2]
    if not address.isascii() or "%" in address or len(address) > MAX_ADDRESS_CHARS:
        return None  # what follows a % names a link of one machine
    if "/" in address and not bits.isdecimal():
        return None  # masks like /255.0.0.0 are read two ways, so they are not read
    try:
        return ip_network(address)
    except ValueError:
        return None
