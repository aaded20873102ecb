"""What others rely on, as lines of text: routes with their parameters and members, codes of errors and receipts,
settings, metrics, rights, commands with their options, the agent's configuration, log formats, names of the client.
docs/stability.md promises it; tests/test_stability.py compares.

`python -m tests.surface` prints it, for `tests/fixtures/surface/` when a version is released.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, get_args

import msgspec
import typer.main

import flowtally.api.application  # noqa: F401  (declares the operations)
from flowtally import client
from flowtally.agents.follow.agent import KINDS
from flowtally.agents.formats import KNOWN
from flowtally.agents.watch import metrics
from flowtally.api.reference import codes
from flowtally.cli.app import app
from flowtally.cli.codes import EXIT_CODES
from flowtally.config import settings
from flowtally.core.rights import Right, scopes_with
from flowtally.protocol.receipt_codes import RECEIPT_CODES
from flowtally.vendors import VENDORS
from flowtally.web.metrics import listed
from flowtally.web.openapi import describe
from flowtally.web.operation import OPERATIONS

Document = dict[str, Any]


def surface() -> Iterator[str]:
    yield from _operations(describe(OPERATIONS))
    for dialect in VENDORS:
        yield from (f"dialect {dialect.name} {route.method} {route.path}" for route in dialect.routes)
        yield from (f"setting {one.variable}" for one in settings(dialect.settings, dialect.name))
    yield from (f"setting {one.variable}" for one in settings())
    yield from (f"code {error.code} {error.status}" for _, error in codes.tree())
    yield from (f"receipt {code}" for code in RECEIPT_CODES)
    for name, kind, labels, _ in listed():
        yield f"metric {name} {kind}"
        yield from (f"metric {name} has {label}" for label in filter(None, labels.split(", ")))
    yield from (f"metric {name}" for name, _, _ in metrics.listed())
    yield from (f"log format {name}" for name in KNOWN)
    for kind, input_kind in KINDS.items():
        yield from (f"agent [[{kind}]] {field.encode_name}" for field in msgspec.structs.fields(input_kind.entry))
    for right in get_args(Right):
        yield from (f"scope {scope} has {right}" for scope in scopes_with(right))
        yield f"right {right}"
    yield from _commands(typer.main.get_command(app), "flowtally")
    yield from (f"exit {code}" for code in EXIT_CODES)
    yield from (f"client {name}" for name in client.__all__)


def _operations(document: Document) -> Iterator[str]:
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            name = f"{method.upper()} {path}"
            yield f"operation {one['operationId']} {name}"
            for parameter in (_resolved(document, part) for part in one.get("parameters", ())):
                yield f"{name} takes {parameter['in']} {parameter['name']}"
            for media, content in one.get("requestBody", {}).get("content", {}).items():
                yield f"{name} takes {media}"
                yield from (f"{name} takes {member}" for member in _members(document, content.get("schema", {})))
            for status, answer in one["responses"].items():
                if status.startswith("2"):
                    for media, content in _resolved(document, answer).get("content", {}).items():
                        yield f"{name} answers {status} {media}"
                        schema = content.get("schema", {})
                        yield from (f"{name} answers {member}" for member in _members(document, schema))


def _resolved(document: Document, part: Document) -> Document:
    while "$ref" in part:
        found: Any = document
        for name in part["$ref"].removeprefix("#/").split("/"):
            found = found[name]
        part = found
    return part


def _members(document: Document, part: Document, above: str = "", depth: int = 0) -> Iterator[str]:
    """Every member of a message, with those below it as `above.member`. `*` is any name; lists are looked into."""
    schema = _resolved(document, part)
    if depth > 6:
        return
    for choice in ("anyOf", "oneOf", "allOf"):
        for one in schema.get(choice, ()):
            yield from _members(document, one, above, depth + 1)
    for name, below in schema.get("properties", {}).items():
        yield f"{above}{name}"
        yield from _members(document, below, f"{above}{name}.", depth + 1)
    if "items" in schema:
        yield from _members(document, schema["items"], above, depth + 1)
    if isinstance(schema.get("additionalProperties"), dict):
        yield from _members(document, schema["additionalProperties"], f"{above}*.", depth + 1)


def _commands(command: Any, name: str) -> Iterator[str]:
    below = getattr(command, "commands", {})
    if not below:
        yield f"command {name}"
    for one in command.params:
        options = (option for option in (*one.opts, *one.secondary_opts) if option.startswith("-"))
        yield from (f"command {name} {option}" for option in options)
    for word, one in below.items():
        yield from _commands(one, f"{name} {word}")


if __name__ == "__main__":
    print("\n".join(sorted(set(surface()))))
