"""`flowtally webhook`: what each command asks, and what it prints."""

from __future__ import annotations

from typing import Any

from tests.cli.fake import Program

WEBHOOK: dict[str, Any] = {
    "id": "whk_1", "account": None, "url": "https://h.example", "types": [], "description": "", "state": "active",
    "detail": "", "created_at": "2026-07-01T00:00:00Z", "failing_since": None, "delivered_at": None,
    "held_until": None, "old_secret_until": None, "removed_at": None,
}  # fmt: skip
DELIVERY = {
    "id": "dlv_1", "webhook": "whk_1", "message": "msg_1", "type": "balance.low", "state": "dead",
    "created_at": "2026-07-01T00:00:00Z", "attempts": 10, "next_at": None, "tried_at": "2026-07-04T04:00:00Z",
    "status": 500, "duration_ms": 5, "detail": "HTTP 500",
}  # fmt: skip
TRIED = {
    "webhook": "whk_1", "message": "msg_1", "ok": True, "status": 204, "detail": "", "duration_ms": 64,
    "signed": "msg_1.1.{}", "answer": None,
}  # fmt: skip
OWN: dict[str, Any] = {
    "id": "crd_1", "scope": "admin", "account": None, "name": "", "created_at": "x", "revoked_at": None,
    "expires_at": None, "last_used_at": None, "rights": [], "addresses": [],
}  # fmt: skip
ONE = "/v1/webhooks/whk_1"


def test_one_is_added_and_its_secret_shown_once(flowtally: Program) -> None:
    flowtally.fake.answers |= {
        "GET /v1/credential": (200, OWN),
        "POST /v1/webhooks": (201, WEBHOOK | {"secret": "whsec_x"}),
        "POST /v1/accounts/acme/webhooks": (201, WEBHOOK | {"account": "acme", "secret": "whsec_x"}),
        f"POST {ONE}/rotate": (200, WEBHOOK | {"secret": "whsec_y"}),
        f"GET {ONE}": (200, WEBHOOK),
    }
    ran = flowtally("webhook", "add", "https://h.example", "--type", "balance.low", "--description", "on call")
    assert flowtally.fake.asked[-1].body == {
        "url": "https://h.example", "types": ["balance.low"], "description": "on call",
    }  # fmt: skip
    assert "whsec_x" in ran.out
    assert "not shown again" in ran.err
    assert (
        flowtally("webhook", "add", "https://h.example", "--account", "acme", "--json").document["secret"] == "whsec_x"
    )
    assert "whsec_y" in flowtally("webhook", "rotate", "whk_1", "--overlap", "60").out
    assert flowtally.fake.asked[-1].body == {"overlap_s": 60}
    assert "secret" not in flowtally("webhook", "show", "whk_1").out


def test_they_are_listed_changed_and_removed(flowtally: Program) -> None:
    flowtally.fake.answers |= {
        "GET /v1/credential": (200, OWN | {"account": "acme", "scope": "manage"}),
        "GET /v1/accounts/acme/webhooks": (200, {"items": [WEBHOOK], "next": None}),
        "PATCH /v1/accounts/acme/webhooks/whk_1": (200, WEBHOOK | {"state": "disabled", "detail": "410"}),
        "DELETE /v1/accounts/acme/webhooks/whk_1": (200, WEBHOOK | {"state": "removed"}),
    }
    assert "https://h.example" in flowtally("webhook", "list", "--removed").out
    assert flowtally.fake.asked[-1].query == {"removed": ["true"]}
    assert flowtally("webhook", "list", "--json").document == [WEBHOOK]
    assert "disabled" in flowtally("webhook", "change", "whk_1", "--disable", "--all-types").out
    assert flowtally.fake.asked[-1].body == {"enabled": False, "types": []}
    flowtally(
        "webhook", "change", "whk_1", "--url", "https://b.example", "--type", "a.b", "--description", "x", "--json"
    )
    assert flowtally.fake.asked[-1].body == {"url": "https://b.example", "types": ["a.b"], "description": "x"}
    assert "removed" in flowtally("webhook", "remove", "whk_1").out


def test_a_test_says_what_came_of_it_and_fails_where_it_was_not_taken(flowtally: Program) -> None:
    flowtally.fake.answers |= {"GET /v1/credential": (200, OWN), f"POST {ONE}/test": (200, TRIED)}
    assert "It was taken: HTTP 204 after 64 ms." in flowtally("webhook", "test", "whk_1").out
    flowtally.fake.answers[f"POST {ONE}/test"] = (200, TRIED | {"ok": False, "status": 500, "detail": "HTTP 500"})
    ran = flowtally("webhook", "test", "whk_1")
    assert (ran.code, "It was not taken: HTTP 500, after 64 ms." in ran.out) == (1, True)
    assert flowtally("webhook", "test", "whk_1", "--json").document["status"] == 500


def test_deliveries_are_listed_and_sent_again(flowtally: Program) -> None:
    flowtally.fake.answers |= {
        "GET /v1/credential": (200, OWN),
        f"GET {ONE}/deliveries": (200, {"items": [DELIVERY], "next": None}),
        f"POST {ONE}/replay": (200, {"replayed": 3}),
    }
    assert "HTTP 500" in flowtally("webhook", "deliveries", "whk_1", "--state", "dead").out
    assert flowtally.fake.asked[-1].query == {"state": ["dead"]}
    assert flowtally("webhook", "deliveries", "whk_1", "--json").document == [DELIVERY]
    assert flowtally("webhook", "deliveries", "whk_1", "--state", "lost").code == 2
    assert "Sent again: 3." in flowtally("webhook", "replay", "whk_1", "--since", "2026-07-01T00:00:00Z").out
    assert flowtally.fake.asked[-1].body == {"delivery": None, "since": "2026-07-01T00:00:00Z"}
    assert flowtally("webhook", "replay", "whk_1", "--delivery", "dlv_1", "--json").document == {"replayed": 3}
