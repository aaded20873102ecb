"""Pulled from our own dialect: whatever was used, in whatever zone and by day or by hour, the figures are those of the
meter within the step they state, for each user and in total, and it does not matter how the pulls are cut."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.fake_ingest import FakeIngest
from tests.soak import sampled
from tests.vendors.asked_app import AskApp, wanted
from tests.vendors.pulling import Told, closed
from tests.vendors.thordata.conftest import MB, Shop
from tests.vendors.thordata.test_one_truth import BEGIN, DAY, POOL, put

from flowtally.core.edges import bucket_of, first_instant, format_instant, load_zone, local_date
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.thordata import pull
from flowtally.vendors.thordata.pull import PULLER

USERS = {"user123": "1", "user456": "1", "mobile1": "3"}
PRODUCTS = {"1": "homes", "3": "phones"}
Event = tuple[int, str, str, int]
sizes = st.one_of(st.integers(0, 3000), st.integers(0, 40 * MB))
users = [("user123", "residential"), ("user456", "residential"), ("native1", "residential"), ("", "residential"),
         ("", "datacenter"), ("mobile1", "mobile"), ("", "mobile"), ("user123", "mobile")]  # fmt: skip
events = st.lists(
    st.tuples(st.integers(-3 * DAY, 15 * DAY), st.sampled_from(users), sizes).map(
        lambda one: (one[0], *one[1], one[2])
    ),
    max_size=25,
)
cuts = st.tuples(st.integers(0, 15 * DAY), st.integers(0, 3 * DAY), st.integers(4, 20))


def told_of(shop: Shop, since: int, now: int, **settings: str) -> Told:
    secrets = {"token": shop.shown.token, "key": shop.shown.key}
    products = {"residential": "homes", "mobile": "phones"}
    return Told(
        PULLER.pull(AskApp(shop.client, base="/api"), wanted(PULLER, secrets, since, now, **products, **settings))
    )


@pytest.mark.parametrize("grain", ["day", "hour"])
@pytest.mark.parametrize("zone", ["UTC", "Europe/Berlin", "Australia/Lord_Howe"])
def test_what_is_pulled_is_what_was_metered(
    make_shop: Callable[..., Shop],
    usage: MemoryStore,
    ingest: FakeIngest,
    monkeypatch: pytest.MonkeyPatch,
    zone: str,
    grain: str,
) -> None:
    shop = make_shop(timezone=zone)
    for name, proxy_type in USERS.items():
        shop.make(name, proxy_type=proxy_type)
    how = {"timezone": zone, "grain": grain}

    @settings(max_examples=sampled(8, 2), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(events, cuts)
    def holds(used: list[Event], cut: tuple[int, int, int]) -> None:
        usage.rows, ingest.seen = [], {}
        put(shop, used)
        monkeypatch.setattr(pull, "MOST_DAYS", 180)
        whole = told_of(shop, BEGIN, BEGIN + 15 * DAY, **how)
        check(whole, used, zone, grain)
        at, back, most = cut
        monkeypatch.setattr(pull, "MOST_DAYS", most)
        parts = told_of(shop, BEGIN, BEGIN + at, **how)
        later = told_of(shop, max(BEGIN, BEGIN + at - back), BEGIN + 15 * DAY, **how)
        for said in later.said:
            parts.hear(said)
        assert parts.figures == whole.figures

    holds()


def check(told: Told, used: list[Event], zone: str, grain: str) -> None:
    tz = load_zone(zone)
    [(start, end)] = closed(told)
    assert (start, end) == (first_instant(local_date(BEGIN, tz), tz), bucket_of("day", BEGIN + 15 * DAY, tz)[1])
    mine = [(BEGIN + at, user, product, size) for at, user, product, size in used if start <= BEGIN + at < end]
    for name, proxy_type in USERS.items():
        figures = [one for one in told.figures.values() if one.sub_user == name]
        assert {one.product for one in figures} <= {PRODUCTS[proxy_type]}
        metered = [(at, size) for at, user, _, size in mine if user == name]
        near(told, figures, metered)
        for one in figures:
            row = label(one.time, tz, grain)
            within = [size for at, size in metered if label(at, tz, grain) == row]
            assert abs(one.amount - sum(within)) <= told.step
    account = [one for one in told.figures.values() if one.product == "homes"]
    near(told, account, [(at, size) for at, _, product, size in mine if product in POOL])
    assert {one.sub_user for one in told.figures.values()} <= {*USERS, ""}


def label(at: int, zone: ZoneInfo, grain: str) -> str:
    """The day or hour as the zone's clocks show it: an hour that comes twice is one row of theirs."""
    return format_instant(at, zone)[: 10 if grain == "day" else 13]


def near(told: Told, figures: list[Any], metered: list[tuple[int, int]]) -> None:
    """Their sum, within the step and half a byte of each row that was rounded to bytes."""
    off = abs(sum(one.amount for one in figures) - sum(size for _, size in metered))
    assert off <= told.step + len(told.figures) / 2


def test_users_are_told_with_their_limits_and_what_they_ever_used(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.make("user123", traffic_limit="100")
    shop.make("mobile1", proxy_type="3", status="false")
    shop.use("e1", "2025-10-20T00:00:00Z", 2048, user="user123")
    shop.use("e2", "2025-11-20T00:00:00Z", 1024, user="user123")
    told = told_of(shop, BEGIN, BEGIN + DAY)
    one, other = told.sub_users["user123"], told.sub_users["mobile1"]
    assert (one.enabled, one.limit, one.used) == (True, 100 * MB, 3072)
    assert (other.enabled, other.limit, other.used) == (False, None, 0)


def test_a_user_that_is_deleted_leaves_its_last_days_to_nobody_and_the_total_as_it_was(
    make_shop: Callable[..., Shop],
) -> None:
    shop = make_shop()
    for name in ("user123", "user456"):
        shop.make(name)
        shop.use(name, "2025-10-20T05:00:00Z", 10_240, user=name)
        shop.use(f"{name}-2", "2025-10-25T05:00:00Z", 20_480, user=name)
    for grain in ("day", "hour"):
        told = told_of(shop, BEGIN, BEGIN + 6 * DAY, grain=grain)
        assert (told.total(), told.total("user123"), told.total("")) == (61_440, 30_720, 0)
    shop.done("proxy-users/delete-user", username="user123")
    for said in told_of(shop, BEGIN + 5 * DAY, BEGIN + 6 * DAY, grain="hour").said:
        told.hear(said)
    assert (told.total(), told.total("user123"), told.total("user456"), told.total("")) == (
        61_440,
        10_240,
        30_720,
        20_480,
    )


def test_balances_are_those_of_the_account(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop(timezone="Asia/Tokyo")
    shop.grant(5 * MB + 512, expires_at="2026-04-01T00:00:00Z")
    shop.client.post("/v1/accounts/shop/wallet/deposits", json={"amount_micros": 12_340_000})
    told = told_of(shop, BEGIN, BEGIN, timezone="Asia/Tokyo")
    traffic, wallet = told.balances["traffic"], told.balances["wallet"]
    assert (traffic.left, traffic.step) == (5 * MB, MB)
    assert traffic.expires_at == first_instant(
        local_date(1775001600000, load_zone("Asia/Tokyo")), load_zone("Asia/Tokyo")
    )
    assert (wallet.left, wallet.quantity, wallet.currency) == (12_340_000, "money", "USD")


def test_sub_users_may_be_left_alone(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.make("user123")
    shop.use("e1", "2025-10-20T05:00:00Z", 10_240, user="user123")
    told = told_of(shop, BEGIN, BEGIN, sub_users="none")
    assert told.rows() == {("", "homes", BEGIN): 10_240}
    assert told.sub_users == {}


def test_a_check_says_what_can_be_seen_of_what_is_asked_for(make_shop: Callable[..., Shop]) -> None:
    shop = make_shop()
    shop.make("user123")
    asking = AskApp(shop.client, base="/api")
    sight = PULLER.check(asking, wanted(PULLER, {"token": shop.shown.token}, BEGIN, BEGIN, unlimited=""))
    assert sight.cannot == ()
    assert sight.works == (
        "Traffic left: 0 B",
        "Wallet: 0.00 USD",
        "Use of the account: by day",
        "Proxy users, residential: 1; their use by day",
        "Proxy users, mobile: 0; their use by day",
    )
