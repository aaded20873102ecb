"""Usage over all accounts, Arrow, and answers as of a past commit, over HTTP."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from tests.conftest import NOW, Client
from tests.usage.blocks import block
from tests.web.test_error_shape import assert_problem

from flowtally.answers.moment import Moment
from flowtally.core.edges import format_instant, parse_instant
from flowtally.usage.memory import MemoryStore

MARCH = parse_instant("2026-03-01T00:00:00Z")
DAY = 86_400_000
RANGE = {"from": "2026-03-01", "to": "2026-03-03"}
ARROW = "application/vnd.apache.arrow.stream"


def token(client: Client, path: str = "/v1/usage") -> str:
    """Of the present moment."""
    return str(client.get(path).json()["as_of"]["token"])


@pytest.fixture
def tokens() -> list[str]:
    """Of the moments before the first block of `trade`, and after each."""
    return []


@pytest.fixture
def trade(client: Client, usage: MemoryStore, tokens: list[str]) -> Client:
    """Four accounts over two days of March, in three blocks received on three days."""
    for account in "abcd":
        client.post("/v1/accounts", json={"id": account})
    rows = [("a", 0, 10, 5), ("b", 0, 20, 1), ("c", 0, 100, 1), ("a", 1, 15, 1), ("d", 1, 1, 1), ("c", 1, 3, 1)]
    made = [
        {"account": account, "time": MARCH + day * DAY, "bytes_down": size, "requests": requests}
        for account, day, size, requests in rows
    ]
    tokens.append(token(client))
    for number in (1, 2, 3):
        two = made[2 * number - 2 : 2 * number]
        usage.append(block(number, *two, received_at=MARCH + (number + 1) * DAY))
        tokens.append(token(client))
    return client


def ask(client: Client, **params: Any) -> Any:
    answer = client.get("/v1/usage", params={**RANGE, "bucket": "total", **params})
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_account(answer: Any) -> list[tuple[Any, int]]:
    return [(row["account"], row["bytes"]) for row in answer["rows"]]


def test_all_accounts_are_one_sum_in_utc_unless_said_otherwise(trade: Client) -> None:
    answer = ask(trade)
    assert list(answer) == ["accounts", "from", "to", "timezone", "bucket", "rows", "total", "as_of"]
    assert (answer["timezone"], answer["from"], answer["accounts"]) == ("UTC", "2026-03-01T00:00:00Z", None)
    assert answer["total"] == {"bytes_up": 0, "bytes_down": 149, "bytes": 149, "requests": 10}
    assert ask(trade, tz="Asia/Kolkata")["from"] == "2026-03-01T00:00:00+05:30"


def test_accounts_are_a_group_and_a_filter(trade: Client) -> None:
    assert by_account(ask(trade, by="account")) == [("a", 25), ("b", 20), ("c", 103), ("d", 1)]
    chosen = ask(trade, by="account", account=["d", "a"])
    assert by_account(chosen) == [("a", 25), ("d", 1)]
    assert chosen["accounts"] == ["d", "a"]
    assert_problem(trade.get("/v1/usage?account=a&account=nobody"), 404, "unknown_account")


@pytest.mark.parametrize(
    ("top_by", "rows"),
    [("bytes", [("c", 103), ("a", 25), (None, 21)]), ("requests", [("a", 25), ("c", 103), (None, 21)])],
)
def test_the_top_groups_and_the_others_are_everything(trade: Client, top_by: str, rows: list[Any]) -> None:
    answer = ask(trade, by="account", top=2, top_by=top_by)
    assert by_account(answer) == rows
    assert [row["others"] for row in answer["rows"]] == [0, 0, 2]
    assert sum(row["bytes"] for row in answer["rows"]) == answer["total"]["bytes"] == 149


def test_the_top_is_that_of_the_whole_range_in_every_span(trade: Client) -> None:
    answer = ask(trade, by="account", top=1, top_by="requests", bucket="day")
    expected = [("a", 10, 0), (None, 120, 3), ("a", 15, 0), (None, 4, 3)]
    assert [(row["account"], row["bytes"], row["others"]) for row in answer["rows"]] == expected


def test_without_others_there_is_no_row_of_them(trade: Client) -> None:
    assert len(ask(trade, by="account", top=4)["rows"]) == 4
    assert [row["others"] for row in ask(trade, by="account", top=10)["rows"]] == [0, 0, 0, 0]


def test_what_cannot_be_ranked_says_so(trade: Client) -> None:
    assert_problem(trade.get("/v1/usage?top=3"), 400, "bad_request")
    assert_problem(trade.get("/v1/usage?by=account&top=0"), 400, "bad_request")


def test_users_of_a_name_are_found_in_every_account(client: Client, acme: str) -> None:
    client.post("/v1/accounts", json={"id": "other"})
    event = {"source": "gw", "id": "9", "account": "other", "user": "alice", "time": "2026-03-10T12:00:00Z"}
    client.post("/v1/events", json=[event | {"bytes_down": 7}])
    answer = client.get("/v1/usage?from=2026-03-10&to=2026-03-12&bucket=total&by=account,user&user=alice").json()
    assert [(row["account"], row["user"], row["bytes"]) for row in answer["rows"]] == [
        ("acme", "alice", 1000),
        ("other", "alice", 7),
    ]


# -- Arrow and CSV ----------------------------------------------------------------------------------------------------


def arrow(client: Client, path: str, **params: Any) -> Any:
    answer = client.get(path, params={**RANGE, **params}, headers={"Accept": ARROW})
    assert (answer.status_code, answer.headers["content-type"]) == (200, ARROW), answer.text
    return pa.ipc.open_stream(answer.content).read_all()


def test_arrow_says_the_same_as_json_with_types(trade: Client) -> None:
    table = arrow(trade, "/v1/usage", by="account,status", top=2, tz="Europe/Berlin")
    answer = ask(trade, by="account,status", top=2, tz="Europe/Berlin", bucket="day")
    assert table.schema.field("start").type == pa.timestamp("ms", "Europe/Berlin")
    assert table.schema.field("account").type == pa.dictionary(pa.int32(), pa.string())
    assert (table.schema.field("status").type, table.schema.field("bytes").type) == (pa.uint16(), pa.int64())
    rows = table.to_pylist()
    for got, said in zip(rows, answer["rows"], strict=True):
        assert got["start"].isoformat() == said["start"]
        assert {k: v for k, v in got.items() if k not in ("start", "end")} == {
            k: v for k, v in said.items() if k not in ("start", "end")
        }
    beside = json.loads(table.schema.metadata[b"flowtally"])
    assert beside == {name: value for name, value in answer.items() if name != "rows"}


def test_arrow_without_rows_has_its_columns(trade: Client) -> None:
    table = arrow(trade, "/v1/accounts/a/usage", by="user", product="nothing")
    assert table.num_rows == 0
    groups, quantities = ["user", "user_id"], ["bytes_up", "bytes_down", "bytes", "requests"]
    assert table.column_names == ["start", "end", *groups, *quantities, "cut"]


def test_a_cut_bucket_is_marked_whatever_is_folded_and_in_every_form(trade: Client) -> None:
    asked = {"from": "2026-02-20", "to": "2026-03-03", "bucket": "month", "by": "account", "top": 1}
    rows = ask(trade, **asked)["rows"]
    assert {(row["cut"], bool(row["others"])) for row in rows} == {
        ("start", False),
        ("start", True),
        ("end", False),
        ("end", True),
    }
    assert set(arrow(trade, "/v1/usage", **asked)["cut"].to_pylist()) == {"start", "end"}


def test_sums_beyond_64_bits_are_decimals_in_arrow_and_whole_everywhere(trade: Client, usage: MemoryStore) -> None:
    usage.append(block(9, *({"account": "a", "time": MARCH, "bytes_up": 2**63 - 1} for _ in range(3))))
    table = arrow(trade, "/v1/usage")
    assert table.schema.field("bytes_up").type == pa.decimal128(38, 0)
    assert table.schema.field("requests").type == pa.int64()
    assert (
        sum(int(value) for value in table["bytes_up"].to_pylist()) == 3 * (2**63 - 1) == ask(trade)["total"]["bytes_up"]
    )


def test_csv_leaves_the_names_of_others_empty_and_counts_them(trade: Client) -> None:
    text = trade.get("/v1/usage", params={**RANGE, "bucket": "total", "by": "account", "top": 1, "format": "csv"}).text
    header, first, others, _ = text.split("\r\n")
    assert header == "start,end,account,bytes_up,bytes_down,bytes,requests,others,cut"
    assert first.endswith(",c,0,103,103,2,0,")
    assert others.endswith(",,0,46,46,8,3,")


@pytest.mark.parametrize("accept", ["text/html", "application/json;q=0", "*/*;q=0", "image/*, text/plain"])
@pytest.mark.parametrize("path", ["/v1/usage", "/v1/accounts/a/usage"])
def test_what_fits_nothing_is_406(trade: Client, path: str, accept: str) -> None:
    assert_problem(trade.get(path, headers={"Accept": accept}), 406, "not_acceptable")


# -- as of a past commit ----------------------------------------------------------------------------------------------


def test_usage_as_of_a_token_or_an_instant_is_what_was_known_then(trade: Client, tokens: list[str]) -> None:
    assert [ask(trade, as_of=as_of)["total"]["bytes"] for as_of in tokens] == [0, 30, 145, 149]
    answer = ask(trade, as_of="2026-03-04T23:59:59.999Z", by="account")
    assert answer["total"]["bytes"] == 145
    assert answer["as_of"] == {
        "block": 2,
        "instant": "2026-03-04T23:59:59.999Z",
        "earliest": {"block": 1, "received_at": "2026-03-03T00:00:00Z"},
        "token": answer["as_of"]["token"],
    }
    assert ask(trade, as_of=answer["as_of"]["token"], by="account") == answer
    mine = trade.get("/v1/accounts/a/usage", params={**RANGE, "as_of": tokens[1]}).json()
    assert (mine["total"]["bytes"], mine["as_of"]["block"]) == (10, 1)
    assert mine["as_of"]["instant"] == "2026-03-15T12:00:00Z"  # when that was asked


@pytest.mark.parametrize("path", ["/v1/usage", "/v1/accounts/a/usage", "/v1/accounts/a/balance"])
def test_a_moment_still_to_come_is_refused_with_the_last_block(trade: Client, path: str) -> None:
    ahead = Moment(4, NOW, promise=0).token
    for as_of in (ahead, "2026-03-15T12:00:00.001Z"):
        body = assert_problem(trade.get(path, params={"as_of": as_of}), 400, "not_yet")
        assert body["last_block"] == 3
    for as_of in ("yesterday", "-1", "", "2026-03-01", ahead[:-1], ahead + "A"):
        assert_problem(trade.get(path, params={"as_of": as_of}), 400, "bad_range")


def test_a_balance_as_of_knows_only_what_was_used_given_and_voided_by_then(
    client: Client, usage: MemoryStore, clock: Any
) -> None:
    def grant(at: str, amount: int) -> str:
        clock.at = parse_instant(at)
        body = {"amount": amount, "starts_at": "2026-03-01T00:00:00Z"}
        return str(client.post("/v1/accounts/acme/grants", json=body).json()["id"])

    clock.at = MARCH
    client.post("/v1/accounts", json={"id": "acme", "carry_from": "2026-03-01T00:00:00Z"})
    first = grant("2026-03-02T00:00:00Z", 100)
    usage.append(block(1, {"time": MARCH, "bytes_up": 30}, received_at=parse_instant("2026-03-03T00:00:00Z")))
    one = token(client, "/v1/accounts/acme/balance")
    grant("2026-03-04T00:00:00Z", 1000)
    usage.append(block(2, {"time": MARCH + 1, "bytes_up": 50}, received_at=parse_instant("2026-03-05T00:00:00Z")))
    two = token(client, "/v1/accounts/acme/balance")
    clock.at = parse_instant("2026-03-06T00:00:00Z")
    client.post(f"/v1/accounts/acme/grants/{first}/void")
    clock.at = NOW

    def left(as_of: str) -> tuple[int, int, int]:
        answer = client.get("/v1/accounts/acme/balance", params={"as_of": as_of}).json()
        pool = answer["pools"]["traffic"]
        return pool["granted"], pool["left"], pool["voided"]

    assert left("2026-03-01T00:00:00Z") == (0, 0, 0)
    assert left(one) == (100, 70, 0)
    assert left("2026-03-04T12:00:00Z") == (1100, 1070, 0)
    assert left(two) == (1100, 1020, 0)
    assert left("2026-03-07T00:00:00Z") == (1100, 1000, 20)
    answer = client.get(f"/v1/accounts/acme/balance?as_of={one}").json()
    assert (answer["at"], answer["as_of"]["block"]) == ("2026-03-02T00:00:00Z", 1)
    assert client.get("/v1/accounts/acme/balance").json()["as_of"]["instant"] == format_instant(NOW)


def test_a_users_usage_and_balance_as_of_know_only_what_was_used_allocated_and_taken_back_by_then(
    client: Client, usage: MemoryStore, clock: Any
) -> None:
    user, account = "/v1/accounts/acme/users/fay", "/v1/accounts/acme"
    clock.at = parse_instant("2026-03-02T00:00:00Z")
    client.post("/v1/accounts", json={"id": "acme"})
    client.post(f"{account}/grants", json={"amount": 1000})
    user_id = client.post(f"{account}/users", json={"name": "fay", "funded": True}).json()["id"]
    made = client.post(f"{user}/allocations", json={"amount": 100}).json()["id"]
    tokens = []
    for number, day in ((1, 3), (2, 5)):
        clock.at = MARCH + (day - 1) * DAY
        row = {"time": parse_instant("2026-03-02T00:00:01Z"), "bytes_up": 10 * number, "user": user_id}
        usage.append(block(number, row, received_at=clock.at))
        tokens.append(token(client, f"{user}/balance"))
    clock.at = parse_instant("2026-03-06T00:00:00Z")
    assert client.post(f"{user}/allocations/{made}/return", json={"amount": 30}).status_code == 200
    clock.at = NOW

    def known(as_of: str) -> tuple[int, int, int]:
        balance = client.get(f"{user}/balance", params={"as_of": as_of}).json()
        used = client.get(f"{user}/usage", params={**RANGE, "as_of": as_of}).json()
        assert balance["as_of"] == used["as_of"]
        assert balance["at"] == balance["as_of"]["instant"]
        return balance["pools"]["traffic"]["granted"], balance["pools"]["traffic"]["left"], used["total"]["bytes"]

    assert known("2026-03-01T00:00:00Z") == (0, 0, 0)
    assert known(tokens[0]) == (100, 90, 10)
    assert known(tokens[1]) == (100, 70, 30)
    assert known("2026-03-07T00:00:00Z") == (70, 40, 30)
    for path in (f"{user}/balance", f"{user}/usage"):
        problem = assert_problem(client.get(path, params={"as_of": "3"}), 400, "bad_range")
        assert "token" in problem["detail"]
