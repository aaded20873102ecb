"""A request as a line of curl that can be pasted: the examples of the document, the address and secrets from variables.
Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import quote

from flowtally.api.reference.schemas import compact, pretty
from flowtally.core.media import FORM

URL: Final = "$FLOWTALLY_URL"
TOKEN: Final = "$FLOWTALLY_TOKEN"  # noqa: S105  its variable
# What else of a credential some dialects ask for, by the name it has in the answer that makes the credential.
BESIDE: Final = {"key": "$FLOWTALLY_KEY", "id": "$FLOWTALLY_KEY_ID"}
LONG: Final = 100  # characters of a body that stands on several lines
NAMES: Final = {
    "account": "acme",
    "user": "alice",
    "pool": "traffic",
    "product": "residential",
    "address": "203.0.113.7",
}


def curl(method: str, path: str, operation: Mapping[str, Any], security: Mapping[str, Any]) -> str:
    """`security` are the document's schemes by name."""
    body = _body(operation)
    said = "" if method == "GET" or (method == "POST" and body) else f" -X {method}"
    head = " ".join([f"curl -sS{said}", *_headers(operation, security)])
    return " \\\n  ".join([head, f'"{URL}{_path(path, operation)}"', *body])


def _headers(operation: Mapping[str, Any], security: Mapping[str, Any]) -> Iterator[str]:
    """What says who asks."""
    for name in next(iter(operation.get("security") or [{}])):
        scheme = security[name]
        if scheme["type"] == "http":
            yield f'-H "Authorization: {scheme["scheme"].title()} {TOKEN}"'
        elif scheme["in"] == "header":
            yield f'-H "{scheme["name"]}: {BESIDE.get(scheme.get("x-holds", ""), TOKEN)}"'


def _path(path: str, operation: Mapping[str, Any]) -> str:
    """Filled with examples; of the query what must be there."""
    given = {one["name"]: _example(one) for one in operation.get("parameters", ()) if one["in"] == "path"}
    filled = re.sub(r"\{(\w+)\}", lambda found: quote(given.get(found[1]) or found[1].upper(), safe=""), path)
    asked = [one for one in operation.get("parameters", ()) if one["in"] == "query" and one.get("required")]
    query = "&".join(f"{one['name']}={quote(value, safe=':,/')}" for one in asked for value in _values(one))
    return f"{filled}?{query}" if query else filled


def _values(parameter: Mapping[str, Any]) -> list[str]:
    """What stands for a parameter of the query; several times where it may be repeated."""
    repeated = parameter.get("example")
    if isinstance(repeated, list):
        return [one if isinstance(one, str) else compact(one) for one in repeated]
    return [_example(parameter) or parameter["name"].upper()]


def _example(parameter: Mapping[str, Any]) -> str | None:
    schema = parameter.get("schema", {})
    for known in (parameter.get("example"), *schema.get("examples", ()), schema.get("example"), schema.get("default")):
        if known is not None:
            return known if isinstance(known, str) else compact(known)
    return NAMES.get(parameter["name"]) or next((str(one) for one in schema.get("enum", ())), None)


def _body(operation: Mapping[str, Any]) -> list[str]:
    """How it is said; nothing where there is none."""
    content = operation.get("requestBody", {}).get("content", {})
    if not content:
        return []
    kind, said = next(iter(content.items()))
    example = example_of(said)
    if kind == FORM:
        return [f"--data-urlencode {shlex.quote(f'{name}={_text(one)}')}" for name, one in (example or {}).items()]
    text = example if isinstance(example, str) else compact(example if example is not None else {})
    if len(text) > LONG:
        text = pretty(example)
    return [f"-H 'Content-Type: {kind}'", f"--data-binary {shlex.quote(text)}"]


def _text(value: Any) -> str:
    return value if isinstance(value, str) else compact(value)


def example_of(said: Mapping[str, Any]) -> Any:
    """The first example of a media type; None where it has none."""
    if "example" in said:
        return said["example"]
    return next((one.get("value") for one in said.get("examples", {}).values()), None)
