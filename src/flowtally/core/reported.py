"""What a vendor says of an account with it, in our words. Pure.

Owns the values that a puller makes of a vendor's answers, and what they mean: quantities in bytes or requests, instants
in milliseconds, and what a vendor leaves unsaid said as such. Leaves the vendor's wire to `vendors/<vendor>/pull.py`.

A vendor says again what it has said, and now and then something else. So each of its figures has a `key`: what it is a
figure of. What was said last under a key is what stands; the difference to what was said before is a row of its own.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final, Literal

import msgspec

from flowtally.core.edges import bucket_of, format_instant, load_zone
from flowtally.core.errors import UnknownZone
from flowtally.core.events import MAX_NAME_CHARS, MAX_QUANTITY, METERED
from flowtally.core.texts import text_fault
from flowtally.core.times import DAY_MS, HOUR_MS, LAST_INSTANT, MINUTE_MS
from flowtally.core.words import Owned, Unit

Grain = Literal[
    "hour", "day", "pull"
]  # how long a span is that a vendor tells; `pull`: between two looks at its account
GrantStanding = Literal["active", "ended"]

KIB: Final = 1024
MIB: Final = 1024 * 1024
EVERYBODY: Final = ""  # use that the vendor ascribes to no sub-user of the account
MAX_FIGURES: Final = 100_000  # of one statement
MAX_KEY_CHARS: Final = 1_024
PROVIDER: Final = "provider:"  # before a series it is the source of its rows
_OFFSET: Final = re.compile(r"([+-])([0-9]{2}):([0-5][0-9])")
_SERIES: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")


class Unsayable(ValueError):
    """A statement that means nothing: what is wrong with which figure."""


class FigureSaid(msgspec.Struct, frozen=True):
    """One figure: under `key` the vendor says `amount`, dated `time`.

    key: What it is a figure of, the same in each pull: of an hour or a day its `span_key`.
    time: The first instant of its span; of a figure that only grows (`grain` pull): when it was seen.
    sub_user: The vendor's own name of who used it, or `EVERYBODY`.
    amount: Bytes or requests, whole; the vendor tells no directions. Of `EVERYBODY` it may be below zero, where the
        sub-users are said to have used more than the account.
    """

    key: str
    time: int
    sub_user: str
    product: str
    amount: int


class UseSaid(msgspec.Struct, frozen=True):
    """What a vendor says of one stretch of time: all its figures there. What has no figure it says was nothing.

    grain, zone: The spans it tells, and the calendar they are cut by: an IANA name or an offset such as `+08:00`.
    starts_at, ends_at: The stretch, whole spans, the end excluded. Of `pull`: since the look before this one up to
        this one, which is within; what has no figure stays.
    of: These are the figures of this sub-user alone (or of `EVERYBODY`); None: of all.
    products, besides: Of which products this is all, None: of all of them; of which sub-users (and `EVERYBODY`) it says
        nothing. What has no figure and is not meant stays as it was said: a vendor that does not list a sub-user any
        more does not say that it used nothing.
    closes: With this report all is said of the stretch.
    step: The smallest difference between two of its figures, in bytes or requests, rounded up: how exact they are.
    doubts: What does not fit together in what was said, for people; the figures stand.
    """

    quantity: Unit
    grain: Grain
    zone: str
    starts_at: int
    ends_at: int
    step: int
    figures: tuple[FigureSaid, ...]
    of: str | None = None
    closes: bool = True
    doubts: tuple[str, ...] = ()
    products: tuple[str, ...] | None = None
    besides: frozenset[str] = frozenset()

    def means(self, sub_user: str, product: str) -> bool:
        """Whether it says something of what this one used of this product."""
        meant = self.of in (None, sub_user) and sub_user not in self.besides
        return meant and (self.products is None or product in self.products)


class BalanceSaid(msgspec.Struct, frozen=True):
    """What is left at the vendor: traffic, requests, or money in micro-units of `currency`. `used`, `total`: of the
    same, where the vendor tells them. `expires_at`: when the first of it ends. `label`: which of its balances."""

    label: str
    quantity: Owned
    left: int | None
    used: int | None = None
    total: int | None = None
    currency: str = ""
    expires_at: int | None = None
    step: int = 1


class Paying(msgspec.Struct, frozen=True):
    """Which of a vendor's balances is used up by which use. `balance`: its label. `product`: the setting that names the
    product, of all where it is not set. `sub_user`: of whom alone, None: of all. `by_grants`: it is what is left of the
    grants, each with its end."""

    balance: str
    product: str
    sub_user: str | None = None
    by_grants: bool = False


class GrantSaid(msgspec.Struct, frozen=True):
    """One grant as the vendor lists it. `raw_created`, `raw_expires`: its own text, for its zone may not be known."""

    id: str
    order: str
    kind: str
    quantity: Unit
    amount: int
    used: int
    created_at: int | None
    expires_at: int | None
    standing: GrantStanding
    raw_created: str = ""
    raw_expires: str = ""


class SubUserSaid(msgspec.Struct, frozen=True):
    """A sub-user as the vendor lists it. `limit`: None, there is none. `used`: since ever, where it is told."""

    name: str
    enabled: bool
    limit: int | None = None
    used: int | None = None


class BalancesSaid(msgspec.Struct, frozen=True):
    """All balances as they are now; those not in it are gone."""

    balances: tuple[BalanceSaid, ...]


class GrantsSaid(msgspec.Struct, frozen=True):
    """All grants the vendor still lists."""

    grants: tuple[GrantSaid, ...]


class SubUsersSaid(msgspec.Struct, frozen=True):
    """All sub-users the vendor lists."""

    sub_users: tuple[SubUserSaid, ...]


Statement = UseSaid | BalancesSaid | GrantsSaid | SubUsersSaid


def span_key(grain: Grain, time: int, product: str, sub_user: str) -> str:
    """The key of a figure of one span: by its first instant, never its local name: the zone may be set later. A blank
    of the product is written otherwise, so that no two figures have one key."""
    return f"{grain} {format_instant(time)} {product.replace('%', '%25').replace(' ', '%20')} {sub_user}"


def begins_span(grain: Grain, zone: str, at: int) -> bool:
    """Whether one of the spans that a vendor tells begins at this instant."""
    return begin_of_span(grain, zone, at) == at


def begin_of_span(grain: Grain, zone: str, at: int) -> int | None:
    """Where the span begins that holds this instant. Nobody knows where `pull` or a calendar that is not known here
    have theirs."""
    if grain == "pull":
        return None
    if fixed := _OFFSET.fullmatch(zone):
        sign, hours, minutes = fixed.groups()
        offset = int(f"{sign}1") * (int(hours) * HOUR_MS + int(minutes) * MINUTE_MS)
        return at - (at + offset) % (HOUR_MS if grain == "hour" else DAY_MS)
    try:
        return bucket_of(grain, at, load_zone(zone))[0]
    except UnknownZone:
        return None


def is_series(name: str) -> bool:
    """Whether a provider may be called so."""
    return name != METERED and _SERIES.fullmatch(name) is not None


def check_said(said: UseSaid) -> None:
    """Raises Unsayable. What follows relies on it: there is one row for each change of what is said under a key."""
    if len(said.figures) > MAX_FIGURES:
        raise Unsayable(f"{len(said.figures)} figures are said at once; at most {MAX_FIGURES}")
    if not 0 <= said.starts_at <= said.ends_at <= LAST_INSTANT or (
        said.grain != "pull" and said.starts_at == said.ends_at
    ):
        raise Unsayable(f"no stretch of time is from {said.starts_at} to {said.ends_at} ms")
    seen: set[str] = set()
    for one in said.figures:
        if fault := "is said twice" if one.key in seen else _fault_of(one, said):
            raise Unsayable(f"the figure {one.key[:MAX_KEY_CHARS]!r} {fault}")
        seen.add(one.key)


def _fault_of(one: FigureSaid, said: UseSaid) -> str | None:
    for name, most in (("sub_user", MAX_NAME_CHARS), ("product", MAX_NAME_CHARS), ("key", MAX_KEY_CHARS)):
        text = getattr(one, name)
        if len(text) > most:
            return f"has {len(text)} characters in its {name}; at most {most}"
        if fault := text_fault(text):
            return f"has a {name} that {fault}"
    if abs(one.amount) > MAX_QUANTITY:
        return f"is {one.amount}, beyond {MAX_QUANTITY}"
    if one.amount < 0 and one.sub_user != EVERYBODY:
        return f"is {one.amount}: what a sub-user used is not below zero"
    if said.of not in (None, one.sub_user):
        return f"is not of {said.of!r}, of whom alone these are said to be"
    if not said.means(one.sub_user, one.product):
        return "is of a product or of somebody that these are said not to be of"
    if said.grain == "pull":
        is_span = one.key.startswith(("hour ", "day "))
        return "has the key of a span" if is_span else None if 0 <= one.time <= said.ends_at else "is dated after now"
    if not said.starts_at <= one.time < said.ends_at:
        return f"is dated {one.time} ms, outside of the stretch from {said.starts_at} to {said.ends_at}"
    key = span_key(said.grain, one.time, one.product, one.sub_user)
    return None if one.key == key else f"is not called {key!r}"


def whole(amount: Decimal, unit: int) -> int:
    """A vendor's decimal figure in its unit as whole bytes; half a byte goes to the even one, so that no total leans.

    >>> whole(Decimal("4719123.98"), KIB)
    4832382956
    """
    return int((amount * unit).to_integral_value(ROUND_HALF_EVEN))
