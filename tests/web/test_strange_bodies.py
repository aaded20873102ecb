"""Bodies that no program means to send: every route refuses them as the caller's fault, none as ours."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from typing import Any

import pytest
import structlog
import zstandard
from tests.conftest import Client
from tests.filling import Filled
from tests.vendors.asking import PLACES, issue
from tests.vendors.tongues import ROUTES, assert_refused

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.client import calls
from flowtally.core.errors import FlowtallyError
from flowtally.ingest.decode import MEDIA_TYPES, decode
from flowtally.ingest.decompress import decompress
from flowtally.protocol import WhitelistRequest
from flowtally.vendors.base import Dialect, Route
from flowtally.web.operation import OPERATIONS, Operation

DEEP = 100_000
STRANGE: dict[str, bytes] = {
    "deep arrays": b"[" * DEEP,
    "deep and closed": b"[" * DEEP + b"]" * DEEP,
    "deep objects": b'{"a":' * DEEP + b"1" + b"}" * DEEP,
    "deep in a member": b'{"id":' + b"[" * 20_000 + b"]" * 20_000 + b"}",
    "a number of many digits": b'{"id":' + b"9" * 10_000 + b"}",
    "a number too large to be one": b'{"amount":1e999999}',
    "half a surrogate pair": b'{"id":"\\ud800"}',
    "no UTF-8": b'{"id":"\xff\xfe"}',
    "NUL": b'{"id":"a\\u0000b"}',
    "only NULs": b"\x00" * 100,
    "a BOM": b"\xef\xbb\xbf{}",
    "an array": b"[]",
    "a number": b"17",
    "nothing but space": b" \n ",
    "cut off": b'{"id":"a',
    "two values": b"{}{}",
}
KINDS = [*MEDIA_TYPES, "application/json; charset=utf-16", "text/plain", ";;;", "multipart/form-data", "\x7f"]


@pytest.mark.parametrize("name", STRANGE)
def test_no_route_takes_a_strange_body_for_a_fault_of_its_own(shared: Filled, name: str) -> None:
    with structlog.testing.capture_logs() as logged:
        for op in OPERATIONS:
            if op.method != "GET":
                answer = ask(shared.client, op, STRANGE[name])
                assert answer.status_code < 500, (op.method, op.path, answer.text)
    assert not [line for line in logged if "exc_info" in line]


def ask(client: Client, op: Operation, body: bytes) -> Any:
    path = op.path.replace("{account}", "acme").replace("{", "").replace("}", "")
    return client.request(op.method, path, content=body, headers={"Content-Type": "application/json"})


@pytest.mark.parametrize("kind", [*MEDIA_TYPES])
@pytest.mark.parametrize("encoding", [None, "gzip", "zstd"])
@pytest.mark.parametrize("name", STRANGE)
def test_the_door_for_events_reads_a_strange_body_or_says_why_not(kind: str, encoding: str | None, name: str) -> None:
    body = STRANGE[name]
    packed = {"gzip": gzip.compress(body), "zstd": zstandard.compress(body), None: body}[encoding]
    for sent in (packed, packed[: len(packed) // 2], packed + b"rest", b"rest" + packed):
        refused = refusal(lambda sent=sent: decode(decompress(sent, encoding), kind))  # type: ignore[misc]
        assert refused is None or (400 <= refused.status < 500 and len(refused.detail) < 1000)


def refusal(read: Callable[[], object]) -> FlowtallyError | None:
    try:
        read()
    except FlowtallyError as error:
        return error
    return None


FORMS = [
    ("application/x-www-form-urlencoded", b"a=%ff"),
    ("application/x-www-form-urlencoded", b"&".join(b"a%d=1" % one for one in range(1000))),
    ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\na\r\n--x--"),
    ("multipart/form-data; boundary=x", b'--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n\xff\r\n--x--'),
    ("multipart/form-data", b"--x--"),
    ('multipart/form-data; boundary="', b"--x--"),
    ("multipart/form-data; boundary=" + "x" * 5000, b"--x--"),
    *(("application/json", body) for body in STRANGE.values()),
    *((kind, b"{}") for kind in KINDS if kind != "\x7f"),
]


@pytest.mark.parametrize(
    ("dialect", "route"), [one for one in ROUTES if one[1].method != "GET"], ids=lambda one: getattr(one, "path", "")
)
def test_no_dialect_takes_a_strange_form_for_a_fault_of_its_own(shared: Filled, dialect: Dialect, route: Route) -> None:
    query, headers = PLACES[dialect.name](issue(shared.client, "acme", "manage"))
    with structlog.testing.capture_logs() as logged:
        for kind, body in FORMS:
            answer = shared.client.request(
                route.method, route.path, headers={**headers, "Content-Type": kind}, params=query, content=body
            )
            if "code" not in answer.json() or answer.json()["code"] not in (0, 200):
                assert_refused(dialect, answer)
    assert not [line for line in logged if "exc_info" in line]


PACKED: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress}


@pytest.mark.parametrize("encoding", PACKED)
def test_any_body_may_be_compressed_as_our_client_sends_a_long_one(client: Client, acme: str, encoding: str) -> None:
    def put(body: bytes, kind: str = encoding) -> Any:
        headers = {"Content-Type": "application/json", "Content-Encoding": kind}
        return client.put("/v1/accounts/acme/whitelist/mobile", content=body, headers=headers)

    call = calls.replace_whitelist("acme", "mobile", WhitelistRequest([f"192.0.2.{n}" for n in range(99)]))
    assert call.headers["Content-Encoding"] == "zstd"
    assert client.request(call.method, call.path, content=call.content, headers=call.headers).status_code == 200
    packed = PACKED[encoding](b'{"addresses":["198.51.100.1"]}')
    assert [one["address"] for one in put(packed).json()["items"]] == ["198.51.100.1"]
    assert put(packed[:-9]).status_code == 400
    assert put(packed, "br").status_code == 415
    assert put(PACKED[encoding](b" " * 100_000)).status_code == 413
