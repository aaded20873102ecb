"""What is brought of an account with IPFoxy: its wallet and package, its sub-accounts, and what each of them used.

Owns what is asked when and what becomes of it. The account's own use is that of its own package: what it lists of it is
read to leave its sub-accounts out, and is nobody's in particular. Hours and days are those of UTC+8, so that hours add
up to the days of any zone of whole hours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

from flowtally.core.reported import (
    EVERYBODY,
    MIB,
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    Statement,
    SubUserSaid,
    SubUsersSaid,
    UseSaid,
    span_key,
)
from flowtally.core.times import DAY_MS
from flowtally.providers.puller import (
    AskVendor,
    ChangedShape,
    Declined,
    Denied,
    Pace,
    ProviderSetting,
    Puller,
    Sight,
    ToPull,
)
from flowtally.providers.quantities import MICROS, days_at_once
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8
from flowtally.vendors.ipfoxy.service import IPFoxy, ListedAccount, Used

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
        found = service.accounts()
        for one in found[:1]:
            service.flow(one)
            service.account_used(one.name, start, start + DAY_MS)
        return f"{len(found)}; their use by {service.grain}"

    def own_use() -> str:
        service.own_used(start, start + DAY_MS)
        return f"by {service.grain}"

    look("Own package", lambda: f"{(service.package().left or 0) / MIB:.2f} MB left")
    look("Own use", own_use)
    look("Sub-accounts", sub_accounts)
    return Sight(tuple(works), tuple(cannot))


def _shown(held: Sequence[BalanceSaid]) -> str:
    return f"{(held[0].left or 0) / MICROS:.2f} {held[0].currency}".rstrip()


def pull(ask: AskVendor, wanted: ToPull) -> Iterator[Statement]:
    """Balances and sub-accounts; of each stretch, oldest first, what each sub-account used, then all of it with the
    account's own use."""
    service = IPFoxy(ask, wanted)
    balances = [*service.money(), service.package()]
    listed = _sub_accounts(service) if wanted.settings["sub_accounts"] == "each" else []
    yield BalancesSaid((*balances, *(one for account in listed for one in service.flow(account))))
    yield SubUsersSaid(tuple(SubUserSaid(one.name, one.enabled, one.left + one.used, one.used) for one in listed))
    end = _begin_of_day(wanted.now) + DAY_MS
    at_once = days_at_once(MOST_DAYS[service.grain], len(listed), FIGURES_A_DAY[service.grain]) * DAY_MS
    for start in range(_first_day(wanted), end, at_once):
        yield from _stretch(service, listed, wanted.settings["residential"], start, min(start + at_once, end))


def _sub_accounts(service: IPFoxy) -> list[ListedAccount]:
    """Denied where only they are: that is what an account is told that is no reseller's."""
    try:
        return service.accounts()
    except Denied as error:
        raise Denied(f"{error}; the rest may be seen: set sub_accounts to none for an account without them") from None


def _stretch(service: IPFoxy, listed: Sequence[ListedAccount], product: str, start: int, end: int) -> Iterator[UseSaid]:
    every: list[FigureSaid] = []
    steps = []

    def use(name: str, told: Used) -> tuple[FigureSaid, ...]:
        grain = service.grain
        steps.append(told.step)
        figures = [FigureSaid(span_key(grain, at, product, name), at, name, product, told.at[at]) for at in told.at]
        every.extend(figures)
        return tuple(figures)

    for account in listed:
        figures = use(account.name, service.account_used(account.name, start, end))
        yield UseSaid("bytes", service.grain, ZONE, start, end, steps[-1], figures, of=account.name, closes=False)
    use(EVERYBODY, service.own_used(start, end))
    yield UseSaid("bytes", service.grain, ZONE, start, end, max(steps), tuple(every))


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
        ProviderSetting("grain", "How finely use is brought.", "day", ("day", "hour")),
        ProviderSetting(
            "sub_accounts",
            "Whether each sub-account is asked for, as only resellers may, or only the account's own package.",
            "each",
            ("each", "none"),
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
    check=check,
    pull=pull,
)
