"""A CloudEvent in binary content mode: its attributes are headers, the body is its data. Pure.

Source: the HTTP Protocol Binding for CloudEvents 1.0.2, section 3.1. `ce-specversion` says that it is one, unless the
media type is that of a whole CloudEvent.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from urllib.parse import unquote_to_bytes

from flowtally.core.errors import MalformedBody, UnsupportedMedia
from flowtally.core.events import CloudEvent
from flowtally.core.media import JSON

PREFIX: Final = "ce-"
ATTRIBUTES: Final = frozenset(CloudEvent.__struct_fields__) - {"data", "data_base64", "datacontenttype"}
WHOLE: Final = "application/cloudevents"

Headers = Sequence[tuple[str, str]]  # in order, names in small letters


def is_binary(headers: Headers, media_type: str) -> bool:
    """Whether the headers are those of a CloudEvent whose data is the body."""
    said = any(name == f"{PREFIX}specversion" for name, _ in headers)
    return said and not media_type.strip().lower().startswith(WHOLE)


def attributes_of(headers: Headers, media_type: str) -> dict[str, str]:
    """The event's attributes, of those that are kept. UnsupportedMedia where its data is no JSON by its type,
    MalformedBody where one is given twice or is no UTF-8."""
    kind = media_type.partition(";")[0].strip().lower() or JSON  # some SDKs name none where it is JSON
    if not kind.endswith(("/json", "+json")):
        raise UnsupportedMedia(f"The data of a CloudEvent must be JSON, not {kind}", accepted=[JSON])
    said: dict[str, str] = {}
    for header, value in headers:
        name = header.removeprefix(PREFIX)
        if not header.startswith(PREFIX) or name not in ATTRIBUTES:
            continue
        if name in said:
            raise MalformedBody(f"The header {header} is given twice")
        said[name] = _text(header, value)
    return said


def _text(header: str, value: str) -> str:
    """A quoted string without its quotes, then what stands percent-encoded."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = _unquoted(value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()
    except UnicodeError:
        raise MalformedBody(f"The header {header} is not percent-encoded UTF-8") from None


def _unquoted(text: str) -> str:
    """RFC 9110, 5.6.4: a backslash stands before what it lets stand for itself."""
    kept: list[str] = []
    chars = iter(text)
    for char in chars:
        kept.append(next(chars, char) if char == "\\" else char)
    return "".join(kept)
