"""What providers report beside what was measured: over HTTP, in every form, and never added up."""

from __future__ import annotations

import csv
import io
import json
from typing import Any, Final

import pyarrow as pa
import pytest
from tests.conftest import NOW, Client
from tests.usage.blocks import block

from flowtally.answers.series import MAX_SERIES
from flowtally.core.edges import format_instant, parse_instant
from flowtally.core.reported import SubUserSaid
from flowtally.core.times import DAY_MS, HOUR_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts, users
from flowtally.ledger.providers import connected, said, stretches
from flowtally.ledger.providers.stretches import Stretch
from flowtally.usage.memory import MemoryStore

MARCH: Final = parse_instant("2026-03-01T00:00:00Z")
PATH: Final = "/v1/accounts/acme/usage"
RANGE: Final[dict[str, Any]] = {"from": "2026-03-01", "to": "2026-03-03"}
BOTH: Final[dict[str, Any]] = {**RANGE, "series": ["metered", "thor"], "by": "series"}


@pytest.fixture
def ann(app_ledger: Ledger) -> str:
    """The id of a user of acme, who has a provider, thor, that lists bob; beta has loki."""
    with app_ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        accounts.create_account(tx, "beta", now=1)
        for account, name in (("acme", "thor"), ("beta", "loki")):
            connected.add_provider(tx, account, name, "thordata", secrets={}, settings={}, since=0, now=NOW)
        thor = connected.read_provider(tx, "thor")
        said.put_sub_users(tx, thor, [SubUserSaid("bob", True), SubUserSaid("idle", True)], now=NOW)
        return users.ensure_users(tx, [("acme", "ann")], 1)["acme", "ann"]


@pytest.fixture
def both(client: Client, usage: MemoryStore, ann: str) -> Client:
    """Two days: ann used 5 and 3 here; thor says 7 and 2 of bob, and 1 of nobody in particular."""
    days = [("metered", ann, 0, 5), ("metered", ann, 1, 3), ("thor", "bob", 0, 7), ("thor", "bob", 1, 2)]
    rows = [
        {"series": series, "user": user, "time": MARCH + day * DAY_MS, "bytes_down": size, "id": f"{series}{day}"}
        for series, user, day, size in [*days, ("thor", "", 1, 1)]
    ]
    usage.append(block(1, *rows, received_at=MARCH + 9 * DAY_MS))
    usage.append(block(2, {"series": "loki", "account": "beta", "user": "eve", "time": MARCH, "bytes_down": 40}))
    return client


def ask(client: Client, path: str = PATH, **query: Any) -> Any:
    answer = client.get(path, params={**RANGE, "bucket": "total", "fill": "none", **query})
    assert answer.status_code == 200, answer.text
    return answer.json()


def refusal(client: Client, path: str = PATH, **query: Any) -> tuple[int, str, str]:
    answer = client.get(path, params={**RANGE, **query})
    return answer.status_code, answer.json()["code"], answer.json()["detail"]


def shown(answer: Any, *names: str) -> list[tuple[Any, ...]]:
    return [(*(row[name] for name in names), row["bytes"]) for row in answer["rows"]]


def tell(ledger: Ledger, start: int, end: int, grain: Any = "day", zone: str = "UTC") -> None:
    with ledger.begin() as tx:
        stretches.put_stretch(tx, connected.read_provider(tx, "thor"), Stretch(start, end, grain, zone, 1024, NOW))


# -- side by side -----------------------------------------------------------------------------------------------------


def test_they_stand_side_by_side_and_each_has_its_own_total(both: Client) -> None:
    answer = ask(both, **BOTH, bucket="day")
    assert shown(answer, "start", "series") == [
        ("2026-03-01T00:00:00Z", "metered", 5),
        ("2026-03-01T00:00:00Z", "thor", 7),
        ("2026-03-02T00:00:00Z", "metered", 3),
        ("2026-03-02T00:00:00Z", "thor", 3),
    ]
    assert {name: one["bytes"] for name, one in answer["totals"].items()} == {"metered": 8, "thor": 10}
    assert answer["total"] == answer["totals"]["metered"]
    other = ask(both, **BOTH | {"series": ["thor", "metered"]})
    assert other["total"] == other["totals"]["thor"]


def test_without_series_in_by_several_are_refused(both: Client) -> None:
    status, code, detail = refusal(both, series=["metered", "thor"], by="user")
    assert (status, code) == (400, "bad_request")
    assert "never added up. Say by=series" in detail
    assert refusal(both, "/v1/usage", series=["metered", "thor"])[:2] == (400, "bad_request")
    assert ask(both, series=["thor", "thor"])["total"]["bytes"] == 10  # one, said twice
    many = ["metered", *(f"p{number}" for number in range(MAX_SERIES))]
    assert refusal(both, series=many, by="series")[2] == f"series = {MAX_SERIES + 1} of them: at most {MAX_SERIES}."


def test_one_series_is_answered_as_ever(both: Client) -> None:
    metered = ask(both, by="user")
    assert shown(metered, "user") == [("ann", 8)]
    assert "totals" not in metered
    assert "grain" not in metered
    thor = ask(both, series="thor", by="series,user")
    assert shown(thor, "series", "user") == [("thor", "", 1), ("thor", "bob", 9)]
    assert thor["total"]["bytes"] == 10
    assert "totals" not in thor


def test_a_series_that_is_nobodys_or_anothers_is_unknown(both: Client) -> None:
    for name in ("loki", "nothing", "a/b"):
        status, code, detail = refusal(both, series=name)
        assert (status, code) == (404, "not_found")
        assert f"no provider '{name}' of account 'acme'" in detail
    assert refusal(both, "/v1/usage", series="nothing")[:2] == (404, "not_found")
    assert both.get("/v1/accounts/acme/export", params={"series": "loki"}).status_code == 404


def test_zeros_fill_each_series_by_itself(both: Client) -> None:
    answer = ask(both, **BOTH | {"by": "series,user", "to": "2026-03-02"}, bucket="day", fill="zero")
    assert shown(answer, "series", "user") == [("metered", "ann", 5), ("thor", "bob", 7)]
    empty = ask(both, **BOTH | {"from": "2026-04-01", "to": "2026-04-02"}, bucket="day", fill="zero")
    assert shown(empty, "series") == [("metered", 0), ("thor", 0)]


def test_rows_stay_as_they_were_at_an_earlier_moment(both: Client, usage: MemoryStore) -> None:
    before = ask(both, **BOTH)
    usage.append(block(3, {"series": "thor", "user": "bob", "time": MARCH, "bytes_down": -4, "kind": "correction"}))
    assert ask(both, **BOTH, as_of=before["as_of"]["token"]) == before
    assert ask(both, **BOTH)["totals"]["thor"]["bytes"] == 6


# -- users ------------------------------------------------------------------------------------------------------------


def test_a_sub_user_is_called_as_the_vendor_calls_it_and_has_no_id(both: Client, ann: str) -> None:
    answer = ask(both, **BOTH | {"by": "user,series"})
    assert [(row["user"], row["user_id"], row["series"]) for row in answer["rows"]] == [
        ("", None, "thor"), ("bob", None, "thor"), ("ann", ann, "metered"),
    ]  # fmt: skip


def test_a_name_is_looked_for_in_each_series(both: Client, ann: str) -> None:
    assert shown(ask(both, series="thor", user="bob")) == [(9,)]
    assert shown(
        ask(both, series="thor", user=""),
    ) == [(1,)]
    asked = BOTH | {"by": "series,user"}
    assert shown(ask(both, **asked, user=["ann", "bob"]), "series") == [("metered", 8), ("thor", 9)]
    assert shown(ask(both, **asked, user="bob"), "series") == [("thor", 9)]
    assert shown(ask(both, **asked, user=ann), "series") == [("metered", 8)]
    assert ask(both, series="thor", user="idle")["total"]["bytes"] == 0  # it is listed, and used nothing
    for series in (["thor"], ["metered", "thor"]):
        status, code, detail = refusal(both, series=series, by="series", user="carol")
        assert (status, code) == (404, "unknown_user")
        assert f"in the series {', '.join(series)}" in detail


def test_a_user_of_ours_has_no_series_of_a_providers(both: Client, ann: str) -> None:
    path = f"/v1/accounts/acme/users/{ann}/usage"
    assert ask(both, path)["total"]["bytes"] == 8
    assert "no users of ours" in refusal(both, path, series="thor")[2]
    assert refusal(both, path, series=["metered", "thor"], by="series")[0] == 400


# -- all accounts, and other forms ------------------------------------------------------------------------------------


def test_of_all_accounts_each_series_has_its_own_largest_groups_and_others(both: Client) -> None:
    asked = {**RANGE, "series": ["metered", "thor", "loki"], "by": "account,user,series", "top": 1}
    answer = ask(both, "/v1/usage", **asked)
    assert shown(answer, "series", "account", "user", "others") == [
        ("metered", "acme", "ann", 0, 8),
        ("thor", "acme", "bob", 0, 9),
        ("thor", None, None, 1, 1),
        ("loki", "beta", "eve", 0, 40),
    ]
    assert {name: one["bytes"] for name, one in answer["totals"].items()} == {"metered": 8, "thor": 10, "loki": 40}
    assert refusal(both, "/v1/usage", **asked | {"by": "series"})[2].startswith("top = ranks groups")
    of_two = ask(both, "/v1/usage", **BOTH | {"by": "series,account"}, bucket="day")
    assert shown(of_two, "series", "account") == [
        ("metered", "acme", 5), ("thor", "acme", 7), ("metered", "acme", 3), ("thor", "acme", 3),
    ]  # fmt: skip


def test_csv_and_arrow_have_the_series_as_a_column(both: Client) -> None:
    asked = {**BOTH, "by": "series,user", "bucket": "total", "fill": "none"}
    rows = list(csv.DictReader(io.StringIO(both.get(PATH, params=asked | {"format": "csv"}).text)))
    assert [(row["series"], row["user"], bool(row["user_id"]), row["bytes"]) for row in rows] == [
        ("metered", "ann", True, "8"), ("thor", "", False, "1"), ("thor", "bob", False, "9"),
    ]  # fmt: skip
    with pa.ipc.open_stream(both.get(PATH, params=asked | {"format": "arrow"}).content) as stream:
        table = stream.read_all()
    assert table.column("series").to_pylist() == ["metered", "thor", "thor"]
    assert table.column("user_id").to_pylist()[1:] == [None, None]
    beside = json.loads(table.schema.metadata[b"flowtally"])
    assert (beside["totals"]["thor"]["bytes"], beside["grain"]) == (10, {"thor": []})


def test_csv_and_arrow_say_in_each_row_what_was_told_of_it(both: Client, app_ledger: Ledger) -> None:
    tell(app_ledger, MARCH, MARCH + DAY_MS)
    asked = {**BOTH, "to": "2026-03-04", "bucket": "day"}
    text = both.get(PATH, params=asked | {"format": "csv"}).text
    assert text.splitlines()[0].endswith(",bytes_up,bytes_down,bytes,requests,cut,told,grain,zone")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(row["series"], row["bytes"], row["told"], row["grain"]) for row in rows] == [
        ("metered", "5", "", ""), ("thor", "7", "whole", "day"),
        ("metered", "3", "", ""), ("thor", "3", "none", ""),
        ("metered", "0", "", ""), ("thor", "", "none", ""),
    ]  # fmt: skip
    for path in (PATH, "/v1/usage"):
        with pa.ipc.open_stream(both.get(path, params=asked | {"format": "arrow"}).content) as stream:
            table = stream.read_all()
        assert table.column("bytes").to_pylist() == [5, 7, 3, 3, 0, None]
        assert table.column("told").to_pylist() == [None, "whole", None, "none", None, "none"]
    assert both.get(PATH, params=asked).json()["rows"][-1]["bytes"] == 0  # it says beside them what was told
    alone = both.get(PATH, params=RANGE | {"format": "csv"}).text
    assert alone.splitlines()[0] == "start,end,bytes_up,bytes_down,bytes,requests,cut"


def test_an_export_has_the_vendors_names(both: Client) -> None:
    told = both.get("/v1/accounts/acme/export", params={"series": "thor", "format": "csv"}).text
    rows = list(csv.DictReader(io.StringIO(told)))
    assert [(row["user"], row["user_id"], row["bytes_down"]) for row in rows] == [
        ("bob", "", "7"), ("bob", "", "2"), ("", "", "1"),
    ]  # fmt: skip


# -- how a vendor tells its use ---------------------------------------------------------------------------------------


def grain(client: Client, **query: Any) -> Any:
    return ask(client, series="thor", **query)["grain"]["thor"]


def test_what_was_never_told_is_said_to_be_unknown(both: Client) -> None:
    assert grain(both) == []
    assert ask(both, **BOTH)["grain"] == {"thor": []}


def test_the_stretches_of_the_range_are_told_with_their_spans(both: Client, app_ledger: Ledger) -> None:
    tell(app_ledger, MARCH - 9 * DAY_MS, MARCH + DAY_MS, "day", "Asia/Shanghai")
    tell(app_ledger, MARCH + DAY_MS, MARCH + DAY_MS + 6 * HOUR_MS, "hour", "+08:00")
    assert grain(both, bucket="total") == [
        {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z", "grain": "day", "zone": "Asia/Shanghai"}
        | {"step": 1024, "finer": True},  # the range begins at 8 in the morning there
        {"from": "2026-03-02T00:00:00Z", "to": "2026-03-02T06:00:00Z", "grain": "hour", "zone": "+08:00", "step": 1024},
    ]
    other = ask(both, "/v1/usage", series="thor")
    assert other["grain"]["thor"] == grain(both)


def test_stretches_told_in_the_same_way_are_one_whenever_they_were_asked_for(both: Client, app_ledger: Ledger) -> None:
    with app_ledger.begin() as tx:
        thor = connected.read_provider(tx, "thor")
        for number in range(5):
            start = MARCH + number * HOUR_MS * 7
            told = Stretch(start, start + 7 * HOUR_MS, "pull", "UTC", 1, NOW + number)
            stretches.put_stretch(tx, thor, told)
    asked = {"from": "2026-03-01", "to": "2026-03-03", "tz": "UTC"}
    found = {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T11:00:00Z", "grain": "pull", "zone": "UTC", "step": 1}
    assert grain(both, bucket="total", **asked) == [found]
    assert grain(both, bucket="day", **asked) == [found | {"finer": True}]


@pytest.mark.parametrize(
    ("grain_told", "zone", "asked", "finer"),
    [
        ("day", "UTC", {"bucket": "day"}, False),
        ("day", "UTC", {"bucket": "total"}, False),
        ("day", "UTC", {"bucket": "hour"}, True),
        ("day", "UTC", {"bucket": "day", "tz": "Asia/Shanghai"}, True),
        ("day", "+08:00", {"bucket": "day", "tz": "Asia/Shanghai"}, False),
        ("day", "Asia/Shanghai", {"bucket": "week", "tz": "Asia/Shanghai"}, False),
        ("day", "-03:30", {"bucket": "day"}, True),
        ("hour", "UTC", {"bucket": "hour", "tz": "Asia/Shanghai"}, False),
        ("hour", "UTC", {"bucket": "day", "tz": "Asia/Kolkata"}, True),
        ("hour", "+05:30", {"bucket": "day", "tz": "Asia/Kolkata"}, False),
        ("hour", "UTC", {"bucket": "15m"}, True),
        ("pull", "UTC", {"bucket": "day"}, True),
        ("day", "Nowhere/Land", {"bucket": "day"}, True),
    ],
)
def test_rows_that_cut_the_vendors_spans_are_told(
    both: Client, app_ledger: Ledger, grain_told: Any, zone: str, asked: Any, finer: bool
) -> None:
    tell(app_ledger, MARCH - 40 * DAY_MS, MARCH + 40 * DAY_MS, grain_told, zone)
    [found] = grain(both, **{"from": "2026-03-01", "to": "2026-03-03", **asked})
    assert found.get("finer", False) is finer


def test_a_stretch_that_lies_within_one_row_is_not_cut(both: Client, app_ledger: Ledger) -> None:
    tell(app_ledger, MARCH + HOUR_MS, MARCH + 2 * HOUR_MS, "pull")
    [found] = grain(both, bucket="day")
    assert (found["from"], found["to"]) == (format_instant(MARCH + HOUR_MS), format_instant(MARCH + 2 * HOUR_MS))
    assert "finer" not in found
