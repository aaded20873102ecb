"""Pulled from our own dialect: whatever was used, the figures are those of the meter within the step they state, for
each sub-account and in total, hours add up to UTC days, and it does not matter how the pulls are cut."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.conftest import NOW, Client, Clock, event
from tests.fake_ingest import FakeIngest
from tests.soak import sampled
from tests.vendors.asked_app import AskApp, wanted
from tests.vendors.ipfoxy.conftest import make_reseller
from tests.vendors.ipfoxy.fox import MB, Fox
from tests.vendors.pulling import Told, closed

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.core.units import human_bytes
from flowtally.providers.puller import Denied
from flowtally.usage.memory import MemoryStore
from flowtally.vendors.ipfoxy import pull
from flowtally.vendors.ipfoxy.pull import PULLER
from flowtally.vendors.ipfoxy.rows import UTC_PLUS_8

SUBS = ("ABCDEFHGJ2000", "ABCDEFHGJ2001")
BEGIN = parse_instant("2026-02-20T16:00:00Z")  # a day of UTC+8
DAYS = 20
events = st.lists(
    st.tuples(
        st.integers(-3 * DAY_MS, DAYS * DAY_MS),
        st.sampled_from([*SUBS, ""]),
        st.sampled_from(["residential", "mobile", "datacenter"]),
        st.one_of(st.integers(0, 3000), st.integers(0, 40 * MB)),
    ),
    max_size=25,
)
cuts = st.tuples(st.integers(0, DAYS * DAY_MS), st.integers(0, 3 * DAY_MS), st.integers(5, 20))
Event = tuple[int, str, str, int]


def ask_fox(fox: Fox) -> AskApp:
    return AskApp(fox.client, base="/ip/open-api")


def told_of(fox: Fox, since: int, now: int, **how: str) -> Told:
    secrets = {"api_id": fox.id, "api_token": fox.token}
    return Told(PULLER.pull(ask_fox(fox), wanted(PULLER, secrets, since, now, residential="homes", **how)))


@pytest.fixture
def shop(client: Client) -> Fox:
    fox = make_reseller(client, "reseller01")
    for name in SUBS:
        fox.create(name, 1024, f"order-{name}")
    return fox


def put(fox: Fox, used: list[Event]) -> None:
    body = [
        event(f"e{n}", format_instant(BEGIN + at), "reseller01", user=user, product=product, bytes_down=size)
        for n, (at, user, product, size) in enumerate(used)
    ]
    assert fox.client.post("/v1/events", json=body).status_code == 200


@pytest.mark.parametrize("grain", ["day", "hour"])
def test_what_is_pulled_is_what_was_metered(
    shop: Fox, usage: MemoryStore, ingest: FakeIngest, monkeypatch: pytest.MonkeyPatch, grain: str
) -> None:
    @settings(max_examples=sampled(8, 2), deadline=None, suppress_health_check=[HealthCheck.too_slow])
    @given(events, cuts)
    def holds(used: list[Event], cut: tuple[int, int, int]) -> None:
        usage.rows, ingest.seen = [], {}
        put(shop, used)
        at, back, most = cut
        end = BEGIN + DAYS * DAY_MS
        monkeypatch.setitem(pull.MOST_DAYS, grain, 30)
        whole = told_of(shop, BEGIN, end - 1, grain=grain)
        assert closed(whole) == [(BEGIN, end)]
        check(whole, [(BEGIN + at, *one) for at, *one in used if 0 <= at < DAYS * DAY_MS], grain)
        monkeypatch.setitem(pull.MOST_DAYS, grain, most)
        parts = told_of(shop, BEGIN, BEGIN + at, grain=grain)
        for said in told_of(shop, max(BEGIN, BEGIN + at - back), end - 1, grain=grain).said:
            parts.hear(said)
        assert parts.figures == whole.figures

    holds()


def check(told: Told, used: list[Any], grain: str) -> None:
    """`used` lies in the stretch. Sub-accounts' lists are of all traffic, the own history is of residential traffic."""
    size = HOUR_MS if grain == "hour" else DAY_MS
    for name in (*SUBS, ""):
        mine = [(at, n) for at, user, product, n in used if user == name and (name or product != "mobile")]
        figures = {one.time: one.amount for one in told.figures.values() if one.sub_user == name}
        assert abs(sum(figures.values()) - sum(n for _, n in mine)) <= told.step + len(figures) / 2
        for at in {*figures, *(at - (at + UTC_PLUS_8) % size for at, _ in mine)}:
            within = sum(n for when, n in mine if at <= when < at + size)
            assert abs(figures.get(at, 0) - within) <= told.step
        if grain == "hour":
            for day in range(BEGIN - BEGIN % DAY_MS, BEGIN + DAYS * DAY_MS, DAY_MS):  # of UTC
                told_then = [n for at, n in figures.items() if day <= at < day + DAY_MS]
                within = sum(n for at, n in mine if day <= at < day + DAY_MS)
                assert abs(sum(told_then) - within) <= told.step + len(told_then) / 2


def test_balances_and_sub_accounts_are_those_of_the_account(shop: Fox, clock: Clock) -> None:
    shop.client.post("/v1/accounts/reseller01/wallet/deposits", json={"amount_micros": 12_340_000})
    put(shop, [(NOW - BEGIN, SUBS[0], "residential", 5 * MB), (NOW - BEGIN, "", "residential", 7 * MB)])
    clock.at = NOW + HOUR_MS
    told = told_of(shop, BEGIN, NOW)
    assert {label: (one.left, one.used) for label, one in told.balances.items()} == {
        "wallet": (12_340_000, None),
        "cashback": (0, None),
        "residential": ((98 * 1024 - 7) * MB, None),
        f"{SUBS[0]} residential": (1019 * MB, 5 * MB),
        f"{SUBS[0]} mobile": (0, 0),
        f"{SUBS[1]} residential": (1024 * MB, 0),
        f"{SUBS[1]} mobile": (0, 0),
    }
    one = told.sub_users[SUBS[0]]
    assert (one.enabled, one.limit, one.used) == (True, 1024 * MB, 5 * MB)


def test_nothing_is_asked_that_is_older_than_is_kept(shop: Fox) -> None:
    asking = ask_fox(shop)
    secrets = {"api_id": shop.id, "api_token": shop.token}
    for grain in ("day", "hour"):
        told = Told(PULLER.pull(asking, wanted(PULLER, secrets, 0, NOW, grain=grain)))
        assert closed(told)[0][0] >= NOW - 89 * DAY_MS


def test_a_check_says_what_can_be_seen(shop: Fox) -> None:
    secrets = {"api_id": shop.id, "api_token": shop.token}
    sight = PULLER.check(ask_fox(shop), wanted(PULLER, secrets, BEGIN, NOW, grain="hour"))
    assert sight.cannot == ()
    assert sight.works == (
        "Wallet: 0.00",
        f"Own package: {human_bytes((100 - 2) * 1024**3)} left",
        "Own use: by hour",
        "Sub-accounts: 2; their use by hour",
    )


def test_wrong_secrets_are_denied(shop: Fox) -> None:
    with pytest.raises(Denied):
        PULLER.check(ask_fox(shop), wanted(PULLER, {"api_id": shop.id, "api_token": "no"}, BEGIN, NOW))
