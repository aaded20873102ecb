"""What nothing will pay is said in sentences with the command that ends it, wherever it can come about."""

from __future__ import annotations

from typing import Any

import pytest
from tests.cli.fake import Program
from tests.cli.test_commands import BALANCE, GRANT

from flowtally.agents.report import Tally
from flowtally.cli.show import unpaid
from flowtally.protocol import EventsAnswer, NeverPaid, NeverPaidEvents
from flowtally.protocol.words import MAX_PRIORITY

MARCH, MAY = "2026-03-01T12:00:00.500Z", "2026-05-29T10:00:00Z"
LOST: dict[str, Any] = {"pool": "traffic", "unit": "bytes", "amount": 52_420_000, "before": MAY, "began": "account"}
LOST |= {"why": "no_grant", "grant": None, "first": MARCH}
SAID = f"52.42 MB were used before {MAY}, when account acme began (its carry_from); nothing will pay for it."
COMMAND = "flowtally grant give acme 52420000 --starts 2026-03-01T12:00:00Z"


def words(text: str) -> str:
    return " ".join(text.split())


def test_a_balance_says_what_nothing_will_pay(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/balance"] = (200, BALANCE | {"never_paid": [LOST]})
    ran = flowtally("balance", "acme")
    assert f"{SAID} To pay for it: {COMMAND}" in words(ran.out)
    assert f"  To pay for it: {COMMAND}" in ran.out.splitlines()


def test_a_grant_that_begins_after_the_use_says_so_at_once(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/accounts/acme/grants"] = (200, {"items": [], "next": None})
    flowtally.fake.answers["POST /v1/accounts/acme/grants"] = (201, GRANT)
    other = LOST | {"pool": "api", "unit": "requests", "amount": 1}
    flowtally.fake.answers["GET /v1/accounts/acme/balance"] = (200, BALANCE | {"never_paid": [other, LOST]})
    ran = flowtally("grant", "give", "acme", "100GB")
    assert SAID in words(ran.out)
    assert "--pool api" not in ran.out, "it is of another pool"


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"began": "grant", "grant": "grn_1"}, f"used before {MAY}, when grant grn_1 began; nothing"),
        ({"before": "2199-01-01T00:00:00Z"}, "used before 2199-01-01T00:00:00Z, when account acme begins (its"),
        ({"why": "not_covered"}, "(its carry_from), and the grants of that time did not cover it; nothing"),
        ({"pool": "api", "unit": "requests", "amount": 1}, f"1 request was used before {MAY}"),
        ({"pool": "api", "unit": "requests", "amount": 1234}, f"1,234 requests were used before {MAY}"),
        ({"unit": "bytes", "amount": 1}, f"1 B were used before {MAY}"),
    ],
)
def test_the_sentence_says_what_began(more: dict[str, Any], said: str) -> None:
    assert said in unpaid.sentence("acme", NeverPaid(**LOST | more))


def test_the_command_names_the_pool_and_quotes_what_a_shell_would_take() -> None:
    assert unpaid.command("a b", "api", 3, MAY) == f"flowtally grant give 'a b' 3 --pool api --starts {MAY}"


def test_what_grants_of_then_did_not_cover_is_paid_by_one_that_pays_last(capsys: pytest.CaptureFixture[str]) -> None:
    unpaid.show("acme", [NeverPaid(**LOST | {"why": "not_covered"})])
    assert f"--priority {MAX_PRIORITY} --starts 2026-03-01T12:00:00Z" in words(capsys.readouterr().out)


def test_of_a_user_there_is_no_way_out(capsys: pytest.CaptureFixture[str]) -> None:
    unpaid.show("acme", [NeverPaid(**LOST | {"began": "user"})], user="shop")
    said = words(capsys.readouterr().out)
    assert "when user shop was made; nothing will pay for it. An allocation pays from the second" in said
    assert "grant give" not in said


def test_an_import_adds_up_what_its_answers_say(capsys: pytest.CaptureFixture[str]) -> None:
    one = NeverPaidEvents("acme", "traffic", "bytes", 3, 52_419_999, MAY.replace("05", "04"), MAY, "account")
    two = NeverPaidEvents("acme", "traffic", "bytes", 1, 1, MARCH, MAY, "account")
    tally = Tally()
    for told in (one, two):
        tally.count_answer(EventsAnswer(told.events, 0, 0, 0, [], 0, [told]), [])
    tally.count_answer(EventsAnswer(5, 0, 0, 0, []), [])
    report = tally.report("log", 9, 0, 0)
    unpaid.show_events(report.never_paid, report.more_never_paid)
    said = words(capsys.readouterr().out)
    assert said == (
        f"4 events (52.42 MB) are dated before {MAY}, when account acme began (its carry_from); nothing will pay for"
        f" them. To pay for it: {COMMAND}"
    )
