"""Bodies that do not come, over real sockets: nobody's is waited for, and who is known must send."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.live import Live, live_server

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.vendors import VENDORS
from flowtally.web.bodies import UNKNOWN_BYTES, BodyPatience
from flowtally.web.operation import OPERATIONS

NATIVE = [(op.method, op.path) for op in OPERATIONS if op.may]
DIALECTS = [(route.method, route.path) for dialect in VENDORS for route in dialect.routes]
IDLE_S, LEAST = 4, 1000  # of the server that must be sent to


def connect(live: Live) -> socket.socket:
    return socket.create_connection(live.place, timeout=60)


def head(method: str, path: str, *headers: str, length: int = 100) -> bytes:
    path = re.sub(r"{[^}]*}", "x", path)
    return "\r\n".join([f"{method} {path} HTTP/1.1", "Host: x", f"Content-Length: {length}", *headers, "", ""]).encode()


def all_of(own: socket.socket) -> bytes:
    """What comes until the connection ends."""
    got = b""
    with suppress(ConnectionError):
        while chunk := own.recv(65_536):
            got += chunk
    return got


@pytest.fixture(scope="module")
def patient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A server that would wait for a body for longer than a test lasts."""
    with live_server(tmp_path_factory.mktemp("live") / "data", {"FLOWTALLY_BODY_IDLE_S": "3600"}) as served:
        yield served


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    settings = {"FLOWTALLY_BODY_IDLE_S": str(IDLE_S), "FLOWTALLY_BODY_MIN_BYTES_S": str(LEAST)}
    with live_server(tmp_path_factory.mktemp("live") / "data", settings) as served:
        yield served


@pytest.mark.parametrize("shown", [[], ["Authorization: Bearer wrong-token-0123456789", "token: wrong"]], ids=len)
def test_no_door_waits_for_the_body_of_somebody_unknown(patient: Live, shown: list[str]) -> None:
    with ExitStack() as closing:
        elsewhere = [("POST", "/nothing"), ("DELETE", "/v1/events"), ("DELETE", DIALECTS[0][1]), ("GET", "/healthz")]
        doors = NATIVE + DIALECTS + elsewhere
        asked = [(method, path, closing.enter_context(connect(patient))) for method, path in doors]
        for method, path, own in asked:
            own.sendall(head(method, path, *shown) + b"{")
        for method, path, own in asked:
            assert all_of(own).startswith(b"HTTP/1.1 "), (method, path)  # answered, and the connection ended


def test_bodies_of_one_credential_leave_places_for_the_others(patient: Live) -> None:
    """More than there are places, to a dialect, which asks for the rest of them only after the body."""
    headers = {"Authorization": f"Bearer {patient.token}"}
    with httpx.Client(base_url=patient.url, headers=headers, timeout=60) as admin:
        admin.post("/v1/accounts", json={"id": "greedy"}).raise_for_status()
        made = admin.post("/v1/accounts/greedy/credentials", json={"scope": "account", "name": "x"}).json()["token"]
        with ExitStack() as closing:
            asked = [closing.enter_context(connect(patient)) for _ in range(1100)]
            for one in asked:
                one.sendall(head("GET", "/api/cdk/list", f"token: {made}") + b"t")
            assert admin.get("/v1/accounts").status_code == 200


def test_bodies_of_callers_without_a_name_leave_places_for_the_others(patient: Live) -> None:
    """More than there are places, to a door that looks for a token in the body."""
    with ExitStack() as closing:
        asked = [closing.enter_context(connect(patient)) for _ in range(1100)]
        for one in asked:
            one.sendall(head("GET", "/api/cdk/list") + b"t")
        headers = {"Authorization": f"Bearer {patient.token}"}
        assert httpx.get(f"{patient.url}/v1/accounts", headers=headers, timeout=60).status_code == 200
        told = [all_of(one) for one in asked]
    assert sum(b'"code":503' in one for one in told) > 500  # most of them at once


def test_who_is_known_must_send_or_the_place_is_free_again(strict: Live) -> None:
    with connect(strict) as own:
        own.sendall(head("POST", "/v1/events", f"Authorization: Bearer {strict.token}", length=10_000))
        pieces = 0
        while not select.select([own], [], [], IDLE_S / 8)[0]:  # never still for as long as it may be
            own.sendall(b"[")
            pieces += 1
            assert pieces < 500
        assert all_of(own).startswith(b"HTTP/1.1 408 ")  # and the connection ended


def test_who_sends_steadily_is_heard_however_long_it_takes(strict: Live) -> None:
    def slowly() -> Iterator[bytes]:
        yield b"["
        for _ in range(8):
            yield b" " * 2 * LEAST
            time.sleep(IDLE_S / 4)
        yield b"]"

    headers = {"Authorization": f"Bearer {strict.token}", "Content-Type": "application/json"}
    assert httpx.post(f"{strict.url}/v1/events", content=slowly(), headers=headers, timeout=60).status_code == 200


def test_a_secret_in_the_body_is_looked_for_in_a_small_one_alone(strict: Live) -> None:
    with httpx.Client(base_url=strict.url, headers={"Authorization": f"Bearer {strict.token}"}, timeout=60) as client:
        client.post("/v1/accounts", json={"id": "acme"}).raise_for_status()
        made = client.post("/v1/accounts/acme/credentials", json={"scope": "account", "name": "x"}).json()["token"]

    def ask(pad: int, headers: dict[str, str], **form: str) -> int:
        url = f"{strict.url}/api/account/traffic-balance"
        answer = httpx.request("GET", url, headers=headers, data={**form, "pad": "x" * pad}, timeout=60)
        return int(answer.json()["code"])

    assert ask(10, {}, token=made) == 200
    assert ask(UNKNOWN_BYTES, {}, token=made) != 200
    assert ask(UNKNOWN_BYTES, {"token": made}) == 200


@given(
    st.integers(1, 100),
    st.integers(1, 1000),
    st.integers(1, 5000),
    st.lists(st.tuples(st.floats(0, 50), st.integers(1, 9999))),
)
def test_more_bytes_never_shorten_the_wait_and_none_outlasts_all_bounds(
    idle: int, total: int, least: int, pieces: list[tuple[float, int]]
) -> None:
    patience, now, size = BodyPatience(idle, total, least), 0.0, 0
    for wait, piece in pieces:
        before = patience.until(0.0, size, now)
        now, size = now + wait, size + piece
        assert patience.until(0.0, size, now) >= before
        assert patience.until(0.0, size, now) <= min(now + idle, total, idle + size / least)
