"""One operation of the document: what it does, what it takes, a line of curl, what it answers. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec

from flowtally.api.reference.curl import curl, example_of
from flowtally.api.reference.html import NOTHING, Html, Links, code, join, prose, sentence, tag
from flowtally.api.reference.schemas import Schema, SchemaMember, compact, kind, members, name_of, pretty, table
from flowtally.core.media import PROBLEM

ERRORS: Final = 400


class Context(msgspec.Struct, frozen=True):
    """What an operation refers to."""

    components: Mapping[str, Any]
    links: Links

    @property
    def schemas(self) -> Mapping[str, Schema]:
        return self._named("schemas")

    @property
    def security(self) -> Mapping[str, Any]:
        return self._named("securitySchemes")

    def _named(self, what: str) -> Mapping[str, Any]:
        named: Mapping[str, Any] = self.components.get(what, {})
        return named

    def responses(self, operation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Its answers by status; what is referred to is looked up."""
        for status, answer in operation.get("responses", {}).items():
            if "$ref" in answer:
                yield status, self._named("responses")[name_of(answer["$ref"])]
            else:
                yield status, answer


def anchor(operation: Mapping[str, Any]) -> str:
    return f"op-{operation['operationId']}"


def badge(method: str) -> Html:
    return tag("span", method, class_=f"method {method.lower()}")


def line(method: str, path: str, operation: Mapping[str, Any]) -> Html:
    """It in a list of operations."""
    what = tag("a", badge(method), " ", tag("code", path), href=f"#{anchor(operation)}")
    return tag("li", what, tag("span", operation.get("summary", ""), class_="does"))


def section(method: str, path: str, operation: Mapping[str, Any], context: Context) -> Html:
    """All of it; its heading can be linked."""
    to_itself = tag("a", badge(method), " ", tag("code", path), href=f"#{anchor(operation)}", class_="self")
    parts = [
        tag("h3", to_itself),
        tag("p", tag("strong", operation.get("summary", ""))),
        prose(operation.get("description", ""), context.links),
        *_parameters(operation, context),
        *_body(operation, context),
        tag("h4", "Example"),
        tag("pre", tag("code", curl(method, path, operation, context.security))),
        *_answers(operation, context),
        *_errors(operation, context),
    ]
    return tag("section", *parts, id=anchor(operation), class_="operation")


def _parameters(operation: Mapping[str, Any], context: Context) -> Iterator[Html]:
    given = operation.get("parameters", ())
    for place in dict.fromkeys(one["in"] for one in given):
        lines = [_parameter(one) for one in given if one["in"] == place]
        yield tag("h4", "In the path" if place == "path" else f"In the {place}")
        yield table(lines, context.links)


def _parameter(parameter: Mapping[str, Any]) -> SchemaMember:
    schema = dict(parameter.get("schema", {}))
    for name in ("description", "example"):
        if name in parameter:
            schema[name] = parameter[name]
    return SchemaMember(parameter["name"], schema, bool(parameter.get("required")))


def _body(operation: Mapping[str, Any], context: Context) -> Iterator[Html]:
    """What it takes, as what; of the first one the example is in the line of curl."""
    body = operation.get("requestBody", {})
    content = {**body.get("content", {}), **body.get("x-other-content", {})}
    if not content:
        return
    yield tag("h4", "Body")
    if body.get("description"):
        yield prose(body["description"], context.links)
    yield tag("ul", *(_taken(said, kinds, context) for said, kinds in _alike(content)))
    for name in dict.fromkeys(name for said in content.values() for name in _named(said.get("schema", {}))):
        if name in context.schemas:
            lines = [*members(context.schemas[name])]
            yield tag("details", tag("summary", "Members of ", code(name)), table(lines, context.links))
    for schema in (said.get("schema", {}) for said, _ in _alike(content)):
        yield table([*members(schema)], context.links)
    for media_type, said in list(content.items())[1:]:
        example = example_of(said)
        if example is not None and example != example_of(next(iter(content.values()))):
            yield _shown(f"Example of {media_type}", example)


def _taken(said: Mapping[str, Any], kinds: list[str], context: Context) -> Html:
    return tag("li", join([code(one) for one in kinds], ", "), ": ", kind(said.get("schema", {}), context.links))


def _alike(content: Mapping[str, Any]) -> list[tuple[Mapping[str, Any], list[str]]]:
    """Media types with one schema, together."""
    found: list[tuple[Mapping[str, Any], list[str]]] = []
    for media_type, said in content.items():
        for known, kinds in found:
            if known.get("schema") == said.get("schema"):
                kinds.append(media_type)
                break
        else:
            found.append((said, [media_type]))
    return found


def _named(schema: Schema) -> Iterator[str]:
    """Schemas that it refers to."""
    if "$ref" in schema:
        yield name_of(schema["$ref"])
    for any_of in ("anyOf", "oneOf", "allOf"):
        for option in schema.get(any_of, ()):
            yield from _named(option)
    if isinstance(schema.get("items"), Mapping):
        yield from _named(schema["items"])


def _answers(operation: Mapping[str, Any], context: Context) -> Iterator[Html]:
    for status, answer in context.responses(operation):
        if not _is_error(status):
            yield tag("h4", _status(status))
            yield from _answer(answer, context)


def _answer(answer: Mapping[str, Any], context: Context) -> Iterator[Html]:
    content = answer.get("content", {})
    if not content and answer.get("description"):
        yield prose(answer["description"], context.links)
    if content:
        yield tag("ul", *(_taken(said, kinds, context) for said, kinds in _alike(content)))
    first = True
    for media_type, said in content.items():
        yield table([*members(said.get("schema", {}))], context.links) if first else NOTHING
        examples = said.get("examples", {})
        example = example_of(said)
        if example is not None:
            yield tag("pre", tag("code", pretty(example)), class_="answer") if first else _shown(media_type, example)
        if len(examples) > 1:
            yield _others(list(examples.items())[1:], f"Refusals that have this status, too ({len(examples) - 1})")
        first = False


def _errors(operation: Mapping[str, Any], context: Context) -> Iterator[Html]:
    """Ours by code, which leads to what it means; a vendor's as it says them."""
    ours: list[Html] = []
    for status, answer in context.responses(operation):
        if not _is_error(status):
            continue
        content: Mapping[str, Any] = next(iter(answer.get("content", {}).values()), {})
        examples = content.get("examples", {})
        if PROBLEM in answer.get("content", {}) and examples and all(one in context.links for one in examples):
            codes = join([code(one, context.links) for one in examples], " ")
            ours.append(tag("li", tag("span", status, class_="status"), " ", codes))
        else:
            said = tag("p", tag("span", status, class_="status"), " ", sentence(answer.get("description", "")))
            ours.append(tag("li", said, _others(list(examples.items()), "Examples") if examples else NOTHING))
    if ours:
        yield tag("h4", "Errors")
        yield tag("ul", *ours, class_="errors")


def _others(examples: list[tuple[str, Mapping[str, Any]]], title: str) -> Html:
    lines = [tag("li", one.get("summary", name), ": ", code(compact(one.get("value")))) for name, one in examples]
    return tag("details", tag("summary", title), tag("ul", *lines))


def _shown(title: str, example: Any) -> Html:
    return tag("details", tag("summary", title), tag("pre", tag("code", pretty(example))))


def _status(status: str) -> str:
    try:
        return f"Answer {status} {HTTPStatus(int(status)).phrase}"
    except ValueError:
        return f"Answer {status}"


def _is_error(status: str) -> bool:
    return not status.isdigit() or int(status) >= ERRORS
