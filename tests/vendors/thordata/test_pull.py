"""Thordata's puller against a script: each contradiction that is known of its answers, and each that may come."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from tests.vendors.asked_app import wanted
from tests.vendors.pulling import AskScript, Told, as_answer, closed, until_it_fails

import flowtally.vendors.thordata
from flowtally.core.edges import parse_instant
from flowtally.core.reported import KIB, MIB, BalancesSaid, SubUsersSaid, UseSaid
from flowtally.providers.puller import ChangedShape, Declined, Denied, Failed, Limited, VendorAnswer
from flowtally.vendors.thordata.pull import PULLER

SAMPLES = Path(flowtally.vendors.thordata.__file__).parent / "samples"
TOKEN, KEY, PASSWORD = "tok-0123456789", "key/with?signs", "password123"
SINCE, NOW = "2025-07-01T00:00:00Z", "2025-07-03T10:00:00Z"
USERS, DAYS, HOURS, ACCOUNT = (
    "/proxy-users/user-list",
    "/proxy-users/usage-statistics",
    "/proxy-users/usage-statistics-hour",
    "/account/usage-statistics",
)
Answers = dict[str, Any]


def ok(data: Any) -> Any:
    return {"code": 200, "data": data, "msg": "ok"}


def user(name: str, **more: Any) -> dict[str, Any]:
    return {"created_time": "2025-01-01", "username": name, "password": PASSWORD, "status": True,
            "traffic_limit": 0, "usage_traffic": 0, **more}  # fmt: skip


def users(*names: str, **more: Any) -> Any:
    listed = [user(name) for name in names]
    return ok({"limit": 100, "remaining_limit": 100 - len(names), "user_count": len(names), "list": listed, **more})


def series(query: dict[str, str], **used: Any) -> Any:
    """Rows of all days that are asked, of these dates what is told; `d01` is the first of July."""
    first, last = (date.fromisoformat(query[name][:10]) for name in ("from_date", "to_date"))
    days = [first + timedelta(n) for n in range((last - first).days + 1)]
    hours = [""] if len(query["from_date"]) == 10 else [f" {hour:02}" for hour in range(24)]
    labels = [(f"{day}{hour}", f"d{day:%d}{hour.strip()}") for day in days for hour in hours]
    return [{"date": label, "usage_traffic": used.get(name, 0)} for label, name in labels]


def usage(rows: list[Any], days: int = 3, **more: Any) -> Any:
    if "range_usage_traffic" not in more:
        more["range_usage_traffic"] = sum(Decimal(str(row["usage_traffic"])) for row in rows)
    return ok({"traffic_limit": 0, "total_usage_traffic": 5000, "traffic_balance": 0, "query_days": days,
               "data": rows, **more})  # fmt: skip


def script(**answers: Any) -> AskScript:
    """A vendor with a user of each kind that is asked, each answer of which may be another one."""
    usual: Answers = {
        "/account/traffic-balance": ok({"traffic_balance": 10000, "expiration_time": "2025-12-26"}),
        "/account/wallet-balance": ok({"wallet_balance": 800}),
        USERS: lambda query: users(*{"1": ["alice1"]}.get(query["proxy_type"], [])),
        DAYS: lambda query: usage(series(query, d01=100, d02="50.5")),
        HOURS: lambda query: usage(series(query, d0100=60, d0123=40.25)),
        ACCOUNT: lambda query: usage(series(query, d01=500, d02=50)),
    }
    usual |= {f"/{path.replace('__', '/').replace('_', '-')}": made for path, made in answers.items()}

    def answer(path: str, query: dict[str, str]) -> Any:
        made = usual.get(path, VendorAnswer(404, {}, b"404 page not found"))
        return made(query) if callable(made) else made

    return AskScript(answer)


def to_pull(since: str = SINCE, now: str = NOW, **settings: str) -> Any:
    return wanted(PULLER, {"token": TOKEN, "key": KEY}, parse_instant(since), parse_instant(now), **settings)


def pulled(asking: AskScript, *when: str, **settings: str) -> Told:
    return Told(PULLER.pull(asking, to_pull(*when, **settings)))


def wrong(asking: AskScript, **settings: str) -> ChangedShape:
    """What it says is wrong: nothing secret is in it."""
    _, error = until_it_fails(PULLER.pull(asking, to_pull(**settings)))
    assert isinstance(error, ChangedShape), error
    assert PASSWORD not in str(error) + error.sample
    return error


D1, D2 = parse_instant("2025-07-01T00:00:00Z"), parse_instant("2025-07-02T00:00:00Z")


def test_users_and_nobody_are_the_account() -> None:
    told = pulled(script())
    assert told.rows() == {
        ("alice1", "residential", D1): 100 * KIB,
        ("alice1", "residential", D2): 51_712,
        ("", "residential", D1): 400 * KIB,
        ("", "residential", D2): -512,
    }
    assert closed(told) == [(D1, parse_instant("2025-07-04T00:00:00Z"))]
    assert [one.of for one in told.said] == ["alice1", None, ""]
    assert [one.zone for one in told.said] == ["UTC", "UTC", "UTC"]
    assert [len(one.figures) for one in told.said] == [2, 0, 2], "each figure is said once"


def test_hours_are_of_users_and_days_of_all() -> None:
    told = pulled(script(), grain="hour")
    assert told.rows() == {
        ("alice1", "residential", D1): 60 * KIB,
        ("alice1", "residential", D2 - 3_600_000): 41_216,
        ("", "residential", D1): 500 * KIB - 60 * KIB - 41_216,
        ("", "residential", D2): 50 * KIB,
    }
    assert [(one.grain, one.of, one.closes) for one in told.said] == [
        ("hour", "alice1", False),
        ("hour", None, False),
        ("day", "", True),
    ]


def test_the_secrets_are_in_the_query_and_the_key_only_where_there_is_one() -> None:
    asking = script()
    pulled(asking)
    assert {(query["token"], query["key"]) for _, query in asking.asked} == {(TOKEN, KEY)}
    alone = script()
    list(PULLER.pull(alone, wanted(PULLER, {"token": TOKEN}, D1, D1)))
    assert {"key" in query for _, query in alone.asked} == {False}


def test_statements_come_in_an_order_that_keeps_what_was_told() -> None:
    said = list(PULLER.pull(script(), to_pull("2025-01-01T00:00:00Z")))
    kinds = [type(one) for one in said]
    assert kinds == [BalancesSaid, UseSaid, SubUsersSaid, UseSaid, UseSaid, UseSaid, UseSaid, UseSaid]
    spans = [(one.starts_at, one.ends_at) for one in said if isinstance(one, UseSaid)]
    assert spans == sorted(spans)


@pytest.mark.parametrize(("since", "calls"), [("2025-01-05", 1), ("2025-01-04", 2), ("2024-01-01", 4)])
def test_no_call_is_of_more_than_180_days(since: str, calls: int) -> None:
    asking = script()
    told = pulled(asking, f"{since}T12:00:00Z")
    asked = [query for path, query in asking.asked if path == ACCOUNT]
    days = [date.fromisoformat(one["to_date"]) - date.fromisoformat(one["from_date"]) for one in asked]
    assert (len(asked), max(days) <= timedelta(179)) == (calls, True)
    stretches = closed(told)
    assert stretches[0][0] == parse_instant(f"{since}T00:00:00Z")
    assert all(end == start for (_, end), (start, _) in pairwise(stretches))


def test_many_users_with_hours_are_brought_in_shorter_stretches() -> None:
    names = [f"user{n:03}" for n in range(200)]
    asking = script(proxy_users__user_list=lambda query: users(*(names if query["proxy_type"] == "1" else [])))
    statements = PULLER.pull(asking, to_pull("2025-06-01T00:00:00Z", grain="hour"))
    next(statements)
    first = next(statements)
    assert isinstance(first, UseSaid)
    assert first.ends_at - first.starts_at == 20 * 86_400_000


# -- what its sources contradict each other in -------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["wallet_balance", "balance", "walletBalance"])
@pytest.mark.parametrize("held", [800.25, "800.25"])
def test_the_wallet_goes_by_several_names(name: str, held: Any) -> None:
    wallet = pulled(script(account__wallet_balance=ok({name: held})), currency="EUR").balances["wallet"]
    assert (wallet.left, wallet.currency) == (800_250_000, "EUR")


@pytest.mark.parametrize("ends", ["", None, "2099-12-31"])
def test_a_balance_may_end_never(ends: Any) -> None:
    told = pulled(script(account__traffic_balance=ok({"traffic_balance": "1.5", "expiration_time": ends})))
    traffic = told.balances["traffic"]
    assert (traffic.left, traffic.expires_at, traffic.step) == (1_572_864, None, 104_858)


def test_a_balance_is_in_mb_and_ends_at_the_beginning_of_its_day_in_the_zone() -> None:
    traffic = pulled(script(), timezone="Asia/Shanghai").balances["traffic"]
    assert traffic.left == 10_000 * MIB
    assert traffic.expires_at == parse_instant("2025-12-26T00:00:00+08:00")


def test_a_list_of_no_users_may_be_null() -> None:
    told = pulled(script(proxy_users__user_list=ok({"limit": 100, "user_count": 0, "list": None})))
    assert told.rows() == {("", "residential", D1): 500 * KIB, ("", "residential", D2): 50 * KIB}


@pytest.mark.parametrize("listed", [None, []])
def test_users_that_are_counted_and_not_listed_are_not_nobody(listed: Any) -> None:
    error = wrong(script(proxy_users__user_list=ok({"user_count": 3, "list": listed})))
    assert str(error) == "data.user_count is more than the 0 users that are listed ('3')"


def test_one_name_in_two_families_is_one_user() -> None:
    asking = script(proxy_users__user_list=users("alice1"))
    told = pulled(asking, unlimited="residential")
    assert told.rows()["alice1", "residential", D1] == 200 * KIB
    assert told.rows()["alice1", "mobile", D1] == 100 * KIB
    assert told.rows()["", "residential", D1] == 400 * KIB
    assert [one.of for one in told.said] == ["alice1", None, ""]
    assert told.sub_users["alice1"].used == 3 * 5000 * KIB


def test_one_name_twice_in_a_family_is_an_error_and_counts_nothing_twice() -> None:
    asking = script(proxy_users__user_list=users("alice1", "bob123", "alice1"))
    assert str(wrong(asking)) == "data.list has a user twice"
    assert set(asking.paths()) == {"/account/traffic-balance", "/account/wallet-balance", USERS}


def of_kinds(**names: str) -> AskScript:
    """Users by the digit of their kind, with the same use each; the account's own has what those of kind 1 used."""

    def own(query: dict[str, str]) -> Any:
        return usage(series(query, d01=500, d02=50))

    listed = {key.removeprefix("of"): name for key, name in names.items()}
    return script(
        proxy_users__user_list=lambda query: users(*[listed[one] for one in listed if one == query["proxy_type"]]),
        account__usage_statistics=own,
    )


@pytest.mark.parametrize("grain", ["day", "hour"])
@pytest.mark.parametrize("later", [{}, {"unlimited": "", "mobile": ""}, {"sub_users": "none"}])
def test_what_users_used_who_are_not_in_the_accounts_figure_stays_when_they_are_listed_no_more(
    grain: str, later: Any
) -> None:
    told = pulled(of_kinds(of1="alice1", of2="bob123", of3="carl99"), grain=grain)
    before = told.rows()
    assert {user for user, _, _ in before} == {"alice1", "bob123", "carl99", ""}
    for said in pulled(of_kinds(), grain=grain, **later).said:
        told.hear(said)
    after = told.rows()
    stays = {"bob123", "carl99"}
    assert {key: used for key, used in after.items() if key[0] in stays} == {
        key: used for key, used in before.items() if key[0] in stays
    }
    assert {user for user, _, _ in after} == {"", *stays}
    assert told.total(product="residential") == 550 * KIB, "what it said the account used, before and after"


def test_whose_users_are_not_asked_for_is_not_said_to_have_none() -> None:
    kinds = [type(one) for one in PULLER.pull(script(), to_pull(sub_users="none"))]
    assert kinds == [BalancesSaid, UseSaid, UseSaid]


def test_families_without_a_product_are_not_asked() -> None:
    asking = script()
    pulled(asking, unlimited="", mobile="")
    assert [query["proxy_type"] for path, query in asking.asked if path == USERS] == ["1"]


@pytest.mark.parametrize("status", [True, "true", 1, "1", "True"])
def test_status_may_be_a_text(status: Any) -> None:
    found = {"list": [user("alice1", status=status, traffic_limit="100")]}
    told = pulled(
        script(proxy_users__user_list=lambda query: ok(found if query["proxy_type"] == "1" else {"list": []}))
    )
    assert (told.sub_users["alice1"].enabled, told.sub_users["alice1"].limit) == (True, 100 * MIB)


@pytest.mark.parametrize(
    ("told", "step"), [([5, 7], 1024), ([5, "7.5"], 103), ([5, 7.25], 11), (["5.00", 7], 11), ([5, 1.125], 2)]
)
def test_how_exact_figures_are_is_read_from_their_decimals(told: list[Any], step: int) -> None:
    asking = script(proxy_users__usage_statistics=lambda query: usage(series(query, d01=told[0], d02=told[1])))
    of_user, _, of_nobody = pulled(asking).said
    assert (of_user.step, of_nobody.step) == (step, 1024)


# -- rows that are not as they were asked ------------------------------------------------------------------------------


def changed(rows: Callable[[list[Any]], list[Any]], **more: Any) -> AskScript:
    return script(account__usage_statistics=lambda query: usage(rows(series(query, d01=500, d02=50)), **more))


def test_rows_may_come_in_any_order() -> None:
    assert pulled(changed(lambda rows: rows[::-1])).rows() == pulled(script()).rows()


def test_a_sum_that_is_not_that_of_all_rows_is_a_doubt_and_the_rows_stand() -> None:
    told = pulled(changed(lambda rows: rows, range_usage_traffic=999_999))
    assert told.rows() == pulled(script()).rows()
    assert told.said[-1].doubts == ("2025-07-01 to 2025-07-03: the sum is 999999 KB, the rows add up to 550",)
    of_user = script(proxy_users__usage_statistics=lambda query: usage(series(query, d01=100), range_usage_traffic=9))
    assert pulled(of_user).said[0].doubts == (
        "2025-07-01 to 2025-07-03, alice1: the sum is 9 KB, the rows add up to 100",
    )


@pytest.mark.parametrize("more", [{"range_usage_traffic": 553.99}, {"range_usage_traffic": None}])
def test_a_sum_that_is_rounded_or_not_there_is_no_doubt(more: Any) -> None:
    assert [one.doubts for one in pulled(changed(lambda rows: rows, **more)).said] == [(), (), ()]


def test_rows_that_are_missing_are_nothing_where_the_sum_says_so() -> None:
    assert pulled(changed(lambda rows: rows[:2])).rows() == pulled(script()).rows()


@pytest.mark.parametrize("more", [{"range_usage_traffic": 600}, {"query_days": 2}, {"range_usage_traffic": None}])
def test_rows_that_are_missing_are_no_zeros_otherwise(more: Any) -> None:
    assert "data." in str(wrong(changed(lambda rows: rows[:2], **more)))


@pytest.mark.parametrize(
    "rows", [lambda rows: [*rows, rows[0]], lambda rows: [*rows, {**rows[0], "date": "2025-07-09"}]]
)
def test_a_row_that_comes_twice_or_was_not_asked_for_is_an_error(rows: Any) -> None:
    assert str(wrong(changed(rows))).startswith("data.data[3].date was ")


def test_a_user_that_a_comma_would_make_two_is_an_error() -> None:
    assert "no name that can be asked for" in str(wrong(script(proxy_users__user_list=users("alice1,bob123"))))


# -- what is no answer -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [None, "", "x", "NaN", True, [], {}, -1, 1e300, "1e999999", 2**60])
def test_what_is_no_quantity_is_never_a_zero(bad: Any) -> None:
    error = wrong(changed(lambda rows: [{**rows[0], "usage_traffic": bad}, *rows[1:]], range_usage_traffic=1))
    assert "usage_traffic" in str(error)


@pytest.mark.parametrize(
    ("path", "data"),
    [
        ("account__traffic_balance", {"traffic_balance": None}),
        ("account__traffic_balance", {"expiration_time": ""}),
        ("account__traffic_balance", {"traffic_balance": 1, "expiration_time": "soon"}),
        ("account__wallet_balance", {"wallet_balance": None}),
        ("account__wallet_balance", {}),
        ("proxy_users__user_list", []),
        ("proxy_users__user_list", {"list": {}}),
        ("proxy_users__user_list", {"list": [user("alice1", traffic_limit=None)]}),
        ("proxy_users__user_list", {"list": [user("alice1", status="maybe")]}),
        ("proxy_users__user_list", {"list": [user("")]}),
        ("account__usage_statistics", []),
        ("account__usage_statistics", {"data": None}),
        ("account__usage_statistics", None),
    ],
)
def test_a_shape_that_is_not_known_is_an_error_that_shows_it(path: str, data: Any) -> None:
    error = wrong(script(**{path: ok(data)}))
    assert error.sample.startswith('{"code":200')


@pytest.mark.parametrize(
    "body", ["<html>Maintenance</html>", "", "[]", '{"code": 200', '{"code": null}', '{"data": {}}']
)
def test_what_is_no_envelope_is_an_error(body: str) -> None:
    wrong(script(account__wallet_balance=body))


def test_a_path_that_is_gone_is_an_error_of_a_pull_and_told_by_a_check() -> None:
    gone = VendorAnswer(404, {}, b"404 page not found")

    def listed(query: dict[str, str]) -> Any:
        return gone if query["proxy_type"] == "2" else users()

    asking = script(proxy_users__user_list=listed)
    assert str(wrong(asking)) == "/proxy-users/user-list: HTTP 404"
    sight = PULLER.check(asking, to_pull())
    assert sight.cannot == ("Proxy users, unlimited: /proxy-users/user-list: HTTP 404",)
    assert len(sight.works) == 5
    assert pulled(asking, unlimited="").total("") == 550 * KIB


def code(number: Any, msg: str = "said") -> Any:
    return {"code": number, "data": {}, "msg": msg}


@pytest.mark.parametrize("number", [10047, 10013, 10014, "10047"])
def test_wrong_secrets_are_denied(number: Any) -> None:
    for ask in (PULLER.check, PULLER.pull):
        with pytest.raises(Denied, match="said"):
            list(ask(script(account__traffic_balance=code(number)), to_pull()))  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [10000, 10001, 10020, 10021, 10099, 0])
def test_any_other_code_is_an_error_that_says_it(number: int) -> None:
    with pytest.raises(Declined, match=f"code {number}: said") as found:
        pulled(script(account__usage_statistics=code(number)))
    assert found.value.code == number


def test_a_fault_inside_the_vendor_is_no_refusal() -> None:
    with pytest.raises(Failed, match="code 503: said") as found:
        pulled(script(account__wallet_balance=code(503)))
    assert not isinstance(found.value, Declined)


def test_a_wallet_that_may_not_be_seen_leaves_the_rest_as_it_is() -> None:
    told = pulled(script(account__wallet_balance=code(10099)))
    assert set(told.balances) == {"traffic"}
    assert told.rows() == pulled(script()).rows()


def test_too_often_is_later() -> None:
    answers = iter([code(10011), code(10011), ok({"wallet_balance": 1})])
    assert pulled(script(account__wallet_balance=lambda query: next(answers))).balances["wallet"].left == 1_000_000
    with pytest.raises(Limited, match="10011"):
        pulled(script(account__wallet_balance=code(10011)))


def test_a_token_that_is_revoked_in_the_middle_keeps_what_was_told() -> None:
    said, error = until_it_fails(PULLER.pull(script(account__usage_statistics=code(10047, "Token error")), to_pull()))
    assert isinstance(error, Denied)
    assert [type(one) for one in said] == [BalancesSaid, UseSaid, SubUsersSaid, UseSaid]
    assert not any(one.closes for one in said if isinstance(one, UseSaid))


def test_a_refusal_of_a_check_is_told_and_not_raised() -> None:
    sight = PULLER.check(script(account__wallet_balance=code(10099, "not for you")), to_pull())
    assert sight.cannot == ("Wallet: code 10099: not for you (/account/wallet-balance)",)


def test_a_zone_that_is_none_is_an_error_before_anything_is_asked() -> None:
    asking = script()
    with pytest.raises(Failed, match="timezone"):
        pulled(asking, timezone="Mars/Olympus")
    assert asking.asked == []


# -- as their pages show it --------------------------------------------------------------------------------------------


def test_the_recorded_answers_are_read() -> None:
    samples = {path: (SAMPLES / f"{name}.json").read_bytes() for path, name in [
        ("account__traffic_balance", "traffic_balance"), ("account__wallet_balance", "wallet_balance"),
        ("account__usage_statistics", "usage_statistics"), ("proxy_users__usage_statistics", "user_usage"),
    ]}  # fmt: skip
    listed = (SAMPLES / "user_list.json").read_bytes()
    asking = script(**samples, proxy_users__user_list=lambda query: listed if query["proxy_type"] == "1" else users())
    told = pulled(asking, "2025-01-01T00:00:00Z", "2025-01-03T12:00:00Z")
    assert (told.total(), told.total("user123"), told.total("")) == (1_500_000 * KIB, 150_000 * KIB, 1_350_000 * KIB)
    assert told.sub_users["user123"].used == 150_000 * KIB
    assert told.balances["wallet"].left == 800_000_000


def test_the_recorded_hours_are_an_excerpt_which_is_seen() -> None:
    hours = (SAMPLES / "user_usage_hour.json").read_bytes()
    error = wrong(script(proxy_users__usage_statistics_hour=hours), grain="hour")
    assert "rows are missing" in str(error)


def test_the_recorded_refusal_is_one() -> None:
    with pytest.raises(Denied, match="Token error"):
        pulled(script(account__traffic_balance=as_answer((SAMPLES / "token_error.json").read_bytes())))
