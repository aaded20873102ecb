"""The frame under all dialects: reading requests, throttle, settings, methods, the document. Laws over every route of
every vendor are in `test_every_route`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.conftest import Client
from tests.filling import Filled

from flowtally.config import load_config
from flowtally.core.errors import BadRequest, ConfigError, MalformedBody, Unauthenticated, UnsupportedMedia
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Asked, Dialect, Rate
from flowtally.vendors.reading import read_form, read_query, values_of
from flowtally.web.capacity.throttle import Throttle

every_vendor = pytest.mark.parametrize("dialect", VENDORS, ids=lambda dialect: dialect.name)
SHAPES = {dialect.name: dialect.settings for dialect in VENDORS}
PART = b'--x\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'


@pytest.mark.parametrize(
    ("body", "kind", "form"),
    [
        (b"", "", {}),
        (b"a=1&b=x+y&a=2", "application/x-www-form-urlencoded; charset=utf-8", {"a": "1", "b": "x y"}),
        (b"a=%C3%BC", "", {"a": "ü"}),
        (b'{"a": 1, "b": "x", "c": true, "d": null, "e": [1]}', "application/json", {"a": 1, "b": "x", "c": True}),
        (
            PART % (b"a", b"1") + PART % (b"b", b"") + b"--x--\r\n",
            "multipart/form-data; boundary=x",
            {"a": "1", "b": ""},
        ),
    ],
)
def test_a_body_is_read_however_it_is_sent(body: bytes, kind: str, form: dict[str, Any]) -> None:
    pairs, unread = read_form(body, kind)
    assert (values_of(pairs), unread) == (form, None)


@pytest.mark.parametrize(
    ("body", "kind", "error"),
    [
        (b"[1]", "application/json", MalformedBody),
        (b'{"a"', "application/json", MalformedBody),
        (b"a=%ff", "application/x-www-form-urlencoded", MalformedBody),
        (b"a=%00", "application/x-www-form-urlencoded", MalformedBody),
        (b"--x\r\nnothing", "multipart/form-data; boundary=x", MalformedBody),
        (PART % (b"a", b"1"), "multipart/form-data", MalformedBody),
        (PART % (b"a", b"1\x00") + b"--x--\r\n", "multipart/form-data; boundary=x", MalformedBody),
        (b"<a/>", "application/xml", UnsupportedMedia),
    ],
)
def test_a_body_that_cannot_be_read_says_so(body: bytes, kind: str, error: type[Exception]) -> None:
    assert isinstance(read_form(body, kind)[1], error)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"a=1&b=%ff&c=2", "application/x-www-form-urlencoded"),
        (b"a=1&b=\xff&c=2", "application/x-www-form-urlencoded"),
        (b"a=1&b=%00&c=2", "application/x-www-form-urlencoded"),
        (b"a=1&b%1b=3&c=2", "application/x-www-form-urlencoded"),
        (b'{"a": "1", "b": "\xff", "c": "2"}', "application/json"),
        (b'{"a": "1", "b": "\\ud800", "c": "2"}', "application/json"),
        (b'{"a": "1", "b": "\\u0000", "c": "2"}', "application/json"),
        (
            PART % (b"a", b"1") + PART % (b"b", b"\xff") + PART % (b"c", b"2") + b"--x--\r\n",
            "multipart/form-data; boundary=x",
        ),
    ],
)
def test_what_stands_beside_a_parameter_that_cannot_be_read_is_read(body: bytes, kind: str) -> None:
    pairs, unread = read_form(body, kind)
    assert (values_of(pairs), type(unread)) == ({"a": "1", "c": "2"}, MalformedBody)
    if kind == "application/x-www-form-urlencoded":
        pairs, unread = read_query(body)
        assert (values_of(pairs), type(unread)) == ({"a": "1", "c": "2"}, BadRequest)


def test_of_a_parameter_given_twice_the_first_counts_that_is_not_empty() -> None:
    assert values_of([("a", ""), ("a", "1"), ("a", "2"), ("b", "")]) == {"a": "1", "b": ""}


def test_what_the_body_says_wins_over_the_query_and_cookies_are_read() -> None:
    asked = Asked("POST", "/", {"a": "1", "b": "2"}, {"cookie": "token=abc; other=d"}, {"a": "3"})
    assert asked.values() == {"a": "3", "b": "2"}
    assert (asked.cookie("token"), asked.cookie("none")) == ("abc", None)


def test_an_empty_parameter_says_nothing_where_it_may_be_left_out() -> None:
    asked = Asked("POST", "/", {"a": "1", "b": "", "c": ""}, {}, {"a": "", "c": "3", "d": ""})
    assert asked.values(frozenset("abcd")) == {"a": "1", "c": "3"}
    assert asked.values(frozenset("abc")) == {"a": "1", "c": "3", "d": ""}


@pytest.mark.parametrize(
    "header", ['prefs={"a": 1}; token=abc', "dark mode; token=abc; x", 'ü=1;token="abc"', "path=/; token=abc"]
)
def test_a_cookie_is_found_whatever_stands_beside_it(header: str) -> None:
    assert Asked("GET", "/", {}, {"cookie": header}, {}).cookie("token") == "abc"


def test_of_two_cookies_that_differ_neither_is_taken() -> None:
    assert Asked("GET", "/", {}, {"cookie": "token=a; token=a"}, {}).cookie("token") == "a"
    with pytest.raises(Unauthenticated, match="not the same"):
        Asked("GET", "/", {}, {"cookie": "token=a; x=1; token=b"}, {}).cookie("token")


def test_a_throttle_lets_so_many_in_per_window_and_counts_only_those() -> None:
    throttle = Throttle(Rate(2, 1000))
    assert [throttle.wait_ms("a", at) for at in (0, 10, 20, 30)] == [0, 0, 980, 970]
    assert throttle.wait_ms("b", 30) == 0
    assert [throttle.wait_ms("a", at) for at in (999, 1000, 1001, 1010)] == [1, 0, 9, 0]


@every_vendor
def test_settings_of_a_dialect_come_from_the_environment_and_are_checked(dialect: Dialect, tmp_path: Any) -> None:
    variable = f"FLOWTALLY_{dialect.name.upper()}_ENABLED"
    config = load_config({variable: "false"}, SHAPES, data=str(tmp_path))
    assert config.vendors[dialect.name].enabled is False
    with pytest.raises(ConfigError, match=variable):
        load_config({variable: "maybe"}, SHAPES, data=str(tmp_path))
    with pytest.raises(ConfigError, match="is not a setting"):
        load_config({f"FLOWTALLY_{dialect.name.upper()}_NO_SUCH": "1"}, SHAPES, data=str(tmp_path))


@every_vendor
def test_a_method_that_is_not_served_answers_in_the_vendors_words(shared: Filled, dialect: Dialect) -> None:
    for path in {route.path for route in dialect.routes}:
        answer = shared.client.request("PATCH", path)
        assert answer.headers["allow"]
        assert "detail" not in answer.json()


PROBLEM = "application/problem+json"
METHODS = ("GET", "POST", "PUT", "DELETE", "PATCH")


def shown(answer: Any) -> tuple[int, str, bytes]:
    return answer.status_code, answer.headers["content-type"].partition(";")[0], answer.content


@every_vendor
def test_what_is_not_served_of_a_vendor_is_answered_as_its_host_does(shared: Filled, dialect: Dialect) -> None:
    assert dialect.own_paths
    assert dialect.unserved is not None
    expected = (dialect.unserved.status, dialect.unserved.media_type, dialect.unserved.content)
    for beginning in dialect.own_paths:
        for path in ("nothing", "no/such/thing", "nothing/", "%00", "\u00fc", "x" * 2000):
            for method in METHODS:
                assert shown(shared.client.request(method, f"{beginning}{path}")) == expected, path


@pytest.mark.parametrize(
    ("path", "status", "told"),
    [
        ("/api/locations/nowhere", 404, "404 page not found"),
        ("/api/v1/user/profile", 404, '{"code":404,"msg":"not found","data":null}'),
        ("/ip/open-api/delete-sub-account", 404, '{"data":{},"code":10086,"msg":"Request error"}'),
        ("/v2/person", 403, '{"message":"Forbidden"}'),
        ("/v2/person/PABcd12345e", 403, '{"message":"Forbidden"}'),
    ],
)
def test_unserved_paths_in_each_vendors_words(shared: Filled, path: str, status: int, told: str) -> None:
    answer = shared.client.get(path)
    assert (answer.status_code, answer.text) == (status, told)


@pytest.mark.parametrize(
    "path", ["/nothing", "/v1/nothing", "/v1/account/acme", "/v1/personal", "/apiary", "/v2", "/ip"]
)
def test_what_is_nobodys_path_is_answered_as_ours(shared: Filled, path: str) -> None:
    answer = shared.client.get(path)
    assert (answer.status_code, answer.headers["content-type"], answer.json()["code"]) == (404, PROBLEM, "not_found")


def test_of_a_dialect_that_is_switched_off_no_path_is_known(make_client: Callable[..., Client]) -> None:
    off = {one.name: one.settings(enabled=False) for one in VENDORS}
    client = make_client(vendors=off)
    for beginning in (beginning for one in VENDORS for beginning in one.own_paths):
        assert client.get(f"{beginning}nothing").headers["content-type"] == PROBLEM
    client = make_client(vendors={**off, "thordata": SHAPES["thordata"]()})
    assert client.get("/api/nothing").text == "404 page not found"
    for path in ("/api/v1/nothing", "/ip/open-api/nothing"):
        assert client.get(path).headers["content-type"] == PROBLEM


@every_vendor
def test_every_route_is_described_with_its_vendor(shared: Filled, dialect: Dialect) -> None:
    document = shared.client.get("/schema/openapi.json").json()
    assert dialect.title in {tag["name"] for tag in document["tags"]}
    for route in dialect.routes:
        described = document["paths"][route.path][route.method.lower()]
        assert described["tags"] == [dialect.title]
        assert described["description"]
        shown = described["responses"]["200"]["content"]["application/json"]["examples"]["answer"]["value"]
        assert shown == msgspec.json.decode(dialect.succeed(route.example).content)
