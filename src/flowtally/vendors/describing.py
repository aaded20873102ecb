"""Dialects in the OpenAPI document: grouped by vendor, with their own parameters, envelopes, examples and errors."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from flowtally.api.openapi import REF, Document, query_parameter
from flowtally.rights import scopes_with
from flowtally.vendors.base import Dialect, Fault, Route
from flowtally.vendors.reading import FORM, JSON, MULTIPART

NAMES: Final = {str: "string", int: "integer", bool: "boolean", type(None): "null"}  # of what errors are made of


def describe_dialects(dialects: Sequence[Dialect], document: Document) -> Document:
    """The document with these dialects in it."""
    made = dict(document)
    made["tags"] = document["tags"] + [{"name": one.title, "description": one.description} for one in dialects]
    made["paths"] = dict(document["paths"])
    components = {name: dict(part) for name, part in document["components"].items()}
    for one in dialects:
        schemas, named = _schemas(one)
        components["schemas"] |= named
        components["securitySchemes"] |= {name: dict(scheme) for name, scheme in one.security.items()}
        for route in one.routes:
            path = made["paths"].setdefault(route.path, {})
            path[route.method.lower()] = _route(one, route, schemas)
    made["components"] = components
    return made


def _schemas(dialect: Dialect) -> tuple[dict[Any, Document], dict[str, Document]]:
    """Schemas of what its routes take and answer. Names are the vendor's own: two vendors may call a thing the same."""
    types = list(dict.fromkeys(kind for route in dialect.routes for kind in (route.answer, route.takes)))
    found, named = msgspec.json.schema_components(types, ref_template=REF.format(name=dialect.title + "{name}"))
    components = {f"{dialect.title}{name}": _with_numbers(schema) for name, schema in named.items()}
    return dict(zip(types, map(_with_numbers, found), strict=True)), components


def _with_numbers(schema: Any) -> Any:
    """A Decimal is printed as a number, always: law 4 is about numbers, and what is text on the wire is a `str`."""
    if isinstance(schema, dict):
        if schema.get("format") == "decimal":
            return {"type": "number"} | {name: one for name, one in schema.items() if name not in ("type", "format")}
        return {name: _with_numbers(one) for name, one in schema.items()}
    return [_with_numbers(one) for one in schema] if isinstance(schema, list) else schema


def _route(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    scopes = ", ".join(f"`{scope}`" for scope in scopes_with(route.may) if scope != "admin")
    text = re.sub(r"(?<!\n)\n\s+(?!\n)", " ", (route.work.__doc__ or "").strip())
    described: Document = {
        "operationId": f"{dialect.name}_{route.work.__name__}",
        "tags": [dialect.title],
        "summary": route.summary,
        "description": f"{text}\n\nFor a credential of an account, with the right `{route.may}` (scopes {scopes}).",
        "parameters": _parameters(route) if route.method == "GET" else [],
        "responses": _responses(dialect, route, schemas),
        "security": [{name: [] for name in dialect.security}],
    }
    if route.method != "GET":
        content: Document = {"schema": schemas[route.takes]}
        if route.takes_example:
            content["example"] = dict(route.takes_example)
        described["requestBody"] = {"required": True, "content": dict.fromkeys((FORM, MULTIPART, JSON), content)}
    return described


def _parameters(route: Route) -> list[Document]:
    made = []
    for field in msgspec.structs.fields(route.takes):
        parameter = query_parameter(field)
        if field.encode_name in route.takes_example:
            parameter["example"] = route.takes_example[field.encode_name]
        made.append(parameter)
    return made


def _responses(dialect: Dialect, route: Route, schemas: dict[Any, Document]) -> Document:
    """By status; of vendors that answer 200 to everything, an answer of 200 may be a refusal as well."""
    by_status: dict[int, list[Fault]] = defaultdict(list)
    for fault in dialect.faults:
        by_status[fault.reply.status].append(fault)
    refused = by_status.pop(200, [])
    shown = _examples(refused)
    if route.example is not None:
        shown = {"answer": {"value": msgspec.json.decode(dialect.succeed(route.example).content)}, **shown}
    content: Document = {"schema": _any_of([dict(dialect.envelope(schemas[route.answer])), *_shapes(refused)])}
    made: Document = {"200": {"description": "The answer", "content": {JSON: content | {"examples": shown}}}}
    for status, faults in sorted(by_status.items()):
        told = "; ".join(fault.when for fault in faults)
        content = {"schema": _any_of(_shapes(faults)), "examples": _examples(faults)}
        made[str(status)] = {"description": told, "content": {JSON: content}}
    return made


def _examples(faults: Sequence[Fault]) -> Document:
    return {fault.when: {"summary": fault.when, "value": _value(fault)} for fault in faults}


def _shapes(faults: Sequence[Fault]) -> list[Document]:
    """The JSON schemas of these errors, which look like their examples; each once."""
    found: list[Document] = []
    for fault in faults:
        if (shape := _shape(_value(fault))) not in found:
            found.append(shape)
    return found


def _shape(value: Any) -> Document:
    if not isinstance(value, dict):
        return {"type": NAMES[type(value)]}
    if not value:
        return {"type": "object", "maxProperties": 0}
    members = {name: _shape(one) for name, one in value.items()}
    return {"type": "object", "properties": members, "required": list(members)}


def _any_of(schemas: list[Document]) -> Document:
    return schemas[0] if len(schemas) == 1 else {"anyOf": schemas}


def _value(fault: Fault) -> Any:
    return msgspec.json.decode(fault.reply.content)
