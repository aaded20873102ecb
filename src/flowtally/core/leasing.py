"""Leases: what an upgrade costs, which plan is for what, and what a lease is at an instant. Pure.

Prices are whole millionths of a currency, and rounded once: half a millionth goes to the even neighbour, so that many
roundings favour neither side.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Any, Final

import msgspec

from flowtally.core.times import DAY_MS, END_OF_TIME
from flowtally.core.words import LeaseState

KIND: Final = re.compile(r"[a-z0-9_-]{1,64}")
MAX_HOST_CHARS: Final = 253
_LABEL: Final = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?")


class Site(msgspec.Struct, frozen=True):
    """Where something is, or should be: what is empty is not said."""

    country: str = ""
    state: str = ""
    city: str = ""
    region: str = ""

    def holds(self, other: Site) -> bool:
        """Whether the other place is as this one says, as far as it says something."""
        mine = (self.country, self.state, self.city, self.region)
        theirs = (other.country, other.state, other.city, other.region)
        return all(one in ("", two) for one, two in zip(mine, theirs, strict=True))


class Size(msgspec.Struct, frozen=True):
    """How large a server is; None: not said."""

    cpu_cores: int | None = None
    memory_mib: int | None = None
    bandwidth_mbps: int | None = None

    def _said(self) -> tuple[int | None, int | None, int | None]:
        return (self.cpu_cores, self.memory_mib, self.bandwidth_mbps)

    def holds(self, other: Size) -> bool:
        """Whether the other size is this one, as far as this one says something."""
        return all(one in (None, two) for one, two in zip(self._said(), other._said(), strict=True))

    def over(self, other: Size) -> Size:
        """The other size, with what this one says in place of it."""
        said = (two if one is None else one for one, two in zip(self._said(), other._said(), strict=True))
        return Size(*said)

    def exceeds(self, other: Size) -> bool:
        """Whether it is nowhere smaller, and somewhere larger; what is not said is nothing."""
        pairs = [(one or 0, two or 0) for one, two in zip(self._said(), other._said(), strict=True)]
        return all(one >= two for one, two in pairs) and any(one > two for one, two in pairs)


def flat(value: msgspec.Struct) -> dict[str, Any]:
    """Its fields, with those of its place and its size in place of these: as a table has them."""
    fields = msgspec.structs.asdict(value)
    within = [fields.pop(name) for name in ("place", "size") if name in fields]
    return fields | {name: one for each in within for name, one in msgspec.structs.asdict(each).items()}


ANYWHERE: Final = Site()
ANY_SIZE: Final = Size()


class AgreedPrice(msgspec.Struct, frozen=True):
    """From `starts_at` until `ends_at` (excluded) a lease is worth `price` in all; without an end it has none."""

    starts_at: int
    ends_at: int | None
    price: int


def spelt(address: str) -> str | None:
    """An IP address or a host name in its one spelling, so that none is there twice; None for anything else."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        pass
    else:
        if isinstance(ip, ipaddress.IPv6Address) and ip.scope_id is not None:
            return None  # what follows a % names a link of one machine
        return str(getattr(ip, "ipv4_mapped", None) or ip)
    host = address.lower().removesuffix(".")
    labels = host.split(".")
    if len(host) > MAX_HOST_CHARS or not all(_LABEL.fullmatch(one) for one in labels) or labels[-1].isdigit():
        return None  # what ends in digits is an IP address that is written wrongly
    return host


def upgrade_price(at: int, ends_at: int, stretches: Iterable[AgreedPrice], *, price: int, days: int) -> int:
    """What a plan of `price` for `days` costs from `at` to `ends_at` above what the lease is worth there. Below zero
    where it is worth more."""
    wanted = Fraction(price * (ends_at - at), days * DAY_MS)
    return round(wanted - sum((_worth(one, at, ends_at) for one in stretches), Fraction(0)))


def state_at(at: int, ends_at: int | None, grace_ms: int, released_at: int | None) -> LeaseState:
    """What a lease is at an instant after its beginning. `grace`: it has ended and can still be renewed."""
    if released_at is not None and released_at <= at:
        return "released"
    if ends_at is None or at < ends_at:
        return "active"
    return "grace" if at < ends_at + grace_ms else "ended"


def kept_until(ends_at: int | None, grace_ms: int, released_at: int | None) -> int:
    """From when on nobody holds it by this lease any more, nor is it kept for its holder."""
    if released_at is not None:
        return released_at
    return END_OF_TIME if ends_at is None else min(ends_at + grace_ms, END_OF_TIME)


def held_until(ends_at: int | None, released_at: int | None) -> int:
    """The end of its being held: of the lease, or before it its release."""
    ends = END_OF_TIME if ends_at is None else ends_at
    return ends if released_at is None else min(ends, released_at)


def _worth(one: AgreedPrice, start: int, end: int) -> Fraction:
    if one.ends_at is None:
        return Fraction(0)
    overlap = min(one.ends_at, end) - max(one.starts_at, start)
    return Fraction(one.price * overlap, one.ends_at - one.starts_at) if overlap > 0 else Fraction(0)
