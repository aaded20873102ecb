"""What a meter promises to the program that records."""

from __future__ import annotations

import logging
import threading
import time
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from tests.client.model import ModelServer, problem
from tests.logged import Logged

from flowtally.client import (
    ApiError,
    BufferFull,
    Client,
    Limits,
    Meter,
    MeterClosed,
    SpoolBusy,
    Undelivered,
    Unreachable,
)
from flowtally.core.events import time_of_id
from flowtally.protocol import PlainEvent, Receipt

PATIENT = Limits(batch_age_s=60)
QUICK = Limits(batch_age_s=0, retry_first_s=0.001, retry_max_s=0.002)


def test_an_event_is_fixed_when_it_is_recorded() -> None:
    server, labels = ModelServer(), {"country": "de"}
    before = time.time_ns() // 1_000_000
    with Meter(server.client(), "gw") as meter:
        id = meter.record(account="acme", user="ann", product="mobile", bytes_up=1, bytes_down=2, labels=labels)
        labels["country"] = "fr"
    after = time.time_ns() // 1_000_000
    (event,) = server.named.values()
    assert (event.source, event.id, event.account, event.user, event.product) == ("gw", id, "acme", "ann", "mobile")
    assert (event.bytes_up, event.bytes_down, event.requests, event.labels) == (1, 2, 1, {"country": "de"})
    at = datetime.fromisoformat(event.time or "")
    assert before <= round(at.timestamp() * 1000) <= after
    assert before <= (time_of_id(id) or 0) <= after


def test_an_event_may_bring_its_own_id_and_time() -> None:
    server = ModelServer()
    with Meter(server.client(), "gw") as meter:
        meter.record(account="acme", id="req-1", time="2026-03-01T00:00:00Z")
        meter.record(account="acme", id="req-2", time=datetime(2026, 3, 1, 5, tzinfo=timezone(timedelta(hours=5))))
    times = [datetime.fromisoformat(event.time or "") for event in server.named.values()]
    assert [id for _, id in server.named] == ["req-1", "req-2"]
    assert times == [datetime(2026, 3, 1, tzinfo=UTC)] * 2


@pytest.mark.parametrize(
    ("use", "error"),
    [
        ({"account": "acme", "bytes_up": 1.5}, TypeError),
        ({"account": "acme", "bytes_up": True}, TypeError),
        ({"account": "acme", "bytes_down": -1}, ValueError),
        ({"account": "acme", "requests": 2**53}, ValueError),
        ({"account": "acme", "status": 70_000}, ValueError),
        ({"account": ""}, ValueError),
        ({"account": "x" * 257}, ValueError),
        ({"account": "\ud800"}, ValueError),
        ({"account": "acme", "labels": {"": "x"}}, ValueError),
        ({"account": "acme", "user": "\x1b[2J"}, ValueError),
        ({"account": "acme", "id": "a\u2028"}, ValueError),
        ({"account": "acme", "labels": {"a": "\u202eb"}}, ValueError),
        ({"account": "acme", "time": datetime(2026, 1, 1)}, ValueError),
        ({"account": "acme", "time": 12}, TypeError),
        ({"bytes_up": 1}, TypeError),
        ({"account": "acme", "byte_up": 1}, TypeError),
    ],
)
def test_what_can_be_no_event_is_refused_at_the_callers_line(use: Any, error: type[Exception]) -> None:
    server = ModelServer()
    with Meter(server.client(), "gw") as meter, pytest.raises(error):
        meter.record(**use)
    assert not server.requests


def test_a_batch_goes_when_it_is_full_or_old_or_asked_for() -> None:
    server = ModelServer()
    with Meter(server.client(), "gw", limits=Limits(batch_events=10, batch_age_s=60)) as meter:
        for _ in range(25):
            meter.record(account="acme")
        assert until(lambda: len(server.named) == 20)
        time.sleep(0.05)
        assert len(server.named) == 20
        assert meter.flush(5)
        assert len(server.named) == 25
    assert [body.count(b"\n") + 1 for body in server.bodies()] == [10, 10, 5]
    with Meter(server.client(), "gw", limits=Limits(batch_age_s=0.05)) as meter:
        meter.record(account="acme")
        assert until(lambda: len(server.named) == 26)


def test_a_batch_is_bounded_in_bytes() -> None:
    server = ModelServer()
    with Meter(server.client(), "gw", limits=Limits(batch_bytes=1000, batch_age_s=60)) as meter:
        for _ in range(20):
            meter.record(account="acme", user="u" * 200)
    assert all(len(body) <= 1000 for body in server.bodies())
    assert len(server.named) == 20


def test_a_retry_carries_the_same_bytes() -> None:
    server = ModelServer()
    server.faults = ["answer lost", "busy", "garbled answer", "request lost"]
    with Meter(server.client(), "gw", limits=QUICK) as meter:
        for _ in range(50):
            meter.record(account="acme")
    first = [request for request in server.requests if request.content == server.requests[0].content]
    assert len(first) == 5
    assert len({request.headers["Idempotency-Key"] for request in first}) == 1


def test_a_full_buffer_says_so_and_why() -> None:
    server = ModelServer()
    server.down = True
    meter = Meter(server.client(), "gw", full_wait_s=0, limits=Limits(max_events=3, batch_age_s=0))
    for _ in range(3):
        meter.record(account="acme")
    assert until(lambda: meter.trouble is not None)
    with pytest.raises(BufferFull, match="3 events of source 'gw' wait") as caught:
        meter.record(account="acme")
    assert isinstance(caught.value.__cause__, Unreachable)
    with pytest.raises(Undelivered) as lost:
        meter.close(0)
    assert (lost.value.count, len(lost.value.events)) == (3, 3)


def test_a_buffer_is_bounded_in_bytes() -> None:
    server = ModelServer()
    with Meter(server.client(), "gw", full_wait_s=0, limits=Limits(max_bytes=1000, batch_age_s=60)) as meter:
        for _ in range(3):
            meter.record(account="acme", user="u" * 200)
        with pytest.raises(BufferFull):
            meter.record(account="acme", user="u" * 200)
    assert len(server.named) == 3


def test_a_buffer_smaller_than_a_batch_is_sent_when_it_is_full() -> None:
    server = ModelServer()
    with Meter(server.client(), "gw", full_wait_s=5, limits=msgspec.structs.replace(PATIENT, max_events=3)) as meter:
        for _ in range(10):
            meter.record(account="acme")
        assert len(server.named) == 9


def test_a_flush_that_a_close_cuts_short_says_so() -> None:
    server = ModelServer()
    server.down = True
    meter, said = Meter(server.client(), "gw", limits=QUICK), list[bool]()
    meter.record(account="acme")
    flushing = threading.Thread(target=lambda: said.append(meter.flush(10)))
    flushing.start()
    with pytest.raises(Undelivered):
        meter.close(0.05)
    flushing.join(5)
    assert said == [False]


def test_a_full_buffer_is_waited_for() -> None:
    server = ModelServer()
    server.down = True
    with Meter(server.client(), "gw", full_wait_s=10, limits=msgspec.structs.replace(QUICK, max_events=1)) as meter:
        meter.record(account="acme")
        threading.Timer(0.1, lambda: setattr(server, "down", False)).start()
        start = time.monotonic()
        meter.record(account="acme")
        assert 0.05 < time.monotonic() - start < 5
    assert len(server.named) == 2


def test_waiting_for_room_ends() -> None:
    server = ModelServer()
    server.down = True
    meter = Meter(server.client(), "gw", full_wait_s=0.05, limits=msgspec.structs.replace(QUICK, max_events=1))
    meter.record(account="acme")
    with pytest.raises(BufferFull):
        meter.record(account="acme")
    with pytest.raises(Undelivered):
        meter.close(0)


def test_refusals_and_conflicts_are_told() -> None:
    server, told = ModelServer(), list[tuple[PlainEvent, Receipt]]()
    with Meter(server.client(), "gw", on_receipt=lambda event, receipt: told.append((event, receipt))) as meter:
        meter.record(account="acme", id="1", bytes_up=1)
        meter.record(account="amce", id="2")
        meter.record(account="acme", id="1", bytes_up=2)
        assert meter.flush(5)
        assert [(event.id, receipt.status, receipt.code) for event, receipt in told] == [
            ("2", "refused", "unknown_account"),
            ("1", "conflict", "other_content"),
        ]
        counts = meter.counts
    assert (counts.stored, counts.refused, counts.conflict, counts.pending) == (1, 1, 1, 0)


def test_by_default_refusals_are_logged_with_code_and_detail(logged: Logged) -> None:
    with Meter(ModelServer().client(), "gw") as meter:
        for id in ("a", "b"):
            meter.record(account="amce", id=id)
    (line,) = [record.message for record in logged.records if record.levelno == logging.WARNING]
    assert line == "2 events of source 'gw' will not count, refused unknown_account: no account amce (first: a)"


def test_a_callback_that_fails_stops_nothing(logged: Logged) -> None:
    def fail(event: PlainEvent, receipt: Receipt) -> None:
        raise RuntimeError("a bug of the caller's")

    server = ModelServer()
    with Meter(server.client(), "gw", on_receipt=fail) as meter:
        meter.record(account="amce")
        meter.record(account="acme")
    assert len(server.named) == 1
    assert "a bug of the caller's" in logged.text


def test_an_event_too_large_even_alone_is_refused_and_told() -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        return problem(413, "too_large") if b"huge" in request.content else server.handle(request)

    server, told = ModelServer(), list[str]()
    client = Client("http://x", transport=httpx.MockTransport(handle))
    with Meter(client, "gw", on_receipt=lambda event, receipt: told.append(event.user + receipt.code)) as meter:
        for user in ("a", "b", "huge", "c"):
            meter.record(account="acme", user=user)
    assert told == ["hugetoo_large"]
    assert [event.user for event in server.named.values()] == ["a", "b", "c"]


def test_trouble_is_logged_once_and_its_end_too(logged: Logged) -> None:
    logged.set_level(logging.INFO, "flowtally.client")
    server = ModelServer()
    server.faults = ["key revoked"] * 5
    with Meter(server.client(), "gw", limits=QUICK) as meter:
        meter.record(account="acme")
        assert meter.flush(5)
        assert meter.trouble is None
    assert [record.message for record in logged.records if record.name == "flowtally.client"] == [
        "source 'gw': events wait, and are tried again: unauthenticated it is (unauthenticated)",
        "source 'gw': the server takes events again",
    ]


def test_the_server_is_not_asked_before_it_wants_to_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("flowtally.client.wire.retry_after_s", lambda text, now_s: 0.2 if text == "1" else None)
    asked: list[float] = []

    def handle(request: httpx.Request) -> httpx.Response:
        asked.append(time.monotonic())
        return problem(503, "storage_full", {"Retry-After": "1"}) if len(asked) == 1 else server.handle(request)

    server = ModelServer()
    with Meter(Client("http://x", transport=httpx.MockTransport(handle)), "gw", limits=QUICK) as meter:
        meter.record(account="acme")
        assert not meter.flush(0.05)
        meter.record(account="acme")
    assert asked[1] - asked[0] >= 0.2
    assert len(server.named) == 2


def test_a_bug_in_sending_loses_nothing(logged: Logged) -> None:
    def handle(request: httpx.Request) -> httpx.Response:
        bugs.append(1)
        if len(bugs) < 3:
            raise RuntimeError("a bug")
        return server.handle(request)

    server, bugs = ModelServer(), list[int]()
    with Meter(Client("http://x", transport=httpx.MockTransport(handle)), "gw", limits=QUICK) as meter:
        meter.record(account="acme")
    assert len(server.named) == 1
    assert "a bug" in logged.text


def test_recording_costs_microseconds() -> None:
    """About 5 on a quiet machine; the bound is for busy ones, and for whoever puts a request into `record`."""
    with Meter(ModelServer().client(), "gw", limits=PATIENT) as meter:
        start = time.thread_time()
        for _ in range(4_000):
            meter.record(account="acme", user="ann", product="residential", bytes_up=1, bytes_down=2, status=200)
        assert (time.thread_time() - start) / 4_000 < 0.000_1


def test_a_closed_meter_records_nothing() -> None:
    meter = Meter(ModelServer().client(), "gw")
    meter.close()
    meter.close()
    with pytest.raises(MeterClosed, match="'gw' is closed"):
        meter.record(account="acme")


def test_close_does_not_wait_for_an_attempt_that_hangs() -> None:
    stuck = threading.Event()

    def handle(request: httpx.Request) -> httpx.Response:
        stuck.wait(10)
        return server.handle(request)

    server = ModelServer()
    meter = Meter(Client("http://x", transport=httpx.MockTransport(handle)), "gw", limits=QUICK)
    meter.record(account="acme", id="1")
    with pytest.raises(Undelivered, match="there was not enough time") as caught:
        meter.close(0.05)
    stuck.set()
    assert until(lambda: len(server.named) == 1)
    assert server.client().send_events(caught.value.events).duplicate == 1


def test_what_close_hands_back_says_why() -> None:
    server = ModelServer()
    server.faults = ["key revoked"] * 1000
    meter = Meter(server.client(), "gw", limits=QUICK)
    meter.record(account="acme")
    with pytest.raises(Undelivered, match="1 events of source 'gw' have no receipt: unauthenticated") as caught:
        meter.close(0.1)
    assert isinstance(caught.value.__cause__, ApiError)


def test_a_spool_belongs_to_one_meter(tmp_path: Path) -> None:
    with Meter(ModelServer().client(), "gw", spool=tmp_path / "spool"), pytest.raises(SpoolBusy, match="spool"):
        Meter(ModelServer().client(), "gw", spool=tmp_path / "spool")
    Meter(ModelServer().client(), "gw", spool=tmp_path / "spool").close()


def test_a_torn_line_of_a_spool_is_set_aside_and_told(tmp_path: Path, logged: Logged) -> None:
    spool, server = tmp_path / "spool", ModelServer()
    good = b'{"source":"gw","account":"acme","id":"1"}\n'
    spool.write_bytes(good + b"\xff\xfe\n" + b'{"source":"gw","acc')
    with Meter(server.client(), "gw", spool=spool) as meter:
        meter.flush()
        assert meter.counts.resumed == 1
    assert [id for _, id in server.named] == ["1"]
    assert (tmp_path / "spool.damaged").read_bytes() == b"\xff\xfe\n" + b'{"source":"gw","acc\n'
    assert "line 2 of the spool" in logged.text
    assert spool.read_bytes() == b""


def test_what_is_spooled_comes_after_a_torn_end(tmp_path: Path) -> None:
    spool, server = tmp_path / "spool", ModelServer()
    spool.write_bytes(b'{"source":"gw","account":"acme","id":"1"}')
    server.down = True
    meter = Meter(server.client(), "gw", spool=spool)
    meter.record(account="acme", id="2")
    meter.close(0)
    assert [msgspec.json.decode(line)["id"] for line in spool.read_bytes().splitlines()] == ["1", "2"]


def test_a_spool_that_cannot_be_written_hands_the_events_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    server = ModelServer()
    server.down = True
    meter = Meter(server.client(), "gw", spool=tmp_path / "spool")
    meter.record(account="acme")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(Undelivered, match="No space left") as caught:
        meter.close(0)
    assert len(caught.value.events) == 1
    assert (tmp_path / "spool").read_bytes() == b""


def until(is_so: Any, seconds: float = 5) -> bool:
    end = time.monotonic() + seconds
    while not is_so() and time.monotonic() < end:
        time.sleep(0.002)
    return bool(is_so())
