"""Answers that nobody reads, over real sockets: bounded in number and memory, given up, and nobody waits for them."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from tests.live import Live, live_server

IDLE_S: Final = 10  # longer than two exports take to begin on a busy machine
ROWS: Final = 100_000  # one file of some 25 MB
EVENT: Final = {"source": "gw", "account": "acme", "time": "2026-03-01T00:00:00Z", "bytes_down": 5}
EXPORT: Final = "/v1/accounts/acme/export?format=csv"
LARGE: Final = "/v1/accounts/acme/usage?bucket=hour&from=2016-01-01&to=2026-01-01"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    data = tmp_path_factory.mktemp("live") / "data"
    settings = {"FLOWTALLY_SEND_IDLE_S": str(IDLE_S), "FLOWTALLY_LOG_FORMAT": "json"}
    with live_server(data, settings | {"FLOWTALLY_MAX_EXPORTS": "4"}) as served:
        with client(served) as admin:
            admin.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
            for first in range(0, ROWS, 20_000):
                labels = {"pad": "x" * 150}
                events = [{**EVENT, "id": f"e{number}", "labels": labels} for number in range(first, first + 20_000)]
                admin.post("/v1/events", json=events).raise_for_status()
        yield served


def client(live: Live, token: str = "") -> httpx.Client:
    headers = {"Authorization": f"Bearer {token or live.token}"}
    return httpx.Client(base_url=live.url, headers=headers, timeout=60)


def customer(live: Live) -> str:
    with client(live) as admin:
        made = admin.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "x"})
    return str(made.json()["token"])


def ask(live: Live, path: str, token: str, request_id: str = "x") -> socket.socket:
    """A request whose answer is not read; a small buffer, so that little of it is on its way."""
    own = socket.socket()
    own.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    own.settimeout(60)
    own.connect(live.place)
    head = (f"GET {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {token}", f"X-Request-Id: {request_id}", "", "")
    own.sendall("\r\n".join(head).encode())
    return own


def begun(own: socket.socket) -> int:
    """The status, as soon as it comes; nothing more is read."""
    return int(own.recv(12).split()[1])


def rest_of(own: socket.socket) -> bytes:
    got = b""
    try:
        while chunk := own.recv(1 << 20):
            got += chunk
    except ConnectionError:
        pass
    return got


def lines(live: Live, event: str) -> list[dict[str, Any]]:
    whole = Path(f"{live.data}.log").read_text().rpartition("\n")[0].splitlines()  # the last may be being written
    return [line for line in (json.loads(one) for one in whole if one.startswith("{")) if line["event"] == event]


def wait_for(what: Any) -> None:
    end = time.monotonic() + 60
    while not what():
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.fixture(scope="module", autouse=True)
def large(live: Live) -> Iterator[socket.socket]:
    """A large answer that is no export, which nobody reads from the beginning on: it is given up while others are."""
    with ask(live, LARGE, customer(live), "large") as own:
        yield own


def test_an_export_nobody_reads_is_given_up_its_place_is_free_and_it_never_seems_whole(live: Live) -> None:
    token = customer(live)
    with ask(live, EXPORT, token, "unread-1") as first, ask(live, EXPORT, token, "unread-2") as second:
        assert [begun(first), begun(second)] == [200, 200]
        with client(live, token) as own:
            refused = own.get(EXPORT)
            assert (refused.status_code, refused.json()["code"]) == (429, "too_many_exports")
            assert int(refused.headers["retry-after"]) > 0
            assert own.get("/v1/accounts/acme/balance").status_code == 200  # nothing else waits
            wait_for(lambda: len(lines(live, "answer_given_up")) >= 2)
            whole = own.get(EXPORT)
            assert whole.text.count("\n") == ROWS + 1
        got = rest_of(first)
    assert not got.endswith(b"0\r\n\r\n")
    assert len(got) < len(whole.content) / 2
    told = {line["request_id"]: line["status"] for line in lines(live, "request")}
    wait_for(lambda: {"unread-1", "unread-2"} <= {line["request_id"] for line in lines(live, "request")})
    told = {line["request_id"]: line["status"] for line in lines(live, "request")}
    assert (told["unread-1"], told["unread-2"]) == (499, 499)


def test_all_exports_together_are_bounded_and_so_is_their_memory(live: Live) -> None:
    with client(live) as admin:  # of an account only half of all may be under way
        tokens = [admin.post("/v1/credentials", json={"scope": "admin", "name": "x"}).json()["token"] for _ in range(4)]
    before = live.memory_mb()
    with ExitStack() as closing:
        asked = [closing.enter_context(ask(live, EXPORT, token)) for token in tokens for _ in range(2)]
        found = [begun(own) for own in asked]
        assert sorted(found) == [200] * 4 + [503] * 4
        time.sleep(1)
        assert live.memory_mb() - before < 400
        with client(live) as admin:
            assert admin.get("/readyz").status_code == 200
    with client(live) as admin:
        wait_for(lambda: "flowtally_exports_under_way 0.0" in admin.get("/metrics").text)


def test_a_reader_that_reads_however_slowly_is_served(live: Live) -> None:
    with client(live) as admin, admin.stream("GET", EXPORT) as answer:
        size = 0
        for number, piece in enumerate(answer.iter_raw(1 << 20)):
            size += len(piece)
            time.sleep(0.3 if number < 10 else 0)
    assert size > ROWS * 100


def test_a_large_answer_that_is_no_export_is_given_up_alike(live: Live, large: socket.socket) -> None:
    assert begun(large) == 200
    wait_for(lambda: [one for one in lines(live, "request") if one["request_id"] == "large"])
    got = rest_of(large)
    with client(live) as admin:
        whole = admin.get(LARGE)
    assert whole.status_code == 200
    assert len(got) < len(whole.content)
    assert [one["status"] for one in lines(live, "request") if one["request_id"] == "large"] == [499]


def test_receipts_nobody_reads_keep_their_sender_from_more_and_nobody_else(tmp_path: Path) -> None:
    """A few bytes ask for receipts of 13 MB: they count as the bodies of their account until they were read."""
    settings = {"FLOWTALLY_SEND_IDLE_S": str(IDLE_S), "FLOWTALLY_MAX_WAITING_BYTES": str(20 * 2**20)}
    with live_server(tmp_path / "data", settings) as served, client(served) as admin:
        tokens = []
        for account in ("acme", "other"):
            admin.post("/v1/accounts", json={"id": account}).raise_for_status()
            made = admin.post(f"/v1/accounts/{account}/credentials", json={"scope": "ingest", "name": "x"})
            tokens.append(made.json()["token"])
        packed = gzip.compress(b"[" + b",".join([b"{}"] * 100_000) + b"]")
        kinds = {"Content-Type": "application/cloudevents-batch+json", "Content-Encoding": "gzip"}
        head = [f"Authorization: Bearer {tokens[0]}", *(f"{name}: {value}" for name, value in kinds.items())]
        with socket.socket() as unread, client(served, tokens[0]) as own, client(served, tokens[1]) as other:
            unread.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            unread.settimeout(60)
            unread.connect(served.place)
            lines = ["POST /v1/events HTTP/1.1", "Host: x", *head, f"Content-Length: {len(packed)}", "", ""]
            unread.sendall("\r\n".join(lines).encode() + packed)
            assert begun(unread) == 200
            refused = own.post("/v1/events", json=[EVENT])
            assert (refused.status_code, refused.json()["code"]) == (503, "queue_full")
            assert other.post("/v1/events", json=[EVENT]).status_code == 200
            wait_for(lambda: own.post("/v1/events", json=[EVENT]).status_code == 200)  # it was given up
