"""The whole page: navigation, how to start, the operations by tag, errors, schemas. Pure.

One file with its style in it: nothing else is loaded, and `POLICY` lets a browser load nothing else.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping
from importlib.resources import files
from typing import Any, Final

from flowtally.api.reference import codes, operations, schemas
from flowtally.api.reference.html import Html, join, prose, tag
from flowtally.api.reference.operations import Context

Document = Mapping[str, Any]
Entry = tuple[str, str, Mapping[str, Any]]  # method, path, operation

STYLE: Final = files(__package__).joinpath("style.css").read_text(encoding="utf-8")
DIGEST: Final = base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()
POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{DIGEST}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FIRST: Final = """\
# the address of this page, without /docs
export FLOWTALLY_URL=http://127.0.0.1:8120
# your token
export FLOWTALLY_TOKEN=...

curl -sS -H "Authorization: Bearer $FLOWTALLY_TOKEN" "$FLOWTALLY_URL/v1/credential"
"""
START: Final = (
    "Say where the server is and who you are. The first start of a server prints an admin token; whoever runs the "
    "server can give you another one. The answer of the request below says what your token may do.",
    "The examples on this page use the same two variables, so they can be pasted as they are. `acme` and `alice` stand "
    "for an account and a user; a word in capitals stands for an id of yours.",
    "Events can be sent again as often as needed: they count once. Every other request that writes takes an "
    "`Idempotency-Key`, a name of your choice: the same request with the same key happens once.",
)
TITLES: Final = {
    "radius": "RADIUS",
    "check_ins": "check-ins",
    "lease_plans": "lease plans",
    "bound_users": "bound users",
}  # of tags that are not written as they are said
DIALECTS: Final = (
    "The examples of a dialect are asked with a credential of an account, which the admin token is not: "
    "`create_account_credential` makes one. `FLOWTALLY_TOKEN`, `FLOWTALLY_KEY` and `FLOWTALLY_KEY_ID` stand for the "
    "`token`, the `key` and the `id` of its answer."
)


def render(document: Document) -> str:
    """The page of this OpenAPI document."""
    by_tag = _by_tag(document)
    context = _context(document)
    told = {one["name"]: one.get("description", "") for one in document.get("tags", ())}
    title = f"{document['info']['title']} API"
    main = [
        _start(document, title, context),
        *(_tag(name, told.get(name, ""), found, context) for name, found in by_tag.items()),
        codes.section(context.links),
        _schemas(context),
    ]
    body = [
        tag("a", "To the text", href="#start", class_="skip"),
        tag("nav", *_navigation(by_tag), aria_label="Contents", id="contents"),
        tag("main", *main),
        tag("a", "Contents", href="#contents", class_="back"),
    ]
    head = [
        tag("meta", charset="utf-8"),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("title", title),
        tag("style", Html(STYLE)),
    ]
    return f"<!doctype html>\n{tag('html', tag('head', *head), tag('body', *body), lang='en')}\n"


def _context(document: Document) -> Context:
    components = document.get("components", {})
    described = [one for methods in document["paths"].values() for one in methods.values()]
    links = {one["operationId"]: f"#{operations.anchor(one)}" for one in described}
    links |= {name: f"#schema-{name}" for name in components.get("schemas", {})} | codes.anchors()
    return Context(components, links)


def _by_tag(document: Document) -> dict[str, list[Entry]]:
    """In the order in which the tags are declared; those without an operation are left out."""
    found: dict[str, list[Entry]] = {one["name"]: [] for one in document.get("tags", ())}
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            found.setdefault(operation.get("tags", ["other"])[0], []).append((method.upper(), path, operation))
    return {name: entries for name, entries in found.items() if entries}


def _anchor(name: str) -> str:
    return f"tag-{name.replace(' ', '-')}"


def _title(name: str) -> str:
    return TITLES.get(name, name)


def _navigation(by_tag: Mapping[str, list[Entry]]) -> Iterator[Html]:
    places = [("start", "Start"), *((_anchor(name), _title(name)) for name in by_tag)]
    places += [("errors", "Errors"), ("schemas", "Schemas")]
    yield tag("ul", *(tag("li", tag("a", text, href=f"#{to}")) for to, text in places))


def _start(document: Document, title: str, context: Context) -> Html:
    info = document["info"]
    # As seen from this page: a reverse proxy may serve all of it below a prefix.
    dialects = [DIALECTS] if len(context.security) > 1 else []
    json = tag("a", tag("code", "/schema/openapi.json"), href="schema/openapi.json")
    return tag(
        "section",
        tag("h1", title),
        tag("p", f"Version {info['version']}. For programs: the same as OpenAPI, ", json, ".", class_="notes"),
        tag("h2", "Start"),
        prose(START[0]),
        tag("pre", tag("code", FIRST)),
        *(prose(text, context.links) for text in [*START[1:], *dialects]),
        tag(
            "p",
            "Then: ",
            join(
                [
                    tag("a", "make an account", href="#tag-accounts"),
                    tag("a", "send events", href="#tag-events"),
                    tag("a", "ask for usage", href="#tag-usage"),
                    tag("a", "ask what is left", href="#tag-balance"),
                    tag("a", "what an error means", href="#errors"),
                ],
                ", ",
            ),
            ".",
        ),
        tag("h2", "What holds everywhere"),
        prose(info.get("description", ""), context.links),
        id="start",
    )


def _tag(name: str, told: str, found: list[Entry], context: Context) -> Html:
    return tag(
        "section",
        tag("h2", _title(name)),
        prose(told, context.links),
        tag("ul", *(operations.line(*entry) for entry in found), class_="list"),
        *(operations.section(*entry, context) for entry in found),
        id=_anchor(name),
    )


def _schemas(context: Context) -> Html:
    named = sorted(context.schemas.items())
    return tag(
        "section",
        tag("h2", "Schemas"),
        tag("p", "What is taken and answered, by name."),
        *(schemas.section(name, schema, context.links) for name, schema in named),
        id="schemas",
    )
