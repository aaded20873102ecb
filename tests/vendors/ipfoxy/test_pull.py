"""IPFoxy's puller against a script: each contradiction that is known of its answers, and each that may come."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.vendors.asked_app import wanted
from tests.vendors.pulling import AskScript, Told, closed, until_it_fails

import flowtally.vendors.ipfoxy
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reported import KIB, MIB, BalancesSaid, SubUsersSaid, UseSaid
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.providers.puller import ChangedShape, Declined, Denied, Failed, Limited, VendorAnswer
from flowtally.vendors.ipfoxy.pull import PULLER

SAMPLES = Path(flowtally.vendors.ipfoxy.__file__).parent / "samples"
TOKEN, PASSWORD, SUB = "tok-0123456789", "U2QGKxfG", "ABCDEFHGJ2000"
SINCE, NOW = "2025-06-23T16:00:00Z", "2025-06-26T10:00:00Z"  # of UTC+8: the 24th at its beginning, the 26th
MONEY, PACKAGE, HISTORY, ACCOUNTS, FLOW, USE = (
    "/account-info",
    "/residential-data",
    "/residential-data-history",
    "/get-sub-account-list",
    "/get-sub-account-flow",
    "/get-account-use-flow-list",
)


def ok(data: Any) -> Any:
    return {"code": 0, "data": data, "msg": "Success"}


def account(name: str, **more: Any) -> dict[str, Any]:
    return {"account": name, "password": PASSWORD, "status": "1", "surplus_flow": "2048", "use_flow": "1024",
            "ip_whitelist": "", "created_time": "1687252074", "ex_time": "2147483647", "unit": "KB", "is_main": "2",
            **more}  # fmt: skip


def listed(*rows: Any, **more: Any) -> Any:
    return ok({"list": list(rows), "total": str(len(rows)), **more})


def use(*rows: tuple[str, Any], **more: Any) -> Any:
    found = [{"date": date, "account": SUB, "flow": flow} for date, flow in rows]
    return ok({"list": found, "unit": "MB", "count": str(len(found)), "timezone": "+08:00", **more})


def history(*rows: tuple[int, Any], period: str = "1 day", **more: Any) -> Any:
    found = [{"mb": mb, "timestamp": str(at // 1000), "period": period} for at, mb in rows]
    return ok({"list": found, "total": len(found), "page": 1, "page_size": 35, **more})


D24 = parse_instant(SINCE)
D25, D26 = D24 + DAY_MS, D24 + 2 * DAY_MS
DAYS = (("2025-06-26 00:00:00", "11"), ("2025-06-25 00:00:00", "22.5"), ("2025-06-24 00:00:00", "33"))


def script(**answers: Any) -> AskScript:
    """A reseller with a sub-account, each answer of which may be another one."""
    usual: dict[str, Any] = {
        MONEY: ok({"balance": "12.34", "cashback": "0.50", "total_balance": "12.84"}),
        PACKAGE: ok({"query_time": "1", "expire_time": "1766700000", "total_mb": "100", "remain_mb": "60.5"}),
        HISTORY: history((D25, "5"), (D26, 1.25)),
        ACCOUNTS: listed(account("main01", is_main="1"), account(SUB)),
        FLOW: ok({"surplus_flow": "2048", "use_flow": "1024", "unit": "KB"}),
        USE: use(*DAYS),
    }
    usual |= {"/" + path.replace("_", "-"): made for path, made in answers.items()}

    def answer(path: str, query: dict[str, str]) -> Any:
        made = usual[path]
        return made(query) if callable(made) else made

    return AskScript(answer)


def to_pull(since: str = SINCE, now: str = NOW, **settings: str) -> Any:
    return wanted(PULLER, {"api_id": "u-1", "api_token": TOKEN}, parse_instant(since), parse_instant(now), **settings)


def pulled(asking: AskScript, *when: str, **settings: str) -> Told:
    return Told(PULLER.pull(asking, to_pull(*when, **settings)))


def wrong(asking: AskScript, **settings: str) -> ChangedShape:
    """What it says is wrong: nothing secret is in it."""
    _, error = until_it_fails(PULLER.pull(asking, to_pull(**settings)))
    assert isinstance(error, ChangedShape), error
    assert PASSWORD not in str(error) + error.sample
    return error


def test_days_are_those_of_utc_plus_8() -> None:
    told = pulled(script())
    assert told.rows() == {
        (SUB, "residential", D24): 33 * MIB,
        (SUB, "residential", D25): 22 * MIB + MIB // 2,
        (SUB, "residential", D26): 11 * MIB,
        ("", "residential", D25): 5 * MIB,
        ("", "residential", D26): MIB + MIB // 4,
    }
    assert closed(told) == [(D24, D24 + 3 * DAY_MS)]
    assert [one.of for one in told.said] == [SUB, "", None]
    assert {(one.zone, one.grain) for one in told.said} == {("+08:00", "day")}
    assert [one.step for one in told.said] == [104_858, 10_486, 104_858]
    assert [len(one.figures) for one in told.said] == [3, 2, 0], "each figure is said once"


def test_every_call_has_both_headers_and_no_secret_in_the_query() -> None:
    asking = script()
    pulled(asking)
    assert all(one == {"api-id": "u-1", "api-token": TOKEN} for one in asking.headers)
    assert TOKEN not in str(asking.asked)


def test_the_range_is_of_whole_buckets_and_no_offset_is_sent() -> None:
    asking = script()
    pulled(asking)
    [query] = [query for path, query in asking.asked if path == USE]
    end = (D24 + 3 * DAY_MS) // 1000 - 1
    assert query == {"account": SUB, "start_time": str(D24 // 1000), "end_time": str(end), "unit": "2", "page": "1",
                     "page_size": "100"}  # fmt: skip
    [query] = [query for path, query in asking.asked if path == HISTORY]
    assert query == {"start_timestamp": str(D24 // 1000), "end_timestamp": str(end), "is_hour": "0", "page": "1"}


@pytest.mark.parametrize(("zone", "hour"), [("+08:00", "00"), ("+00:00", "16"), ("-05:00", "11")])
def test_hours_are_dated_by_the_zone_that_is_told(zone: str, hour: str) -> None:
    date = "2025-06-24" if zone == "+08:00" else "2025-06-23"
    asking = script(
        get_account_use_flow_list=use((f"{date} {hour}:00:00", "1.5"), timezone=zone),
        residential_data_history=history((D24 + HOUR_MS, "2"), period="1 hour"),
    )
    told = pulled(asking, grain="hour")
    assert told.rows() == {(SUB, "residential", D24): 1_572_864, ("", "residential", D24 + HOUR_MS): 2 * MIB}
    assert {query.get("unit") for path, query in asking.asked if path == USE} == {"1"}


@pytest.mark.parametrize("zone", ["+00:00", "UTC", "", None, "+08:30"])
def test_days_of_a_zone_that_was_not_to_be_are_an_error(zone: Any) -> None:
    assert "data.timezone" in str(wrong(script(get_account_use_flow_list=use(*DAYS, timezone=zone))))


def test_no_question_is_older_than_89_days_and_they_follow_each_other() -> None:
    """All of what it is said to keep is told, so that whoever asks again goes on where it ended."""
    assert PULLER.keeps_days == 88
    asking = script(get_account_use_flow_list=use(), residential_data_history=history())
    told = pulled(asking, "2020-01-01T00:00:00Z")
    [(start, end)] = closed(told)
    now = parse_instant(NOW)
    assert (now - 89 * DAY_MS <= start <= now - 88 * DAY_MS, end) == (True, D24 + 3 * DAY_MS)
    hours = pulled(script(get_account_use_flow_list=use(), residential_data_history=history()), "2020-01-01T00:00:00Z",
                   NOW, grain="hour")  # fmt: skip
    stretches = closed(hours)
    assert (stretches[0][0], stretches[-1][1], len(stretches)) == (start, end, 3)
    assert all(one[1] - one[0] <= 30 * DAY_MS for one in stretches)


# -- pages -------------------------------------------------------------------------------------------------------------


HOURS = [(format_instant(D24 + n * HOUR_MS + 8 * HOUR_MS)[:19].replace("T", " "), "1") for n in range(250)]
LONG = ("2025-06-23T16:00:00Z", "2025-07-05T10:00:00Z")


def paged(rows: list[tuple[str, str]], **more: Any) -> Callable[[dict[str, str]], Any]:
    def answer(query: dict[str, str]) -> Any:
        page, size = int(query["page"]), int(query["page_size"])
        return use(*rows[(page - 1) * size : page * size], **more)

    return answer


@pytest.mark.parametrize("count", ["250", "50", "3", "0", "999", 250, None])
@pytest.mark.parametrize("rows", [HOURS, HOURS[::-1]])
def test_all_pages_are_read_whatever_the_count_is_of(count: Any, rows: list[tuple[str, str]]) -> None:
    asking = script(get_account_use_flow_list=paged(rows, count=count), residential_data_history=history())
    told = pulled(asking, *LONG, grain="hour")
    assert told.total(SUB) == 250 * MIB
    assert asking.paths()[USE] == (4 if count in {"999", None} else 3)


def test_a_list_of_exactly_full_pages_ends_with_an_empty_one() -> None:
    asking = script(get_account_use_flow_list=paged(HOURS[:200]), residential_data_history=history())
    assert pulled(asking, *LONG, grain="hour").total(SUB) == 200 * MIB
    assert asking.paths()[USE] == 3


def test_pages_that_repeat_do_not_count_twice_and_do_not_go_on_for_ever() -> None:
    told = pulled(script(get_account_use_flow_list=lambda query: use(*DAYS, count="8")))
    assert told.total(SUB) == 66 * MIB + MIB // 2
    asking = script(get_account_use_flow_list=lambda query: use(*HOURS[:100], count="250"))
    assert "page 2 has nothing" in str(wrong(asking, grain="hour"))


def test_a_history_has_pages_of_its_own_size() -> None:
    rows = [(D24 + n * HOUR_MS, "1") for n in range(80)]

    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return history(*rows[(page - 1) * 35 : page * 35], period="1 hour", total=80, page=page)

    asking = script(residential_data_history=answer, get_account_use_flow_list=use())
    assert pulled(asking, *LONG, grain="hour").total("") == 80 * MIB
    assert asking.paths()[HISTORY] == 3


def test_a_history_that_has_fewer_rows_than_it_says_is_an_error() -> None:
    assert "11 rows are told of" in str(
        wrong(script(residential_data_history=lambda query: history(total=11, page=int(query["page"]))))
    )
    stuck = script(residential_data_history=history((D25, "5"), total=11))
    assert "page 2 was asked for, and page 1 came" in str(wrong(stuck))


def test_sub_accounts_have_pages() -> None:
    names = [f"account{n:03}" for n in range(130)]

    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return listed(*map(account, names[(page - 1) * 100 : page * 100]), total="130")

    def none(query: dict[str, str]) -> Any:
        return ok({"list": [], "unit": "MB", "count": "0", "timezone": "+08:00"})

    told = pulled(script(get_sub_account_list=answer, get_account_use_flow_list=none))
    assert list(told.sub_users) == names
    assert [one.of for one in told.said] == [*names, "", None]


@pytest.mark.parametrize("pages", [1, 2])
def test_sub_accounts_that_are_counted_and_not_listed_are_not_left_out(pages: int) -> None:
    names = [f"account{n:03}" for n in range(100 * (pages - 1) + 70)]

    def answer(query: dict[str, str]) -> Any:
        page = int(query["page"])
        return listed(*map(account, names[(page - 1) * 100 : page * 100]), total="250")

    assert f"250 accounts are told of, and its pages have {len(names)}" in str(
        wrong(script(get_sub_account_list=answer))
    )


def test_one_account_that_is_counted_and_not_listed_may_be_the_main_account() -> None:
    def counting(*rows: Any) -> AskScript:
        return script(get_sub_account_list=lambda query: listed(*(rows if query["page"] == "1" else ()), total="2"))

    told = pulled(counting(account(SUB)))
    assert [one.doubts for one in told.said[:-1]] == [(), ()]
    assert "the other one may be the main account" in told.said[-1].doubts[0]
    wrong(counting(account("main01", is_main="1")))


def test_days_that_are_counted_and_not_shown_are_not_told_to_be_nothing() -> None:
    told = pulled(script())
    hiding = script(get_account_use_flow_list=lambda query: use(DAYS[0], ("2025-06-24 00:00:00", "34"), count="3"))
    said = pulled(hiding).said
    for one in said:
        told.hear(one)
    assert told.rows()[SUB, "residential", D25] == 22 * MIB + MIB // 2, "as it was said before"
    assert told.rows()[SUB, "residential", D24] == 34 * MIB
    assert [(one.starts_at, one.ends_at) for one in said if one.closes] == [(D24, D25), (D26, D26 + DAY_MS)]
    assert [one.doubts for one in said if one.doubts] == [
        (f"get-account-use-flow-list: 3 rows of {SUB} are told of, and its pages have 2",)
    ]


@pytest.mark.parametrize("later", [{}, {"sub_accounts": "none"}, {"own_package": "no"}])
def test_what_was_used_by_whom_nothing_is_said_any_more_stays(later: Any) -> None:
    told = pulled(script())
    before = told.rows()
    for one in pulled(script(get_sub_account_list=listed()), **later).said:
        told.hear(one)
    assert told.rows() == before


# -- balances and sub-accounts -----------------------------------------------------------------------------------------


def test_balances_are_those_of_the_wallet_the_package_and_each_sub_account() -> None:
    mobile = ok(
        {"surplus_flow": "10485760", "use_flow": 0, "mob_surplus_flow": "2097152", "mob_use_flow": "7", "unit": "KB"}
    )
    held = pulled(script(get_sub_account_flow=mobile), currency="USD").balances
    assert {label: (one.left, one.used, one.total) for label, one in held.items()} == {
        "wallet": (12_340_000, None, None),
        "cashback": (500_000, None, None),
        "residential": (63_438_848, None, 100 * MIB),
        f"{SUB} residential": (10_485_760 * KIB, 0, 10_485_760 * KIB),
        f"{SUB} mobile": (2_097_152 * KIB, 7 * KIB, 2_097_159 * KIB),
    }
    assert (held["wallet"].currency, held["residential"].step, held[f"{SUB} mobile"].step) == ("USD", 104_858, KIB)
    assert (held["residential"].expires_at, held[f"{SUB} mobile"].expires_at) == (1_766_700_000_000, None)


def test_an_older_edition_has_no_mobile_traffic() -> None:
    assert [one for one in pulled(script()).balances if one.startswith(SUB)] == [f"{SUB} residential"]


def test_sub_accounts_are_told_and_the_main_account_is_none() -> None:
    rows = listed(account("main01", is_main=1), account(SUB, status=2, surplus_flow=10, ex_time="1766700000"))
    told = pulled(script(get_sub_account_list=rows))
    one = told.sub_users[SUB]
    assert list(told.sub_users) == [SUB]
    assert (one.enabled, one.limit, one.used) == (False, 1034 * KIB, 1024 * KIB)
    assert told.balances[f"{SUB} residential"].expires_at == 1_766_700_000_000


def test_who_only_buys_has_the_own_package_alone() -> None:
    asking = script(get_sub_account_list=code(60401))
    told = pulled(asking, sub_accounts="none")
    assert (told.total(), told.sub_users) == (6 * MIB + MIB // 4, {})
    assert set(asking.paths()) == {MONEY, PACKAGE, HISTORY}
    kinds = {type(one) for one in PULLER.pull(asking, to_pull(sub_accounts="none"))}
    assert kinds == {BalancesSaid, UseSaid}
    with pytest.raises(Denied, match="set sub_accounts to none"):
        pulled(asking)
    sight = PULLER.check(asking, to_pull())
    assert sight.works == ("Wallet: 12.34", "Own package: 63.43 MB left")
    assert [one.split(":")[0] for one in sight.cannot] == ["Own use", "Sub-accounts"]


def test_a_reseller_without_a_package_has_its_sub_accounts_alone() -> None:
    asking = script(residential_data=code(60400), residential_data_history=code(60400))
    told = pulled(asking, own_package="no")
    assert (told.total(), told.total("")) == (66 * MIB + MIB // 2, 0)
    assert [label for label in told.balances if not label.startswith(SUB)] == ["wallet", "cashback"]
    with pytest.raises(Declined):
        pulled(asking)
    asking = script(residential_data=code(60400), get_account_use_flow_list=use())
    assert PULLER.check(asking, to_pull(own_package="no")).cannot == ()


def test_who_asks_for_nothing_is_not_told_that_nothing_was_used() -> None:
    asking = script()
    with pytest.raises(Failed, match="neither"):
        pulled(asking, own_package="no", sub_accounts="none")
    assert asking.asked == []


def test_a_day_that_shrinks_is_said_again() -> None:
    told = pulled(script())
    for said in pulled(script(get_account_use_flow_list=use(DAYS[0], DAYS[2]))).said:
        told.hear(said)
    assert told.total(SUB) == 44 * MIB


# -- what is no answer -------------------------------------------------------------------------------------------------


def code(number: Any, msg: str = "said") -> Any:
    return {"code": number, "data": {}, "msg": msg}


@pytest.mark.parametrize("bad", [None, "", "x", "NaN", True, [], "-1", 1e300, "1e999999", "1,5"])
def test_what_is_no_quantity_is_never_a_zero(bad: Any) -> None:
    assert "flow" in str(wrong(script(get_account_use_flow_list=use(*DAYS[:2], (DAYS[2][0], bad)))))
    assert "mb" in str(wrong(script(residential_data_history=history((D25, bad)))))


@pytest.mark.parametrize("unit", ["GB", "", None, 5])
def test_a_unit_that_is_not_known_is_an_error(unit: Any) -> None:
    assert "data.unit" in str(wrong(script(get_account_use_flow_list=use(*DAYS, unit=unit))))


def test_a_unit_that_is_told_is_the_one_that_counts() -> None:
    told = pulled(script(get_account_use_flow_list=use(*DAYS, unit="KB")))
    assert (told.total(SUB), told.said[0].step) == (66 * KIB + KIB // 2, 103)


@pytest.mark.parametrize(
    ("path", "answer"),
    [
        ("get_account_use_flow_list", use(("2025-06-24", "1"))),
        ("get_account_use_flow_list", use(("2025-06-24 07:00:00", "1"))),
        ("get_account_use_flow_list", use(("2025-06-23 00:00:00", "1"))),
        ("get_account_use_flow_list", use(("2025-06-27 00:00:00", "1"))),
        ("get_account_use_flow_list", use(DAYS[0], DAYS[0])),
        ("get_account_use_flow_list", use(count="3")),
        ("get_sub_account_list", listed(total="2")),
        ("get_account_use_flow_list", ok({"list": None, "unit": "MB", "count": "0", "timezone": "+08:00"})),
        ("get_account_use_flow_list", use(list=[{"date": DAYS[0][0], "account": "another", "flow": "1"}])),
        ("residential_data_history", history((D25, "1"), period="1 hour")),
        ("residential_data_history", history((D25 * 1000, "1"))),
        ("residential_data_history", history((D25 + HOUR_MS, "1"))),
        ("residential_data_history", history((D25, "1"), total=None)),
        ("residential_data", ok({"total_mb": "1", "remain_mb": None})),
        ("residential_data", ok({"total_mb": "1", "remain_mb": "1", "expire_time": "soon"})),
        ("account_info", ok({"cashback": "1"})),
        ("account_info", ok([])),
        ("get_sub_account_list", listed(account(SUB, is_main=None))),
        ("get_sub_account_list", listed(account(SUB, is_main="3"))),
        ("get_sub_account_list", listed(account(SUB, status="0"))),
        ("get_sub_account_list", listed(account(SUB, use_flow=None))),
        ("get_sub_account_list", listed(account(""))),
        ("get_sub_account_list", listed(account(SUB), account(SUB))),
        ("get_sub_account_flow", ok({"surplus_flow": "1", "use_flow": None, "unit": "KB"})),
        ("get_sub_account_flow", ok({"surplus_flow": "1", "use_flow": "1", "mob_use_flow": "1", "unit": "KB"})),
    ],
)  # fmt: skip
def test_a_shape_that_is_not_known_is_an_error(path: str, answer: Any) -> None:
    wrong(script(**{path: answer}))


@pytest.mark.parametrize("body", ["<html>Maintenance</html>", "", "[]", '{"code": 0', '{"code": null}', '{"code": 0}'])
def test_what_is_no_envelope_is_an_error(body: str) -> None:
    wrong(script(account_info=body))


def test_another_status_is_an_error() -> None:
    assert str(wrong(script(residential_data=VendorAnswer(404, {}, b"gone")))) == "residential-data: HTTP 404"
    with pytest.raises(Denied):
        pulled(script(residential_data=VendorAnswer(403, {}, b"no")))


@pytest.mark.parametrize("ask", [PULLER.check, PULLER.pull])
def test_wrong_secrets_are_denied(ask: Any) -> None:
    with pytest.raises(Denied, match="60401: said"):
        list(ask(script(account_info=code(60401)), to_pull()))


@pytest.mark.parametrize("number", [60400, 60300, 17001, 8700, 99999, "60400"])
def test_any_other_code_is_an_error_that_says_it(number: Any) -> None:
    with pytest.raises(Declined, match=f"code {number}: said") as found:
        pulled(script(get_account_use_flow_list=code(number)))
    assert found.value.code == int(number)


@pytest.mark.parametrize("number", [50000, 60500, 10086])
def test_what_is_to_be_asked_later_is(number: int) -> None:
    answers = iter([code(number), code(number), use(*DAYS)])
    assert pulled(script(get_account_use_flow_list=lambda query: next(answers))).rows() == pulled(script()).rows()


@pytest.mark.parametrize("number", [60500, 10086])
def test_what_fails_to_the_end_is_no_refusal(number: int) -> None:
    with pytest.raises(Failed, match=f"code {number}: said") as found:
        pulled(script(get_account_use_flow_list=code(number)))
    assert not isinstance(found.value, Declined)


def test_too_often_to_the_end_is_a_minute_later() -> None:
    with pytest.raises(Limited) as found:
        pulled(script(get_account_use_flow_list=code(50000)))
    assert found.value.after_s == 60


def test_a_token_that_is_revoked_in_the_middle_keeps_what_was_told() -> None:
    said, error = until_it_fails(PULLER.pull(script(residential_data_history=code(60401)), to_pull()))
    assert isinstance(error, Denied)
    assert [type(one) for one in said] == [BalancesSaid, SubUsersSaid, UseSaid]
    assert not any(one.closes for one in said if isinstance(one, UseSaid))


# -- as their pages show it --------------------------------------------------------------------------------------------


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.json").read_bytes()


def test_the_recorded_answers_are_read() -> None:
    one_page = {"list": [], "total": "2"}
    asking = script(
        get_sub_account_flow=sample("get-sub-account-flow"),
        residential_data=sample("residential-data"),
        get_sub_account_list=lambda query: sample("get-sub-account-list") if query["page"] == "1" else ok(one_page),
        get_account_use_flow_list=ok({"list": [], "unit": "MB", "count": "0", "timezone": "+08:00"}),
        residential_data_history=history(),
    )
    told = pulled(asking)
    assert told.sub_users["eHhQVbaj"].used == 1_012_547_520 * KIB
    assert told.balances["eHhQVbaj mobile"].left == 2 * 1024**3
    package = told.balances["residential"]
    assert (package.left, package.step) == (452_937_708_995, 10_486)
    old = pulled(script(get_sub_account_flow=sample("get-sub-account-flow.2025-07")))
    assert old.balances[f"{SUB} residential"].left == 5 * 1024**3


def test_the_recorded_list_of_use_is_read() -> None:
    told = pulled(script(get_account_use_flow_list=lambda query: sample("get-account-use-flow-list")))
    assert [told.total(SUB, since=day, until=day + 1) for day in (D24, D25, D26)] == [33 * MIB, 22 * MIB, 11 * MIB]
    assert told.said[0].step == MIB


def test_the_recorded_history_is_an_excerpt_which_is_seen() -> None:
    wrong(script(residential_data_history=sample("residential-data-history")), grain="hour")
