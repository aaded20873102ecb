"""What each command asks of the server, and what it prints of the answer."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.cli.fake import TOKEN, Program

from flowtally.cli.app import helps
from flowtally.cli.usage import in_columns

ACCOUNT = {
    "id": "acme",
    "name": "Acme \x1b[31mLtd",
    "timezone": "Asia/Kolkata",
    "status": "active",
    "carry_from": "2026-07-01T00:00:00Z",
    "overage": "carry",
    "created_at": "2026-07-01T00:00:00Z",
}
GRANT = {
    "id": "gr_1",
    "account": "acme",
    "pool": "traffic",
    "amount": 100_000_000_000,
    "source": "order",
    "reference": "order-1",
    "priority": 100,
    "starts_at": "2026-07-01T00:00:00Z",
    "expires_at": None,
    "created_at": "2026-07-01T00:00:00Z",
    "voided_at": None,
}
POOL = {"unit": "bytes", "granted": 100_000_000_000, "spent": 25_000_000_000, "left": 75_000_000_000}
POOL |= {"pending": 0, "expired": 0, "voided": 0, "overage": 0, "credit": 0, "drawn": 0}
SPENT = {"spent": 25_000_000_000, "left": 75_000_000_000, "state": "active"}
BALANCE = {"account": "acme", "at": "2026-07-02T00:00:00Z", "pools": {"traffic": POOL}, "grants": [GRANT | SPENT]}
USED = {"bytes_up": 1, "bytes_down": 2_000_000_000, "bytes": 2_000_000_001, "requests": 7}
NONE = {"bytes_up": 0, "bytes_down": 0, "bytes": 0, "requests": 0}
USAGE = {
    "account": "acme",
    "from": "2026-07-01T00:00:00+05:30",
    "to": "2026-07-03T00:00:00+05:30",
    "timezone": "Asia/Kolkata",
    "bucket": "day",
    "rows": [
        {"start": "2026-07-01T00:00:00+05:30", "end": "2026-07-02T00:00:00+05:30"} | USED | {"user": "ann"},
        {"start": "2026-07-02T00:00:00+05:30", "end": "2026-07-03T00:00:00+05:30"} | NONE | {"user": "ann"},
    ],
    "total": USED,
}
KEY: dict[str, Any] = {
    "id": "cr_1",
    "scope": "ingest",
    "account": None,
    "name": "",
    "created_at": "2026-07-01T00:00:00Z",
}
KEY |= {"revoked_at": None, "expires_at": None, "last_used_at": None, "rights": [], "addresses": []}


def test_usage_is_bars_that_fit_the_width(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, USAGE)
    ran = flowtally("usage", "acme", "--from", "2026-07-01", "--tz", "Asia/Kolkata", "--by", "user", "--user", "ann")
    asked = flowtally.fake.asked[0]
    assert asked.query == {
        "from": ["2026-07-01"],
        "tz": ["Asia/Kolkata"],
        "bucket": ["day"],
        "by": ["user"],
        "user": ["ann"],
        "fill": ["none"],
    }
    assert asked.authorization == f"Bearer {TOKEN}"
    lines = ran.out.splitlines()
    assert lines[1].startswith("2026-07-01  ann  ████")
    assert lines[1].endswith("2 GB  7 req")
    assert "█" not in lines[2]
    assert lines[3].startswith("total")
    assert max(len(line) for line in lines) <= 80


@pytest.mark.parametrize(
    ("options", "fill"),
    [
        ([], "zero"),
        (["--by", "user"], "none"),
        (["--by", "user", "--fill", "zero"], "zero"),
        (["--by", "user", "--json"], "zero"),
        (["--by", "user", "--csv"], "zero"),
    ],
)
def test_rows_of_zeros_are_left_out_of_split_bars_and_of_nothing_else(
    flowtally: Program, options: list[str], fill: str
) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, USAGE)
    flowtally("usage", "acme", *options)
    assert flowtally.fake.asked[0].query["fill"] == [fill]


def test_names_of_a_row_stand_below_each_other() -> None:
    long = "a-name-that-is-longer-than-a-column"
    labels = in_columns(
        [["2026-07-01", "流量", "ann"], ["2026-07-01", "residential", "bob"], ["2026-07-01", long, "eve"]]
    )
    assert labels[0] == "2026-07-01  流量         ann"
    assert labels[1] == "2026-07-01  residential  bob"
    assert labels[2] == f"2026-07-01  {long}  eve"
    assert in_columns([["ann"], ["2 others"]]) == ["ann", "2 others"]
    assert in_columns([["2026-07-01", "ann"], ["2026-07-02", "3 others"]])[1] == "2026-07-02  3 others"


def test_cut_buckets_are_marked_and_the_one_that_runs_is_named(flowtally: Program) -> None:
    rows = [
        {"start": "2026-05-31T00:00:00Z", "end": "2026-06-01T00:00:00Z", "cut": "start"} | USED,
        {"start": "2026-06-01T00:00:00Z", "end": "2026-07-01T00:00:00Z", "cut": None} | USED,
        {"start": "2026-07-01T00:00:00Z", "end": "2026-08-01T00:00:00Z", "cut": None} | USED,
    ]
    moment = {"block": 7, "instant": "2026-07-03T00:00:00Z", "earliest": None, "token": "t"}
    answer = USAGE | {"timezone": "UTC", "bucket": "month", "rows": rows, "as_of": moment}
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, answer)
    lines = flowtally("usage", "acme", "--bucket", "month").out.splitlines()
    assert [line.split()[0] for line in lines[1:5]] == ["2026-05*", "2026-06", "2026-07", "total"]
    assert lines[5:] == [
        "* only a part of the month: 2026-05-31 to 2026-06-01",
        "The month 2026-07 is not over yet.",
    ]


def test_a_bucket_that_runs_is_not_named_by_where_a_range_cut_it(flowtally: Program) -> None:
    row = {"start": "2026-07-01T00:00:00Z", "end": "2026-07-06T00:00:00Z", "cut": "start"} | USED
    moment = {"block": 7, "instant": "2026-07-03T00:00:00Z", "earliest": None, "token": "t"}
    answer = USAGE | {"timezone": "UTC", "bucket": "week", "rows": [row], "as_of": moment}
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, answer)
    assert flowtally("usage", "acme", "--bucket", "week").out.splitlines()[-1] == "The week is not over yet."


def of_series(**told: Any) -> dict[str, Any]:
    """A day of two series, each with its total."""
    day = {"start": "2026-07-01T00:00:00Z", "end": "2026-07-02T00:00:00Z", "cut": None}
    less = USED | {"bytes_down": 1_000_000_000, "bytes": 1_000_000_001, "requests": 0}
    rows = [day | {"series": "metered"} | USED, day | {"series": "thor"} | less]
    span = {"from": "2026-07-01T00:00:00Z", "to": "2026-07-02T00:00:00Z", "timezone": "UTC"}
    return USAGE | span | {"rows": rows, "total": USED, "totals": {"metered": USED, "thor": less}} | told


def test_series_stand_below_each_other_each_with_a_total_of_its_own(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, of_series())
    ran = flowtally("usage", "acme", "--series", "metered", "--series", "thor", "--by", "series")
    assert flowtally.fake.asked[0].query["series"] == ["metered", "thor"]
    assert [line.split()[:2] for line in ran.out.splitlines()[1:]] == [
        ["2026-07-01", "metered"], ["2026-07-01", "thor"], ["total", "metered"], ["total", "thor"],
    ]  # fmt: skip
    assert [line.split()[-4:] for line in ran.out.splitlines()[3:]] == [
        ["2", "GB", "7", "req"],
        ["1", "GB", "0", "req"],
    ]


@pytest.mark.parametrize(
    ("stretches", "lines"),
    [
        (
            [("2026-06-01T00:00:00Z", "2026-07-02T00:00:00Z", "day", "UTC", False)],
            ["thor tells its use by the day of UTC."],
        ),
        (
            [("2026-07-01T00:00:00Z", "2026-07-02T00:00:00Z", "day", "+08:00", True)],
            [
                "thor tells its use by the day of +08:00.",
                "These rows are finer or cut otherwise: a whole day of thor stands where it begins.",
            ],
        ),
        (
            [
                ("2026-07-01T00:00:00Z", "2026-07-01T12:00:00Z", "pull", "UTC", True),
                ("2026-07-01T12:00:00Z", "2026-07-01T18:00:00Z", "hour", "UTC", False),
            ],
            [
                "thor tells only how much was used so far from 2026-07-01 to 2026-07-01T12:00:00Z: use is dated when "
                "that was seen.",
                "thor tells its use by the hour of UTC from 2026-07-01T12:00:00Z to 2026-07-01T18:00:00Z.",
                "thor has told nothing of the rest of this time: what is not shown there is not known, and may not be "
                "zero.",
            ],
        ),
        ([], ["thor has told nothing of this time: what is not shown there is not known, and may not be zero."]),
    ],
)
def test_how_a_provider_tells_its_use_is_said_in_words(
    flowtally: Program, stretches: list[tuple[Any, ...]], lines: list[str]
) -> None:
    names = ("from", "to", "grain", "zone", "finer")
    told = [dict(zip(names, one, strict=True)) | {"step": 1} for one in stretches]
    for answer in (of_series(grain={"thor": told}), of_series(grain={"thor": told}, rows=[])):
        flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, answer)
        out = flowtally("usage", "acme", "--series", "metered", "--series", "thor", "--by", "series").out
        assert out.splitlines()[-len(lines) :] == lines


def test_what_a_provider_does_not_tell_is_no_zero(flowtally: Program) -> None:
    row = {"start": "2026-07-01T00:00:00Z", "end": "2026-07-02T00:00:00Z", "bytes_up": 0, "bytes_down": 0, "cut": None}
    told = {"from": "2026-07-01T00:00:00Z", "to": "2026-07-02T00:00:00Z", "grain": "day", "zone": "UTC", "step": 1}
    for figures, line in (({"bytes": 0, "requests": 7}, "7 req"), ({"bytes": 1500, "requests": 0}, "1.5 kB")):
        total = {"bytes_up": 0, "bytes_down": 0, **figures}
        answer = of_series(grain={"thor": [told | {"finer": False}]}, rows=[row | figures], totals={}, total=total)
        flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, answer)
        lines = flowtally("usage", "acme", "--series", "thor").out.splitlines()
        assert [one.split()[0] for one in lines[1:3]] == ["2026-07-01", "total"]
        assert all(one.endswith(f"█  {line}") or one.endswith(f" {line}") for one in lines[1:3])
        assert not any(" 0 " in one for one in lines[1:3])
        assert "█" in lines[1]


def test_usage_as_csv_is_what_the_server_wrote(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/usage"] = (200, b"start,bytes\r\n2026-07-01,5\r\n")
    assert flowtally("usage", "acme", "--csv").out == "start,bytes\r\n2026-07-01,5\r\n"


def test_a_balance_shows_pools_and_grants(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/balance"] = (200, BALANCE)
    ran = flowtally("balance", "acme", "--at", "2026-07-02T00:00:00Z")
    assert flowtally.fake.asked[0].query == {"at": ["2026-07-02T00:00:00Z"]}
    assert "traffic  [███████████████     ]  75 GB left" in ran.out
    assert "granted 100 GB = left 75 GB + spent 25 GB" in ran.out
    assert "order-1  [███████████████     ]  75 GB of 100 GB  active" in ran.out
    assert max(len(line) for line in ran.out.splitlines()) <= 80


def test_an_amount_is_read_in_words_and_sent_as_a_whole_number(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/grants"] = (200, {"items": [], "next": None})
    flowtally.fake.answers["POST /v1/accounts/acme/grants"] = (201, GRANT)
    flowtally.fake.answers["GET /v1/accounts/acme/balance"] = (200, BALANCE)
    ran = flowtally("grant", "give", "acme", "100GB", "--reference", "order-1", "--source", "order")
    assert flowtally.fake.asked[1].body["amount"] == 100_000_000_000
    assert "amount     100 GB" in ran.out


def test_an_amount_that_is_none_is_wrong_usage(flowtally: Program) -> None:
    ran = flowtally("grant", "give", "acme", "plenty")
    assert ran.code == 2
    assert "'plenty' is not an amount" in ran.err
    assert not flowtally.fake.asked


def test_names_cannot_drive_the_terminal(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts"] = (200, {"items": [ACCOUNT], "next": None})
    ran = flowtally("account", "list")
    assert "\x1b" not in ran.out
    assert ran.out.splitlines()[0].split() == ["id", "name", "timezone", "status", "overage", "created"]


def test_lists_follow_their_pages(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/users"] = (200, {"items": [], "next": None})
    assert flowtally("user", "list", "acme", "--json").document == []


def test_changing_an_account_sends_only_what_was_said(flowtally: Program) -> None:
    flowtally.fake.answers["PATCH /v1/accounts/acme"] = (200, ACCOUNT)
    flowtally("account", "change", "acme", "--status", "suspended")
    assert flowtally.fake.asked[0].body == {"status": "suspended"}


def test_a_key_is_shown_once_with_its_secrets(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/credentials"] = (201, KEY | {"token": "ft_secret_token", "key": "ft_secret_key"})
    ran = flowtally("key", "create", "--scope", "ingest")
    assert "token    ft_secret_token" in ran.out
    assert "never shown again" in ran.err


def test_a_key_gets_the_rights_that_are_named(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/credentials"] = (201, KEY | {"token": "t", "key": "k"})
    arguments = ("--right", "metrics:read", "--from", "10.0.0.0/8", "--expires", "2027-01-01T00:00:00Z")
    assert flowtally("key", "create", *arguments).code == 0
    asked = {"scope": "custom", "rights": ["metrics:read"], "addresses": ["10.0.0.0/8"]}
    assert flowtally.fake.asked[0].body == asked | {"expires_at": "2027-01-01T00:00:00Z"}
    wrong = flowtally("key", "create", "--right", "everything")
    assert (wrong.code, "no right 'everything'" in wrong.err) == (2, True)


def test_a_list_of_keys_says_what_is_special_about_each(flowtally: Program) -> None:
    more = {"rights": ["corrections:write", "events:write"], "addresses": ["10.0.0.0/8"]}
    used = {"last_used_at": "2026-07-02T10:11:00Z", "expires_at": "2026-08-01T00:00:00Z"}
    flowtally.fake.answers["GET /v1/credentials"] = (200, {"items": [KEY | more | used], "next": None})
    row = flowtally("key", "list").out.splitlines()[1]
    for told in ("corrections:write", "2026-07-02T10:11Z", "2026-08-01", "10.0.0.0/8"):
        assert told in row
    assert "events:write" not in row, "its scope has it"


def test_a_key_rotates_itself_unless_another_is_named(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/credential"] = (200, KEY | {"id": "cr_own"})
    for id in ("cr_own", "cr_2"):
        made = KEY | {"id": "cr_new", "replaces": id, "token": "ft_new", "key": "k"}
        flowtally.fake.answers[f"POST /v1/credentials/{id}/rotate"] = (201, made)
    ran = flowtally("key", "rotate", "--overlap", "60")
    assert ("ft_new" in ran.out, "cr_own" in ran.out) == (True, True)
    assert flowtally.fake.asked[-1].body == {"overlap_s": 60}
    assert flowtally("key", "rotate", "cr_2", "--json").document["replaces"] == "cr_2"


def test_a_key_may_come_from_anywhere_again(flowtally: Program) -> None:
    flowtally.fake.answers["PATCH /v1/credentials/cr_1"] = (200, KEY)
    assert flowtally("key", "change", "cr_1", "--from-anywhere", "--name", "x").code == 0
    assert flowtally.fake.asked[0].body == {"name": "x", "addresses": []}
    assert flowtally("key", "change", "cr_1", "--from-anywhere", "--from", "::1").code == 2


def test_a_key_is_revoked_by_its_id(flowtally: Program) -> None:
    gone = KEY | {"revoked_at": "2026-07-02T00:00:00Z"}
    flowtally.fake.answers["POST /v1/credentials/cr_1/revoke"] = (200, gone)
    assert "2026-07-02T00:00:00Z" in flowtally("key", "revoke", "cr_1").out


SENDER = {"id": "snd_1", "account": None, "name": "gw-1", "created_at": "2026-07-01T00:00:00Z"}
SOURCE = {"source": "squid-1", "kind": "numbered", "sender": "snd_1", "sequence": 2107, "position": None}


def test_a_key_may_be_made_for_a_sender_that_is_there(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/accounts/acme/credentials"] = (201, KEY | {"sender": "snd_1"})
    assert "sender   snd_1" in flowtally("key", "create", "acme", "--sender", "snd_1").out
    assert flowtally.fake.asked[0].body == {"scope": "ingest", "sender": "snd_1"}


def test_senders_are_listed_and_renamed(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/senders"] = (200, {"items": [SENDER], "next": None})
    flowtally.fake.answers["PATCH /v1/senders/snd_1"] = (200, SENDER | {"name": "gateway 1"})
    flowtally.fake.answers["GET /v1/senders/snd_1"] = (200, SENDER)
    assert "snd_1" in flowtally("sender", "list", "--account", "acme").out
    assert flowtally.fake.asked[0].query == {"account": ["acme"]}
    assert "gateway 1" in flowtally("sender", "rename", "snd_1", "gateway 1").out
    assert flowtally.fake.asked[1].body == {"name": "gateway 1"}
    assert "gw-1" in flowtally("sender", "show", "snd_1").out


def test_sources_are_listed_with_their_owner_and_handed_over(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/sources"] = (200, {"items": [SOURCE, SOURCE], "next": None})
    flowtally.fake.answers["POST /v1/sources/hand-over"] = (200, SOURCE | {"sender": "snd_2"})
    ran = flowtally("source", "list", "--sender", "snd_1", "--limit", "1")
    assert ran.out.splitlines()[1].split() == ["squid-1", "numbered", "2107", "snd_1"]
    assert "There are more" in ran.err
    assert flowtally.fake.asked[0].query == {"sender": ["snd_1"]}
    assert "snd_2" in flowtally("source", "hand-over", "squid-1", "snd_2").out
    assert flowtally.fake.asked[1].body == {"source": "squid-1", "sender": "snd_2"}


def test_the_counters_of_a_source_are_listed_as_they_stand(flowtally: Program) -> None:
    counter: dict[str, Any] = {
        "source": "xray-1", "counter": "alice", "account": "acme", "user": "alice", "user_id": "usr_1", "product": "p",
        "state": "missing_stop", "epoch": "", "bytes_up": 1200, "bytes_down": 50_000, "requests": 3,
        "began_at": "2026-03-01T12:00:00Z", "time": "2026-03-01T12:00:00Z", "seen_at": "2026-03-01T12:00:00Z",
        "interval_s": 10, "rows": 7, "flag": "missing_stop", "flagged_at": "2026-03-01T12:00:00Z",
    }  # fmt: skip
    flowtally.fake.answers["GET /v1/counters"] = (200, {"items": [counter, counter], "next": None})
    ran = flowtally("source", "counters", "xray-1", "--prefix", "a", "--limit", "1")
    row = ran.out.splitlines()[1]
    assert row.split()[:4] == ["alice", "missing_stop", "acme", "alice"]
    assert row.split()[-1] == "missing_stop"
    assert "There are more" in ran.err
    assert flowtally.fake.asked[0].query == {"source": ["xray-1"], "prefix": ["a"]}
    flowtally.fake.answers["GET /v1/counters"] = (200, {"items": [], "next": None})
    assert "no such counters" in flowtally("source", "counters", "xray-1").out


def test_pools_are_made_and_mapped(flowtally: Program) -> None:
    pool = {"name": "captcha", "charge": "requests", "products": []}
    flowtally.fake.answers["PUT /v1/pools/captcha"] = (200, pool)
    flowtally.fake.answers["PUT /v1/products/solver"] = (200, {"product": "solver", "pool": "captcha"})
    assert flowtally("pool", "create", "captcha", "--charge", "requests").code == 0
    assert flowtally("pool", "map", "solver", "captcha", "--json").document == {"product": "solver", "pool": "captcha"}


@pytest.mark.parametrize(
    ("arguments", "route", "answer"),
    [
        (("usage", "acme"), "GET /v1/accounts/acme/usage", USAGE),
        (("balance", "acme"), "GET /v1/accounts/acme/balance", BALANCE),
        (("account", "show", "acme"), "GET /v1/accounts/acme", ACCOUNT),
        (("grant", "void", "acme", "gr_1"), "POST /v1/accounts/acme/grants/gr_1/void", GRANT),
        (("key", "create"), "POST /v1/credentials", KEY | {"token": "t", "key": "k"}),
    ],
)
def test_json_is_exactly_the_answer_of_the_api(
    flowtally: Program, arguments: tuple[str, ...], route: str, answer: dict[str, object]
) -> None:
    flowtally.fake.answers[route] = (200, answer)
    flowtally.fake.answers["GET /v1/accounts/acme/balance"] = (200, BALANCE)
    got = flowtally(*arguments, "--json").document
    assert {name: got[name] for name in answer} == json.loads(json.dumps(answer))


AUDIT = {
    "number": 7, "at": "2026-07-02T00:00:00Z", "action": "grant.give", "account": "acme", "subject": "grn_1",
    "before": None, "after": {"amount": 5}, "by": "installation", "credential": "crd_1", "address": "192.0.2.7",
    "request_id": "r", "door": "POST /v1/accounts/{account}/grants", "digest": "0" * 64,
}  # fmt: skip


def test_who_changed_what_is_asked_by_what_was_said(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/audit"] = (200, {"items": [AUDIT], "next": None})
    ran = flowtally("audit", "--account", "acme", "--action", "grant.give")
    assert "grn_1" in ran.out
    assert "192.0.2.7" in ran.out
    assert flowtally.fake.asked[0].query == {"account": ["acme"], "action": ["grant.give"]}
    flowtally.fake.answers["GET /v1/accounts/acme/audit"] = (
        200,
        {"items": [AUDIT | {"credential": None}], "next": None},
    )
    assert "installation" in flowtally("audit", "--own", "acme").out
    assert flowtally("audit", "--own", "acme", "--credential", "crd_1").code == 2


def test_every_command_explains_itself() -> None:
    for name, text in helps():
        described = [line for line in text.splitlines() if line.strip() and not line.startswith("Usage:")]
        assert described, name
        assert max(len(line) for line in text.splitlines()) <= 120, name
