"""What a browser is told about pages of other origins: nothing by default; where origins are named, on every answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Client
from tests.filling import Filled, Filling, fill_two

from flowtally.config import load_config
from flowtally.core.errors import ConfigError
from flowtally.vendors import VENDORS
from flowtally.web.cors import EXPOSED, answered, preflight
from flowtally.web.operation import OPERATIONS

PAGE = "https://app.example.com"
OTHER = "https://other.example.com"
ROUTES = [(one.method, one.path) for one in OPERATIONS]
ROUTES += [(route.method, route.path) for dialect in VENDORS for route in dialect.routes]
PATHS = sorted({path for _, path in ROUTES} | {"/no/such/path"})
ASKS = {
    "Origin": PAGE,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "authorization,content-type,idempotency-key",
}


def cors(headers: object) -> dict[str, str]:
    return {name: value for name, value in dict(headers).items() if name.startswith("access-control-")}  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def allowing(filling: Filling) -> Iterator[Client]:
    with filling(cors_origins=f"{PAGE}, http://localhost:5173") as filled:
        fill_two(filled)
        yield filled.client


@pytest.mark.parametrize("path", ["/v1/accounts", "/no/such/path", "/api/account/traffic-balance"])
def test_by_default_no_page_of_another_origin_reads_anything(shared: Filled, path: str) -> None:
    for answer in (shared.client.get(path, headers={"Origin": PAGE}), shared.client.options(path, headers=ASKS)):
        assert not cors(answer.headers)
        assert "origin" not in answer.headers.get("vary", "").lower()


@pytest.mark.parametrize("path", PATHS)
def test_a_browser_may_ask_beforehand_at_every_path(allowing: Client, path: str) -> None:
    answer = allowing.options(path, headers=ASKS)
    assert (answer.status_code, answer.content) == (204, b"")
    told = cors(answer.headers)
    assert told["access-control-allow-origin"] == PAGE
    assert {"GET", "POST", "PUT", "PATCH", "DELETE"} <= set(told["access-control-allow-methods"].split(", "))
    assert told["access-control-allow-headers"] == ASKS["Access-Control-Request-Headers"]
    assert "access-control-allow-credentials" not in told
    assert "x-request-id" in answer.headers


@pytest.mark.parametrize("path", PATHS)
def test_every_answer_can_be_read_by_the_page_errors_too(allowing: Client, path: str) -> None:
    for headers in ({}, {"Authorization": "Bearer nobody"}, {"X-Pad": "a" * 40_000}):
        answer = allowing.get(path.replace("{", "").replace("}", ""), headers={"Origin": PAGE, **headers})
        assert cors(answer.headers)["access-control-allow-origin"] == PAGE, answer.status_code
        assert cors(answer.headers)["access-control-expose-headers"] == EXPOSED
        assert "Origin" in answer.headers["vary"]


def test_an_origin_that_is_not_named_is_told_nothing(allowing: Client) -> None:
    for origin in (OTHER, "null", PAGE + ".evil.com", "http://app.example.com", PAGE.upper(), PAGE + ":443"):
        answer = allowing.get("/v1/accounts", headers={"Origin": origin})
        assert (answer.status_code, cors(answer.headers)) == (200, {})  # its token is right: others are no browsers
        assert answer.headers["vary"] == "Origin"  # a cache must not show it to others, or theirs to it
        assert not cors(allowing.options("/v1/accounts", headers={**ASKS, "Origin": origin}).headers)


def test_an_ordinary_options_is_answered_as_before(allowing: Client) -> None:
    answer = allowing.options("/v1/accounts", headers={"Origin": PAGE})
    assert answer.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert cors(answer.headers)["access-control-allow-origin"] == PAGE


def test_a_star_stands_for_all(make_client: Callable[..., Client]) -> None:
    anybody = make_client(cors_origins="*")
    answer = anybody.get("/v1/accounts", headers={"Origin": OTHER})
    assert cors(answer.headers)["access-control-allow-origin"] == "*"
    assert cors(anybody.options("/v1/accounts", headers={**ASKS, "Origin": OTHER}).headers)


def test_the_headers_that_answers_have_can_be_read(allowing: Client) -> None:
    """Those that the contract names, and those of every answer."""
    document = allowing.get("/schema/openapi.json").json()
    named = {
        name.lower()
        for path in document["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict)
        for answer in operation.get("responses", {}).values()
        for name in answer.get("headers", {})
    }
    assert named <= {name.strip().lower() for name in EXPOSED.split(",")} | {"content-type", "content-length"}


@given(st.lists(st.tuples(st.binary(max_size=30), st.binary(max_size=60)), max_size=6), st.binary(max_size=60))
def test_whatever_is_sent_nothing_else_comes_back_than_what_was_allowed(
    sent: list[tuple[bytes, bytes]], origin: bytes
) -> None:
    origins = frozenset({PAGE})
    headers = [(name.lower(), value) for name, value in sent if name.lower() != b"origin"] + [(b"origin", origin)]
    allowed = origin == PAGE.encode()
    assert (b"access-control-allow-origin" in dict(answered(headers, origins))) == allowed
    assert preflight(headers, frozenset()) is None
    told = preflight([*headers, (b"access-control-request-method", b"GET")], origins)
    assert (told is not None) == allowed
    assert not any(b"\r" in value or b"\n" in value for _, value in [*(told or ()), *answered(headers, origins)])


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("https://app.example.com/", "without a path"),
        ("https://app.example.com/app", "without a path"),
        ("app.example.com", "scheme://host"),
        ("https://App.example.com", "lower case"),
        ("https://*.example.com", "scheme://host"),
        ("null", "scheme://host"),
        ("https://app.example.com:443", "leave it out"),
        ("http://localhost:80", "leave it out"),
        ("https://app.example.com:99999", "no such port"),
        ("*, https://app.example.com", "alone"),
    ],
)
def test_what_no_browser_calls_a_page_is_refused_at_the_start(text: str, why: str) -> None:
    with pytest.raises(ConfigError, match="cors_origins") as raised:
        load_config({"FLOWTALLY_CORS_ORIGINS": text})
    assert why in str(raised.value)


@pytest.mark.parametrize("text", ["http://localhost:5173", "https://[::1]:8443", "chrome-extension://abcdef", "*", ""])
def test_what_browsers_call_pages_is_taken(text: str) -> None:
    assert load_config({"FLOWTALLY_CORS_ORIGINS": f" {text} ,"}).origins == (frozenset({text}) if text else frozenset())
