"""Value is given once: under a key of the user's own, and not a second time under the same reference unasked."""

from __future__ import annotations

import inspect
import io
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.cli.fake import Program
from tests.cli.test_commands import BALANCE, GRANT
from tests.cli.test_leases import LEASE, OF, OFFER, ORDER, STOCK
from tests.cli.test_money import BOUGHT, ENTRY, PAID_OUT, PLAN, POOLS, WALLET

from flowtally.client import calls

AT = "2026-07-01T09:30:00Z"
VOUCHER: dict[str, Any] = {"id": "vch_1", "account": "acme", "code": "c", "pool": "traffic", "amount": 5}
VOUCHER |= {"duration_s": 86_400, "status": "unused", "created_at": AT, "ended_at": None, "redeemed_by": None}
ALLOCATION: dict[str, Any] = {"id": "alc_1", "account": "acme", "user": "shop", "user_id": "usr_1", "pool": "traffic"}
ALLOCATION |= {"amount": 5, "returned": 0, "created_at": AT}
USER: dict[str, Any] = {"account": "acme", "user": "shop", "user_id": "usr_1", "at": AT, "status": "active"}
USER |= {"funded": True, "limit": None, "pools": {}, "allocations": []}
OF_VALUE = {  # every command that moves traffic or money, and what it asks for it
    "grant give acme 100GB": "POST /v1/accounts/acme/grants",
    "wallet deposit acme 50": "POST /v1/accounts/acme/wallet/deposits",
    "wallet adjust acme -12.34 --reason r": "POST /v1/accounts/acme/wallet/adjustments",
    "purchase acme month": "POST /v1/accounts/acme/purchases",
    "plan create month 100GB 12.50": "POST /v1/plans",
    "voucher create acme 5": "POST /v1/accounts/acme/vouchers",
    "user allocate acme shop 5": "POST /v1/accounts/acme/users/shop/allocations",
    "user return acme shop alc_1 5": "POST /v1/accounts/acme/users/shop/allocations/alc_1/return",
    "stock add isp 192.0.2.1": "POST /v1/stock",
    "lease-plan create isp 30 3.50": "POST /v1/lease-plans",
    "lease buy acme isp-30": f"POST {OF}",
    "lease give acme stk_1": f"POST {OF}/give",
    f"lease renew acme {LEASE['id']}": f"POST {OF}/{LEASE['id']}/renew",
    f"lease upgrade acme {LEASE['id']} big": f"POST {OF}/{LEASE['id']}/upgrade",
}
OF_A_FILE = {"stock import {file}": "POST /v1/stock/import"}
GIVE = ("grant", "give", "acme", "100GB", "--source", "order", "--reference", "order-1")


@pytest.fixture
def shop(flowtally: Program) -> Program:
    flowtally.fake.answers |= {
        "GET /v1/accounts/acme/grants": (200, {"items": [GRANT], "next": None}),
        "POST /v1/accounts/acme/grants": (201, GRANT),
        "GET /v1/accounts/acme/balance": (200, BALANCE),
        "GET /v1/accounts/acme/wallet": (200, WALLET),
        "GET /v1/accounts/acme/wallet/entries": (200, {"items": [ENTRY, PAID_OUT], "next": None}),
        "POST /v1/accounts/acme/wallet/deposits": (201, ENTRY),
        "POST /v1/accounts/acme/wallet/adjustments": (201, PAID_OUT),
        "POST /v1/plans": (201, PLAN),
        "POST /v1/accounts/acme/purchases": (201, BOUGHT),
        "GET /v1/pools": (200, POOLS),
        "POST /v1/accounts/acme/vouchers": (201, {"items": [VOUCHER]}),
        "POST /v1/accounts/acme/users/shop/allocations": (201, ALLOCATION),
        "POST /v1/accounts/acme/users/shop/allocations/alc_1/return": (200, ALLOCATION),
        "GET /v1/accounts/acme/users/usr_1/balance": (200, USER),
        "POST /v1/stock": (201, STOCK),
        "POST /v1/stock/import": (201, {"count": 1, "ids": ["stk_1"]}),
        "POST /v1/lease-plans": (201, OFFER),
        f"POST {OF}": (201, ORDER),
        f"POST {OF}/give": (201, ORDER),
        f"POST {OF}/{LEASE['id']}/renew": (200, ORDER),
        f"POST {OF}/{LEASE['id']}/upgrade": (200, ORDER),
        f"GET {OF}": (200, {"items": [LEASE], "next": None}),
    }
    return flowtally


def keys(shop: Program, route: str) -> list[str]:
    return [one.key for one in shop.fake.asked if f"{one.method} {one.path}" == route]


@pytest.mark.parametrize(("command", "route"), [*OF_VALUE.items(), *OF_A_FILE.items()])
def test_what_gives_value_takes_a_key_of_the_users_own(shop: Program, command: str, route: str, tmp_path: Path) -> None:
    (tmp_path / "stock.csv").write_text("kind,address\nisp,192.0.2.1\n")
    words = command.format(file=tmp_path / "stock.csv").split()
    for _ in range(2):
        assert shop(*words, "--once", "order-4711", "--json").code == 0
        assert shop(*words, "--json").code == 0
    sent = keys(shop, route)
    assert sent[0] == sent[2] == "order-4711"
    assert len(set(sent)) == 3, "without it each run is one of its own"


def test_every_call_with_a_key_has_its_command() -> None:
    with_key = {name for name, one in inspect.getmembers(calls, inspect.isfunction) if "once" in signature(one)}
    assert len(with_key - {"write"}) == len(OF_VALUE) + len(OF_A_FILE)


def signature(one: Any) -> list[str]:
    return list(inspect.signature(one).parameters)


def test_an_answer_that_was_given_before_says_so(shop: Program) -> None:
    assert shop(*GIVE, "--once", "k").err == ""
    shop.fake.headers["Idempotent-Replayed"] = "true"
    assert "Nothing was done again" in shop(*GIVE, "--once", "k").err


@pytest.mark.parametrize("key", ["", "é", "a\nb", "x" * 256])
def test_a_key_that_cannot_be_one_is_wrong_usage(shop: Program, key: str) -> None:
    ran = shop(*GIVE, "--once", key)
    assert (ran.code, shop.fake.asked) == (2, [])
    assert "1 to 255 printable ASCII characters" in ran.err


def test_the_same_reference_a_second_time_is_refused_where_nobody_can_be_asked(shop: Program) -> None:
    ran = shop(*GIVE)
    assert ran.code == 1
    assert "grant gr_1, 100 GB, source order, reference order-1" in ran.err
    assert "Say --again" in ran.err
    assert keys(shop, "POST /v1/accounts/acme/grants") == []
    assert shop.fake.asked[0].query == {"source": ["order"], "reference": ["order-1"]}
    assert shop(*GIVE, "--again").code == 0


@pytest.mark.parametrize(("command", "told"), [("deposit acme 50", "deposit trf_1"), ("adjust acme 1", "adjust")])
def test_money_of_the_same_reference_is_refused_too(shop: Program, command: str, told: str) -> None:
    reason = ("--reason", "r") if "adjust" in command else ()
    ran = shop("wallet", *command.split(), *reason, "--reference", "payment-1")
    assert (ran.code, told in ran.err) == (1, True)


@pytest.mark.parametrize(("said", "code", "given"), [("n", 1, 0), ("y", 0, 1)])
def test_in_a_terminal_it_is_asked(
    shop: Program, monkeypatch: pytest.MonkeyPatch, said: str, code: int, given: int
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal(f"{said}\n"))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    ran = shop(*GIVE)
    assert ran.code == code
    assert "Do it a second time?" in ran.err
    assert len(keys(shop, "POST /v1/accounts/acme/grants")) == given


def test_a_voided_grant_and_no_reference_ask_nothing(shop: Program) -> None:
    assert shop("grant", "give", "acme", "1GB").code == 0
    shop.fake.answers["GET /v1/accounts/acme/grants"] = (200, {"items": [GRANT | {"voided_at": AT}], "next": None})
    assert shop(*GIVE).code == 0


def test_who_may_give_and_not_look_gives(shop: Program) -> None:
    refused = {"code": "forbidden", "detail": "may not"}
    shop.fake.answers["GET /v1/accounts/acme/grants"] = (403, refused)
    assert shop(*GIVE).code == 0
