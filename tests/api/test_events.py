"""The events door: what it reads, how much, how long it waits, and who may."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.conftest import Client, open_acme, send, token_of
from tests.fake_ingest import FakeIngest

from flowtally.core import errors

EVENT = {"source": "gw", "id": "9", "account": "acme", "time": "2026-03-10T00:00:00Z"}


def test_receipts_come_back_and_are_counted(client: Client) -> None:
    open_acme(client)
    assert client.post("/v1/events", json=[EVENT, EVENT | {"id": "1"}]).json() == {
        "stored": 1,
        "duplicate": 1,
        "conflict": 0,
        "refused": 0,
        "receipts": [],
    }
    metrics = client.get("/metrics").text
    assert 'flowtally_events_total{outcome="stored"} 4.0' in metrics
    assert 'flowtally_events_total{outcome="duplicate"} 1.0' in metrics


def test_an_account_credential_may_not_write(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.post("/v1/events", json=[EVENT], headers=mine).status_code == 403


def test_an_event_can_be_looked_up_by_those_it_concerns(client: Client, acme: str) -> None:
    mine = token_of(client, "/v1/accounts/acme/credentials", scope="account")
    assert client.get("/v1/events?source=gw&id=1", headers=mine).json()["user"] == "alice"
    client.post("/v1/accounts", json={"id": "other"})
    send(client, "7", "2026-03-10T00:00:00Z", account="other")
    assert client.get("/v1/events?source=gw&id=7", headers=mine).status_code == 404


def test_where_a_source_stands(client: Client, acme: str) -> None:
    stands = {"source": "gw", "sequence": None, "position": None, "held": 0, "refused": 0, "more_refused": False}
    assert client.get("/v1/sources?source=gw").json() == stands
    theirs = token_of(client, "/v1/credentials", scope="ingest")
    assert client.get("/v1/sources?source=gw", headers=theirs).status_code == 404


def test_no_number_that_an_event_cannot_have_is_asked_for_among_held_ones(client: Client) -> None:
    for number, known in ((1, True), (2**63 - 1, True), (0, False), (2**63, False), (2**64 - 1, False), (2**70, False)):
        body: dict[str, Any] = {"source": "gw", "sequence": number}
        asked = (
            client.get("/v1/held", params={"sequence": str(number)}),
            client.post("/v1/held/retry", json=body),
            client.post("/v1/held/drop", json=body | {"reason": "a typing error"}),
        )
        assert (
            {one.status_code for one in asked} == {200} if known else {one.status_code for one in asked} <= {400, 422}
        )


def test_a_body_is_given_up_as_soon_as_it_is_too_large(make_client: Callable[..., Client], ingest: FakeIngest) -> None:
    client = make_client(max_body_bytes=1000)
    told = client.post("/v1/events", content=b" " * 1001, headers={"Content-Type": "application/json"})
    assert (told.status_code, told.json()["limit"], told.headers["connection"]) == (413, 1000, "close")

    def untold() -> Iterator[bytes]:
        for _ in range(11):
            yield b" " * 100

    assert client.post("/v1/events", content=untold()).status_code == 413


@pytest.mark.parametrize(
    ("fault", "status", "retry_after"),
    [
        (errors.QueueFull("full", retry_after_s=2), 503, "2"),
        (errors.StorageFull("no room"), 503, "1"),
        (errors.SequenceGap("gap", sequence=5), 409, None),
        (errors.AtomicRefused("no", receipts=[]), 422, None),
        (errors.EventRefused("no", stored=0, duplicate=0, conflict=0, refused=1, receipts=[]), 422, None),
        (errors.EventConflict("no", stored=0, duplicate=0, conflict=1, refused=0, receipts=[]), 409, None),
    ],
)
def test_what_ingest_raises_is_answered_with_its_own_status(
    client: Client, ingest: FakeIngest, fault: errors.FlowtallyError, status: int, retry_after: str | None
) -> None:
    ingest.fault = fault
    answer = client.post("/v1/events", json=[])
    assert (answer.status_code, answer.json()["code"]) == (status, fault.code)
    assert answer.headers.get("retry-after") == retry_after
    assert dict(fault.extra).items() <= answer.json().items()


def test_options_reach_ingest(client: Client, ingest: FakeIngest, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, Any] = {}
    take = ingest.take

    async def watched(*args: Any, **options: Any) -> Any:
        seen.update(options)
        return await take(*args, **options)

    monkeypatch.setattr(ingest, "take", watched)
    client.post("/v1/events?atomic=true&receipts=all&logins=ipfoxy", json=[], headers={"CE-Id": "a%20b", "X-Id": "c"})
    assert seen.pop("headers") == [("ce-id", "a%20b")]
    assert callable(seen.pop("made"))  # told how much a packed body becomes
    assert callable(seen.pop("in_thread"))
    assert seen == {"atomic": True, "receipts_all": True, "logins": "ipfoxy"}
    assert client.post("/v1/events?receipts=some", json=[]).status_code == 400
    assert client.post("/v1/events?logins=some", json=[]).status_code == 400
