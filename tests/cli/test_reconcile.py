"""`flowtally reconcile`: what is asked, and what a person sees."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.cli.fake import Program

from flowtally.api.providers import EXAMPLE as PROVIDER
from flowtally.api.reconciliation import DETAIL, EXAMPLE, KEPT, RULES_EXAMPLE

ANSWER: dict[str, Any] = msgspec.to_builtins(EXAMPLE)
RULES: dict[str, Any] = msgspec.to_builtins(RULES_EXAMPLE)
PATH = "/v1/accounts/acme/reconciliation"
OF_RULES = "/v1/accounts/acme/providers/thor-main/rules"


@pytest.fixture
def shop(flowtally: Program) -> Program:
    flowtally.fake.answers |= {
        "GET /v1/providers/thor-main": (200, msgspec.to_builtins(PROVIDER)),
        f"GET {PATH}": (200, ANSWER),
        f"GET {OF_RULES}": (200, RULES),
        f"PUT {OF_RULES}": (200, RULES),
    }
    return flowtally


def test_days_and_users_are_shown_in_one_unit_with_what_explains_them(shop: Program) -> None:
    ran = shop(
        "reconcile",
        "thor-main",
        "--from",
        "2026-03",
        "--to",
        "2026-04",
        "--corrected-since",
        "2026-04-03T00:00:00Z",
        "--quantity",
        "bytes",
    )
    [_, asked] = shop.fake.asked
    assert asked.query == {
        "provider": ["thor-main"],
        "from": ["2026-03-01"],
        "to": ["2026-04-01"],
        "corrected_since": ["2026-04-03T00:00:00Z"],
        "quantity": ["bytes"],
    }
    lines = ran.out.splitlines()
    assert lines[:2] == ["acme at thordata, 2026-03-01 to 2026-03-02, days of UTC", "As a whole: matches"]
    assert "difference     51.000832 MB\n  overhead     51.000000 MB\n  rounding      0.000832 MB\n" in ran.out
    assert "Overhead is 5.10 % of what was measured (half of the days from 5.10 % to 5.10 %)." in ran.out
    [day] = [line for line in lines if line.startswith("2026-03-01  ")]
    assert day.split() == [
        *("2026-03-01", "1,000.000000", "1,051.000832", "51.000832", "51.000000", "0.000832", "matches")
    ]
    assert sum(line.startswith(("day, in MB ", "user, in MB ")) for line in lines) == 2


def test_what_stands_out_is_told(shop: Program) -> None:
    span = ANSWER["spans"][0]
    odd = {"kind": "lost", "amount": -9000, "start": span["start"], "end": span["end"], "user": "ann"}
    always = odd | {"kind": "constant", "start": None, "end": None, "user": None}
    name = {"side": "billed", "name": "x-ann", "candidates": ["ann", "x"]}
    cut = ANSWER["cut"] | {"outcome": "claimed", "best": {"offset": "+08:00", "residual": 5}}
    cell = {
        "start": span["start"],
        "end": span["end"],
        "user": "ann",
        "measured_users": ["ann"],
        "billed_users": ["ann"],
        "asked_at": span["asked_at"],
        "sides": ANSWER["total"],
    }
    spans = [span | {"told": False, "asked_at": None}, span | {"settled": False, "match": "beyond"}]
    changed = {
        "total": ANSWER["total"] | {"left_over": 9000},
        "oddities": [odd, always],
        "ambiguous": [name],
        "cut": cut,
        "disputed": [cell],
        "disputed_in_all": 3000,
        "spans": spans,
    }
    shop.fake.answers[f"GET {PATH}"] = (200, ANSWER | changed)
    out = shop("reconcile", "thor-main").out
    assert "2026-03-01, ann: not billed at all (-9 kB)." in out
    assert "All days: the same amount on top of each span (-9 kB)." in out
    assert "The billed name x-ann could be ann or x: it was taken for neither." in out
    assert "The vendor cuts its days by +08:00: that leaves 5 B of 30 days, its own calendar 832 B." in out
    assert "Too much and too little do not cancel out: 9 kB are left over in all." in out
    assert "3,000 days of a user beyond tolerance: --claim lists them." in out
    assert "not told by the vendor" in out
    assert "beyond tolerance, may still move" in out


@pytest.mark.parametrize(("option", "form"), [("--claim", "text"), ("--csv", "csv")])
def test_the_claim_sheet_is_printed_as_it_came(shop: Program, option: str, form: str) -> None:
    shop.fake.answers[f"GET {PATH}"] = (200, b"CLAIM SHEET\n")
    assert shop("reconcile", "thor-main", option).out == "CLAIM SHEET\n"
    assert shop.fake.asked[-1].query["format"] == [form]


def test_rules_are_shown_and_set_from_a_file(shop: Program, tmp_path: Path) -> None:
    assert shop("reconcile", "thor-main", "--show-rules").document == RULES
    file = tmp_path / "rules.json"
    file.write_text(json.dumps(RULES))
    assert shop("reconcile", "thor-main", "--set-rules", str(file)).code == 0
    assert shop.fake.asked[-1].body == RULES
    file.write_text('{"tolerance": 5}')
    ran = shop("reconcile", "thor-main", "--set-rules", str(file))
    assert (ran.code, "tolerance" in ran.err) == (2, True)


def test_one_form_at_a_time(shop: Program) -> None:
    assert shop("reconcile", "thor-main", "--csv", "--claim").code == 2
    assert shop.fake.asked == []


def test_an_answer_is_kept_listed_and_compared_with_now(shop: Program) -> None:
    mine = "/v1/accounts/acme/providers/thor-main/reconciliations"
    kept, detail = msgspec.to_builtins(KEPT), msgspec.to_builtins(DETAIL)
    moved = detail | {"changed": True, "billed_moved": -5_000, "measured_moved": 0, "unexplained_moved": -5_000}
    shop.fake.answers |= {
        f"POST {mine}": (201, kept),
        f"GET {mine}": (200, {"items": [kept], "next": None}),
        f"GET {mine}/{kept['id']}": (200, moved),
    }
    assert shop("reconcile", "thor-main", "--from", "2026-03", "--to", "2026-04", "--keep").out == f"{kept['id']}\n"
    assert shop.fake.asked[-1].body == {
        "from": "2026-03-01",
        "to": "2026-04-01",
        "corrected_since": None,
        "quantity": None,
    }
    assert kept["id"] in shop("reconcile", "thor-main", "--list-kept").out
    out = shop("reconcile", "thor-main", "--kept", kept["id"]).out
    assert out.startswith("Kept 2026-03-09T08:00Z: matches. Changed since.\n")
    assert "The rules have changed" not in out
    for changed, says in ((True, "The rules have changed since."), (None, "It was kept without its rules.")):
        shop.fake.answers[f"GET {mine}/{kept['id']}"] = (200, moved | {"rules_changed": changed})
        assert says in shop("reconcile", "thor-main", "--kept", kept["id"]).out
    shop.fake.answers[f"GET {mine}/{kept['id']}"] = (200, moved)
    assert ["billed", "-5", "kB"] in [line.split() for line in out.splitlines()]
    assert "As a whole: matches" in out
    assert shop("reconcile", "thor-main", "--kept", kept["id"], "--json").document == moved
