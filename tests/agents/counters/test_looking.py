"""What `flowtally agent --check` says of a program's counters."""

from __future__ import annotations

from typing import Any

import pytest

from flowtally.agents.counters import program
from flowtally.agents.counters.looking import SeenCounters, looked
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked
from flowtally.client import ApiError

FOUND = [
    Stood("acme-alice", "c1", 1_000, 5_000_000_000),
    Stood("acme-bob", "c2", 7, 8),
    Stood("nobody", "c3", 1, 1),
]


class Server:
    def source(self, source: str) -> object:
        raise ApiError("not_found", 404, f"no source {source}")


def look(monkeypatch: pytest.MonkeyPatch, ask: Any, **settings: Any) -> SeenCounters:
    monkeypatch.setitem(program.KINDS, "xray", lambda counters: ask)
    client: Any = Server()
    return looked(Counters(name="x", kind="xray", address="127.0.0.1:1", **settings), "gw", client)


def test_the_largest_are_shown_and_who_is_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, lambda: FOUND, user_from=r"(?P<account>\w+)-(?P<user>\w+)", product="res")
    assert seen.facts == (
        "3 counters, of 2 users",
        "acme alice res: 1 kB up, 5 GB down",
        "acme bob res: 7 B up, 8 B down",
        "1 are nobody's, and left out: nobody",
        "new at the server: what they counted until the first poll does not count",
    )
    assert seen.faults == ()


def test_what_would_count_nothing_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = look(monkeypatch, lambda: FOUND, user_from=r"(?P<account>\d+)-(?P<user>\w+)")
    assert seen.faults == ("no counter is anybody's: see user-from",)
    assert "whose is it" in look(monkeypatch, lambda: FOUND).faults[0]


def test_a_program_that_is_away_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def ask() -> list[Stood]:
        raise Unasked("127.0.0.1:1: refused")

    assert look(monkeypatch, ask, account="acme").faults == ("127.0.0.1:1: refused",)
