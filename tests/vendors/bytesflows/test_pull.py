"""BytesFlows' puller: against our own dialect of it, against what its notes say, and against what should not be."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Client, Clock, send_all
from tests.filling import Filled, Filling
from tests.providers import stub as stubs
from tests.providers.stub import Reply, Stub, ok, say
from tests.providers.waits import ONCE, PACE, Waits, client_of
from tests.soak import sampled
from tests.vendors.asked_app import AskApp, Series, wanted
from tests.vendors.asking import issue
from tests.vendors.pulling import AskScript

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reported import (
    BalanceSaid,
    BalancesSaid,
    FigureSaid,
    GrantSaid,
    GrantsSaid,
    Statement,
    UseSaid,
)
from flowtally.core.times import LAST_INSTANT
from flowtally.core.units import human_bytes
from flowtally.providers.puller import ChangedShape, Denied, EarlierLooks, Failed, Limited, Pace, ToPull
from flowtally.vendors import bytesflows
from flowtally.vendors.bytesflows.pull import PULLER, WALKS
from flowtally.vendors.bytesflows.settings import Settings

SAMPLES = Path(bytesflows.__file__).parent / "samples"
TOKEN = "bf-token-0123456789"
NOW = parse_instant("2026-03-15T12:00:00Z")
HOUR = 3_600_000
GB = 10**9
FIRST = EarlierLooks(NOW - HOUR, {})


def grant(id: Any, used: Any = 0, **more: Any) -> dict[str, Any]:
    usual = {
        "id": id, "orderId": f"ORD-{id}", "sourceType": "order", "traffic": GB, "trafficUsed": used,
        "createTime": "2026-02-21 20:00:00", "expireTime": "2026-03-21 20:00:00", "status": 1,
    }  # fmt: skip
    return usual | more


def envelope(data: Any, **more: Any) -> str:
    return json.dumps({"code": 200, "msg": "success", "data": data} | more)


def records(*grants: Any, total: Any = None, **more: Any) -> Reply:
    return ok(envelope({"records": list(grants), "total": len(grants) if total is None else total} | more))


def asset(total: Any = 5 * GB, left: Any = 3 * GB, balance: Any = 1.5, currency: Any = "USD", **more: Any) -> Reply:
    data = {"totalTraffic": total, "dynamicTraffic": left, "balance": balance, "currency": currency}
    return ok(envelope(data | more))


def pulled(
    *replies: Reply, looked: EarlierLooks | None = FIRST, pace: Pace = ONCE, waits: Waits | None = None, **more: str
) -> list[Statement]:
    with Stub(*replies) as stub, client_of(stub.url, pace, waits, secrets=[TOKEN]) as ask:
        return list(ask.pull(PULLER, wanted(PULLER, {"token": TOKEN}, 0, NOW, looked=looked, **more)))


def script() -> AskScript:
    """What is answered where all is well."""
    answers = {
        "/api/v1/user/traffic/records": {"records": [grant("1", 5), grant("2", "7", sourceType="sign")], "total": 2},
        "/api/v1/dashboard/asset": {"totalTraffic": 20, "dynamicTraffic": 8, "balance": "1.50", "currency": "USD"},
    }
    return AskScript(lambda path, query: json.loads(envelope(answers[path])))


def to_pull() -> ToPull:
    return wanted(PULLER, {"token": TOKEN}, 0, NOW, looked=FIRST)


def grants_of(said: list[Statement]) -> tuple[GrantSaid, ...]:
    [found] = [one for one in said if isinstance(one, GrantsSaid)]
    return found.grants


def use_of(said: list[Statement]) -> UseSaid:
    [found] = [one for one in said if isinstance(one, UseSaid)]
    return found


def balances_of(said: list[Statement]) -> dict[str, BalanceSaid]:
    [found] = [one for one in said if isinstance(one, BalancesSaid)]
    return {one.label: one for one in found.balances}


# -- What is asked and answered ---------------------------------------------------------------------------------------


def test_the_samples_of_its_page_are_read() -> None:
    replies = (ok((SAMPLES / "records.json").read_text()), ok((SAMPLES / "asset.json").read_text()))
    with Stub(*replies) as stub, client_of(stub.url) as ask:
        said = list(ask.pull(PULLER, wanted(PULLER, {"token": TOKEN}, 0, NOW, looked=FIRST)))
    until = parse_instant("2026-03-21T20:00:00Z")
    one = GrantSaid(
        "123456", "ORD-7890", "order", "bytes", 1 << 30, 512 << 10, parse_instant("2026-02-21T20:00:00Z"), until,
        "active", "2026-02-21 20:00:00", "2026-03-21 20:00:00",
    )  # fmt: skip
    assert said == [
        GrantsSaid((one,)),
        UseSaid(
            "bytes", "pull", "UTC", NOW - HOUR, NOW + 1, 1,
            (FigureSaid("grant 123456", NOW, "", "residential", 512 << 10),),
        ),
        BalancesSaid((
            BalanceSaid("traffic", "bytes", 188944515072, 34045952, 188978561024, expires_at=until),
            BalanceSaid("wallet", "money", 0, currency="USD", step=10_000),
        )),
    ]  # fmt: skip
    assert [one.headers.get("authorization") for one in stub.heard] == [f"Bearer {TOKEN}"] * 2
    assert [one.target for one in stub.heard] == [
        "/api/v1/user/traffic/records?pageNo=1&pageSize=100", "/api/v1/dashboard/asset",
    ]  # fmt: skip


def test_a_cookie_is_sent_only_where_the_balances_are_asked() -> None:
    with Stub(records(), asset()) as stub, client_of(stub.url) as ask:
        list(ask.pull(PULLER, wanted(PULLER, {"token": TOKEN, "cookie": "token=abc"}, 0, NOW)))
    of_records, of_asset = (one.headers for one in stub.heard)
    assert ("cookie" in of_records, of_records["authorization"]) == (False, f"Bearer {TOKEN}")
    assert (of_asset["cookie"], "authorization" in of_asset) == ("token=abc", False)


def test_numbers_may_be_text_and_what_is_not_known_is_ignored() -> None:
    odd = grant(
        7, "5.0", traffic="100", status="1", orderId=99, sourceType="sign-up trial", expireTime="", refunded=True
    )
    page = ok(json.dumps({"code": "200", "data": {"records": [odd], "total": "1", "pages": 1}, "trace": "x"}))
    said = pulled(page, asset("100", "95", "0.00", new=[]), product="mobile", timezone="Asia/Shanghai")
    [found] = grants_of(said)
    assert (found.id, found.order, found.kind, found.amount, found.used) == ("7", "99", "sign-up trial", 100, 5)
    assert (found.created_at, found.expires_at) == (parse_instant("2026-02-21T12:00:00Z"), None)
    assert use_of(said).figures == (FigureSaid("grant 7", NOW, "", "mobile", 5),)
    assert balances_of(said)["wallet"].left == 0


@pytest.mark.parametrize(
    ("balance", "micros"),
    [(0, 0), (0.0, 0), ("0.00", 0), ("12.34", 12_340_000), (12.345678, 12_345_678), (-3.5, -3_500_000)],
)
def test_money_is_exact_in_every_spelling(balance: Any, micros: int) -> None:
    assert balances_of(pulled(records(), asset(balance=balance)))["wallet"].left == micros


@pytest.mark.parametrize(("status", "standing"), [(1, "active"), (0, "ended"), (2, "ended"), (-1, "ended")])
def test_every_status_but_1_is_not_active(status: int, standing: str) -> None:
    assert grants_of(pulled(records(grant("a", status=status)), asset()))[0].standing == standing


def test_a_balance_ends_in_part_when_the_first_active_grant_with_something_left_does() -> None:
    listed = [
        grant("spent", GB, expireTime="2026-03-16 00:00:00"),
        grant("ended", 0, expireTime="2026-03-17 00:00:00", status=0),
        grant("for ever", 0, expireTime=None),
        grant("first", 5, expireTime="2026-03-20 00:00:00"),
        grant("second", 5, expireTime="2026-03-21 00:00:00"),
    ]
    assert balances_of(pulled(records(*listed), asset()))["traffic"].expires_at == parse_instant("2026-03-20T00:00:00Z")


def test_more_left_than_there_is_in_all_leaves_unsaid_what_was_used() -> None:
    found = balances_of(pulled(records(), asset(total=GB, left=2 * GB)))["traffic"]
    assert (found.left, found.used, found.total) == (2 * GB, None, GB)


def test_an_end_beyond_the_calendar_is_its_last_instant() -> None:
    far = grant("a", expireTime="9999-12-31 23:59:59")
    assert grants_of(pulled(records(far), asset(), timezone="America/New_York"))[0].expires_at == LAST_INSTANT


# -- From look to look ------------------------------------------------------------------------------------------------


def test_what_was_used_before_the_first_look_is_no_part_of_the_series() -> None:
    first = pulled(records(grant("a", 100), grant("b", 50)), asset(), looked=None)
    assert use_of(first) == UseSaid("bytes", "pull", "UTC", NOW, NOW + 1, 1, ())
    assert first.index(use_of(first)) > 0, "whoever dies after the use has kept the grants: they are the baseline"
    later = pulled(
        records(grant("a", 130), grant("b", 50), grant("new", 7)),
        asset(),
        looked=EarlierLooks(NOW - 9, {"a": 100, "b": 50}),
    )
    assert {one.key: one.amount for one in use_of(later).figures} == {"grant a": 30, "grant b": 0, "grant new": 7}
    assert (use_of(later).starts_at, use_of(later).ends_at, use_of(later).doubts) == (NOW - 9, NOW + 1, ())


def test_a_grant_that_says_less_than_at_the_first_look_is_a_doubt_and_nobodys_use() -> None:
    said = use_of(pulled(records(grant("a", 90)), asset(), looked=EarlierLooks(NOW, {"a": 100})))
    assert [one.amount for one in said.figures] == [0]
    assert said.doubts == ("grant a: 90 bytes are used, and 100 were at first",)


def test_a_grant_that_shrinks_is_what_was_said_last_and_one_that_is_gone_stays() -> None:
    series = Series()
    series.hear(pulled(records(grant("a", 100), grant("b", 10)), asset(), looked=None))
    b = grant("b", 15)
    for listed, total in (
        ([grant("a", 130), b], 35),
        ([grant("a", 120), b], 25),
        ([grant("a", 125)], 30),
        ([], 30),
    ):
        series.hear(pulled(records(*listed), asset(), looked=series.looked))
        assert series.total == total


def test_a_clock_that_was_set_back_makes_no_stretch_that_ends_before_it_begins() -> None:
    said = use_of(pulled(records(grant("a", 1)), asset(), looked=EarlierLooks(NOW + HOUR, {})))
    assert (said.starts_at, said.ends_at) == (NOW, NOW + 1)


# -- Pages ------------------------------------------------------------------------------------------------------------


class Pages:
    """A list of grants that is answered page by page, of at most `most` of them. `changes`: what happens to the list
    before a call, by the number of the call."""

    def __init__(
        self,
        listed: list[dict[str, Any]],
        most: int = 100,
        changes: dict[int, Callable[[list[Any]], object]] | None = None,
    ) -> None:
        self.listed = listed
        self._most = most
        self._changes = changes or {}
        self.calls = 0

    def __call__(self, connection: Any, stub: Stub) -> bool:
        url = urlsplit(stub.heard[-1].target)
        if url.path.endswith("asset"):
            return asset()(connection, stub)
        self.calls += 1
        self._changes.get(self.calls, len)(self.listed)
        asked = {name: int(value[0]) for name, value in parse_qs(url.query).items()}
        size = min(asked["pageSize"], self._most)
        start = (asked["pageNo"] - 1) * size
        return records(*self.listed[start : start + size], total=len(self.listed))(connection, stub)


@given(st.integers(0, 25), st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_all_pages_are_read_also_where_the_vendor_lowers_their_size(count: int, most: int) -> None:
    listed = [grant(str(number), number) for number in range(count)]
    said = pulled(Pages(listed, most))
    assert [one.id for one in grants_of(said)] == [one["id"] for one in listed]
    assert sum(one.amount for one in use_of(said).figures) == sum(range(count))


def test_no_more_pages_are_read_than_there_are() -> None:
    pages = Pages([grant(str(number)) for number in range(200)])
    pulled(pages)
    assert pages.calls == 2


def test_a_grant_that_comes_while_pages_are_read_is_found_and_no_other_is_lost_or_there_twice() -> None:
    pages = Pages([grant(str(number)) for number in range(5)], 2, {2: lambda listed: listed.insert(0, grant("new"))})
    ids = [one.id for one in grants_of(pulled(pages))]
    assert sorted(ids) == ["0", "1", "2", "3", "4", "new"]


def test_a_grant_that_goes_while_pages_are_read_takes_no_other_along() -> None:
    """The next page begins one later then: without a second look one would be missing."""
    pages = Pages([grant(str(number)) for number in range(5)], 2, {2: lambda listed: listed.pop(0)})
    assert sorted(one.id for one in grants_of(pulled(pages))) == ["1", "2", "3", "4"]


def test_a_list_that_changes_all_the_time_is_not_taken() -> None:
    comes = dict.fromkeys(range(1, 99, 2), lambda listed: listed.insert(0, grant("new")))
    goes = dict.fromkeys(range(2, 99, 2), lambda listed: listed.pop(0))
    with pytest.raises(Failed, match="changes while it is read"):
        pulled(Pages([grant(str(number)) for number in range(4)], 1, comes | goes))


def test_a_total_that_is_never_reached_is_a_changed_shape() -> None:
    with Stub(records(grant("a"), total=2)) as stub, client_of(stub.url) as ask:
        with pytest.raises(ChangedShape, match=r"^data.total is not the 1 grants that are listed"):
            list(ask.pull(PULLER, wanted(PULLER, {"token": TOKEN}, 0, NOW)))
        assert len(stub.heard) == 2 * WALKS


def test_pages_without_end_are_not_read_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.vendors.bytesflows.pull.MAX_PAGES", 5)
    numbers = itertools.count()

    def another(connection: Any, stub: Stub) -> bool:
        return records(grant(str(next(numbers))), total=10**6)(connection, stub)

    with pytest.raises(Failed, match="more than 5 pages"):
        pulled(another)


# -- What is no answer ------------------------------------------------------------------------------------------------

WRONG: list[tuple[Any, str]] = [
    (grant("a", 1.5), r"data.records\[0\].trafficUsed is no whole number"),
    (grant("a", "1.5"), r"data.records\[0\].trafficUsed is no whole number"),
    (grant("a", -1), r"data.records\[0\].trafficUsed is less than 0"),
    (grant("a", None), r"data.records\[0\].trafficUsed is no number"),
    (grant("a", "1 GB"), r"data.records\[0\].trafficUsed is no number"),
    (grant("a", True), r"data.records\[0\].trafficUsed is no number"),
    (grant("a", 10**30), r"data.records\[0\].trafficUsed is beyond"),
    (grant("a", traffic=None), r"data.records\[0\].traffic is no number"),
    (grant("a", status=None), r"data.records\[0\].status is no number"),
    (grant("a", status="active"), r"data.records\[0\].status is no number"),
    (grant("a", expireTime="21.03.2026"), r"data.records\[0\].expireTime is no time"),
    (grant("a", expireTime=1774123200), r"data.records\[0\].expireTime is no time"),
    (grant("a", createTime="0001-01-01 00:00:00"), r"data.records\[0\].createTime is before 1970"),
    (grant(None), r"data.records\[0\].id is no text"),
    (grant(""), r"data.records\[0\].id is empty"),
    ({}, r"data.records\[0\] has no member id"),
    ("a", r"data.records\[0\] is no object"),
]


@pytest.mark.parametrize(("row", "what"), WRONG)
def test_a_grant_that_means_nothing_known_is_told_with_a_sample(row: Any, what: str) -> None:
    with pytest.raises(ChangedShape, match=f"^{what}") as found:
        pulled(records(row))
    assert found.value.sample.startswith('{"code": 200')


def test_two_grants_of_one_id_are_told() -> None:
    with pytest.raises(ChangedShape, match=r"^data.records\[1\].id is that of two grants"):
        pulled(records(grant("a", 1), grant("a", 2)))


@pytest.mark.parametrize(("reply", "what"), [
    (stubs.page(), r"HTTP 200 \(text/html.*is no JSON"), (ok("[]"), "the answer is no object"), (say(204), "HTTP 204"),
    (ok('{"msg": "success", "data": {}}'), "the answer has no member code"), (ok(envelope(None)), "data is no object"),
    (ok(envelope({})), "data has no member total"), (ok(envelope({"total": 0})), "data has no member records"),
    (records(total="many"), "data.total is no number"), (ok(envelope({"total": 0, "records": {}})), "data.records is"),
    (ok(envelope({}, code="ok")), "code is no number"),
])  # fmt: skip
def test_a_list_that_is_none_is_told(reply: Reply, what: str) -> None:
    with pytest.raises(ChangedShape, match=f"^{what}"):
        pulled(reply)


@pytest.mark.parametrize(("reply", "what"), [
    (asset(left=None), "data.dynamicTraffic is no number"), (asset(total="x"), "data.totalTraffic is no number"),
    (asset(left=-1), "data.dynamicTraffic is less than 0"), (asset(balance=None), "data.balance is no number"),
    (asset(currency=None), "data.currency is no text"), (ok(envelope({})), "data has no member dynamicTraffic"),
])  # fmt: skip
def test_balances_that_are_none_are_told_after_the_use_was(reply: Reply, what: str) -> None:
    series = Series()
    asking = wanted(PULLER, {"token": TOKEN}, 0, NOW, looked=FIRST)
    with Stub(records(grant("a", 5)), reply) as stub, client_of(stub.url) as ask:
        pulling = ask.pull(PULLER, asking)
        with pytest.raises(ChangedShape, match=f"^{what}"):
            series.hear(pulling)
    assert series.total == 5


def both_ways(code: int, msg: str = "what they say") -> list[Reply]:
    """An error may be said by HTTP, in the envelope of a 200, or by both."""
    body = json.dumps({"code": code, "msg": msg, "data": None})
    return [say(code, body), ok(body), say(code, "<html>what they say</html>", "text/html"), say(code, msg)]


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (401, Denied),
        (403, Denied),
        (429, Limited),
        (500, Failed),
        (503, Failed),
        (400, ChangedShape),
        (404, ChangedShape),
    ],
)
@pytest.mark.parametrize("way", range(4))
def test_a_refusal_is_read_in_every_style(code: int, kind: type[Exception], way: int) -> None:
    with pytest.raises(kind, match=rf"{code}.*what they say"):
        pulled(both_ways(code)[way])


@pytest.mark.parametrize("code", [429, 500, 503])
@pytest.mark.parametrize("way", range(2))
def test_what_may_work_later_is_tried_again_in_every_style(code: int, way: int) -> None:
    waits = Waits()
    pulled(both_ways(code)[way], records(), asset(), pace=PACE, waits=waits)
    assert waits.waited == [3, 1]


def test_a_token_that_is_revoked_in_mid_pull_leaves_what_was_told() -> None:
    series = Series()
    with Stub(records(grant("a", 5)), *both_ways(401)) as stub, client_of(stub.url) as ask, pytest.raises(Denied):
        series.hear(ask.pull(PULLER, wanted(PULLER, {"token": TOKEN}, 0, NOW, looked=FIRST)))
    assert (series.total, len(series.grants)) == (5, 1)


@pytest.mark.parametrize("reply", both_ways(400, f"bad token {TOKEN}"))
def test_a_token_that_is_repeated_is_not_shown(reply: Reply) -> None:
    with pytest.raises(ChangedShape) as found:
        pulled(reply)
    assert TOKEN not in str(found.value) + found.value.sample


def test_a_zone_that_is_none_is_told() -> None:
    with pytest.raises(Failed, match="The setting timezone: 'Mars'"):
        pulled(records(), timezone="Mars")


def test_what_the_token_can_see_is_told() -> None:
    with Stub(records(grant("a"), grant("b")), asset(), records(), say(403)) as stub, client_of(stub.url) as ask:
        seen, part = (ask.check(PULLER, wanted(PULLER, {"token": TOKEN}, 0, NOW)) for _ in range(2))
    assert seen.works == ("Grants: 2", f"Traffic left: {human_bytes(3 * GB)}")
    assert (part.works, part.cannot[1]) == (("Grants: 0",), "Balances: /api/v1/dashboard/asset: 403: ")
    assert "only totals of grants" in seen.cannot[0]


# -- Against our own dialect ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(filling: Filling) -> Iterator[Filled]:
    with filling() as filled:
        yield filled


NUMBERS = itertools.count()


def give(client: Client, account: str, amount: int, **more: Any) -> None:
    answer = client.post(f"/v1/accounts/{account}/grants", json={"amount": amount, **more})
    assert answer.status_code in (200, 201), answer.text


steps = st.one_of(
    st.lists(st.tuples(st.integers(0, HOUR), st.integers(1, 10**9)), min_size=1, max_size=3),  # use, so long ago
    st.tuples(st.just("grant"), st.integers(1, 10**9), st.integers(1, 72)),
    st.integers(1, 30 * HOUR),  # time goes by
    st.just("pull"),
)


@given(st.lists(steps, min_size=1, max_size=10))
@settings(max_examples=sampled(25, 5), deadline=None)
def test_figures_are_what_the_account_used_since_the_first_look_however_it_is_pulled(
    filled: Filled, story: list[Any]
) -> None:
    """Grants come and end, use comes in late, and pulls are made at any moment."""
    client, clock, number = filled.client, filled.clock, next(NUMBERS)
    account, began = f"bf-{number}", clock.at
    client.post("/v1/accounts", json={"id": account, "carry_from": format_instant(began - HOUR)})
    give(client, account, 10**12, starts_at=format_instant(began - HOUR), priority=9)
    secrets = {"token": issue(client, account, "account").token}
    series, used = Series(), 0

    def use(part: int, uses: list[tuple[int, int]]) -> int:
        events = [
            {"source": "gw", "id": f"{number}-{part}-{place}", "account": account, "product": "residential",
             "time": format_instant(max(began, clock.at - ago)), "bytes_up": count % 7, "bytes_down": count - count % 7}
            for place, (ago, count) in enumerate(uses)
        ]  # fmt: skip
        send_all(client, events)
        return sum(count for _, count in uses)

    def pull() -> None:
        clock.at += 1
        heard = series.hear(PULLER.pull(AskApp(client), wanted(PULLER, secrets, 0, clock.at, looked=series.looked)))
        balances_of(heard)

    use(-1, [(0, 12_345)])
    pull()
    for part, step in enumerate(story):
        if isinstance(step, list):
            used += use(part, step)
        elif isinstance(step, tuple):
            give(client, account, step[1], expires_at=format_instant(clock.at + step[2] * HOUR))
        elif isinstance(step, int):
            clock.at += step
        else:
            pull()
    pull()
    assert series.total == used


def test_every_field_of_our_dialect_is_read(client: Client, acme: str, clock: Clock) -> None:
    for number in range(150):
        give(client, acme, 1000 + number, source="sign", reference=f"task-{number}")
    secrets = {"token": issue(client, acme, "account").token}
    ask = AskApp(client)
    grants, use, balances = PULLER.pull(ask, wanted(PULLER, secrets, 0, clock.at, looked=EarlierLooks(0, {})))
    assert isinstance(grants, GrantsSaid)
    assert isinstance(use, UseSaid)
    native = client.get("/v1/accounts/acme/balance").json()["pools"]["traffic"]
    told = {one.order: one for one in grants.grants}
    assert len(grants.grants) == 151
    assert (told["task-7"].kind, told["task-7"].amount, told["task-7"].standing) == ("sign", 1007, "active")
    assert told["task-7"].created_at == clock.at
    assert sum(one.amount for one in use.figures) == 1005
    traffic = balances_of([balances])["traffic"]
    assert (traffic.left, traffic.used) == (native["left"], 1005)
    assert traffic.expires_at == parse_instant("2026-04-01T00:00:00Z")
    assert [path for path, _ in ask.asked].count("/api/v1/user/traffic/records") == 2


def test_errors_of_our_dialect_are_read_as_what_they_are(make_client: Callable[..., Client], clock: Clock) -> None:
    client = make_client(vendors={"bytesflows": Settings(requests_per_minute=2)})
    client.post("/v1/accounts", json={"id": "acme"})
    secrets = {"token": issue(client, "acme", "account").token}
    with pytest.raises(Denied, match="401: missing or invalid token"):
        list(PULLER.pull(AskApp(client), wanted(PULLER, {"token": "nobody"}, 0, clock.at)))
    assert len(list(PULLER.pull(AskApp(client), wanted(PULLER, secrets, 0, clock.at)))) == 3
    with pytest.raises(Limited):
        list(PULLER.pull(AskApp(client), wanted(PULLER, secrets, 0, clock.at)))

    def wait() -> None:
        clock.at += 61_000

    assert len(list(PULLER.pull(AskApp(client, wait), wanted(PULLER, secrets, 0, clock.at)))) == 3


def test_a_cookie_of_our_dialect_is_taken_for_the_balances(make_client: Callable[..., Client], clock: Clock) -> None:
    client = make_client(vendors={"bytesflows": Settings(cookie="token")})
    client.post("/v1/accounts", json={"id": "acme"})
    token = issue(client, "acme", "account").token
    asking = wanted(PULLER, {"token": token, "cookie": f"a=b; token={token}"}, 0, clock.at)
    assert len(list(PULLER.pull(AskApp(client), asking))) == 3
