"""A request as vendors' clients send it: query, form, multipart or JSON, all of them as parameters by name."""

from __future__ import annotations

import io
import json
from collections.abc import Awaitable, Callable, Iterable, Iterator
from typing import Any, Final

import msgspec
from multipart import MultipartError, MultipartParser, parse_options_header

from flowtally.config import Config
from flowtally.core.errors import BadRequest, ClientGone, FlowtallyError, MalformedBody, UnsupportedMedia
from flowtally.core.media import FORM, JSON
from flowtally.vendors.base import Asked, Place
from flowtally.web.bodies import AnyRequest
from flowtally.web.inputs import check_known, query_pairs

Pairs = list[tuple[str, Any]]

MULTIPART: Final = "multipart/form-data"
MAX_PARTS: Final = 100
MAX_NAME_CHARS: Final = 100  # of a parameter, where an error tells it


ReadBody = Callable[[AnyRequest, int, Config], Awaitable[bytes]]


async def no_body(request: AnyRequest, limit: int, config: Config) -> bytes:
    """The head alone: what is asked before it is known who asks."""
    return b""


async def read_asked(
    request: AnyRequest, config: Config, body: ReadBody = no_body
) -> tuple[Asked, FlowtallyError | None]:
    """The request, its body read as `body` does; and what of it could not be read (BadRequest, MalformedBody,
    UnsupportedMedia, TooLarge, SlowBody): to be told once it is known who asks, for secrets are looked at first."""
    sent: dict[Place, Pairs] = {"headers": [(name.lower(), value) for name, value in request.headers.multi_items()]}
    headers = _headers(request, sent["headers"])
    query: dict[str, str] = {}
    form: dict[str, Any] = {}
    unread = None
    try:
        sent["query"] = query_pairs(request.scope["query_string"])
        query = values_of(sent["query"], BadRequest)
    except FlowtallyError as error:
        unread = error
    try:
        raw = await body(request, config.max_json_bytes, config)
        sent["form"] = pairs_of(raw, headers.get("content-type", ""))
        form = values_of(sent["form"], MalformedBody)
    except ClientGone:
        raise
    except FlowtallyError as error:
        unread = unread or error
    differing = {(place, name) for place, pairs in sent.items() for name in _differing(pairs)}
    return Asked(request.method, request.scope["path"], query, headers, form, differing), unread


def values_of(pairs: Pairs, error: type[FlowtallyError]) -> dict[str, Any]:
    """The parameters, of those given twice the first. The error where one is no text that can be known; what is to be
    kept is checked where it is kept."""
    given = _first(pairs)
    for name, value in given.items():
        check_known("A parameter", name, error)
        if isinstance(value, str):
            check_known(f"The parameter {name[:MAX_NAME_CHARS]}", value, error)
    return given


def _headers(request: AnyRequest, sent: Pairs) -> dict[str, str]:
    """Of those given twice the first; cookies may come in several lines."""
    headers = _first(sent)
    if cookies := request.headers.getall("cookie", []):
        headers["cookie"] = "; ".join(cookies)
    return headers


def pairs_of(raw: bytes, content_type: str) -> Pairs:
    """The parameters of a body as they come; of a JSON object those that are text, numbers or true and false."""
    if not raw.strip():
        return []
    kind, options = parse_options_header(content_type)
    if kind == JSON:
        return _of_json(raw)
    if kind == MULTIPART:
        return _of_multipart(raw, options.get("boundary", ""))
    if kind in (FORM, ""):
        return _urlencoded(raw)
    raise UnsupportedMedia(f"The body is {kind[:100]!r}; send a form or a JSON object.")


def _first(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def _differing(pairs: Pairs) -> Iterator[str]:
    """The names that are given more than once with other values; to be empty is to be not given."""
    first = _first(pair for pair in pairs if pair[1] != "")
    yield from (name for name, value in pairs if value not in ("", first.get(name)))


def _urlencoded(raw: bytes) -> list[tuple[str, str]]:
    try:
        return query_pairs(raw.strip())
    except BadRequest as error:
        raise MalformedBody(f"The form cannot be read: {error.detail}") from None


def _of_multipart(raw: bytes, boundary: str) -> Pairs:
    try:
        parts = MultipartParser(io.BytesIO(raw), boundary, len(raw), part_limit=MAX_PARTS, strict=True).parts()
        return [(part.name, part.raw.decode()) for part in parts]
    except (MultipartError, ValueError, AssertionError) as error:
        raise MalformedBody(f"The form cannot be read: {type(error).__name__}.") from None


def _of_json(raw: bytes) -> Pairs:
    try:
        msgspec.json.decode(raw, type=dict[str, Any])  # stricter, and its words; it keeps one of two equal names
        pairs = json.loads(raw, object_pairs_hook=list)
    except (ValueError, RecursionError) as error:
        raise MalformedBody(f"The body is no JSON object: {error}.") from None
    return [(name, value) for name, value in pairs if isinstance(value, (str, int, float, bool))]
