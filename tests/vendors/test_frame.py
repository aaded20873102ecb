"""The frame under all dialects: reading requests, secrets, throttle, switches; over every vendor there is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from tests.conftest import Client, Clock
from tests.vendors.asking import issue

from flowtally.config import load_config
from flowtally.errors import ConfigError, MalformedBody, UnsupportedMedia
from flowtally.vendors import VENDORS
from flowtally.vendors.base import Asked, Dialect, Rate
from flowtally.vendors.reading import form_of
from flowtally.vendors.throttle import Throttle

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
    assert form_of(body, kind) == form


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
    with pytest.raises(error):
        form_of(body, kind)


def test_what_the_body_says_wins_over_the_query_and_cookies_are_read() -> None:
    asked = Asked("POST", "/", {"a": "1", "b": "2"}, {"cookie": "token=abc; other=d"}, {"a": "3"})
    assert asked.values == {"a": "3", "b": "2"}
    assert (asked.cookie("token"), asked.cookie("none")) == ("abc", None)


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
def test_a_dialect_that_is_switched_off_is_as_unknown_as_any_path(
    make_client: Callable[..., Client], dialect: Dialect
) -> None:
    client = make_client(vendors={dialect.name: dialect.settings(enabled=False)})
    for route in dialect.routes:
        answer = client.request(route.method, route.path)
        assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
        assert route.path not in client.get("/schema/openapi.json").json()["paths"]


@every_vendor
def test_a_method_that_is_not_served_answers_in_the_vendors_words(client: Client, dialect: Dialect) -> None:
    for path in {route.path for route in dialect.routes}:
        answer = client.request("PATCH", path)
        assert answer.headers["allow"]
        assert "detail" not in answer.json()


@every_vendor
def test_every_route_is_described_with_its_vendor(client: Client, dialect: Dialect) -> None:
    document = client.get("/schema/openapi.json").json()
    assert dialect.title in {tag["name"] for tag in document["tags"]}
    for route in dialect.routes:
        described = document["paths"][route.path][route.method.lower()]
        assert described["tags"] == [dialect.title]
        assert described["description"]
        shown = described["responses"]["200"]["content"]["application/json"]["examples"]["answer"]["value"]
        assert shown == msgspec.json.decode(dialect.succeed(route.example).content)


@every_vendor
def test_a_wrong_secret_an_admin_and_nobody_are_refused_alike_by_every_route(
    client: Client, acme: str, dialect: Dialect
) -> None:
    del client.headers["authorization"]
    mine = issue(client, "acme", "manage")
    for route in dialect.routes:
        good = mine.ask(client, dialect, route)
        wrong = [one.ask(client, dialect, route) for one in (mine.with_token("nobody"), issue(client, None, "admin"))]
        assert len({(answer.status_code, answer.json().get("code")) for answer in wrong}) == 1
        assert (wrong[0].status_code, wrong[0].json()) != (good.status_code, good.json())


@every_vendor
def test_a_credential_that_only_reads_writes_nothing(client: Client, acme: str, dialect: Dialect) -> None:
    reader, manager = issue(client, "acme", "account"), issue(client, "acme", "manage")
    for route in dialect.routes:
        if route.writes:
            refused, done = reader.ask(client, dialect, route), manager.ask(client, dialect, route)
            assert (refused.status_code, refused.json()) != (done.status_code, done.json())


@every_vendor
def test_a_fault_inside_breaks_no_envelope_and_shows_no_trace(client: Client, acme: str, dialect: Dialect) -> None:
    mine = issue(client, "acme", "manage")
    house = client.app.state.house

    def broken(*args: object, **kwargs: object) -> None:
        raise RuntimeError("a secret of the house")

    whole = house.ledger
    client.app.state.house = msgspec.structs.replace(
        house, ledger=type("Broken", (), {"read": broken, "begin": broken})()
    )
    try:
        for route in dialect.routes:
            house.doorkeeper.look_up(f"Bearer {mine.token}")
            answer = mine.ask(client, dialect, route)
            assert "secret" not in answer.text
            assert "Traceback" not in answer.text
            assert answer.headers["content-type"].startswith("application/json")
            assert answer.json() != {}
    finally:
        client.app.state.house = house
    assert house.ledger is whole


@every_vendor
def test_no_secret_reaches_the_log(
    client: Client, acme: str, dialect: Dialect, capsys: pytest.CaptureFixture[str], clock: Clock
) -> None:
    mine = issue(client, "acme", "manage")
    capsys.readouterr()
    for route in dialect.routes:
        mine.ask(client, dialect, route)
    said = capsys.readouterr()
    assert mine.token not in said.out + said.err
    assert mine.key not in said.out + said.err
