"""What generators of clients need of the document holds for every operation and message, those that are still to come
too. Each failure says what to do."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

import httpx
import pytest
from tests import promised
from tests.conftest import Client

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.vendors import VENDORS
from flowtally.web.openapi import TAGS

VERBS: Final = (
    *("list", "read", "check", "create", "change", "rename", "delete", "erase", "put", "replace", "remove", "add"),
    *("send", "give", "void", "map", "hand", "find", "rotate", "revoke", "confirm", "redeem", "retire", "adjust"),
    *("return", "explain", "export", "close", "start", "retry", "drop", "allocate", "update"),
    *("request", "take", "answer", "bind", "unbind", "buy", "renew", "upgrade", "release", "import", "restart"),
    *("extract", "save", "edit"),
)
INSTANT: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d")
OF_INSTANTS: Final = re.compile(r".*_at|at|instant|earliest|latest|since|until|carry_from|.*_since|.*_before")
NO_INSTANTS: Final = frozenset({"epoch"})  # the name of a counter's beginning, often an instant
SINCE_OR_TOKEN: Final = frozenset({"read_changes since"})  # a cursor, or an instant
DESCRIBE: Final = (
    "say what it is, with its unit: in a line `name: Sentence.` of the docstring of its struct, or in a "
    "`Meta(description=...)`; a name that means the same everywhere is described once in protocol/meanings.py"
)

Document = dict[str, Any]


@pytest.fixture(scope="module")
def document() -> Document:
    return promised.document()


def walk(part: Any, place: str = "") -> Iterator[tuple[str, Document]]:
    """Every object of the document that may be a schema, and where it stands; no examples."""
    if isinstance(part, dict):
        yield place, part
        for name, one in part.items():
            if name not in ("example", "examples"):
                yield from walk(one, f"{place}/{name}")
    elif isinstance(part, list):
        for number, one in enumerate(part):
            yield from walk(one, f"{place}/{number}")


def operations(document: Document) -> Iterator[tuple[str, Document]]:
    for path, methods in document["paths"].items():
        for method, described in methods.items():
            yield f"{method.upper()} {path}", described


def members(document: Document) -> Iterator[tuple[str, str, Document]]:
    """Every member of every object: where, its name, its schema."""
    for place, one in walk(document):
        if isinstance(one.get("properties"), dict) and not place.endswith("/properties"):
            for name, member in one["properties"].items():
                yield f"{place.removeprefix('/components/schemas/')}.{name}", name, member


def options(schema: Document) -> list[Document]:
    return [one for one in schema.get("anyOf", [schema]) if one != {"type": "null"}]


def resolved(document: Document, part: Document) -> Document:
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def test_every_member_of_every_message_is_described(document: Document) -> None:
    silent = [place for place, _, member in members(document) if not member.get("description")]
    assert not silent, f"{silent}: {DESCRIBE}"


def test_every_parameter_is_described_and_typed(document: Document) -> None:
    for named, described in operations(document):
        for one in described["parameters"]:
            assert one["description"].endswith("."), f"{named} {one['name']}: a sentence"
            assert any("type" in option for option in options(one["schema"])), f"{named} {one['name']}: a type"
            if one["schema"].get("type") == "array":
                assert (one["style"], one["explode"]) == ("form", True), f"{named} {one['name']}"


def test_every_schema_says_what_it_is_and_is_called_what_it_is_named(document: Document) -> None:
    schemas = document["components"]["schemas"]
    assert {name: schema.get("title") for name, schema in schemas.items()} == {name: name for name in schemas}
    silent = [name for name, schema in schemas.items() if not schema.get("description")]
    assert not silent, f"{silent}: give the struct a docstring"
    assert all(re.fullmatch(r"[A-Z][A-Za-z0-9]+", name) for name in schemas)


def test_every_whole_number_is_int64(document: Document) -> None:
    assert not [place for place, one in walk(document) if one.get("type") == "integer" and one.get("format") != "int64"]


def test_every_instant_is_a_date_time(document: Document) -> None:
    wrong = [
        place
        for place, name, member in members(document)
        if OF_INSTANTS.fullmatch(name) and "/paths/" not in place
        for option in options(member)
        if option.get("type") == "string" and option.get("format") not in ("date-time", "date")
    ]
    asked = [
        f"{described['operationId']} {one['name']}"
        for _, described in operations(document)
        for one in described["parameters"]
        if OF_INSTANTS.fullmatch(one["name"])
        for option in options(one["schema"])
        if option.get("format") not in ("date-time", "date")
    ]
    told = "its type is `flowtally.core.edges.Instant` (`Date`, `DateOrInstant`), not `str`"
    assert not [*wrong, *(one for one in asked if one not in SINCE_OR_TOKEN)], told


def test_what_looks_like_an_instant_in_an_example_is_a_date_time(document: Document) -> None:
    """So that an instant whose name does not tell is found by what it holds."""
    for named, described in operations(document):
        if described["tags"][0] not in TAGS:
            continue  # vendors have their own forms of instants
        for status, answer in described["responses"].items():
            for media in resolved(document, answer).get("content", {}).values():
                if "example" in media:
                    _as_declared(document, media["schema"], media["example"], f"{named} {status}")


def _as_declared(document: Document, schema: Document, value: Any, place: str) -> None:
    kinds = [resolved(document, one) for one in options(resolved(document, schema))]
    if isinstance(value, dict):
        for name, one in value.items():
            if name in NO_INSTANTS:
                continue
            known = [kind["properties"][name] for kind in kinds if name in kind.get("properties", {})]
            known += [
                kind["additionalProperties"] for kind in kinds if isinstance(kind.get("additionalProperties"), dict)
            ]
            for member in known[:1]:
                _as_declared(document, member, one, f"{place}.{name}")
    elif isinstance(value, list):
        for one in value:
            _as_declared(document, kinds[0].get("items", {}), one, f"{place}[]")
    elif isinstance(value, str) and INSTANT.match(value):
        formats = {kind.get("format") for kind in kinds}
        assert formats & {"date-time", None} != {None}, (
            f"{place}: its type is `flowtally.core.edges.Instant`, not `str`"
        )


def test_every_enum_has_a_type_and_no_null(document: Document) -> None:
    for place, one in walk(document):
        if "enum" in one and not place.endswith("/properties"):
            assert one["type"] in ("string", "integer"), place
            assert None not in one["enum"], place


def test_every_object_says_what_members_it_may_have(document: Document) -> None:
    """Else some generators make a type of it that has none, and a compiler refuses to look at what is there."""
    silent = [
        place
        for place, one in walk(document)
        if one.get("type") == "object" and not place.endswith("/properties")
        if not {"properties", "additionalProperties", "maxProperties"} & set(one)
    ]
    assert not silent, silent
    assert document["components"]["schemas"]["Problem"]["additionalProperties"] is True


def test_operation_ids_are_unique_and_of_one_style(document: Document) -> None:
    """`verb_noun`, of dialects after the vendor's name. They are the names of a generated client's functions."""
    ids = [described["operationId"] for _, described in operations(document)]
    assert not [one for one, count in Counter(ids).items() if count > 1]
    vendors = "|".join(dialect.name for dialect in VENDORS)
    style = re.compile(rf"(?:(?:{vendors})_)?(?:{'|'.join(VERBS)})(?:_[a-z0-9]+)+")
    odd = [one for one in ids if not style.fullmatch(one)]
    assert not odd, f"{odd}: name the function that does it by a verb of VERBS and what it is about"


def test_a_body_is_of_one_media_type_so_that_a_generated_client_need_not_guess(document: Document) -> None:
    for named, described in operations(document):
        if "requestBody" in described:
            assert len(described["requestBody"]["content"]) == 1, named
            assert described["requestBody"]["required"], named


def test_pages_and_problems_are_named_components(document: Document) -> None:
    for named, described in operations(document):
        for status, answer in described["responses"].items():
            for kind, media in resolved(document, answer).get("content", {}).items():
                told = f"{named} {status} {kind}"
                assert "properties" not in media["schema"], f"{told}: an object without a name"
                if kind == "application/problem+json":
                    assert media["schema"] == {"$ref": "#/components/schemas/Problem"}, told


def test_it_says_when_to_ask_again(document: Document) -> None:
    for named, described in operations(document):
        for status in {"429", "503"} & set(described["responses"]):
            answer = resolved(document, described["responses"][status])
            assert "application/json" in answer["content"] or "Retry-After" in answer["headers"], f"{named} {status}"


def test_every_tag_is_described(document: Document) -> None:
    known = {tag["name"] for tag in document["tags"] if tag["description"]}
    used = {tag for _, described in operations(document) for tag in described["tags"]}
    assert used <= known, "describe the tag (the name of the module) in TAGS of web/openapi.py"


def test_it_says_where_it_is_served(document: Document) -> None:
    assert document["servers"][0]["url"] == "/"


def test_every_example_is_valid_against_its_schema(document: Document) -> None:
    for place, schema, example in examples(document):
        faults = [fault.message for fault in promised.compiled(schema).iter_errors(example)]
        assert not faults, (place, faults)


def examples(document: Document) -> Iterator[tuple[str, Document, Any]]:
    """Every example: where, the schema it is of, and its value."""
    for place, one in walk(document):
        told = one.get("examples")
        if isinstance(told, list):
            yield from ((place, one, value) for value in told)
        elif isinstance(told, dict) and "schema" in one:
            yield from ((place, one["schema"], named["value"]) for named in told.values())
        if "example" in one and "schema" in one:
            yield place, one["schema"], one["example"]


def test_what_a_server_serves_is_this_document(client: Client, document: Document) -> None:
    assert client.get("/schema/openapi.json").json() == document


@pytest.mark.parametrize("said", ['{"status": "fine"}', "{}", '{"status": null}', '["ok"]'])
def test_an_answer_of_another_shape_is_found_wherever_it_is_asked_for(said: str) -> None:
    """What `tests.promised` does for every answer of every test with the fixture `client`."""
    asked = httpx.Request("GET", "http://testserver/healthz")
    kind = {"content-type": "application/json"}
    promised.check(httpx.Response(200, headers=kind, content='{"status": "ok"}', request=asked))
    with pytest.raises(AssertionError, match="not as documented"):
        promised.check(httpx.Response(200, headers=kind, content=said, request=asked))
