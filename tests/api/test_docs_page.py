"""`/docs` shows the whole contract to people, and loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
from collections.abc import Mapping
from functools import cache
from html.parser import HTMLParser
from typing import Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import Client, Clock

from flowtally.api.reference import codes
from flowtally.api.reference.curl import BESIDE, TOKEN, URL, curl
from flowtally.api.reference.html import Html, prose, sentence, tag
from flowtally.api.reference.page import render
from flowtally.api.reference.schemas import kind, limits, members
from flowtally.api.reference.serving import takes_gzip
from flowtally.core import errors
from flowtally.core.advice import advice_of
from flowtally.vendors import VENDORS

VOID: Final = {"meta", "link", "br"}
LOADING: Final = {"script", "img", "iframe", "object", "embed", "link", "video", "audio", "source", "base", "form"}


class Read(HTMLParser):
    """A page as it is nested: raises where elements are not closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.tags: set[str] = set()
        self.examples: list[str] = []
        self.text: list[str] = []
        self.styles = 0
        self.feed(text)
        self.close()
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        assert len(given) == len(attrs), attrs
        assert "style" not in given
        assert not any(name.startswith("on") for name in given)
        assert "src" not in given
        self.tags.add(tag)
        if "id" in given:
            self.ids.append(str(given["id"]))
        if tag == "a":
            self.links.append(str(given["href"]))
        if tag == "pre":
            self.examples.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)
        if "pre" in self.open:
            self.examples[-1] += data


@pytest.fixture
def document(client: Client) -> dict[str, Any]:
    return dict(client.get("/schema/openapi.json").json())


@pytest.fixture
def page(client: Client) -> Read:
    del client.headers["authorization"]  # open to all
    answer = client.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.text.startswith("<!doctype html>\n<html lang=")
    return read(answer.text)


@cache
def read(text: str) -> Read:
    """The page is long, and the same for each test."""
    return Read(text)


def test_every_operation_schema_tag_and_error_is_on_the_page(page: Read, document: dict[str, Any]) -> None:
    operations = [op for methods in document["paths"].values() for op in methods.values()]
    wanted = {f"op-{op['operationId']}" for op in operations}
    wanted |= {f"schema-{name}" for name in document["components"]["schemas"]}
    wanted |= {f"tag-{op['tags'][0].replace(' ', '-')}" for op in operations}
    wanted |= {f"error-{kind.code}" for kind in every(errors.FlowtallyError)}
    assert wanted <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    shown = "".join(page.text)
    for path, methods in document["paths"].items():
        assert path in shown
        for op in methods.values():
            assert op["summary"] in shown
            for parameter in op["parameters"]:
                assert parameter["name"] in shown


def every(kind: type[errors.FlowtallyError]) -> list[type[errors.FlowtallyError]]:
    below = [one for one in kind.__subclasses__() if one.__module__ == errors.__name__]
    return [kind, *(found for one in below for found in every(one))]


def test_every_link_leads_somewhere_on_the_page(page: Read) -> None:
    assert {link for link in page.links if link[1:] not in page.ids} == {"schema/openapi.json"}
    assert f"#error-{errors.SequenceGap.code}" in page.links
    assert (
        page.links.count("#op-create_account_credential") > 2
    )  # in the list, at its heading, and where it is spoken of


def test_groups_are_called_as_people_say_them(page: Read) -> None:
    """A group is shown by its tag, which is the name of a module."""
    contents = page.text[: page.text.index("Schemas")]
    assert {"RADIUS", "check-ins"} <= set(contents)
    assert not [name for name in contents if "_" in name]


def test_nothing_is_loaded_and_a_browser_may_load_nothing(client: Client, page: Read) -> None:
    assert not page.tags & LOADING
    answer = client.get("/docs")
    [style] = re.findall(r"<style>(.*?)</style>", answer.text, re.DOTALL)
    assert "@import" not in style
    assert "url(" not in style
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy == {
        "default-src": "'none'",
        "style-src": f"'sha256-{digest}'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
    }
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["x-frame-options"] == "DENY"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "public, max-age=300"
    assert client.get("/").headers["cache-control"] == "no-store"  # all others as ever


def test_it_is_sent_once_to_who_keeps_it_and_packed_to_who_unpacks(client: Client) -> None:
    plain = client.get("/docs", headers={"Accept-Encoding": "identity"})
    packed = client.get("/docs", headers={"Accept-Encoding": "br, gzip;q=0.5"})
    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert packed.text == plain.text
    assert len(plain.content) > 4 * int(packed.headers["content-length"])
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert plain.headers["etag"] != packed.headers["etag"]
    known = plain.headers["etag"]
    for said, status in ((known, 304), (f'"other", W/{known}', 304), ("*", 304), ('"other"', 200), ("", 200)):
        asked = {"If-None-Match": said, "Accept-Encoding": "identity"}
        again = client.get("/docs", headers=asked)
        assert (again.status_code, bool(again.content)) == (status, status == 200)
        assert again.headers["etag"] == known
    head = client.head("/docs", headers={"Accept-Encoding": "identity"})
    assert (head.status_code, head.content, head.headers["etag"]) == (200, b"", known)
    assert client.options("/docs").headers["allow"] == "GET, HEAD, OPTIONS"
    assert client.post("/docs").status_code == 405


@pytest.mark.parametrize(
    ("accepted", "takes"),
    [
        *(("gzip", True), ("GZIP", True), ("x-gzip", True), ("br, gzip;q=0.1", True), ("gzip;q=1.0, *", True)),
        *(("", False), ("identity", False), ("br", False), ("gzip;q=0", False), ("gzip; q=0.0", False)),
    ],
)
def test_what_is_said_to_be_accepted(accepted: str, takes: bool) -> None:
    assert takes_gzip(accepted) == takes


def test_every_line_of_curl_is_understood_as_it_stands(
    client: Client, page: Read, document: dict[str, Any], admin_token: str, clock: Clock
) -> None:
    """Whoever pastes it, also years from now, is never told that the request itself is wrong. An account and a user are
    there; the rest need not be."""
    clock.at += 4 * 365 * 86_400_000
    as_admin = {"Authorization": f"Bearer {admin_token}"}
    client.post("/v1/accounts", json={"id": "acme"}, headers=as_admin)
    client.post("/v1/accounts/acme/users", json={"name": "alice", "funded": True}, headers=as_admin)
    lines = [one for one in page.examples if one.startswith("curl")]
    assert len(lines) == sum(map(len, document["paths"].values()))
    for shown in lines:
        answer = run(client, shown, {"token": admin_token})
        problem = answer.json() if answer.headers["content-type"] == "application/problem+json" else {}
        assert answer.status_code < 500 or problem.get("code") == "unavailable", (shown, answer.text)
        if "/v1/radius/accounting" in shown:
            continue  # whose session it is: its server's configuration says that
        assert problem.get("code") not in ("bad_request", "malformed_body", "unprocessable", "unsupported_media"), (
            shown,
            answer.text,
        )


def test_every_line_of_curl_of_a_dialect_shows_secrets_that_it_takes(
    client: Client, page: Read, document: dict[str, Any], admin_token: str
) -> None:
    """With what the page says that the variables are: members of the answer that made a credential of an account."""
    as_admin = {"Authorization": f"Bearer {admin_token}"}
    client.post("/v1/accounts", json={"id": "acme"}, headers=as_admin)
    made = client.post("/v1/accounts/acme/credentials", json={"scope": "manage"}, headers=as_admin).json()
    paths = [route.path for dialect in VENDORS for route in dialect.routes]
    lines = [one for one in page.examples if one.startswith("curl") and any(f"{URL}{path}" in one for path in paths)]
    assert len(lines) == len(paths)
    for shown in lines:
        answer = run(client, shown, made)
        refused = {10014, 10047, 60401, 401, 403}  # Thordata's, IPFoxy's, BytesFlows' and Whitepages'
        assert {answer.status_code, answer.json().get("code")}.isdisjoint(refused), (shown, answer.text)


def run(client: Client, shown: str, secrets: Mapping[str, str]) -> Any:
    """What such a line asks."""
    stands = {variable: secrets.get(held, "") for held, variable in {"token": TOKEN, **BESIDE}.items()}
    words = shlex.split(shown.replace("\\\n", " "))
    assert words[:2] == ["curl", "-sS"]
    method, headers, body, form, address = "", {}, None, {}, ""
    rest = iter(words[2:])
    for word in rest:
        if word == "-X":
            method = next(rest)
        elif word == "-H":
            name, _, value = next(rest).partition(": ")
            headers[name] = re.sub(r"\$\w+", lambda found: stands[found[0]], value)
        elif word == "--data-binary":
            body = next(rest).encode()
        elif word == "--data-urlencode":
            name, _, value = next(rest).partition("=")
            form[name] = value
        else:
            assert word.startswith(URL)
            address = word.removeprefix(URL)
    method = method or ("POST" if body is not None or form else "GET")
    return client.request(method, address, headers=headers, content=body, data=form or None)


# -- The parts, on values of their own ------------------------------------------------------------------------------


@given(st.text(max_size=60))
def test_whatever_is_said_stands_on_the_page_as_text(text: str) -> None:
    for made in (tag("p", text, title=text), prose(text), sentence(text), tag("td", text)):
        seen = Read(str(made))
        assert seen.tags <= {"p", "td", "ul", "li", "code", "strong"}
    assert Read(str(tag("p", text))).text == ([text.replace("\r", "\n")] if text else []) or "\r" in text


def test_prose_is_a_little_markdown() -> None:
    links = {"conflict": "#error-conflict"}
    assert prose("One\n  line `a<b`.\n\nIt is **so**:\n* `conflict` is\n  known\n- b", links) == (
        "<p>One line <code>a&lt;b</code>.</p><p>It is <strong>so</strong>:</p><ul>"
        '<li><a href="#error-conflict"><code>conflict</code></a> is known</li><li>b</li></ul>'
    )
    assert tag("td", Html("<b>x</b>"), "<") == "<td><b>x</b>&lt;</td>"


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer", "format": "int64"}, "integer (int64)"),
        ({"type": ["string", "null"], "format": "date-time"}, "string (date-time) or null"),
        ({"anyOf": [{"type": "null"}, {"type": "string"}]}, "string or null"),
        ({"anyOf": [{"$ref": "#/x/A"}, {"type": "array", "items": {"$ref": "#/x/A"}}]}, "A or list of A"),
        ({"enum": ["a", None]}, "a | null"),
        ({"const": 1}, "1"),
        ({"type": "object", "additionalProperties": {"type": "integer"}}, "object of integer by name"),
        ({"type": "object"}, "object"),
        ({}, "anything"),
    ],
)
def test_a_schema_in_words(schema: dict[str, Any], words: str) -> None:
    assert "".join(Read(str(kind(schema, {}))).text) == words


def test_limits_are_said_and_what_is_not_known_is_not_lost() -> None:
    schema: dict[str, Any] = {
        "anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "string", "minLength": 1}]
    }
    schema |= {"x-new": {"a": 1}}
    said = ["".join(Read(str(one)).text) for one in limits(schema)]
    assert said == ['x-new {"a":1}', "1 to 9", "at least 1 character"]


def test_members_of_objects_that_are_written_out_are_found() -> None:
    inner = {"type": "array", "items": {"type": "object", "properties": {"day": {"type": "string"}}}}
    schema = {"type": "object", "properties": {"data": {"properties": {"list": inner}}}, "required": ["data"]}
    found = [(one.name, one.required) for one in members(schema)]
    assert found == [("data", True), ("data.list", False), ("data.list[].day", False)]


def test_a_document_that_refers_to_shared_answers_and_says_other_bodies_is_shown() -> None:
    operation = {
        "operationId": "do",
        "tags": ["x"],
        "summary": "Do",
        "parameters": [{"name": "thing", "in": "path", "required": True, "schema": {"type": "string"}}],
        "requestBody": {
            "content": {"application/json": {"schema": {"type": "object"}, "example": {"a": "it's"}}},
            "x-other-content": {"application/x-ndjson": {"schema": {"type": "string"}, "example": "{}\n"}},
        },
        "responses": {"200": {"description": "It"}, "409": {"$ref": "#/components/responses/No"}},
        "security": [{"bearer": []}],
    }
    problem: Any = {"application/problem+json": {"examples": {"conflict": {"value": {}}}}}
    document = {
        "info": {"title": "t", "version": "1"},
        "paths": {"/x/{thing}": {"put": operation}},
        "components": {
            "securitySchemes": {"bearer": {"type": "http", "scheme": "bearer"}},
            "responses": {"No": {"description": "no", "content": problem}},
        },
    }
    seen = Read(render(document))
    assert "#error-conflict" in seen.links
    assert "application/x-ndjson" in seen.text
    schemes = document["components"]["securitySchemes"]  # type: ignore[index]
    shown = curl("PUT", "/x/{thing}", operation, schemes)
    assert shlex.split(shown)[:4] == ["curl", "-sS", "-X", "PUT"]
    assert shown.splitlines()[1:] == [
        f'  "{URL}/x/THING" \\',
        "  -H 'Content-Type: application/json' \\",
        """  --data-binary '{"a":"it'"'"'s"}'""",
    ]


def test_what_may_be_repeated_is_shown_as_often_as_its_example() -> None:
    several = {"name": "account", "in": "query", "required": True, "example": ["a b", "c"]}
    assert curl("GET", "/x", {"parameters": [several]}, {}).endswith('"$FLOWTALLY_URL/x?account=a%20b&account=c"')


def test_codes_are_told_in_the_order_of_their_tree() -> None:
    depths = {kind.code: depth for depth, kind in codes.tree()}
    assert (depths["conflict"], depths["sequence_gap"], depths["not_yet"]) == (0, 1, 2)
    assert all(advice_of(kind).meaning for _, kind in codes.tree())
    assert advice_of(errors.EventConflict).meaning.startswith("The id or number is that of")


def test_the_page_is_the_document_alone(client: Client, document: dict[str, Any]) -> None:
    """So that it is the same for everybody, and may be kept."""
    assert client.get("/docs").text == render(document)
