"""Dialects in the OpenAPI document: grouped by vendor, with their own parameters, envelopes, examples and errors."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from types import UnionType
from typing import Any, get_args

import msgspec

from flowtally.core.media import FORM, JSON
from flowtally.core.rights import scopes_with
from flowtally.vendors.base import Dialect, Fault, Route
from flowtally.vendors.reading import MULTIPART
from flowtally.web.openapi import paragraphs, query_parameter
from flowtally.web.schemas import REF, Document, formatted, make_schemas


def describe_dialects(dialects: Sequence[Dialect], document: Document) -> Document:
    """The document with these dialects in it."""
    made = dict(document)
    made["tags"] = document["tags"] + [{"name": one.title, "description": one.description} for one in dialects]
    made["paths"] = dict(document["paths"])
    components = {name: dict(part) for name, part in document["components"].items()}
    for one in dialects:
        schemas, named = _schemas(one)
        components["schemas"] |= named
        schemes = [one.security, *(route.manner.security for route in one.routes if route.manner is not None)]
        for name, scheme in (pair for each in schemes for pair in each.items()):
            components["securitySchemes"][name] = dict(scheme)
        for route in one.routes:
            path = made["paths"].setdefault(route.path, {})
            path[route.method.lower()] = _route(one, route, schemas)
    made["components"] = components
    return made


def _schemas(dialect: Dialect) -> tuple[dict[Any, Document], dict[str, Document]]:
    """Schemas of what its routes take and answer. Names are the vendor's own: two vendors may call a thing the same.
    What an answer is in its envelope has the name of the answer and `Answer`."""
    answers = [*(route.answer for route in dialect.routes), *dialect.refusals]
    bodies = [route.takes for route in dialect.routes if route.method != "GET"]
    schemas, components = make_schemas(answers, bodies, prefix=dialect.title)
    for route in dialect.routes:
        name, enveloped = _enveloped(dialect, route), dict(dialect.envelope(schemas[route.answer]))
        if enveloped != schemas[route.answer]:
            told = f"What {dialect.title} answers to `{route.summary}`, as a success or not."
            components[name] = {"title": name, "description": told, **formatted(enveloped)}
    return schemas, components


def _enveloped(dialect: Dialect, route: Route) -> str:
    """The name of the answer in its envelope; of what is the one or the other, by a setting, the first one's."""
    kind = get_args(route.answer)[0] if isinstance(route.answer, UnionType) else route.answer
    [item] = get_args(kind) or [None]
    named = kind.__name__ if item is None else f"{item.__name__}List"
    return f"{dialect.title}{named}Answer"


def _answer_schema(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    bare = schemas[route.answer]
    return bare if dict(dialect.envelope(bare)) == bare else {"$ref": REF.format(name=_enveloped(dialect, route))}


def _route(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    scopes = ", ".join(f"`{scope}`" for scope in scopes_with(route.may) if scope != "admin")
    open_to = route.manner is not None and route.manner.by_address
    needed = f"For a credential of an account, with the right `{route.may}` (scopes {scopes})"
    needed += "; or from an address on the account's whitelist." if open_to else "."
    described: Document = {
        "operationId": f"{dialect.name}_{route.work.__name__}",
        "tags": [dialect.title],
        "summary": route.summary,
        "description": f"{paragraphs(route.work.__doc__)}\n\n{needed}",
        "parameters": _parameters(route) if route.method == "GET" else [],
        "responses": _responses(dialect, route, schemas),
        "security": [{name: [] for name in (route.manner or dialect).security}, *([{}] if open_to else [])],
    }
    if route.method != "GET":
        described["requestBody"] = _body(dialect, route, schemas)
    return described


def _body(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    """The form that the vendor's own clients send, so that a generated client has one body to send; the others are told
    beside it."""
    content: Document = {"schema": schemas[route.takes]}
    if route.takes_example:
        content["example"] = _taken(route)
    others = {kind: content for kind in (FORM, MULTIPART, JSON) if kind != dialect.form}
    return {"required": True, "content": {dialect.form: content}, "x-other-content": others}


def _parameters(route: Route) -> list[Document]:
    made, example = [], _taken(route)
    for field in msgspec.structs.fields(route.takes):
        parameter = query_parameter(field)
        if field.encode_name in example:
            parameter["example"] = example[field.encode_name]
        made.append(parameter)
    return made


def _taken(route: Route) -> Document:
    """The example of its parameters, which are text on the wire, as what they are read as."""
    if not route.takes_example:
        return {}
    read = msgspec.to_builtins(msgspec.convert(dict(route.takes_example), route.takes, strict=False))
    return {name: read[name] for name in route.takes_example}


def _responses(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    """By status; of vendors that answer 200 to everything, an answer of 200 may be a refusal as well."""
    by_status: dict[int, list[Fault]] = defaultdict(list)
    speaks = route.manner or dialect
    for fault in speaks.faults:
        by_status[fault.reply.status].append(fault)
    shown = _examples(by_status.pop(200, []))
    if route.example is not None:
        shown = {"answer": {"value": msgspec.json.decode(speaks.succeed(route.example).content)}, **shown}
    content: Document = {"schema": _answer_schema(dialect, route, schemas), "examples": shown}
    others = {kind: {"schema": {"type": "string"}} for kind in route.also}
    made: Document = {"200": {"description": "The answer", "content": {JSON: content, **others}}}
    for status, faults in sorted(by_status.items()):
        told = "; ".join(fault.when for fault in faults)
        content = {"schema": _any_of(dialect, faults, schemas), "examples": _examples(faults)}
        made[str(status)] = {"description": told, "content": {JSON: content}}
    return made


def _examples(faults: Sequence[Fault]) -> Document:
    return {fault.when: {"summary": fault.when, "value": _value(fault)} for fault in faults}


def _any_of(dialect: Dialect, faults: Sequence[Fault], schemas: dict[Any, Document]) -> Document:
    """The schemas of these errors, each once."""
    found: list[Document] = []
    for fault in faults:
        if (schema := schemas[_refusal(dialect, fault)]) not in found:
            found.append(schema)
    return found[0] if len(found) == 1 else {"anyOf": found}


def _refusal(dialect: Dialect, fault: Fault) -> type[msgspec.Struct]:
    """Which of the dialect's refusals the error is: the first that it can be read as."""
    for one in dialect.refusals:
        with suppress(msgspec.ValidationError):
            msgspec.convert(_value(fault), one)
            return one
    raise AssertionError(f"{dialect.title} says nowhere in `refusals` what this looks like: {_value(fault)}")


def _value(fault: Fault) -> Any:
    return msgspec.json.decode(fault.reply.content)
