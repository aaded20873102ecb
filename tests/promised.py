"""What the OpenAPI document promises of an answer, looked at for every answer that the tests get from the application.

So each test of a route is one of the document too: a member that is missing, null where it may not be, or a word that
is not in its enum fails there.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import Any, Final

import httpx
import jsonschema_rs
import msgspec

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.vendors import VENDORS
from flowtally.vendors.describing import describe_dialects
from flowtally.web.openapi import describe
from flowtally.web.operation import OPERATIONS

JSON: Final = ("application/json", "application/problem+json")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"
WHOLE: Final = "urn:flowtally:document"


@lru_cache
def document() -> dict[str, Any]:
    return describe_dialects(list(VENDORS), describe(OPERATIONS))


@lru_cache
def paths() -> list[tuple[re.Pattern[str], str]]:
    """Of each path what it looks like; the one with the fewest parameters first."""
    known = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", path)))), path) for path in known]


@lru_cache(10_000)
def path_of(asked: bytes) -> str | None:
    """As the document writes it; None where it has no such path."""
    text = asked.decode("ascii")
    return next((path for looks, path in paths() if looks.fullmatch(text)), None)


@lru_cache
def registry() -> jsonschema_rs.Registry:
    return jsonschema_rs.Registry([(WHOLE, {"components": {"schemas": document()["components"]["schemas"]}})])


def compiled(schema: dict[str, Any]) -> jsonschema_rs.Draft202012Validator:
    """Of a schema of the document. The named ones that it leads to are looked up: with a copy of all of them in each
    validator, compiling took a hundred times as long."""
    leading = msgspec.json.encode(schema).replace(b'"#/', f'"{WHOLE}#/'.encode())
    whole = {"$schema": DIALECT, **msgspec.json.decode(leading)}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True, registry=registry())


@cache
def validator(path: str, method: str, status: str, kind: str) -> jsonschema_rs.Draft202012Validator | None:
    described = document()["paths"][path].get(method, {})
    answer = described.get("responses", {}).get(status, {})
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer.get("content", {}).get(kind, {}).get("schema")
    return None if schema is None else compiled(schema)


def check(response: httpx.Response) -> None:
    """AssertionError where the answer is not of the shape that is documented for its route and status."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    if kind not in JSON or response.request.method == "HEAD":
        return
    path = path_of(response.request.url.raw_path.partition(b"?")[0])
    if path is None:
        return
    found = validator(path, response.request.method.lower(), str(response.status_code), kind)
    if found is None:
        return
    said = response.json() if response.read() else None
    faults = [f"{'.'.join(map(str, fault.instance_path))}: {fault.message}" for fault in found.iter_errors(said)]
    assert not faults, f"{response.request.method} {path} {response.status_code} is not as documented: {faults}"
