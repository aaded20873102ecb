"""Callers that hang up, on a real server: no error, no trace, a status of its own in the log and in the numbers."""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.live import Live, live_server

EVENT = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
SLOW = 20_000  # events in one request: enough for a moment of work


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("live") / "data"
    with live_server(data, {"FLOWTALLY_LOG_FORMAT": "json", "FLOWTALLY_LOG_LEVEL": "debug"}) as served:
        client = httpx.Client(base_url=served.url, headers={"Authorization": f"Bearer {served.token}"}, timeout=30)
        client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        yield served


@pytest.fixture(scope="module")
def customer(live: Live) -> str:
    """A token of the account: nobody else's body is read by a dialect."""
    wanted = {"scope": "manage", "name": "customer"}
    headers = {"Authorization": f"Bearer {live.token}"}
    return str(httpx.post(f"{live.url}/v1/accounts/acme/credentials", json=wanted, headers=headers).json()["token"])


def lines(live: Live) -> list[dict[str, Any]]:
    whole = Path(f"{live.data}.log").read_text().rpartition("\n")[0]  # the last line may be being written
    return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]


def line_of(live: Live, request_id: str) -> dict[str, Any]:
    """The one line of this request, as soon as there is one."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        found = [line for line in lines(live) if line.get("request_id") == request_id]
        if any(line["event"] == "request" for line in found):
            [only] = found
            return only
        time.sleep(0.02)
    raise AssertionError(f"no line of {request_id}")


def hang_up(live: Live, request: str, body: bytes = b"", *, after_s: float = 0.1, reset: bool = False) -> None:
    """Send this, wait a moment and close, as a process that ends does, or as a network that breaks."""
    with socket.create_connection(live.place, timeout=20) as connection:
        connection.sendall(request.encode() + body)
        time.sleep(after_s)
        if reset:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def head(live: Live, method: str, path: str, request_id: str, *more: str) -> str:
    fixed = ("Host: x", f"Authorization: Bearer {live.token}", f"X-Request-Id: {request_id}")
    return "\r\n".join([f"{method} {path} HTTP/1.1", *fixed, *more, "", ""])


BODIES = [
    ("/v1/events", "application/json", "Content-Length: 100"),
    ("/v1/accounts", "application/json", "Content-Length: 100"),
    ("/v1/events", "application/x-ndjson", "Transfer-Encoding: chunked"),
    ("/api/proxy-users/create-user", "application/x-www-form-urlencoded", "Content-Length: 100"),
    ("/api/proxy-users/create-user", "multipart/form-data; boundary=x", "Content-Length: 100"),
]


@pytest.mark.parametrize(("path", "kind", "length"), BODIES)
@pytest.mark.parametrize("reset", [False, True], ids=["closed", "reset"])
def test_a_body_that_breaks_off_is_no_error(
    live: Live, customer: str, path: str, kind: str, length: str, reset: bool
) -> None:
    request_id = f"body-{BODIES.index((path, kind, length))}-{reset}"
    begun = b"5\r\n[" if "chunked" in length else b"["
    asked = head(live, "POST", path, request_id, f"token: {customer}", f"Content-Type: {kind}", length)
    hang_up(live, asked, begun, reset=reset)
    line = line_of(live, request_id)
    assert (line["event"], line["status"], line["level"]) == ("request", 499, "info")
    assert "exception" not in line


def test_who_hangs_up_before_the_answer_has_a_status_of_its_own_and_its_events_stored(live: Live) -> None:
    events = json.dumps([{**EVENT, "id": f"gone-{number}"} for number in range(SLOW)]).encode()
    request_id = "before-answer"
    kind = ("Content-Type: application/json", f"Content-Length: {len(events)}")
    hang_up(live, head(live, "POST", "/v1/events", request_id, *kind), events, after_s=0)
    line = line_of(live, request_id)
    assert (line["status"], line["level"]) == (499, "info")
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}) as client:
        again = client.post("/v1/events", json=[{**EVENT, "id": "gone-0"}]).json()
    assert again["duplicate"] == 1


def test_who_hangs_up_in_the_middle_of_an_export_ends_it(live: Live) -> None:
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=60) as client:
        for batch in range(5):
            events = [
                {**EVENT, "id": f"x{batch}-{number}", "labels": {"pad": f"{number:0200}"}} for number in range(SLOW)
            ]
            client.post("/v1/events", json=events).raise_for_status()
    asked = "/v1/accounts/acme/export?from=2026-03-01&to=2026-03-02&format=csv"
    hang_up(live, head(live, "GET", asked, "export"), after_s=0.5, reset=True)
    line = line_of(live, "export")
    assert (line["status"], line["level"]) == (499, "info")


def test_who_stays_is_told_as_ever_and_the_numbers_have_a_label(live: Live) -> None:
    with httpx.Client(base_url=live.url, headers={"Authorization": f"Bearer {live.token}"}, timeout=60) as client:
        events = [{**EVENT, "id": f"stay-{number}"} for number in range(SLOW)]
        for request_id in ("stay-1", "stay-2"):  # on one connection, which is kept
            answer = client.post("/v1/events", json=events, headers={"X-Request-Id": request_id})
            assert answer.status_code == 200
            assert line_of(live, request_id)["status"] == 200
        text = client.get("/metrics").text
    assert 'flowtally_http_requests_total{method="POST",route="/v1/accounts",status="499"} 2.0' in text
    assert not [line for line in lines(live) if line["level"] in ("error", "critical")]
    assert "Traceback" not in Path(f"{live.data}.log").read_text()
