"""The question for overlaps over HTTP; what is found is ingest's (tests/ingest/test_overlaps.py)."""

from __future__ import annotations

from tests.conftest import Client

from flowtally.client import calls
from flowtally.protocol import MAX_OVERLAPS, PlainEvent


def test_a_long_question_for_overlaps_is_taken_and_one_too_many_is_not(client: Client, acme: str) -> None:
    event = PlainEvent("s", "a" * 64, "i" * 256, position="p" * 4096, time="2026-03-01T12:00:00.000Z", user="u" * 256)
    for count, status in ((MAX_OVERLAPS, 200), (MAX_OVERLAPS + 1, 422)):
        call = calls.overlaps("s" * 64, [event] * count)
        answer = client.request(call.method, call.path, content=call.content, headers=call.headers)
        assert answer.status_code == status, answer.text
