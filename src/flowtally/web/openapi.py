"""The OpenAPI 3.1 document, made from the operations and the structs they name: it cannot say what is not enforced."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

import msgspec

from flowtally.core import errors
from flowtally.core.events import CloudEvent
from flowtally.core.media import JSON, PROBLEM
from flowtally.protocol import PlainEvent, Problem, UsageRow
from flowtally.protocol.meanings import MEANINGS
from flowtally.web.idempotent import HEADER
from flowtally.web.operation import AS_OF_HEADER, Listed, Operation
from flowtally.web.problems import problem_body
from flowtally.web.schemas import NULL, REF, Document, formatted, make_schemas, without_null

TEXT: Final = {"type": "string"}
BINARY: Final = {"type": "string", "format": "binary"}
GROUP: Final = {"anyOf": [TEXT, {"type": "integer", "format": "int64"}, NULL]}
SERVERS: Final = [
    {"url": "/", "description": "The server that this document was read from."},
    {"url": "http://127.0.0.1:8120", "description": "A server on this machine, as it is without settings."},
]
AGAIN: Final = {
    "Retry-After": {
        "description": "In how many seconds to ask again.",
        "schema": {"type": "integer", "format": "int64", "minimum": 1},
    }
}
OF_MOMENT: Final = {
    AS_OF_HEADER: {"description": "The token of the answer's moment: as `as_of` it asks for it again.", "schema": TEXT}
}
RESPONSE_REF: Final = "#/components/responses/{name}"
EXAMPLE_ID: Final = "0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f600"
DESCRIPTION: Final = """\
flowtally counts metered traffic, keeps the prepaid balance of each account, and answers what was used and what is left.

Instants are RFC 3339 text. Quantities are whole numbers: bytes, requests, millionths of the currency. Every error is a
problem document (RFC 9457) with a `code` that never changes. A query parameter or a member of a body that is not known
is an error, so a typing mistake never changes an answer. Writes take an `Idempotency-Key`. Events need none: their ids
do the same. `HEAD` is served wherever `GET` is. `OPTIONS` says what is served at a path.

A body is described in one media type, which generated clients send. What else the server takes is described beside it,
in `x-other-content`.

A name in a path is one segment, percent-encoded: `a/b` is `a%2Fb`. Many programs remove `.` and `..`; most leave `%2E`
and `%2E%2E` alone. A user can always be named by id.

Scopes of credentials: `ingest` writes events and reads its own sources and events; `account` reads one account;
`manage` also changes what belongs to that account (its users and what they get, what it buys); `admin` does everything;
`custom` has exactly the rights it was given. An account that is not yours answers like one that does not exist.
"""
TAGS: Final = {
    "events": "Send events and get a receipt for each; ask beforehand whether they would be stored; look up one event.",
    "sources": "How far each source was sent, and which sender owns it.",
    "held": "Numbered events that wait until the account or user they name exists.",
    "corrections": "Correct stored events, or add to and take from the use of an account.",
    "readings": "Readings of counters: the difference to the reading before is counted.",
    "actions": "What holders ask of the servers they lease, and what became of it.",
    "bound_users": "Which users may use what is leased.",
    "samples": "What gauges of servers stood at, and series of it by periods.",
    "radius": "Accounting requests of RADIUS, as FreeRADIUS sends them.",
    "changes": "What was stored for which account, commit by commit.",
    "usage": "What was used: by hour, day, week or month, and by user, product and more.",
    "export": "All rows of an account, as a Parquet or CSV file.",
    "balance": "What is left of an account's grants.",
    "explain": "How a balance came about: what each grant paid for.",
    "shadows": "Have calls that were answered here asked of the vendor, too, and see where its answers differ.",
    "providers": "Accounts at vendors: how each is asked, what is left there, and when it runs out.",
    "webhooks": "Where messages go, each signed; what became of them.",
    "reconciliation": "Compare what a vendor bills with what was measured, and what explains the difference.",
    "periods": "Close a period with a statement that never changes, and see what came later.",
    "accounts": "The customers.",
    "users": "The users inside an account: limits, names, usage.",
    "passwords": "The passwords of users, in clear.",
    "erasures": "Remove names and labels from everything that the server keeps.",
    "allocations": "Pass traffic of an account on to one of its users.",
    "whitelist": "The addresses from which traffic may come.",
    "grants": "Give amounts of traffic or requests to an account.",
    "wallet": "The money of an account.",
    "plans": "What accounts can buy.",
    "purchases": "What an account bought.",
    "vouchers": "Codes for traffic, which any account can redeem.",
    "gateways": "The hosts and ports that customers connect to.",
    "endpoints": "Where the programs of an account connect to.",
    "check_ins": "A free amount for an account, once a day.",
    "stock": "Addresses and servers that can be leased; who had which one when.",
    "lease_plans": "For how much stock is leased, for how long.",
    "leases": "What an account leases: bought from its wallet or given, renewed, upgraded, released.",
    "credentials": "The keys with which requests are made.",
    "senders": "The owners of sources: a sender stays the same when its credential is replaced.",
    "places": "Where products have something to offer: countries, states, cities, autonomous systems.",
    "pools": "Which products are paid from the same grants.",
    "audit": "The record of what was done, and by whom.",
    "care": "Checks, backups and figures of the installation.",
    "retention": "How long rows are kept as they came in.",
    "health": "For programs that watch the server; this document.",
}
NAMED_BY: Final = {
    "pool": "name",
    "product": "name",
    "user": "id or present name",
    "address": "IP address or network",
}  # the others: by id


def describe(operations: Sequence[Operation]) -> Document:
    """The whole document."""
    schemas, components = _schemas(operations)
    paths: dict[str, Document] = defaultdict(dict)
    for op in operations:
        paths[op.path][op.method.lower()] = _operation(op, schemas)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "flowtally",
            "version": version("flowtally"),
            "description": DESCRIPTION,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": SERVERS,
        "tags": [{"name": name, "description": text} for name, text in TAGS.items()],
        "paths": dict(paths),
        "components": {
            "schemas": components,
            "responses": _shared_responses(paths),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "The token of a credential."}
            },
        },
    }


def _schemas(operations: Sequence[Operation]) -> tuple[dict[Any, Document], dict[str, Document]]:
    """Of messages and of the pages that list them."""
    answers: list[Any] = [Problem, UsageRow]
    requests: list[Any] = [PlainEvent, CloudEvent]
    for op in operations:
        answers += [one for one in (_item(op.answer), op.listed) if one is not None]
        requests += [op.body] if op.body is not None else []
        requests += [op.raw_json] if op.raw_body else []
    schemas, components = make_schemas(answers, requests)
    components[UsageRow.__name__]["additionalProperties"] = GROUP  # labels
    components[Problem.__name__]["additionalProperties"] = True  # said, else a compiler lets nobody look at them
    for op in operations:
        listed = op.answer.item if isinstance(op.answer, Listed) else op.listed
        if listed is not None:
            components.setdefault(page_name(listed), _page_of(listed, schemas[listed]))
    return schemas, components


def _item(answer: Any) -> Any:
    return answer.item if isinstance(answer, Listed) else answer


def _operation(op: Operation, schemas: Mapping[Any, Document]) -> Document:
    described: Document = {
        "operationId": op.work.__name__,
        "tags": [op.tag],
        "summary": op.summary,
        "description": _described(op),
        "parameters": [*_path_parameters(op), *_query_parameters(op), *_header_parameters(op)],
        "responses": {str(op.status): _answer(op, schemas), **_problems(op)},
        "security": _security(op),
    }
    if op.body is not None:
        content = {JSON: {"schema": schemas[op.body], "example": _plain(op.body_example)}}
        described["requestBody"] = {"required": True, "content": content}
    if op.raw_body:
        described["requestBody"] = _raw_body(op, schemas)
    return described


def _security(op: Operation) -> list[Document]:
    if op.asks or op.or_whitelisted:
        return [{"bearer": []}, {}]
    return [{"bearer": []}] if op.may else []


def _raw_body(op: Operation, schemas: Mapping[Any, Document]) -> Document:
    """One media type, so that a generated client has one body to send; the others are told beside it. (A generator that
    finds several looks at the type of what it is given to know which to send, and arrays look alike.)"""
    others = {
        kind: {"schema": _raw_schema(kind), "example": example} for kind, example in op.raw_body.items() if kind != JSON
    }
    content = {JSON: {"schema": schemas[op.raw_json], "example": op.raw_body[JSON]}}
    return {"required": True, "content": content} | ({"x-other-content": others} if others else {})


def _raw_schema(kind: str) -> Document:
    one = {"$ref": REF.format(name=CloudEvent.__name__)}
    if kind.endswith("batch+json"):
        return {"type": "array", "items": one}
    return one if kind.endswith("+json") else TEXT


def _described(op: Operation) -> str:
    text = paragraphs(op.work.__doc__)
    return f"{text}\n\n{_needed(op)}" if op.may else text


def paragraphs(text: str | None) -> str:
    """A docstring with each of its paragraphs on one line."""
    return "\n\n".join(" ".join(one.split()) for one in re.split(r"\n\s*\n", (text or "").strip()))


def _needed(op: Operation) -> str:
    """Who may ask it."""
    scopes = f"Scopes that have it: {', '.join(f'`{scope}`' for scope in op.scopes)}."
    if op.may == "own":
        return "For every credential."
    sent = "; or `events:write`, for what its own sender sent or what was sent for its account" if op.or_sent else ""
    itself = "; or none, of the credential that asks" if op.itself else ""
    listed = "; or none, from an address on the account's whitelist" if op.or_whitelisted else ""
    return f"Needs the right `{op.may}`{sent}{itself}{listed}. {scopes}"


def _path_parameters(op: Operation) -> list[Document]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": f"The {name}'s {NAMED_BY.get(name, 'id')}.",
            "schema": {"type": "string", "minLength": 1},
        }
        for name in re.findall(r"\{(\w+)\}", op.path)
    ]


def _query_parameters(op: Operation) -> list[Document]:
    return [query_parameter(field) for field in msgspec.structs.fields(op.query)]


def query_parameter(field: msgspec.structs.FieldInfo) -> Document:
    """A field of a query as a parameter."""
    schema = without_null(formatted(msgspec.json.schema(field.type)))
    described: Document = {"name": field.encode_name, "in": "query", "required": field.required, "schema": schema}
    described["description"] = schema.pop("description", "")
    if "examples" in schema:
        described["example"] = schema.pop("examples")[0]
    if schema.get("type") == "array":
        described |= {"style": "form", "explode": True}  # repeated
    if not field.required and field.default not in (None, "", msgspec.NODEFAULT):
        schema["default"] = field.default
    return described


def _header_parameters(op: Operation) -> list[Document]:
    if not op.writes:
        return []
    return [
        {
            "name": HEADER,
            "in": "header",
            "required": False,
            "description": "The same key and request by credentials of the same account, or of the installation, "
            "happen once; a repeated request is answered with the first answer, without its secrets and with "
            "`Idempotent-Replayed: true`. Kept for ever.",
            "schema": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[ -~]+$"},
        }
    ]


def _answer(op: Operation, schemas: Mapping[Any, Document]) -> Document:
    if op.status == 204:
        return {"description": "Done; there is nothing to say"}
    if op.answer is str:
        return {"description": "Text", "content": {"text/plain": {"schema": TEXT}}}
    if op.answer is bytes:
        return {"description": "A file", "content": {kind: {"schema": BINARY} for kind in op.also}}
    schema = schemas[_item(op.answer)]
    if isinstance(op.answer, Listed):
        schema = _page(op.answer.item)
    elif op.listed is not None:
        schema = {"anyOf": [schema, _page(op.listed)]}
    content: Document = {JSON: {"schema": schema}}
    if op.example is not None:
        content[JSON]["example"] = _plain(op.example)
    content |= {kind: {"schema": TEXT if kind.startswith("text/") else BINARY} for kind in op.also}
    made: Document = {"description": "Created" if op.status == 201 else "The answer", "content": content}
    return made | ({"headers": OF_MOMENT} if op.tells_moment else {})


def page_name(item: type) -> str:
    """What a page of these is called."""
    return f"{item.__name__.removesuffix('Answer')}Page"


def _page(item: type) -> Document:
    return {"$ref": REF.format(name=page_name(item))}


def _page_of(item: type, schema: Document) -> Document:
    return {
        "title": page_name(item),
        "description": "A page of a list. Ask again with `cursor` = `next` for the next one.",
        "type": "object",
        "required": ["items", "next"],
        "properties": {
            "items": {"type": "array", "items": schema, "description": MEANINGS["items"]},
            "next": {"anyOf": [{"type": "string"}, NULL], "description": MEANINGS["next"]},
        },
    }


def _problems(op: Operation) -> Document:
    """Every error by status, with its codes; an error may have several."""
    by_status: dict[int, dict[str, type[errors.FlowtallyError]]] = defaultdict(dict)
    for kind in (*_always(op), *op.errors):
        by_status[kind.status][kind.code] = kind
    return {str(status): _problem(by_status[status].values()) for status in sorted(by_status)}


def _always(op: Operation) -> Iterable[type[errors.FlowtallyError]]:
    """What any operation of this kind may answer, in the order it is checked."""
    if op.may:
        yield from (errors.Unauthenticated, errors.Forbidden, errors.TooManyAtOnce, errors.Unavailable)
        if not op.sends:
            yield errors.BudgetUsed
        yield errors.BadRequest
    if "{account}" in op.path:
        yield errors.UnknownAccount
    if "cursor" in op.query.__struct_fields__:
        yield errors.CursorGone
    if op.writes:
        yield from (errors.MalformedBody, errors.SlowBody, errors.TooLarge, errors.IdempotencyMismatch)
    if op.body is not None:
        yield from (errors.UnsupportedMedia, errors.Unprocessable)


def _problem(kinds: Iterable[type[errors.FlowtallyError]]) -> Document:
    listed = list(kinds)
    examples = {kind.code: {"value": problem_body(kind(f"{kind.title}."), EXAMPLE_ID)} for kind in listed}
    again = any(issubclass(kind, (errors.Unavailable, errors.RateLimited)) for kind in listed)
    return ({"headers": AGAIN} if again else {}) | {
        "description": "; ".join(f"`{kind.code}`: {kind.title}" for kind in listed),
        "content": {PROBLEM: {"schema": {"$ref": REF.format(name=Problem.__name__)}, "examples": examples}},
    }


def _shared_responses(paths: Mapping[str, Document]) -> Document:
    """Problems of one code alone that several operations answer, as components; the operations refer to them."""
    told: dict[str, list[tuple[Document, str]]] = defaultdict(list)
    for operations in paths.values():
        for described in operations.values():
            for status, response in described["responses"].items():
                codes = list(response.get("content", {}).get(PROBLEM, {}).get("examples", ()))
                if len(codes) == 1:
                    told[codes[0].title().replace("_", "")].append((described["responses"], status))
    shared: Document = {}
    for name, places in told.items():
        if len(places) > 1:
            responses, status = places[0]
            shared[name] = responses[status]
            for responses, status in places:
                responses[status] = {"$ref": RESPONSE_REF.format(name=name)}
    return shared


def _plain(example: Any) -> Any:
    return msgspec.to_builtins(example)
