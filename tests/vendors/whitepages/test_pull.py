"""Whitepages' puller: against our own dialect of it, against what its notes say, and against what should not be."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.conftest import Clock, send_all
from tests.filling import Filled, Filling
from tests.providers import stub as stubs
from tests.providers.stub import Reply, Stub, ok, say
from tests.providers.waits import ONCE, PACE, Waits, client_of
from tests.soak import sampled
from tests.vendors.asked_app import AskApp, Series, wanted
from tests.vendors.asking import issue
from tests.vendors.pulling import AskScript

from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reported import FigureSaid, UseSaid
from flowtally.core.times import DAY_MS
from flowtally.providers.puller import AskVendor, ChangedShape, Denied, Failed, Limited, Pace, ToPull, VendorAnswer
from flowtally.vendors import whitepages
from flowtally.vendors.whitepages.pull import MOST_DAYS, PULLER
from flowtally.vendors.whitepages.settings import Settings

SAMPLES = Path(whitepages.__file__).parent / "samples"
KEY = "wp-key-0123456789"
NOW = parse_instant("2026-03-15T12:00:00Z")
MARCH = parse_instant("2026-03-01T00:00:00Z")


def at(day: str) -> int:
    return parse_instant(f"{day}T00:00:00Z")


def days(start: str, end: str, *rows: Any, **more: Any) -> dict[str, Any]:
    """An answer as the notes have it."""
    told = [{"date": day, "request_count": count} for day, count in rows]
    total = sum(int(count) for _, count in rows if str(count).isdigit())
    of = {"start_date": start, "end_date": end}
    return {"time_range": of, "usage_data": told, "total_requests_in_timeperiod": total, **more}


def usage(start: str, end: str, *rows: Any, **more: Any) -> Reply:
    return ok(json.dumps(days(start, end, *rows, **more)))


def pulled(*replies: Reply, since: int = MARCH, pace: Pace = ONCE, waits: Waits | None = None) -> list[Any]:
    with Stub(*replies) as stub, client_of(stub.url, pace, waits, secrets=[KEY]) as ask:
        return list(ask.pull(PULLER, wanted(PULLER, {"key": KEY}, since, NOW)))


def script() -> AskScript:
    """What is answered where all is well."""
    return AskScript(lambda path, query: days("2026-03-01", "2026-03-15", ("2026-03-11", 3), ("2026-03-12", "4")))


def to_pull() -> ToPull:
    return wanted(PULLER, {"key": KEY}, MARCH, NOW)


def amounts(said: UseSaid) -> dict[str, int]:
    return {format_instant(one.time)[:10]: one.amount for one in said.figures}


# -- What is asked ----------------------------------------------------------------------------------------------------


def test_days_are_asked_by_name_with_the_key_in_its_header() -> None:
    with Stub(usage("2026-03-01", "2026-03-15")) as stub, client_of(stub.url) as ask:
        list(ask.pull(PULLER, wanted(PULLER, {"key": KEY}, MARCH + 5, NOW)))
    [heard] = stub.heard
    assert heard.target == "/v1/account/usage/?start_date=2026-03-01&end_date=2026-03-15"
    assert heard.headers["x-api-key"] == KEY


class Echo:
    """Answers any range, each of its days with its number in the year."""

    def __init__(self) -> None:
        self.asked: list[tuple[date, date]] = []

    def __call__(self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), **more: Any) -> VendorAnswer:
        first, last = (date.fromisoformat(value) for _, value in query)
        self.asked.append((first, last))
        found = [first + timedelta(number) for number in range((last - first).days + 1)]
        body = days(str(first), str(last), *((str(day), day.timetuple().tm_yday) for day in found))
        return VendorAnswer(200, {}, json.dumps(body).encode())


@given(st.integers(0, 1000), st.integers(0, 2 * DAY_MS))
@settings(max_examples=40)
def test_any_stretch_is_asked_in_ranges_of_90_days_that_follow_one_another(long: int, into_day: int) -> None:
    echo, now = Echo(), NOW + into_day
    said = list(PULLER.pull(cast(AskVendor, echo), wanted(PULLER, {"key": KEY}, now - long * DAY_MS, now)))
    assert echo.asked[0][0] == date.fromisoformat(format_instant(now - long * DAY_MS)[:10])
    assert echo.asked[-1][1] == date.fromisoformat(format_instant(now)[:10])
    assert all((last - first).days < MOST_DAYS for first, last in echo.asked)
    assert all(after[0] == before[1] + timedelta(1) for before, after in itertools.pairwise(echo.asked))
    stretches = [(one.starts_at, one.ends_at) for one in said if isinstance(one, UseSaid)]
    assert all(before[1] == after[0] for before, after in itertools.pairwise(stretches))
    assert sum(len(one.figures) for one in said if isinstance(one, UseSaid)) == long + 1


def test_a_stretch_before_1970_begins_with_it() -> None:
    echo = Echo()
    list(PULLER.pull(cast(AskVendor, echo), wanted(PULLER, {"key": KEY}, -5, DAY_MS)))
    assert echo.asked == [(date(1970, 1, 1), date(1970, 1, 2))]


# -- What is answered -------------------------------------------------------------------------------------------------


def test_a_day_is_a_figure_and_what_is_missing_or_zero_is_none() -> None:
    [said] = pulled(usage("2026-03-01", "2026-03-15", ("2026-03-14", 7), ("2026-03-11", "3"), ("2026-03-12", 0)))
    product = "api"
    assert said == UseSaid(
        "requests", "day", "UTC", MARCH, at("2026-03-16"), 1,
        (
            FigureSaid("day 2026-03-11T00:00:00Z api ", at("2026-03-11"), "", product, 3),
            FigureSaid("day 2026-03-14T00:00:00Z api ", at("2026-03-14"), "", product, 7),
        ),
    )  # fmt: skip


def test_the_sample_of_its_page_is_read() -> None:
    sample = (SAMPLES / "usage.json").read_text()
    day = at("2019-08-24")
    with Stub(ok(sample)) as stub, client_of(stub.url) as ask:
        [said] = ask.pull(PULLER, wanted(PULLER, {"key": KEY}, day, day + 5))
    assert said == UseSaid("requests", "day", "UTC", day, day + DAY_MS, 1, ())


def test_members_that_are_not_known_are_ignored_and_numbers_may_be_text() -> None:
    body = days("2026-03-01", "2026-03-15", ("2026-03-11", "3.0"), new={"a": [1]})
    body["usage_data"][0]["billable"] = 2
    body["total_requests_in_timeperiod"] = "3"
    [said] = pulled(ok(json.dumps(body)))
    assert (amounts(said), said.doubts) == ({"2026-03-11": 3}, ())


EACH = [(f"2026-03-{day:02}", 1) for day in range(1, 16)]


@pytest.mark.parametrize(("rows", "total"), [(EACH, 16), (EACH, 14), (EACH, 0), (EACH[5:9], 3)])
def test_a_total_that_is_another_is_a_doubt_and_the_days_stand(rows: list[tuple[str, int]], total: int) -> None:
    [said] = pulled(usage("2026-03-01", "2026-03-15", *rows, total_requests_in_timeperiod=total))
    assert said.doubts == (f"2026-03-01 to 2026-03-15: the total is {total}, the days add up to {len(rows)}",)
    assert amounts(said) == dict(rows)


@pytest.mark.parametrize("rows", [[], EACH[:14], EACH[1:], [*EACH[:5], *EACH[6:]]])
def test_days_that_are_missing_are_not_nothing_where_the_total_says_so(rows: list[tuple[str, int]]) -> None:
    what = f"^total_requests_in_timeperiod is more than the {len(rows)} of the days, and days are missing"
    with pytest.raises(ChangedShape, match=what):
        pulled(usage("2026-03-01", "2026-03-15", *rows, total_requests_in_timeperiod=15))


def test_days_outside_what_was_answered_are_not_told_to_be_nothing() -> None:
    [said] = pulled(usage("2026-03-10", "2026-03-14", ("2026-03-10", 3)))
    assert (said.starts_at, said.ends_at) == (at("2026-03-10"), at("2026-03-15"))
    assert said.doubts == ("2026-03-01 to 2026-03-15 was asked for, 2026-03-10 to 2026-03-14 was answered",)


WRONG: list[tuple[Any, str]] = [
    (days("2026-03-01", "2026-03-15", ("2026-03-11", 1.5)), r"usage_data\[0\].request_count is no whole number"),
    (days("2026-03-01", "2026-03-15", ("2026-03-11", "1.5")), r"usage_data\[0\].request_count is no whole number"),
    (days("2026-03-01", "2026-03-15", ("2026-03-11", -1)), r"usage_data\[0\].request_count is less than 0"),
    (days("2026-03-01", "2026-03-15", ("2026-03-11", None)), r"usage_data\[0\].request_count is no number"),
    (days("2026-03-01", "2026-03-15", ("2026-03-11", True)), r"usage_data\[0\].request_count is no number"),
    (days("2026-03-01", "2026-03-15", ("11.03.2026", 1)), r"usage_data\[0\].date is no date"),
    (days("2026-03-01", "2026-03-15", ("20260311", 1)), r"usage_data\[0\].date is no date"),
    (days("2026-03-01", "2026-03-15", ("2026-03-16", 1)), r"usage_data\[0\].date is not within"),
    (days("2026-03-01", "2026-03-15", ("2026-02-28", 1)), r"usage_data\[0\].date is not within"),
    (days("2026-03-01", "2026-03-15", ("2026-03-11", 1), ("2026-03-11", 1)), r"usage_data\[1\].date was told already"),
    (days("2026-02-28", "2026-03-15"), "time_range is not within 2026-03-01 to 2026-03-15"),
    (days("2026-03-01", "2026-03-16"), "time_range is not within"),
    (days("2026-03-15", "2026-03-01"), "time_range is not within"),
    (days("2026-03-01", "2026-03-15", time_range=None), "time_range is no object"),
    (days("2026-03-01", "2026-03-15", total_requests_in_timeperiod=None), "total_requests_in_timeperiod is no number"),
    (days("2026-03-01", "2026-03-15", total_requests_in_timeperiod=-1), "total_requests_in_timeperiod is less than 0"),
    (days("2026-03-01", "2026-03-15", usage_data=None), "usage_data is no list"),
    (days("2026-03-01", "2026-03-15", usage_data={}), "usage_data is no list"),
    ({"usage_data": []}, "the answer has no member time_range"),
    ({"message": "Forbidden"}, "the answer has no member time_range"),
    ([], "the answer is no object"),
]


@pytest.mark.parametrize(("body", "what"), WRONG)
def test_what_means_nothing_known_is_told_with_a_sample(body: Any, what: str) -> None:
    with pytest.raises(ChangedShape, match=f"^{what}") as found:
        pulled(ok(json.dumps(body)))
    assert found.value.sample == json.dumps(body)[:500]


@pytest.mark.parametrize("reply", [stubs.page(), ok(""), ok('{"time_range"'), say(204)])
def test_what_is_no_json_is_told_with_a_sample(reply: Reply) -> None:
    with pytest.raises(ChangedShape, match=r"^HTTP 20\d \(.*\) is no JSON"):
        pulled(reply)


def test_a_day_that_shrinks_or_comes_back_in_another_order_is_what_was_said_last() -> None:
    series = Series()
    for rows in ([("2026-03-11", 9), ("2026-03-12", 4)], [("2026-03-12", 3), ("2026-03-11", 5)], [("2026-03-12", 3)]):
        series.hear(pulled(usage("2026-03-01", "2026-03-15", *rows)))
    assert series.by_time() == {at("2026-03-12"): 3}


# -- What is refused --------------------------------------------------------------------------------------------------


def sample(name: str) -> str:
    return (SAMPLES / f"{name}.json").read_text()


@pytest.mark.parametrize(
    ("reply", "kind", "what"),
    [
        (say(403, sample("forbidden")), Denied, "^HTTP 403: Forbidden$"),
        (say(401, '{"message": "unauthorized"}'), Denied, "^HTTP 401: unauthorized$"),
        (say(403, "<html>blocked</html>", "text/html"), Denied, "^HTTP 403: <html>blocked</html>$"),
        (say(400, sample("bad_radius")), ChangedShape, "^HTTP 400: Bad Request Request validation failed.*wp_trace_id"),
        (say(400, sample("malformed")), ChangedShape, r"\(wp_trace_id 550e8400-e29b-41d4-a716-446655440000\)$"),
        (say(404, "nothing here", "text/plain"), ChangedShape, "^HTTP 404: nothing here$"),
        (say(429, '{"message": "Too Many Requests"}'), Limited, "HTTP 429"),
        (say(403, '{"message": "Too Many Requests"}'), Limited, "Too Many Requests"),
        (say(400, '{"message": "Too Many Requests"}'), Limited, "Too Many Requests"),
        (say(429, '{"error":{"code":429,"message":"Too Many Requests","long_message":"a"},"wp_trace_id":"1"}'),
         Limited, "HTTP 429"),
        (say(500, sample("malformed")), Failed, "HTTP 500"),
        (say(502, '{"message": "Bad Gateway"}'), Failed, "HTTP 502"),
        (stubs.page(503), Failed, "HTTP 503"),
        (say(307, Location="https://elsewhere.example/v1/account/usage?key=1"), ChangedShape,
         "HTTP 307 to https://elsewhere.example/v1/account/usage, which is not followed"),
        (stubs.cut_off(), Failed, "was not answered"),
        (stubs.reset(), Failed, "was not answered"),
        (stubs.bomb(300_000), ChangedShape, "longer than"),
    ],
)  # fmt: skip
def test_each_refusal_is_told_as_what_it_is(reply: Reply, kind: type[Exception], what: str) -> None:
    with pytest.raises(kind, match=what):
        pulled(reply)


@pytest.mark.parametrize("status", [429, 403, 402])
@pytest.mark.parametrize("body", [
    '{"message": "Limit Exceeded"}',
    '{"error":{"code":429,"message":"Limit Exceeded","long_message":"","meta":null},"wp_trace_id":"1"}',
])  # fmt: skip
def test_a_quota_that_is_used_up_is_not_tried_again_before_the_next_month(status: int, body: str) -> None:
    waits = Waits()
    with Stub(say(status, body)) as stub, client_of(stub.url, PACE, waits) as ask:
        with pytest.raises(Limited, match=f"^HTTP {status}: Limit Exceeded") as found:
            list(ask.pull(PULLER, wanted(PULLER, {"key": KEY}, MARCH, NOW)))
        assert len(stub.heard) == 1
    assert found.value.after_s is not None
    assert NOW + found.value.after_s * 1000 == at("2026-04-01")
    assert waits.waited == []


@pytest.mark.parametrize(
    ("now", "then"), [("2026-12-31T23:59:59Z", "2027-01-01"), ("2026-01-01T00:00:00Z", "2026-02-01")]
)
def test_the_next_month_begins_at_its_first_instant(now: str, then: str) -> None:
    today = parse_instant(now)
    reply = say(429, '{"message": "Limit Exceeded"}')
    with Stub(reply) as stub, client_of(stub.url) as ask, pytest.raises(Limited) as found:
        list(ask.pull(PULLER, wanted(PULLER, {"key": KEY}, today, today)))
    assert today + (found.value.after_s or 0) * 1000 == at(then)


def test_too_many_requests_are_tried_again_whatever_their_status() -> None:
    waits = Waits()
    good = usage("2026-03-01", "2026-03-15", ("2026-03-11", 3))
    slow = '{"message": "Too Many Requests"}'
    [said] = pulled(say(429, slow, Retry_After="30"), say(400, slow), good, pace=PACE, waits=waits)
    assert amounts(said) == {"2026-03-11": 3}
    assert waits.waited == [30, 6]


def test_a_key_that_is_revoked_in_mid_pull_leaves_what_was_told() -> None:
    series, early = Series(), NOW - 200 * DAY_MS
    first = format_instant(early)[:10]
    last = format_instant(early + 89 * DAY_MS)[:10]
    replies = (usage(first, last, (first, 5)), say(403, '{"message": "Forbidden"}'))
    with Stub(*replies) as stub, client_of(stub.url) as ask, pytest.raises(Denied):
        series.hear(ask.pull(PULLER, wanted(PULLER, {"key": KEY}, early, NOW)))
    assert series.total == 5


def test_a_key_that_is_repeated_is_not_shown() -> None:
    with pytest.raises(ChangedShape) as found:
        pulled(say(400, f'{{"message": "no such key: {KEY}"}}'))
    assert KEY not in str(found.value) + found.value.sample
    assert "no such key: [secret]" in str(found.value)


def test_what_the_key_can_see_is_told() -> None:
    with Stub(usage("2026-03-15", "2026-03-15", ("2026-03-15", 12))) as stub, client_of(stub.url) as ask:
        sight = ask.check(PULLER, wanted(PULLER, {"key": KEY}, MARCH, NOW))
    assert sight.works == ("Requests by UTC day: 12 today",)
    assert "billed" in sight.cannot[0]
    assert stub.heard[0].target.endswith("?start_date=2026-03-15&end_date=2026-03-15")


# -- Against our own dialect ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(filling: Filling) -> Iterator[Filled]:
    with filling() as filled:
        yield filled


NUMBERS = itertools.count()

uses = st.tuples(st.integers(-200, 0), st.integers(0, DAY_MS - 1), st.integers(1, 10**9))
steps = st.one_of(
    st.lists(uses, max_size=4), st.integers(0, 40).map(lambda hours: hours * 3_600_000), st.integers(0, 250)
)


@given(st.lists(steps, min_size=1, max_size=8))
@settings(max_examples=sampled(25, 5), deadline=None)
def test_figures_are_what_the_account_used_however_it_is_pulled(filled: Filled, story: list[Any]) -> None:
    """Use comes in late and for any day, time goes by, and pulls look back as far as they happen to."""
    client, clock, number = filled.client, filled.clock, next(NUMBERS)
    account = f"wp-{number}"
    client.post("/v1/accounts", json={"id": account})
    key = {"key": issue(client, account, "account").token}
    series, used = Series(), Counter[int]()

    def pull(days_back: int) -> None:
        asking = wanted(PULLER, key, clock.at - days_back * DAY_MS, clock.at)
        series.hear(PULLER.pull(AskApp(client), asking))

    for part, step in enumerate(story):
        if isinstance(step, list):
            events: list[dict[str, Any]] = []
            for at_day, into_day, count in step:
                time = min(clock.at, clock.at // DAY_MS * DAY_MS + at_day * DAY_MS + into_day)
                used[time // DAY_MS * DAY_MS] += count
                id = f"{number}-{part}-{len(events)}"
                events.append({"source": "gw", "id": id, "account": account, "time": format_instant(time),
                               "product": "api", "requests": count})  # fmt: skip
            if events:
                send_all(client, events)
        elif step >= 3_600_000:
            clock.at += step
        else:
            pull(step)
    pull(450)
    assert series.by_time() == {day: count for day, count in used.items() if count}


def test_an_error_of_our_dialect_is_read_as_what_it_is(make_client: Any, clock: Clock) -> None:
    client = make_client(vendors={"whitepages": Settings(requests_per_minute=1)})
    client.post("/v1/accounts", json={"id": "acme"})
    key = {"key": issue(client, "acme", "account").token}

    def pull(secrets: dict[str, str], ask: AskApp) -> list[Any]:
        return list(PULLER.pull(ask, wanted(PULLER, secrets, clock.at, clock.at)))

    with pytest.raises(Denied, match="HTTP 403: Forbidden"):
        pull({"key": "nobody"}, AskApp(client))
    pull(key, AskApp(client))
    with pytest.raises(Limited):
        pull(key, AskApp(client))

    def wait() -> None:
        clock.at += 61_000

    assert len(pull(key, AskApp(client, wait))) == 1


def test_a_quota_of_our_dialect_that_is_used_up_is_read_as_one(make_client: Any, clock: Clock) -> None:
    client = make_client(vendors={"whitepages": Settings(enforce_quota=True)})
    client.post("/v1/accounts", json={"id": "acme"})
    ask, key = AskApp(client), {"key": issue(client, "acme", "account").token}
    with pytest.raises(Limited, match="Limit Exceeded"):
        list(PULLER.pull(ask, wanted(PULLER, key, clock.at, clock.at)))
    assert len(ask.asked) == 1
