"""One line as one JSON object, exactly: numbers stay the digits that were written, a member that is there twice is
refused (RFC 8259 leaves open which one counts), and bytes that are no UTF-8 are spelt out as in every other format."""

from __future__ import annotations

import json
from typing import Any, Final


class NotJson(ValueError):
    """Why a line is no JSON object, for people."""


def object_of(line: bytes) -> dict[str, Any]:
    """Its values are text (numbers, too), True, False, None, lists and objects. Raises NotJson."""
    try:
        found = _decoder.decode(line.decode("utf-8", "surrogateescape"))
    except RecursionError:
        raise NotJson("nested too deep") from None
    except NotJson:
        raise
    except ValueError as error:
        raise NotJson(f"not JSON: {error}"[:120]) from None
    if not isinstance(found, dict):
        raise NotJson("JSON, but no object")
    return found


def text_in(value: str) -> str:
    """A JSON string as text that can be kept and shown: what is no Unicode is written out, as in every other format."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return "".join(_written(char) if "\ud800" <= char <= "\udfff" else char for char in value)
    return value


def bytes_in(value: str) -> bytes:
    """The bytes that a JSON string stands for, those that are no UTF-8 as they were."""
    try:
        return value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text_in(value).encode()


def _written(half: str) -> str:
    code = ord(half)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else f"\\u{code:04x}"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise NotJson(f"the member {text_in(twice)[:40]!r} is there twice")
    return members


def _constant(text: str) -> Any:
    raise NotJson(f"not JSON: {text}")


_decoder: Final = json.JSONDecoder(object_pairs_hook=_object, parse_int=str, parse_float=str, parse_constant=_constant)
