"""A request as vendors' clients send it: query, form, multipart or JSON, all of them as parameters by name."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Iterable, Set
from contextlib import suppress
from functools import cache, partial
from typing import Any, Final

import msgspec
from multipart import MultipartError, MultipartParser, MultipartPart, parse_options_header

from flowtally.config import Config
from flowtally.core.errors import BadRequest, ClientGone, FlowtallyError, MalformedBody, UnsupportedMedia
from flowtally.core.media import FORM, JSON
from flowtally.vendors.base import Asked, Place
from flowtally.web.bodies import AnyRequest
from flowtally.web.inputs import MAX_PARAMETERS, check_known, query_pairs

Pairs = list[tuple[str, Any]]
Read = tuple[Pairs, FlowtallyError | None]  # what can be read, and why that is not all

MULTIPART: Final = "multipart/form-data"
MAX_PARTS: Final = 100
MAX_NAME_CHARS: Final = 100  # of a parameter, where an error tells it


ReadBody = Callable[[AnyRequest, int, Config], Awaitable[bytes]]


async def no_body(request: AnyRequest, limit: int, config: Config) -> bytes:
    """The head alone: what is asked before it is known who asks."""
    return b""


async def read_asked(
    request: AnyRequest, config: Config, body: ReadBody = no_body, any_text: Set[str] = frozenset()
) -> tuple[Asked, FlowtallyError | None]:
    """The request, its body read as `body` does; and what of it could not be read (BadRequest, MalformedBody,
    UnsupportedMedia, TooLarge, SlowBody): to be told once it is known who asks. So a token beside a parameter that
    cannot be read is as good as alone. `any_text`: parameters of the query that may hold anything."""
    sent: dict[Place, Pairs] = {"headers": [(name.lower(), value) for name, value in request.headers.multi_items()]}
    given = {"headers": values_of(sent["headers"])}
    sent["query"], unread = read_query(request.scope["query_string"], any_text)
    try:
        raw = await body(request, config.max_json_bytes, config)
    except ClientGone:
        raise
    except FlowtallyError as error:
        unread = unread or error
    else:
        sent["form"], wrong = read_form(raw, given["headers"].get("content-type", ""))
        unread = unread or wrong
    query, form = values_of(sent["query"]), values_of(sent.get("form", ()))
    given |= {"query": query, "form": form}
    # Names that are given more than once with other values; to be empty is to be not given.
    differing = {
        (place, name)
        for place, pairs in sent.items()
        for name, value in pairs
        if value not in ("", given[place].get(name))
    }
    return Asked(
        request.method, request.scope["path"], query, _headers(request, given["headers"]), form, differing
    ), unread


def read_query(raw: bytes, any_text: Set[str] = frozenset()) -> Read:
    """The parameters of a query, and what is wrong where one cannot be read (BadRequest): the others are there."""
    try:
        return _known(query_pairs(raw), BadRequest, any_text)
    except BadRequest as error:
        return _known(_readable_parts(raw), BadRequest, any_text)[0], error


def read_form(raw: bytes, content_type: str) -> Read:
    """The same of a body, as they come; of a JSON object those that are text, numbers or true and false. What is wrong
    is MalformedBody or UnsupportedMedia."""
    if not raw.strip():
        return [], None
    kind, options = parse_options_header(content_type)
    if kind == JSON:
        read, readable = _of_json, _readable_members
    elif kind == MULTIPART:
        boundary = options.get("boundary", "")
        read, readable = partial(_of_multipart, boundary=boundary), partial(_readable_fields, boundary=boundary)
    elif kind in (FORM, ""):
        read, readable = _urlencoded, _readable_parts
    else:
        return [], UnsupportedMedia(f"The body is {kind[:100]!r}; send a form or a JSON object.")
    try:
        return _known(read(raw), MalformedBody)
    except MalformedBody as error:
        return _known(readable(raw), MalformedBody)[0], error


def _known(pairs: Pairs, error: type[FlowtallyError], any_text: Set[str] = frozenset()) -> Read:
    """Those that are text that can be known, and the error where one is none; what is to be kept is checked where it
    is kept."""
    known: Pairs = []
    wrong: FlowtallyError | None = None
    for name, value in pairs:
        try:
            check_known("A parameter", name, error)
            if isinstance(value, str) and name not in any_text:
                check_known(f"The parameter {name[:MAX_NAME_CHARS]}", value, error)
        except error as found:
            wrong = wrong or found
        else:
            known.append((name, value))
    return known, wrong


def values_of(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """By name: of those given twice the first that is not empty, for to be empty is to be not given."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if found.get(name, "") == "":
            found[name] = value
    return found


def given_of(asked: Asked, takes: type[msgspec.Struct]) -> dict[str, Any]:
    """What it says of the parameters that a route takes, which say what is optional: what may be left out."""
    return asked.values(_optional(takes))


@cache
def _optional(takes: type[msgspec.Struct]) -> frozenset[str]:
    return frozenset(one.encode_name for one in msgspec.structs.fields(takes) if not one.required)


def _headers(request: AnyRequest, given: dict[str, str]) -> dict[str, str]:
    """Of those given twice the first; cookies may come in several lines."""
    cookies = request.headers.getall("cookie", [])
    return {**given, "cookie": "; ".join(cookies)} if cookies else given


def _urlencoded(raw: bytes) -> Pairs:
    try:
        return list(query_pairs(raw.strip()))
    except BadRequest as error:
        raise MalformedBody(f"The form cannot be read: {error.detail}") from None


def _readable_parts(raw: bytes) -> Pairs:
    """Of a query or a form that cannot be read as a whole, each part that can by itself."""
    found: Pairs = []
    for part in raw.strip().split(b"&", MAX_PARAMETERS)[:MAX_PARAMETERS]:
        with suppress(BadRequest):
            found += query_pairs(part)
    return found


def _of_multipart(raw: bytes, boundary: str) -> Pairs:
    try:
        return [(part.name, part.raw.decode()) for part in _parts(raw, boundary)]
    except (MultipartError, ValueError, AssertionError) as error:
        raise MalformedBody(f"The form cannot be read: {type(error).__name__}.") from None


def _readable_fields(raw: bytes, boundary: str) -> Pairs:
    found: Pairs = []
    with suppress(MultipartError, ValueError, AssertionError):
        for part in _parts(raw, boundary):
            with suppress(UnicodeDecodeError):
                found.append((part.name, part.raw.decode()))
    return found


def _parts(raw: bytes, boundary: str) -> list[MultipartPart]:
    return list(MultipartParser(io.BytesIO(raw), boundary, len(raw), part_limit=MAX_PARTS, strict=True).parts())


def _of_json(raw: bytes) -> Pairs:
    try:
        msgspec.json.decode(raw, type=dict[str, Any])  # stricter, and its words; it keeps one of two equal names
        return _members(raw.decode())
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The body is no JSON object: {error}.") from None


def _readable_members(raw: bytes) -> Pairs:
    """Where a text of it is no UTF-8 or has half of a surrogate pair; none where it is no JSON object at all."""
    text = raw.decode("utf-8", "surrogateescape")  # what is no UTF-8 becomes text that nothing can be called
    try:
        return _members(text) if text.lstrip().startswith("{") else []
    except (ValueError, RecursionError):
        return []


def _members(text: str) -> Pairs:
    pairs = json.loads(text, object_pairs_hook=list)
    return [(name, value) for name, value in pairs if isinstance(value, (str, int, float, bool))]
