"""What is brought of an account with Thordata: balances, proxy users, and what they used by day or by hour.

Owns what is asked when and what becomes of it. The account is told by day alone, users by hour too; the account's days
less those of its residential users are nobody's in particular. So where users are told by hour, nobody's use is told
by day, and so is all of it together: hours of the whole account are never made up.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import date, timedelta
from functools import partial
from typing import Any, Final

from flowtally.core.edges import local_date
from flowtally.core.reported import (
    EVERYBODY,
    KIB,
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    Grain,
    Paying,
    Statement,
    SubUserSaid,
    SubUsersSaid,
    UseSaid,
    span_key,
)
from flowtally.core.times import DAY_MS
from flowtally.core.units import human_bytes
from flowtally.providers.puller import (
    AskVendor,
    ChangedShape,
    Declined,
    Pace,
    ProviderSetting,
    Puller,
    Sight,
    ToPull,
)
from flowtally.providers.quantities import MICROS, days_at_once
from flowtally.vendors.thordata.parameters import Family, Range
from flowtally.vendors.thordata.rows import series_of
from flowtally.vendors.thordata.service import ListedUser, Thordata, Used

MOST_DAYS: Final = 180  # of one answer, both ends counted
OF_ACCOUNT: Final[Family] = "residential"  # whose use the account's own figures are of


def check(ask: AskVendor, wanted: ToPull) -> Sight:
    """What can be seen of what a pull asks for: each thing is asked once. The balance must be; what else is refused is
    told."""
    service, works, cannot = Thordata(ask, wanted), list[str](), list[str]()
    today = local_date(wanted.now, service.zone)
    works.append(f"Traffic left: {human_bytes(service.traffic().left or 0)}")

    def look(what: str, see: Callable[[], str]) -> None:
        try:
            works.append(f"{what}: {see()}")
        except (Declined, ChangedShape) as error:
            cannot.append(f"{what}: {error}")

    look("Wallet", lambda: _money(service))
    look("Use of the account", lambda: _by_day(service, today))
    for family in service.families:
        look(f"Proxy users, {family}", partial(_listed, service, family, today))
    return Sight(tuple(works), tuple(cannot))


def _money(service: Thordata) -> str:
    held = service.wallet()
    return f"{(held.left or 0) / MICROS:.2f} {held.currency}".rstrip()


def _by_day(service: Thordata, today: date) -> str:
    service.account_days(today, today)
    return "by day"


def _listed(service: Thordata, family: Family, today: date) -> str:
    users = service.users(family)
    if users:
        service.user_used(users[0], today, today)
    return f"{len(users)}; their use by {service.grain}"


def pull(ask: AskVendor, wanted: ToPull) -> Iterator[Statement]:
    """Balances; of each stretch, oldest first, what each user used, then what is nobody's; the users, once it was told
    what they ever used."""
    service = Thordata(ask, wanted)
    yield BalancesSaid((service.traffic(), *_wallet(service)))
    bearers: dict[str, list[ListedUser]] = {}
    for family in service.families:
        for user in service.users(family):
            bearers.setdefault(user.name, []).append(user)
    day, today = local_date(max(DAY_MS, wanted.since), service.zone), local_date(wanted.now, service.zone)
    count = sum(map(len, bearers.values()))
    at_once = days_at_once(MOST_DAYS, count, 24 if service.by_hour else 1)
    listed = not service.families  # what is not asked for is not said to be nobody
    while day <= today:
        stretch = _Stretch(service, day, min(day + timedelta(at_once - 1), today))
        for name, users in bearers.items():
            yield stretch.of_user(name, users)
        if not listed:
            yield SubUsersSaid(tuple(_said(name, users, stretch.ever) for name, users in bearers.items()))
            listed = True
        yield stretch.of_others(bearers)
        yield stretch.of_nobody()
        day += timedelta(at_once)


def _wallet(service: Thordata) -> list[BalanceSaid]:
    """None where the account may not see it: that says nothing of the rest."""
    try:
        return [service.wallet()]
    except Declined:
        return []


class _Stretch:
    """Some days: what each user used there, and in the end what is nobody's."""

    def __init__(self, service: Thordata, first: date, last: date) -> None:
        self._service, self._first, self._last = service, first, last
        self._days = series_of(Range(first, last), service.zone).bounds
        self._step = 0  # the coarsest
        self._of_users: defaultdict[int, int] = defaultdict(int)  # of the account's kind, by day
        self.ever: dict[str, int | None] = {}

    def of_user(self, name: str, users: Sequence[ListedUser]) -> UseSaid:
        """Of all that bear the name: it may be in several families, and two of these may have one product."""
        found: defaultdict[tuple[int, str], int] = defaultdict(int)
        told = [self._service.user_used(user, self._first, self._last) for user in users]
        for user, used in zip(users, told, strict=True):
            for at, amount in used.at.items():
                found[at, self._service.product(user.family)] += amount
                if user.family == OF_ACCOUNT:
                    self._of_users[self._days[bisect_right(self._days, at) - 1]] += amount
        self.ever[name] = _sum_known([one.ever for one in told])
        figures = [_figure(self._service.grain, at, name, product, found[at, product]) for at, product in sorted(found)]
        doubts = tuple(doubt for one in told for doubt in one.doubts)
        return self._use(self._service.grain, figures, max(one.step for one in told), of=name, doubts=doubts)

    def of_others(self, listed: Collection[str]) -> UseSaid:
        """What users used who are listed no more is in what is nobody's: the account's own figure contains it. Of the
        products that it does not contain nothing is said: what they were said to have used stays."""
        besides = frozenset({*listed, EVERYBODY})
        products = (self._service.product(OF_ACCOUNT),)
        return self._use(self._service.grain, (), self._step or KIB, products=products, besides=besides)

    def of_nobody(self) -> UseSaid:
        """What the account used by day, less what its users did. With it all is said."""
        account: Used = self._service.account_days(self._first, self._last)
        product = self._service.product(OF_ACCOUNT)
        figures = []
        for day in sorted({*account.at, *self._of_users}):
            if rest := account.at.get(day, 0) - self._of_users[day]:
                figures.append(_figure("day", day, EVERYBODY, product, rest))
        step = max(self._step, account.step)
        return self._use("day", figures, step, of=EVERYBODY, closes=True, doubts=account.doubts)

    def _use(
        self, grain: Grain, figures: Sequence[FigureSaid], step: int, *, closes: bool = False, **more: Any
    ) -> UseSaid:
        self._step = max(self._step, step)
        starts_at, ends_at = self._days[0], self._days[-1]
        zone = self._service.zone.key
        return UseSaid("bytes", grain, zone, starts_at, ends_at, step, tuple(figures), closes=closes, **more)


def _figure(grain: Grain, at: int, name: str, product: str, amount: int) -> FigureSaid:
    return FigureSaid(span_key(grain, at, product, name), at, name, product, amount)


def _said(name: str, users: Sequence[ListedUser], ever: dict[str, int | None]) -> SubUserSaid:
    limit = _sum_known([one.limit for one in users])
    return SubUserSaid(name, any(one.enabled for one in users), limit, ever[name])


def _sum_known(amounts: Sequence[int | None]) -> int | None:
    """None where one of them is."""
    known = [one for one in amounts if one is not None]
    return sum(known) if len(known) == len(amounts) else None


PULLER: Final = Puller(
    vendor="thordata",
    title="Thordata",
    base_url="https://openapi.thordata.com/api",
    secrets=(
        ProviderSetting("token", "The account's token, of its dashboard."),
        ProviderSetting("key", "The key beside it, where the account has one; empty: none is sent.", ""),
    ),
    settings=(
        ProviderSetting("grain", "How finely the use of proxy users is brought.", "day", ("day", "hour"), fixed=True),
        ProviderSetting("timezone", "The IANA zone of its days and hours; its pages name none.", "UTC", fixed=True),
        ProviderSetting(
            "sub_users",
            "Whether each proxy user is asked for, which takes a call of 3 seconds, or only the account.",
            "each",
            ("each", "none"),
        ),
        ProviderSetting(
            "residential", "The product of the account's use, and of users of proxy_type 1.", "residential"
        ),
        ProviderSetting(
            "unlimited", "The product of use by users of proxy_type 2; empty: they are not asked for.", "unlimited"
        ),
        ProviderSetting(
            "mobile", "The product of use by users of proxy_type 3; empty: they are not asked for.", "mobile"
        ),
        ProviderSetting("currency", "What its wallet is in; its answers do not say.", "USD"),
    ),
    pace=Pace(between_s=3.0),
    every_s=3600,
    settle_days=3,
    keeps_days=None,
    quantity="bytes",
    check=check,
    pull=pull,
    paying=Paying("traffic", OF_ACCOUNT),
)
