"""What is brought of an account with IPFoxy: its wallet and package, its sub-accounts, and what each of them used.

Owns what is asked when and what becomes of it. The account's own use is that of its own package: what it lists of it is
read to leave its sub-accounts out, and is nobody's in particular. Hours and days are those of UTC+8, so that hours add
up to the days of any zone of whole hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import Any, Final

from flowtally.core.reported import (
    EVERYBODY,
    MIB,
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
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
    Denied,
    Failed,
    Pace,
    ProviderSetting,
    Puller,
    Sight,
    ToPull,
)
from flowtally.providers.quantities import MICROS, days_at_once
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8
from flowtally.vendors.ipfoxy.service import SIZES, IPFoxy, Listed, Used

KEEPS_DAYS: Final = 88  # it answers 90, a day begins up to a day earlier, and a question is on its way for a while
MOST_DAYS: Final = {"day": KEEPS_DAYS + 1, "hour": 30}  # of one question: its history has 25 pages of 35 rows
FIGURES_A_DAY: Final = {"day": 1, "hour": 24}
ZONE: Final = "+08:00"


def check(ask: AskVendor, wanted: ToPull) -> Sight:
    """What can be seen: each thing is asked once. The wallet must be; what else is refused is told, for only resellers
    may see sub-accounts."""
    service, works, cannot = IPFoxy(ask, wanted), list[str](), list[str]()
    works.append(f"Wallet: {_shown(service.money())}")
    start = _begin_of_day(wanted.now)

    def look(what: str, see: Callable[[], str]) -> None:
        try:
            works.append(f"{what}: {see()}")
        except (Declined, Denied, ChangedShape) as error:
            cannot.append(f"{what}: {error}")

    def sub_accounts() -> str:
        found = service.accounts().accounts
        for one in found[:1]:
            service.flow(one)
            service.account_used(one.name, start, start + DAY_MS)
        return f"{len(found)}; their use by {service.grain}"

    def own_use() -> str:
        service.own_used(start, start + DAY_MS)
        return f"by {service.grain}"

    if wanted.settings["own_package"] == "yes":
        look("Own package", lambda: f"{human_bytes(service.package().left or 0)} left")
        look("Own use", own_use)
    look("Sub-accounts", sub_accounts)
    return Sight(tuple(works), tuple(cannot))


def _shown(held: Sequence[BalanceSaid]) -> str:
    return f"{(held[0].left or 0) / MICROS:.2f} {held[0].currency}".rstrip()


def pull(ask: AskVendor, wanted: ToPull) -> Iterator[Statement]:
    """Balances and sub-accounts; of each stretch, oldest first, what each sub-account used, then the account's own use,
    and of what all was said. A sub-account that is listed no more is not said to have used nothing. Failed where
    neither is asked for: that would be told as nothing used."""
    service = IPFoxy(ask, wanted)
    own, each = wanted.settings["own_package"] == "yes", wanted.settings["sub_accounts"] == "each"
    if not own and not each:
        raise Failed("neither sub-accounts nor the own package are asked for: set sub_accounts or own_package")
    balances = [*service.money(), *([service.package()] if own else [])]
    found = _sub_accounts(service) if each else Listed(())
    listed = found.accounts
    yield BalancesSaid((*balances, *(one for account in listed for one in service.flow(account))))
    if each:
        users = (SubUserSaid(one.name, one.enabled, one.left + one.used, one.used) for one in listed)
        yield SubUsersSaid(tuple(users))
    end = _begin_of_day(wanted.now) + DAY_MS
    at_once = days_at_once(MOST_DAYS[service.grain], len(listed), FIGURES_A_DAY[service.grain]) * DAY_MS
    for start in range(_first_day(wanted), end, at_once):
        stretch = _Stretch(service, wanted.settings["residential"], start, min(start + at_once, end))
        for account in listed:
            yield from stretch.of_account(account.name)
        if own:
            yield stretch.of_own()
        yield from stretch.told(found.doubts)


def _sub_accounts(service: IPFoxy) -> Listed:
    """Denied where only they are: that is what an account is told that is no reseller's."""
    try:
        return service.accounts()
    except Denied as error:
        raise Denied(f"{error}; the rest may be seen: set sub_accounts to none for an account without them") from None


class _Stretch:
    """Some days: what each sub-account used there, what the account itself did, and of which of them all was said."""

    def __init__(self, service: IPFoxy, product: str, start: int, end: int) -> None:
        self._service, self._product, self._start, self._end = service, product, start, end
        self._known = frozenset(range(start, end, SIZES[service.grain]))
        self._step = 0  # the coarsest

    def of_account(self, name: str) -> Iterator[UseSaid]:
        told = self._service.account_used(name, self._start, self._end)
        if told.shown is not None:
            self._known &= frozenset(told.shown)
        doubts = told.doubts
        for start, end in [(self._start, self._end)] if told.shown is None else self._runs(told.shown):
            yield self._said(name, told, start, end, doubts)
            doubts = ()

    def of_own(self) -> UseSaid:
        return self._said(EVERYBODY, self._service.own_used(self._start, self._end), self._start, self._end)

    def told(self, doubts: tuple[str, ...]) -> Iterator[UseSaid]:
        """Nothing but that all was said of these hours or days."""
        for start, end in self._runs(sorted(self._known)):
            yield self._use(start, end, (), self._step or MIB, products=(), closes=True, doubts=doubts)
            doubts = ()

    def _runs(self, spans: Sequence[int]) -> Iterator[tuple[int, int]]:
        """Those that follow each other, as one."""
        size = SIZES[self._service.grain]
        for _, run in groupby(enumerate(spans), lambda one: one[1] - one[0] * size):
            together = [at for _, at in run]
            yield together[0], together[-1] + size

    def _said(self, name: str, told: Used, start: int, end: int, doubts: tuple[str, ...] = ()) -> UseSaid:
        grain, product = self._service.grain, self._product
        figures = [
            FigureSaid(span_key(grain, at, product, name), at, name, product, amount)
            for at, amount in told.at.items()
            if start <= at < end
        ]
        self._step = max(self._step, told.step)
        return self._use(start, end, figures, told.step, of=name, closes=False, doubts=doubts)

    def _use(self, start: int, end: int, figures: Sequence[FigureSaid], step: int, **more: Any) -> UseSaid:
        return UseSaid("bytes", self._service.grain, ZONE, start, end, step, tuple(figures), **more)


def _begin_of_day(at: int) -> int:
    return at - (at + UTC_PLUS_8) % DAY_MS


def _first_day(wanted: ToPull) -> int:
    """The day of `since`, or of the oldest instant that is sure to be answered."""
    return _begin_of_day(max(wanted.since, wanted.now - KEEPS_DAYS * DAY_MS))


PULLER: Final = Puller(
    vendor="ipfoxy",
    title="IPFoxy",
    base_url="https://apis.ipfoxy.com/ip/open-api",
    secrets=(
        ProviderSetting("api_id", "The account's id, of its dashboard."),
        ProviderSetting("api_token", "The account's token, beside it."),
    ),
    settings=(
        ProviderSetting("grain", "How finely use is brought.", "day", ("day", "hour"), fixed=True),
        ProviderSetting(
            "sub_accounts",
            "Whether each sub-account is asked for, as only resellers may, or only the account's own package.",
            "each",
            ("each", "none"),
        ),
        ProviderSetting(
            "own_package",
            "Whether the account's own package is asked for and what it used; no for resellers without one.",
            "yes",
            ("yes", "no"),
        ),
        ProviderSetting(
            "residential",
            "The product of all its use; whether use of mobile traffic is among that of sub-accounts it does not say.",
            "residential",
        ),
        ProviderSetting("currency", "What its wallet is in; its answers do not say.", ""),
    ),
    pace=Pace(between_s=1.0),
    every_s=3600,
    settle_days=2,
    keeps_days=KEEPS_DAYS,
    quantity="bytes",
    check=check,
    pull=pull,
    paying=Paying("residential", "residential", sub_user=EVERYBODY),
)
