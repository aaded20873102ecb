"""Thordata's service, asked with the customer's own token: one question each, and what its answers mean.

Owns paths, codes and units, leaves to `pull` what is asked when. What goes wrong is HTTP 200 with a code of theirs.
Usage is in KB; no page names a zone, so the setting `timezone` says how their dates are read.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Final, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from flowtally.core.edges import first_instant, load_zone
from flowtally.core.errors import UnknownZone
from flowtally.core.reported import KIB, MIB, BalanceSaid, Grain, whole
from flowtally.providers.puller import (
    AskVendor,
    ChangedShape,
    Declined,
    Denied,
    Failed,
    Limited,
    ToPull,
    VendorAnswer,
)
from flowtally.providers.quantities import first_of, micros, size, step, switch, used
from flowtally.providers.reading import InAnswer, told
from flowtally.vendors.thordata.parameters import PLACE_FAMILIES, Family, Range
from flowtally.vendors.thordata.rows import Series, series_of
from flowtally.vendors.thordata.wire import NO_EXPIRY, OK, TOO_OFTEN, WRONG_KEY, WRONG_TOKEN

T = TypeVar("T")

WRONG_SIGN: Final = 10013  # of the older credentials; read as the token's by newer pages
MAX_SAID: Final = 200  # characters of what an error of theirs says
DENIED: Final = frozenset({WRONG_SIGN, WRONG_KEY, WRONG_TOKEN})
PROXY_TYPES: Final[Mapping[Family, str]] = {family: number for number, family in PLACE_FAMILIES.items()}

BALANCE: Final = "/account/traffic-balance"
WALLET: Final = "/account/wallet-balance"
ACCOUNT_DAYS: Final = "/account/usage-statistics"
USERS: Final = "/proxy-users/user-list"
USER_DAYS: Final = "/proxy-users/usage-statistics"
USER_HOURS: Final = "/proxy-users/usage-statistics-hour"


class ListedUser(msgspec.Struct, frozen=True):
    """A proxy user as the list of its family has it. `limit`: bytes; None, there is none."""

    name: str
    family: Family
    enabled: bool
    limit: int | None


class Used(msgspec.Struct, frozen=True):
    """What was used, in whole bytes by when its day or hour begins, how exact that is, and what was ever used.
    `doubts`: what does not fit together in the answer."""

    at: Mapping[int, int]
    step: int
    ever: int | None
    doubts: tuple[str, ...] = ()


class Thordata:
    """The service with one customer's secrets and settings."""

    def __init__(self, ask: AskVendor, wanted: ToPull) -> None:
        self._ask = ask
        self._secrets = wanted.secrets
        self._settings = wanted.settings
        self.zone = _zone(wanted.settings["timezone"])
        self.by_hour = wanted.settings["grain"] == "hour"

    @property
    def grain(self) -> Grain:
        return "hour" if self.by_hour else "day"

    @property
    def families(self) -> Sequence[Family]:
        """Whose users are asked."""
        return [one for one in PROXY_TYPES if self.product(one)] if self._settings["sub_users"] == "each" else []

    def product(self, family: Family) -> str:
        return self._settings[family]

    def traffic(self) -> BalanceSaid:
        """In MB; the same word is KB in other answers. A date ends it at its first instant, as far as is known; empty,
        or the far date of our own dialect: nothing does."""

        def read(data: InAnswer) -> BalanceSaid:
            left, ends = data.member("traffic_balance"), data.optional("expiration_time")
            never = ends is None or ends.text() == NO_EXPIRY
            expires_at = None if ends is None or never else first_instant(_date(ends), self.zone)
            return BalanceSaid(
                "traffic", "bytes", size(left, MIB), expires_at=expires_at, step=step([left.decimal()], MIB)
            )

        return self._get(BALANCE, read)

    def wallet(self) -> BalanceSaid:
        """Their page calls it `wallet_balance`, their clients read `balance`, an older API said `walletBalance`."""

        def read(data: InAnswer) -> BalanceSaid:
            held = first_of(data, "wallet_balance", "balance", "walletBalance")
            return BalanceSaid("wallet", "money", micros(held), currency=self._settings["currency"])

        return self._get(WALLET, read)

    def users(self, family: Family) -> list[ListedUser]:
        """All of a family. Where there are none, the list may be null."""

        def read(data: InAnswer) -> list[ListedUser]:
            listed, count = data.optional("list"), data.optional("user_count")
            found = [] if listed is None else [_user(one, family) for one in listed.items()]
            if listed is not None and len({one.name for one in found}) < len(found):
                listed.wrong("has a user twice")
            if count is not None and count.whole() > len(found):
                count.wrong(f"is more than the {len(found)} users that are listed")
            return found

        return self._get(USERS, read, proxy_type=PROXY_TYPES[family])

    def account_days(self, first: date, last: date) -> Used:
        return self._used(ACCOUNT_DAYS, Range(first, last))

    def user_used(self, user: ListedUser, first: date, last: date) -> Used:
        """By day, or by hour where that is set."""
        who = {"proxy_type": PROXY_TYPES[user.family], "username": user.name}
        if self.by_hour:
            return self._used(USER_HOURS, Range(first, last, (f"{first} 00", f"{last} 23")), **who)
        return self._used(USER_DAYS, Range(first, last), **who)

    def _used(self, path: str, asked: Range, **who: str) -> Used:
        series = series_of(asked, self.zone)
        first, last = asked.hours or (str(asked.first), str(asked.last))
        of = f"{first} to {last}" + (f", {who['username']}" if who else "")
        return self._get(
            path, lambda data: _read_rows(data, series, asked.days, of), **who, from_date=first, to_date=last
        )

    def _get(self, path: str, read: Callable[[InAnswer], T], **query: str) -> T:
        """What `read` makes of the data of a success."""
        shown = [(name, self._secrets[name]) for name in ("token", "key") if self._secrets.get(name)]
        answer = self._ask("GET", path, query=[*shown, *query.items()], again=_later)
        if answer.status in {401, 403}:
            raise Denied(f"{path}: HTTP {answer.status}")
        if answer.status != 200:
            raise ChangedShape(f"{path}: HTTP {answer.status}", answer.text)
        body = told(answer)
        code = body.member("code").whole()
        if code != OK:
            raise refusal(path, code, answer.shown(str(body.value.get("msg") or ""), MAX_SAID))
        return read(body.member("data"))


def _zone(name: str) -> ZoneInfo:
    """Failed where it is no zone: nothing can be dated."""
    try:
        return load_zone(name)
    except UnknownZone as error:
        raise Failed(f"The setting timezone: {error.detail}") from None


def _later(answer: VendorAnswer) -> float | None:
    """10011 was seen to need no more than their pace."""
    try:
        return 0.0 if told(answer).member("code").whole() == TOO_OFTEN else None
    except ChangedShape:
        return None


def refusal(path: str, code: int, said: str) -> Exception:
    if code in DENIED:
        return Denied(f"{path}: code {code}: {said}")
    if code == TOO_OFTEN:
        return Limited(f"{path}: code {code}: {said}")
    if 500 <= code < 600:  # as a status would say it: it failed
        return Failed(f"{path}: code {code}: {said}")
    return Declined(code, f"{said} ({path})")


def _date(told: InAnswer) -> date:
    try:
        return date.fromisoformat(told.text()[:10])
    except ValueError:
        told.wrong("is no date such as 2025-03-26")


def _user(row: InAnswer, family: Family) -> ListedUser:
    """A comma in a name would ask for several users."""
    name, limit = row.member("username"), size(row.member("traffic_limit"), MIB)
    if not name.text() or "," in name.text():
        name.wrong("is no name that can be asked for")
    return ListedUser(name.text(), family, switch(row.member("status")), limit or None)


def _read_rows(data: InAnswer, series: Series, days: int, of: str) -> Used:
    """Each row is of a day or hour that was asked, once. One that is missing is nothing only where the answer's own
    count of days and sum say so."""
    begins = dict(zip(series.labels, series.bounds, strict=False))
    found: dict[str, Decimal] = {}
    for row in data.member("data").items():
        dated = row.member("date")
        if (label := dated.text()) not in begins or label in found:
            dated.wrong("was told already" if label in found else "was not asked for")
        found[label] = used(row.member("usage_traffic"), KIB)
    off = _off(data, sum(found.values(), Decimal()), len(found))
    if len(found) < len(begins):
        _check_gaps(data, days, len(found), off)
    at: defaultdict[int, int] = defaultdict(int)
    for label, amount in found.items():
        at[begins[label]] += whole(amount, KIB)
    ever = data.optional("total_usage_traffic")
    known = None if ever is None else size(ever, KIB)
    doubts = (f"{of}: {off}",) if off else ()
    return Used({begin: at[begin] for begin in sorted(at) if at[begin]}, step(found.values(), KIB), known, doubts)


def _check_gaps(data: InAnswer, days: int, rows: int, off: str) -> None:
    """ChangedShape where rows are missing that are not nothing."""
    counted, total = data.member("query_days"), data.member("range_usage_traffic")
    if counted.whole() != days:
        counted.wrong(f"is not the {days} days that were asked for, and rows are missing")
    used(total, KIB)
    if off:
        total.wrong(f"is not the sum of the {rows} rows, and rows are missing")


def _off(data: InAnswer, sum_of_rows: Decimal, rows: int) -> str:
    """Where the answer's own sum, if it has one, is not that of its rows: each may be rounded, by less than 1 KB."""
    total = data.optional("range_usage_traffic")
    if total is None or abs(used(total, KIB) - sum_of_rows) <= rows + 1:
        return ""
    return f"the sum is {total.decimal()} KB, the rows add up to {sum_of_rows}"
