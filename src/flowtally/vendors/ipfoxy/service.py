"""IPFoxy's service, asked with the customer's own id and token: one question each, and what its answers mean.

Owns paths, codes, units, pages and how dates are read, leaves to `pull` what is asked when. What goes wrong is HTTP 200
with a code. Nearly every value is a text. Hours and days are cut in UTC+8, and the offset from UTC is never asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, TypeVar

import msgspec

from flowtally.core.edges import format_instant
from flowtally.core.reported import MIB, BalanceSaid, Grain, whole
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.providers.puller import AskVendor, ChangedShape, Declined, Denied, Failed, Limited, ToPull, VendorAnswer
from flowtally.providers.quantities import first_of, micros, seconds, size, step, unit_of, used
from flowtally.providers.reading import InAnswer, told
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8
from flowtally.vendors.ipfoxy.wire import (
    BAD_REQUEST,
    FAULT,
    NEVER,
    NOT_AUTHORIZED,
    OK,
    TOO_OFTEN,
    date_instant,
    offset_ms,
)

K = TypeVar("K")
T = TypeVar("T")

PAGE_SIZE: Final = 100  # the most that it gives
MOST_PAGES: Final = 1000  # of a list; more are no list that ends
HISTORY_PAGES: Final = 25  # the last one that it has
MINUTE_S: Final = 60.0  # its limit is of so many calls in one
MAX_SAID: Final = 200  # characters of what an error of theirs says
AGAIN: Final = {TOO_OFTEN: MINUTE_S, FAULT: 0.0, BAD_REQUEST: 0.0}

MONEY: Final = "account-info"
PACKAGE: Final = "residential-data"
HISTORY: Final = "residential-data-history"
ACCOUNTS: Final = "get-sub-account-list"
FLOW: Final = "get-sub-account-flow"
USE: Final = "get-account-use-flow-list"

OWN: Final = "residential"
MOBILE: Final = "mobile"
MAIN, SUB = "1", "2"
NORMAL, DISABLED = "1", "2"

SIZES: Final[Mapping[Grain, int]] = {"hour": HOUR_MS, "day": DAY_MS}


class ListedAccount(msgspec.Struct, frozen=True):
    """A sub-account as the list has it, in bytes. `expires_at`: of the last of its traffic; None: never."""

    name: str
    enabled: bool
    left: int
    used: int
    expires_at: int | None


class Listed(msgspec.Struct, frozen=True):
    """All sub-accounts. `doubts`: what does not fit together in the list."""

    accounts: tuple[ListedAccount, ...]
    doubts: tuple[str, ...] = ()


class Row(msgspec.Struct, frozen=True):
    """What was used in the hour or day that begins then, in bytes, and how exact that is."""

    at: int
    amount: int
    step: int


class Used(msgspec.Struct, frozen=True):
    """What was used, in bytes by when its hour or day begins, and how exact that is. `shown`: the hours or days that
    are known, where the list counts more than it has: of the others nothing is. None: what is not there is nothing."""

    at: Mapping[int, int]
    step: int
    shown: tuple[int, ...] | None = None
    doubts: tuple[str, ...] = ()


class IPFoxy:
    """The service with one customer's secrets and settings."""

    def __init__(self, ask: AskVendor, wanted: ToPull) -> None:
        self._ask = ask
        self._headers = {"api-id": wanted.secrets["api_id"], "api-token": wanted.secrets["api_token"]}
        self._currency = wanted.settings["currency"]
        self.grain: Grain = "hour" if wanted.settings["grain"] == "hour" else "day"

    def money(self) -> list[BalanceSaid]:
        """What the wallet holds, and what was given back into it."""

        def read(data: InAnswer) -> list[BalanceSaid]:
            held = {"wallet": first_of(data, "balance", "total_balance"), "cashback": data.optional("cashback")}
            known = {label: micros(one) for label, one in held.items() if one is not None}
            return [BalanceSaid(label, "money", left, currency=self._currency) for label, left in known.items()]

        return self._get(MONEY, read)

    def package(self) -> BalanceSaid:
        """The account's own residential traffic. What of it was used, and what passed on, it does not tell."""

        def read(data: InAnswer) -> BalanceSaid:
            total, left, ends = data.member("total_mb"), data.member("remain_mb"), data.optional("expire_time")
            exact = step([total.decimal(), left.decimal()], MIB)
            ends_at = _expiry(ends)
            return BalanceSaid(OWN, "bytes", size(left, MIB), total=size(total, MIB), expires_at=ends_at, step=exact)

        return self._get(PACKAGE, read)

    def accounts(self) -> Listed:
        """Its sub-accounts. The main account is among them, and no user of its own; in the list of their own page it is
        counted and not there."""

        def read(data: InAnswer) -> tuple[dict[str, ListedAccount | None], int | None]:
            total, listed = data.optional("total"), data.member("list")
            rows = [_account(row) for row in listed.items()]
            if len(dict(rows)) < len(rows):
                listed.wrong("has an account twice")
            return dict(rows), None if total is None else total.whole()

        found, counted = self._pages(ACCOUNTS, read)
        hidden = counted - len(found)
        told = f"{ACCOUNTS}: {counted} accounts are told of, and its pages have {len(found)}"
        if hidden > 1 or (hidden == 1 and None in found.values()):
            raise ChangedShape(told)
        doubts = (f"{told}; the other one may be the main account",) if hidden == 1 else ()
        return Listed(tuple(one for one in found.values() if one is not None), doubts)

    def flow(self, account: ListedAccount) -> list[BalanceSaid]:
        """What a sub-account has: residential traffic, and mobile in the newer edition of the answer."""

        def read(data: InAnswer) -> list[BalanceSaid]:
            unit = unit_of(data.member("unit"))
            found = [_held(f"{account.name} {OWN}", data, "", unit, account.expires_at)]
            if data.optional("mob_surplus_flow") or data.optional("mob_use_flow"):
                found.append(_held(f"{account.name} {MOBILE}", data, "mob_", unit, account.expires_at))
            return found

        return self._get(FLOW, read, account=account.name)

    def account_used(self, name: str, start: int, end: int) -> Used:
        """What a sub-account used in the hours or days of [start, end), which are whole ones of UTC+8."""
        by_hour = "1" if self.grain == "hour" else "2"

        def read(data: InAnswer) -> tuple[dict[int, Row], int | None]:
            offset, unit = _offset(data.member("timezone"), self.grain), unit_of(data.member("unit"))
            rows = (_use(row, name, offset, unit, self.grain) for row in data.member("list").items())
            counted = data.optional("count")
            return _once(rows, data), None if counted is None else counted.whole()

        found, counted = self._pages(
            USE, read, account=name, start_time=_s(start), end_time=_s(end - 1000), unit=by_hour
        )
        used = _used(USE, found, start, end)
        if counted <= len(found):
            return used
        doubt = f"{USE}: {counted} rows of {name} are told of, and its pages have {len(found)}"
        return msgspec.structs.replace(used, shown=tuple(sorted(found)), doubts=(doubt,))

    def own_used(self, start: int, end: int) -> Used:
        """The same of the account's own residential traffic."""
        by_hour = "1" if self.grain == "hour" else "0"

        def read(data: InAnswer) -> tuple[dict[int, Row], int, int]:
            rows = (_history(row, self.grain) for row in data.member("list").items())
            return _once(rows, data), data.member("total").whole(), data.member("page").whole(1)

        found: dict[int, Row] = {}
        for page in range(1, HISTORY_PAGES + 1):
            asked = {"start_timestamp": _s(start), "end_timestamp": _s(end - 1000), "is_hour": by_hour}
            rows, total, told_page = self._get(HISTORY, read, **asked, page=str(page))
            if told_page != page:
                raise ChangedShape(f"{HISTORY}: page {page} was asked for, and page {told_page} came")
            found |= rows
            if not rows or len(found) >= total:
                break
        if len(found) < total:
            raise ChangedShape(f"{HISTORY}: {total} rows are told of, and its pages have {len(found)}")
        return _used(HISTORY, found, start, end)

    def _pages(
        self, name: str, read: Callable[[InAnswer], tuple[dict[K, T], int | None]], **asked: str
    ) -> tuple[dict[K, T], int]:
        """All pages of a list: until one is empty, or not full where there are as many as are counted. It does not say
        what its count is of, so the count alone ends nothing. And the most that a page counted."""
        found: dict[K, T] = {}
        most = 0
        for page in range(1, MOST_PAGES + 1):
            rows, counted = self._get(name, read, **asked, page=str(page), page_size=str(PAGE_SIZE))
            if page == 1 and not rows and counted:
                raise ChangedShape(f"{name}: {counted} rows are told of, and there are none")
            known, found, most = len(found), found | rows, max(most, counted or 0)
            full = len(rows) >= PAGE_SIZE
            if full and len(found) == known:
                raise ChangedShape(f"{name}: page {page} has nothing that was not on the pages before it")
            if not full and (len(found) == known or (counted is not None and len(found) >= counted)):
                return found, most
        raise ChangedShape(f"{name}: {MOST_PAGES} pages have no end")

    def _get(self, name: str, read: Callable[[InAnswer], T], **query: str) -> T:
        """What `read` makes of the data of a success."""
        answer = self._ask("GET", f"/{name}", query=list(query.items()), headers=self._headers, again=_later)
        if answer.status in {401, 403}:
            raise Denied(f"{name}: HTTP {answer.status}")
        if answer.status != 200:
            raise ChangedShape(f"{name}: HTTP {answer.status}", answer.text)
        body = told(answer)
        code = body.member("code").whole()
        if code != OK:
            raise refusal(name, code, answer.shown(str(body.value.get("msg") or ""), MAX_SAID))
        return read(body.member("data"))


def _later(answer: VendorAnswer) -> float | None:
    """Too many in a minute are to wait for the next one; what failed may work at once."""
    try:
        return AGAIN.get(told(answer).member("code").whole())
    except ChangedShape:
        return None


def refusal(name: str, code: int, said: str) -> Exception:
    if code == NOT_AUTHORIZED:
        return Denied(f"{name}: code {code}: {said}")
    if code == TOO_OFTEN:
        return Limited(f"{name}: code {code}: {said}", MINUTE_S)
    if code in AGAIN:
        return Failed(f"{name}: code {code}: {said}")
    return Declined(code, f"{said} ({name})")


def _s(at: int) -> str:
    return str(at // 1000)


def _account(row: InAnswer) -> tuple[str, ListedAccount | None]:
    """Its name and what it is; None for the main account."""
    name, kind, status = row.member("account"), row.member("is_main"), row.member("status")
    if kind.text() not in {MAIN, SUB}:
        kind.wrong("is neither a main account nor a sub-account")
    if status.text() not in {NORMAL, DISABLED}:
        status.wrong("is no status that is known")
    if not name.text():
        name.wrong("is no name")
    if kind.text() == MAIN:
        return name.text(), None
    unit = unit_of(row.member("unit"))
    left, used = size(row.member("surplus_flow"), unit), size(row.member("use_flow"), unit)
    ends = _expiry(row.optional("ex_time"))
    return name.text(), ListedAccount(name.text(), status.text() == NORMAL, left, used, ends)


def _expiry(told: InAnswer | None) -> int | None:
    """The last second of a 32-bit clock stands for never."""
    return None if told is None or told.text() == NEVER else seconds(told)


def _held(label: str, data: InAnswer, prefix: str, unit: int, expires_at: int | None) -> BalanceSaid:
    left, used = data.member(f"{prefix}surplus_flow"), data.member(f"{prefix}use_flow")
    total = size(left, unit) + size(used, unit)
    exact = step([left.decimal(), used.decimal()], unit)
    return BalanceSaid(label, "bytes", size(left, unit), size(used, unit), total, expires_at=expires_at, step=exact)


def _offset(told: InAnswer, grain: Grain) -> int:
    """What its dates are before UTC, in ms. Hours are the same hours in any zone of whole hours, days are not."""
    try:
        found = offset_ms(told.text())
    except ValueError:
        told.wrong("is no offset from UTC such as +08:00")
    if found % HOUR_MS or (grain == "day" and found != UTC_PLUS_8):
        told.wrong(f"is no zone in which its {grain}s are known: they were cut in UTC+8")
    return found


def _use(row: InAnswer, name: str, offset: int, unit: int, grain: Grain) -> Row:
    account, date = row.member("account"), row.member("date")
    if account.text() != name:
        account.wrong(f"is not {name!r}, which was asked for")
    try:
        at = date_instant(date.text(), offset)
    except ValueError:
        date.wrong("is no date such as 2025-06-26 00:00:00")
    return _row(date, at, row.member("flow"), unit, grain)


def _history(row: InAnswer, grain: Grain) -> Row:
    period, begin = row.member("period"), row.member("timestamp")
    if period.text() != f"1 {grain}":
        period.wrong(f"is not the {grain} that was asked for")
    return _row(begin, seconds(begin), row.member("mb"), MIB, grain)


def _row(told: InAnswer, at: int, flow: InAnswer, unit: int, grain: Grain) -> Row:
    if (at + UTC_PLUS_8) % SIZES[grain]:
        told.wrong(f"is not when a {grain} begins in UTC+8")
    amount = used(flow, unit)
    return Row(at, whole(amount, unit), step([amount], unit))


def _once(rows: Iterable[Row], data: InAnswer) -> dict[int, Row]:
    """Of one page, which has no hour or day twice."""
    found: dict[int, Row] = {}
    for row in rows:
        if row.at in found:
            data.member("list").wrong("has an hour or a day twice")
        found[row.at] = row
    return found


def _used(name: str, found: Mapping[int, Row], start: int, end: int) -> Used:
    """ChangedShape for an hour or a day that was not asked for."""
    others = [at for at in found if not start <= at < end]
    if others:
        raise ChangedShape(f"{name}: {format_instant(others[0])} was told, and was not asked for")
    rows = [found[at] for at in sorted(found)]
    return Used({row.at: row.amount for row in rows if row.amount}, min((row.step for row in rows), default=MIB))
