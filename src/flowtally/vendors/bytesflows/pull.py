"""What is brought of an account with BytesFlows: its grants, what is left, and what grants say more of at each look.

Owns what is asked when, and what the answers mean. BytesFlows tells no days: the use of a stretch of time is what its
grants have paid for since the look before it. What they had paid for at the first look is no part of the series.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from typing import Final, NoReturn
from zoneinfo import ZoneInfo

from flowtally.core.edges import load_zone
from flowtally.core.errors import UnknownZone
from flowtally.core.reported import (
    EVERYBODY,
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    GrantSaid,
    GrantsSaid,
    Paying,
    Statement,
    UseSaid,
    whole,
)
from flowtally.core.times import BEGINNING, LAST_INSTANT
from flowtally.core.units import human_bytes
from flowtally.providers.puller import (
    AskVendor,
    ChangedShape,
    Denied,
    Failed,
    Limited,
    Pace,
    ProviderSetting,
    Puller,
    Sight,
    ToPull,
    VendorAnswer,
)
from flowtally.providers.reading import InAnswer, told
from flowtally.vendors.bytesflows.wire import ASSET, FAULT, OK, THROTTLED, read_time

RECORDS: Final = "/api/v1/user/traffic/records"
PAGE_SIZE: Final = 100  # the vendor may lower it, and says nothing then
MAX_PAGES: Final = 1000
WALKS: Final = 3  # through all pages, until one was not disturbed by a grant that came or went
CENT: Final = 10_000  # micros
MICROS: Final = 1_000_000
MAX_SAID: Final = 200  # characters of what an error of theirs says


def check(ask: AskVendor, wanted: ToPull) -> Sight:
    """The grants must be seen; what else is refused is told."""
    service = _BytesFlows(ask, wanted)
    grants = service.grants()
    works, cannot = [f"Grants: {len(grants)}"], ["Use by day, hour or sub-user: its API tells only totals of grants"]
    try:
        traffic, _ = service.balances(grants)
        works.append(f"Traffic left: {human_bytes(traffic.left or 0)}")
    except Denied as error:
        cannot.append(f"Balances: {error}")
    return Sight(tuple(works), tuple(cannot))


def pull(ask: AskVendor, wanted: ToPull) -> Iterator[Statement]:
    """Grants, then their use since the look before this one, then balances. A first look has no use."""
    service = _BytesFlows(ask, wanted)
    grants = service.grants()
    yield GrantsSaid(grants)
    yield _use_of(grants, wanted)
    yield BalancesSaid(service.balances(grants))


def _use_of(grants: Sequence[GrantSaid], wanted: ToPull) -> UseSaid:
    """What was used of each grant since the first look. One that says less than it did then is nobody's use."""
    now, product, looked = wanted.now, wanted.settings["product"], wanted.looked
    if looked is None:
        return UseSaid("bytes", "pull", "UTC", now, now + 1, 1, ())
    figures, doubts = [], []
    for one in grants:
        used = one.used - looked.baseline.get(one.id, 0)
        if used < 0:
            doubts.append(f"grant {one.id}: {one.used} bytes are used, and {looked.baseline[one.id]} were at first")
        figures.append(FigureSaid(f"grant {one.id}", now, EVERYBODY, product, max(0, used)))
    since = min(looked.at, now)
    return UseSaid("bytes", "pull", "UTC", since, now + 1, 1, tuple(figures), doubts=tuple(doubts))


class _BytesFlows:
    """The service with one customer's secrets and settings."""

    def __init__(self, ask: AskVendor, wanted: ToPull) -> None:
        self._ask = ask
        self._bearer = {"Authorization": f"Bearer {wanted.secrets['token']}"}
        cookie = wanted.secrets.get("cookie", "")
        self._for_asset = {"Cookie": cookie} if cookie else self._bearer
        self._zone = _zone(wanted.settings["timezone"])

    def grants(self) -> tuple[GrantSaid, ...]:
        """All of them, as one list was while it was read. Failed where it changes all the time."""
        for _ in range(WALKS):
            found, totals = self._walk()
            if {one.whole() for one in totals} == {len(found)}:
                return tuple(found.values())
        if len({one.whole() for one in totals}) == 1:
            totals[-1].wrong(f"is not the {len(found)} grants that are listed")
        raise Failed("the list of grants changes while it is read")

    def _walk(self) -> tuple[dict[str, GrantSaid], list[InAnswer]]:
        """By id, what was read last: a new grant pushes others onto the next page. And the total of each page."""
        found: dict[str, GrantSaid] = {}
        totals: list[InAnswer] = []
        for number in range(1, MAX_PAGES + 1):
            query = [("pageNo", str(number)), ("pageSize", str(PAGE_SIZE))]
            data = self._get(RECORDS, self._bearer, query)
            totals.append(data.member("total"))
            page: dict[str, GrantSaid] = {}
            for row in data.member("records").items():
                one = _grant(row, self._zone)
                if page.setdefault(one.id, one) != one:
                    row.member("id").wrong("is that of two grants")
            brought = page.keys() - found.keys()
            found |= page
            if not brought or len(found) >= totals[-1].whole():
                return found, totals
        raise Failed(f"the list of grants has more than {MAX_PAGES} pages")

    def balances(self, grants: Sequence[GrantSaid]) -> tuple[BalanceSaid, BalanceSaid]:
        """Traffic and money. Their formula: what is used is the total less what is left. The first active grant that
        ends with something left in it ends a part of the traffic."""
        data = self._get(ASSET, self._for_asset)
        left, total = data.member("dynamicTraffic").whole(), data.member("totalTraffic").whole()
        ends = [one.expires_at for one in grants if one.standing == "active" and one.used < one.amount]
        return (
            BalanceSaid(
                "traffic",
                "bytes",
                left,
                used=total - left if left <= total else None,
                total=total,
                expires_at=min((at for at in ends if at is not None), default=None),
            ),
            BalanceSaid(
                "wallet",
                "money",
                whole(data.member("balance").decimal(), MICROS),
                currency=data.member("currency").text(),
                step=CENT,
            ),
        )

    def _get(self, path: str, secret: dict[str, str], query: Sequence[tuple[str, str]] = ()) -> InAnswer:
        answer = self._ask("GET", path, query=query, headers=secret, again=_later)
        if not 200 <= answer.status < 300:
            _refuse(path, answer, answer.status)
        body = told(answer)
        if (code := body.member("code").whole(least=None)) != OK:
            _refuse(path, answer, code)
        return body.member("data")


def _later(answer: VendorAnswer) -> float | None:
    """What is wrong may be said by HTTP or in the envelope."""
    if 200 <= answer.status < 300:
        with suppress(ChangedShape):
            code = told(answer).member("code").whole(least=None)
            return 0.0 if code == THROTTLED or code >= FAULT else None
    return None


def _refuse(path: str, answer: VendorAnswer, code: int) -> NoReturn:
    said = answer.text
    with suppress(ChangedShape):
        said = told(answer).member("msg").text()
    shown = f"{path}: {code}: {answer.shown(said, MAX_SAID)}"
    if code in {401, 403}:
        raise Denied(shown)
    if code == THROTTLED:
        raise Limited(shown)
    if code >= FAULT:
        raise Failed(shown)
    raise ChangedShape(shown, answer.text)


def _grant(row: InAnswer, zone: ZoneInfo) -> GrantSaid:
    created, expires = row.optional("createTime"), row.optional("expireTime")
    order, kind = row.optional("orderId"), row.optional("sourceType")
    return GrantSaid(
        id=row.member("id").text() or row.member("id").wrong("is empty"),
        order="" if order is None else order.text(),
        kind="" if kind is None else kind.text(),
        quantity="bytes",
        amount=row.member("traffic").whole(),
        used=row.member("trafficUsed").whole(),
        created_at=None if created is None else _instant(created, zone),
        expires_at=None if expires is None else _instant(expires, zone),
        standing="active" if row.member("status").whole(least=None) == 1 else "ended",
        raw_created="" if created is None else created.text(),
        raw_expires="" if expires is None else expires.text(),
    )


def _instant(said: InAnswer, zone: ZoneInfo) -> int:
    """A clock time of the zone that is set; what is later than the year 9999 is its end."""
    try:
        at = read_time(said.text(), zone)
    except (ValueError, OverflowError):
        said.wrong("is no time such as 2026-02-21 20:00:00")
    if at < BEGINNING:
        said.wrong("is before 1970")
    return min(at, LAST_INSTANT)


def _zone(name: str) -> ZoneInfo:
    """Failed where it is no zone: nothing can be dated."""
    try:
        return load_zone(name)
    except UnknownZone as error:
        raise Failed(f"The setting timezone: {error.detail}") from None


PULLER: Final = Puller(
    vendor="bytesflows",
    title="BytesFlows",
    base_url="https://bytesflows.com",
    secrets=(
        ProviderSetting("token", "The account's token, sent as Authorization: Bearer."),
        ProviderSetting("cookie", "A Cookie header to send instead where the balances are asked; empty: none.", ""),
    ),
    settings=(
        ProviderSetting("product", "The product of its traffic.", "residential"),
        ProviderSetting("timezone", "The IANA zone of its times; its pages name none.", "UTC"),
    ),
    pace=Pace(between_s=1.0),
    every_s=900,
    settle_days=0,
    keeps_days=None,
    quantity="bytes",
    check=check,
    pull=pull,
    paying=Paying("traffic", "product", by_grants=True),
)
