"""`flowtally whitelist`: what each command asks, and what it prints."""

from __future__ import annotations

from typing import Any

from tests.cli.fake import Program

OWN = "/v1/accounts/acme/whitelist"
ANNS = "/v1/accounts/acme/users/ann/whitelist"
ENTRY: dict[str, Any] = {
    "account": "acme", "user": None, "user_id": None, "pool": "traffic", "address": "10.0.0.0/8", "enabled": False,
    "created_at": "2026-07-01T00:00:00Z", "changed_at": "2026-07-02T00:00:00Z",
}  # fmt: skip


def test_list_shows_an_accounts_or_a_users(flowtally: Program) -> None:
    flowtally.fake.answers[f"GET {OWN}"] = (200, {"items": [ENTRY], "next": None})
    out = flowtally("whitelist", "list", "acme", "--pool", "traffic").out
    assert flowtally.fake.asked[-1].query == {"pool": ["traffic"]}
    assert out.splitlines()[1].split() == ["10.0.0.0/8", "traffic", "no", "2026-07-01", "2026-07-02"]
    flowtally.fake.answers[f"GET {ANNS}"] = (200, {"items": [], "next": None})
    assert flowtally("whitelist", "list", "acme", "--user", "ann", "--json").document == []


def test_add_and_remove_name_the_list_and_the_address(flowtally: Program) -> None:
    address = "10.0.0.0%2F8"
    flowtally.fake.answers[f"PUT {OWN}/traffic/{address}"] = (200, ENTRY)
    flowtally.fake.answers[f"DELETE {ANNS}/mobile/{address}"] = (200, ENTRY | {"user": "ann"})
    assert "10.0.0.0/8" in flowtally("whitelist", "add", "acme", "10.0.0.0/8", "--disabled").out
    assert flowtally.fake.asked[-1].body == {"enabled": False}
    ran = flowtally("whitelist", "remove", "acme", "10.0.0.0/8", "--user", "ann", "--pool", "mobile")
    assert (ran.code, ran.out.split()[1]) == (0, "ann")
    assert flowtally("whitelist", "add", "acme", "10.0.0.0/8", "--json").document == ENTRY
    assert flowtally.fake.asked[-1].body == {"enabled": True}
