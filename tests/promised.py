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

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally.vendors import VENDORS
from flowtally.vendors.describing import describe_dialects
from flowtally.web.openapi import describe
from flowtally.web.operation import OPERATIONS

JSON: Final = ("application/json", "application/problem+json")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


@lru_cache
def document() -> dict[str, Any]:
    return describe_dialects(list(VENDORS), describe(OPERATIONS))


@lru_cache
def paths() -> list[tuple[re.Pattern[str], str]]:
    """Of each path what it looks like; the one with the fewest parameters first."""
    known = sorted(document()["paths"], key=lambda path: path.count("{"))
    return [(re.compile("[^/]+".join(map(re.escape, re.split(r"\{\w+\}", path)))), path) for path in known]


@cache
def validator(path: str, method: str, status: str, kind: str) -> jsonschema_rs.Draft202012Validator | None:
    described = document()["paths"][path].get(method, {})
    answer = described.get("responses", {}).get(status, {})
    if "$ref" in answer:
        answer = document()["components"]["responses"][answer["$ref"].rpartition("/")[2]]
    schema = answer.get("content", {}).get(kind, {}).get("schema")
    if schema is None:
        return None
    whole = {"$schema": DIALECT, **schema, "components": {"schemas": document()["components"]["schemas"]}}
    return jsonschema_rs.Draft202012Validator(whole, validate_formats=True)


def check(response: httpx.Response) -> None:
    """AssertionError where the answer is not of the shape that is documented for its route and status."""
    kind = response.headers.get("content-type", "").partition(";")[0]
    asked = response.request.url.raw_path.partition(b"?")[0].decode("ascii")
    path = next((path for looks, path in paths() if looks.fullmatch(asked)), None)
    if kind not in JSON or path is None or response.request.method == "HEAD":
        return
    found = validator(path, response.request.method.lower(), str(response.status_code), kind)
    if found is None:
        return
    said = response.json() if response.read() else None
    faults = [f"{'.'.join(map(str, fault.instance_path))}: {fault.message}" for fault in found.iter_errors(said)]
    assert not faults, f"{response.request.method} {path} {response.status_code} is not as documented: {faults}"
