"""What `correction`, `changes` and `explain` ask of the server, and what they print of the answer."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program
from tests.cli.test_commands import GRANT

from flowtally.core import clock

AMOUNTS = {"bytes_up": 0, "bytes_down": -10_000, "requests": 0}
STOOD = {"bytes_up": 1200, "bytes_down": 50_000, "requests": 1}
STANDS = {"bytes_up": 1200, "bytes_down": 40_000, "requests": 1}
RECEIPT = {"index": 0, "source": "corrections", "id": "c1", "status": "stored"}
COUNTS = {"stored": 1, "duplicate": 0, "conflict": 0, "refused": 0}
ANSWER = COUNTS | {"receipts": [RECEIPT | {"added": AMOUNTS, "before": STOOD, "after": STANDS}]}
REFUSED = COUNTS | {
    "stored": 0,
    "refused": 1,
    "receipts": [RECEIPT | {"status": "refused", "code": "unknown_event", "detail": "there is no event '7'"}],
}
EVENT: dict[str, Any] = {
    **{"source": "gw", "id": "e1", "sequence": None, "status": "stored", "code": "", "detail": "", "series": "metered"},
    **{"account": "acme", "user": "ann", "user_id": "usr_1", "product": "mobile", "time": "2026-07-01T00:00:00Z"},
    **{"received_at": "2026-07-01T00:00:01Z", "http_status": 200, "labels": {}, "block": 1, **STOOD, "sum": STANDS},
    "corrections": [
        {"source": "corrections", "id": "c1", "received_at": "2026-07-02T10:00:00Z", "reason": "twice", "block": 2}
        | {"added": AMOUNTS, "after": STANDS}
    ],
    **{"kind": "use", "corrects": None, "reason": ""},
}
CHANGE: dict[str, Any] = {
    "block": 12,
    "received_at": "2026-07-02T10:00:00Z",
    "series": "metered",
    "account": "acme",
    "use": 3,
    "late": 1,
}
CHANGE |= {"corrections": 1, "adjustments": 0, "earliest": "2026-06-01T00:00:00Z", "latest": "2026-07-02T00:00:00Z"}
CHANGE |= {"bytes_up": 0, "bytes_down": -1234, "bytes": -1234, "requests": 3, "flags": {"reset": 2}}
CHANGES = {"late_before": "2026-07-01T00:00:00Z", "items": [CHANGE], "next": "12", "more": True}
PAID = {"at": "2026-07-01T00:00:00Z", "amount": 60, "grant": "gr_1"}
ROW: dict[str, Any] = {"kind": "correction", "source": "desk", "id": "c1", "corrects": {"source": "gw", "id": "e1"}}
ROW |= {"time": "2026-07-01T05:00:00Z", "received_at": "2026-07-01T05:00:00Z", "user": "ann\x1b", "user_id": "usr_1"}
ROW |= {"product": "mobile", "amount": -25, "reason": "twice", "block": 3}
SPAN: dict[str, Any] = {
    "start": "1970-01-01T00:00:00Z",
    "end": "2026-07-02T00:00:00Z",
    "used": 75,
    "events": 100,
    "corrections": -25,
}
SPAN |= {"adjustments": 0, "rows": 2, "paid": [PAID], "unpaid": [{"fate": "open", "amount": 15}], "credit": 0}
POOL: dict[str, Any] = {
    "unit": "bytes",
    "granted": 1000,
    "spent": 60,
    "left": 940,
    "pending": 0,
    "expired": 0,
    "voided": 0,
}
SHOWN = GRANT | {"amount": 1000, "spent": 60, "left": 940, "state": "active"}
EXPLAINED = {
    "account": "acme",
    "at": "2026-07-02T00:00:00Z",
    "block": 12,
    "pools": {
        "traffic": {"used": 75, "drawn": 0, "forgiven": 0, "overage_before_carry": 0}
        | {
            "balance": POOL | {"overage": 15, "credit": 0},
            "grants": [{"grant": SHOWN, "unspent": 940, "paid": [PAID | {"start": "x", "end": "y"}]}],
            "spans": [SPAN | {"largest": [ROW]}],
            "draws": [],
        }
    },
}


def test_the_right_quantities_of_an_event_are_sent_with_what_is_expected(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/corrections"] = (200, ANSWER)
    ran = flowtally(
        *("correction", "event", "gw", "e1", "--down", "40000", "--expects-down", "50000"),
        *("--reason", "twice", "--id", "c1"),
    )
    assert flowtally.fake.asked[0].body == [
        {
            "id": "c1",
            "corrects": {"source": "gw", "id": "e1"},
            "bytes_down": 40_000,
            "expects": {"bytes_up": None, "bytes_down": 50_000, "requests": None},
            "reason": "twice",
        }
    ]
    assert ran.code == 0
    assert "before      1,200 bytes up, 50,000 bytes down, 1 request\n" in ran.out
    assert "counts now  1,200 bytes up, 40,000 bytes down, 1 request\n" in ran.out


def test_quantities_are_written_alike_in_every_correction(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/corrections"] = (200, ANSWER)
    flowtally("correction", "event", "gw", "e1", "--down", "5GB", "--up", "1.5 KiB", "--expects-down", "50 kB")
    [body] = flowtally.fake.asked[0].body
    assert (body["bytes_up"], body["bytes_down"], body["expects"]["bytes_down"]) == (1_536, 5_000_000_000, 50_000)
    assert "requests" not in body


@pytest.mark.parametrize("option", ["--up", "--down", "--requests", "--expects-up", "--expects-down"])
@pytest.mark.parametrize("text", ["much", "-5GB", "0.5"])
def test_a_quantity_that_is_none_names_the_option(flowtally: Program, option: str, text: str) -> None:
    ran = flowtally("correction", "event", "gw", "e1", f"{option}={text}")
    assert (ran.code, flowtally.fake.asked) == (2, [])
    assert option in ran.err
    assert text in ran.err


def test_a_void_needs_no_quantities_and_makes_its_own_id(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/corrections"] = (200, ANSWER)
    assert flowtally("correction", "event", "log", "7", "--void", "--json").document == ANSWER
    body = flowtally.fake.asked[0].body[0]
    assert (body["corrects"], body["void"], len(body["id"])) == ({"source": "log", "id": "7"}, True, 36)


def test_a_refused_correction_is_told_and_fails(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/corrections"] = (200, REFUSED)
    ran = flowtally("correction", "event", "log", "7", "--void")
    assert (ran.code, ran.out) == (1, "")
    assert "there is no event '7' (unknown_event)" in ran.err


def test_an_adjustment_takes_signed_amounts_in_words(flowtally: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_782_950_400_000)
    flowtally.fake.answers["POST /v1/corrections"] = (200, ANSWER)
    flowtally("correction", "adjust", "acme", "--down=-5GB", "--requests", "+2", "--reason", "outage", "--id", "a")
    [body] = flowtally.fake.asked[0].body
    assert body == {
        "id": "a",
        "bytes_up": 0,
        "bytes_down": -5_000_000_000,
        "requests": 2,
        "reason": "outage",
        "account": "acme",
        "time": "2026-07-02T00:00:00Z",
    }
    assert flowtally("correction", "adjust", "acme", "--reason", "x", "--down", "much").code == 2


def test_an_event_is_shown_with_its_corrections(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/events"] = (200, EVENT)
    ran = flowtally("correction", "show", "gw", "e1")
    assert "as received  1,200 bytes up, 50,000 bytes down, 1 request\n" in ran.out
    assert ran.out.splitlines()[-1].split() == ["c1", "corrections", "2026-07-02T10:00Z", "0", "-10,000", "0", "twice"]
    assert flowtally("correction", "show", "gw", "e1", "--json").document == EVENT


def test_a_correction_is_shown_by_its_own_key(flowtally: Program) -> None:
    one = EVENT | {"source": "corrections", "id": "c1", **AMOUNTS, "sum": None, "corrections": [], "reason": "twice"}
    one |= {"kind": "correction", "corrects": {"source": "gw", "id": "e1"}}
    flowtally.fake.answers["GET /v1/events"] = (200, one)
    found = [line.split(maxsplit=1) for line in flowtally("correction", "show", "corrections", "c1").out.splitlines()]
    for words in (["correction", "c1"], ["corrects", "e1"], ["reason", "twice"]):
        assert words in found
    assert ["added", "0 bytes up, -10,000 bytes down, 0 requests"] in found
    flowtally.fake.answers["GET /v1/events"] = (200, one | {"kind": "adjustment", "corrects": None})
    out = flowtally("correction", "show", "corrections", "c1").out
    assert out.startswith("adjustment  c1")
    assert "corrects" not in out.replace("corrections", "")


def test_changes_since_yesterday_begin_with_its_first_instant(
    flowtally: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clock, "now_ms", lambda: 1_782_986_400_000)  # 2026-07-02T10:00:00Z
    flowtally.fake.answers["GET /v1/changes"] = (200, CHANGES)
    ran = flowtally("changes", "--tz", "Asia/Kolkata", "--account", "acme")
    assert flowtally.fake.asked[0].query == {
        "since": ["2026-06-30T18:30:00Z"],
        "account": ["acme"],
        "limit": ["100"],
    }
    assert "2 events, 1 late event, 1 correction, 2 reset" in ran.out
    assert "-1,234" in ran.out
    assert "--since 12 --late-before 2026-07-01T00:00:00Z" in ran.err
    assert flowtally("changes", "--since", "12", "--json").document == CHANGES
    assert flowtally.fake.asked[1].query["since"] == ["12"]


def test_no_changes_is_an_answer_too(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/changes"] = (200, CHANGES | {"items": [], "more": False})
    ran = flowtally("changes", "--since", "12")
    assert (ran.out, ran.err) == ("Nothing changed.\n", "")


def test_an_explanation_can_be_added_up_by_hand(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/explain"] = (200, EXPLAINED)
    ran = flowtally("explain", "acme", "--top", "3")
    assert flowtally.fake.asked[0].query == {"top": ["3"]}
    for line in (
        "traffic, in bytes",
        "  granted 1,000 = spent 60 + left 940",
        "  used 75 = spent 60 + overage 15",
        "order-1  active  2026-07-01  never ends   1,000     60      940",
    ):
        assert line in ran.out.splitlines()
    found = [line.split() for line in ran.out.splitlines()]
    for words in (
        ["the", "beginning", "2026-07-02", "used", "(2", "rows)", "75"],
        ["of", "that", "events", "100"],
        ["of", "that", "corrections", "-25"],
        ["paid", "by", "order-1", "60"],
        ["unpaid,", "waits", "for", "a", "grant", "15"],
        ["2026-07-01T05:00:00Z", "corrects", "gw", "e1", "desk", "c1", "ann�", "mobile", "-25", "twice"],
    ):
        assert words in found
    assert flowtally("explain", "acme", "--json").document["pools"]["traffic"]["used"] == 75


def test_a_users_explanation_says_whose_it_is_and_who_pays(flowtally: Program) -> None:
    path = "GET /v1/accounts/acme/users/shop-7/explain"
    flowtally.fake.answers[path] = (200, EXPLAINED | {"user": "shop-7", "user_id": "usr_1"})
    out = flowtally("explain", "acme", "--user", "shop-7", "--at", "2026-07-02T00:00:00Z").out
    assert flowtally.fake.asked[0].query == {"at": ["2026-07-02T00:00:00Z"], "top": ["5"]}
    assert out.startswith("shop-7 of acme at ")
    assert "  used 75 = spent 60 + overage 15" in out.splitlines()
    flowtally.fake.answers[path] = (200, EXPLAINED | {"user": "shop-7", "user_id": "usr_1", "pools": {}})
    assert "acme pays for its use." in flowtally("explain", "acme", "--user", "shop-7").out
