"""What `flowtally server` asks, prints and how it ends."""

from __future__ import annotations

from typing import Any

from tests.cli.fake import Program

ACTION: dict[str, Any] = {
    "id": "act_1",
    "account": "acme",
    "lease": "lse_1",
    "server": "stk_1",
    "what": "restart",
    "status": "requested",
    "requested_at": "2026-03-15T12:00:00Z",
    "expires_at": "2026-03-15T13:00:00Z",
    "taken_at": None,
    "answered_at": None,
    "detail": "",
}
BOUND = {"user": "ann", "user_id": "usr_1", "bound_at": "2026-03-15T12:00:00Z"}
OF_LEASE = "/v1/accounts/acme/leases/lse_1"


def test_a_restart_is_asked_for(flowtally: Program) -> None:
    flowtally.fake.answers[f"POST {OF_LEASE}/actions"] = (201, ACTION)
    ran = flowtally("server", "request", "acme", "lse_1", "--expires-in", "60")
    assert (ran.code, "requested" in ran.out) == (0, True)
    assert flowtally.fake.asked[-1].body == {"what": "restart", "expires_in_s": 60}


def test_actions_are_listed_of_all_or_of_one_lease(flowtally: Program) -> None:
    flowtally.fake.answers["GET /v1/actions"] = (200, {"items": [ACTION], "next": None})
    flowtally.fake.answers[f"GET {OF_LEASE}/actions"] = (200, {"items": [], "next": None})
    assert flowtally("server", "actions", "--json").document == [ACTION]
    assert flowtally("server", "wait", "--seconds", "1", "--json").document == [ACTION]
    assert flowtally.fake.asked[-1].query["wait_s"] == ["1"]
    ran = flowtally("server", "actions", "--account", "acme", "--lease", "lse_1", "--status", "done")
    assert (ran.code, "no such actions" in ran.out) == (0, True)
    assert flowtally("server", "actions", "--account", "acme").code == 2


def test_an_action_is_taken_and_answered(flowtally: Program) -> None:
    flowtally.fake.answers["POST /v1/actions/act_1/take"] = (200, ACTION | {"status": "taken"})
    flowtally.fake.answers["POST /v1/actions/act_1/answer"] = (200, ACTION | {"status": "failed"})
    assert "taken" in flowtally("server", "take", "act_1").out
    ran = flowtally("server", "answer", "act_1", "failed", "--detail", "off")
    assert (ran.code, "failed" in ran.out) == (0, True)
    assert flowtally.fake.asked[-1].body == {"outcome": "failed", "detail": "off"}
    assert flowtally("server", "answer", "act_1", "perhaps").code == 2


def test_users_are_bound_listed_and_taken_off(flowtally: Program) -> None:
    flowtally.fake.answers[f"GET {OF_LEASE}/users"] = (200, {"items": [BOUND], "next": None})
    flowtally.fake.answers[f"PUT {OF_LEASE}/users/ann"] = (200, BOUND)
    flowtally.fake.answers[f"DELETE {OF_LEASE}/users/ann"] = (200, BOUND)
    assert "usr_1" in flowtally("server", "users", "acme", "lse_1").out
    assert "ann may use it" in flowtally("server", "bind", "acme", "lse_1", "ann").out
    assert "ann is off" in flowtally("server", "unbind", "acme", "lse_1", "ann").out
