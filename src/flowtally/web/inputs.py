"""What a request says, turned into our types once: query parameters and JSON bodies. Reading bodies is `bodies`'.

Nothing is guessed: an unknown or repeated parameter is an error, not an answer to another question; "5" is no number in
a body. Every error names the field and the value. A question may name what only an earlier version would have stored:
what is to be kept is checked where it is kept.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, TypeVar
from urllib.parse import parse_qsl

import msgspec
from msgspec import Meta

from flowtally.core.errors import BadRequest, FlowtallyError, MalformedBody, Unprocessable, UnsupportedMedia
from flowtally.core.members import find_repeated
from flowtally.core.reasons import IS_MISSING, in_words
from flowtally.core.texts import MAX_SHOWN_CHARS, may_be_known, printable, text_fault

S = TypeVar("S", bound=msgspec.Struct)

_NO_JSON: Final = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
MAX_REASON_CHARS: Final = 300
SECRET: Final = frozenset(
    {"password", "new_password", "token", "key", "cdk", "code"}
)  # members of bodies that are never repeated
MAX_PARAMETERS: Final = 200
_PATH = re.compile(r" - at `(?P<path>\$[^`]*)`$")
_FIELD = re.compile(r"field `(?P<name>[^`]*)`$")
ANY_TEXT: Final = Meta(extra={"any_text": True})  # of a parameter: ids and labels were kept whatever they held


class NoQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An operation without query parameters."""


def parse_query(raw: bytes, into: type[S]) -> S:
    """The query string as `into`; BadRequest names an unknown, repeated or unreadable parameter."""
    if not raw:
        return convert_values({}, into)
    known = _parameters(into)
    values: dict[str, Any] = {}
    for name, value in query_pairs(raw):
        if name not in known:
            raise BadRequest(f"There is no parameter {_shown(name)}; known: {_listed(known)}.", parameter=_cut(name))
        if not known[name].any_text:
            check_known(f"The parameter {name}", value, parameter=name)
        if known[name].repeated:
            values.setdefault(name, []).append(value)
        elif name in values:
            raise BadRequest(f"The parameter {name} is given twice.", parameter=name)
        else:
            values[name] = value
    return convert_values(values, into)


class Parameter(msgspec.Struct, frozen=True):
    """Whether it may be repeated, and whether it may name anything at all."""

    repeated: bool
    any_text: bool


@lru_cache
def _parameters(into: type[msgspec.Struct]) -> dict[str, Parameter]:
    info = msgspec.inspect.type_info(into)
    assert isinstance(info, msgspec.inspect.StructType)
    return {
        field.encode_name: Parameter("list[" in str(declared.type), _is_any_text(field.type))
        for field, declared in zip(info.fields, msgspec.structs.fields(into), strict=True)
    }


def _is_any_text(kind: msgspec.inspect.Type) -> bool:
    return isinstance(kind, msgspec.inspect.Metadata) and bool((kind.extra or {}).get("any_text"))


def check_known(what: str, text: str, error: type[FlowtallyError] = BadRequest, **extra: object) -> None:
    """The error where nothing of that name can be, by the rule of whatever version (`texts.may_be_known`)."""
    if not may_be_known(text):
        raise error(f"{what} {text_fault(text)}.", **extra)


def query_pairs(raw: bytes) -> list[tuple[str, str]]:
    """Names and values in order. BadRequest."""
    try:
        return parse_qsl(raw.decode("ascii"), True, False, "utf-8", "strict", MAX_PARAMETERS)
    except ValueError:
        raise BadRequest(f"The query string is no UTF-8, or has more than {MAX_PARAMETERS} parameters.") from None


def convert_values(values: Mapping[str, Any], into: type[S]) -> S:
    """Parameters as `into`, which says whether unknown ones are an error; BadRequest names the first that is wrong."""
    try:
        return msgspec.convert(values, into, strict=False)
    except msgspec.ValidationError as error:
        reason, name = _taken_apart(error, into)
        if not name:
            raise BadRequest(f"{reason}.") from None
        if reason.endswith(IS_MISSING):
            raise BadRequest(f"The parameter {printable(name)} is missing.", parameter=name) from None
        if name in SECRET:
            raise BadRequest(f"{name}: {reason}.", parameter=name) from None
        value = _cut(str(values.get(name, "")))
        raise BadRequest(f"{printable(name)} = {value!r}: {reason}.", parameter=name, value=value) from None


def parse_body(body: bytes, content_type: str, into: type[S]) -> S:
    """A JSON body as `into`: 415 for another media type, 400 if it is no JSON or an object has a member twice, 422
    naming the field if it is wrong."""
    if content_type and content_type.partition(";")[0].strip().lower() != "application/json":
        told = f"The body is {_shown(content_type)}; send application/json."
        raise UnsupportedMedia(f"{told} With curl: -H 'Content-Type: application/json'")
    if not body.strip():
        raise MalformedBody("The body is empty; a JSON object is expected.")
    try:
        read = msgspec.json.decode(body, type=into)
    except msgspec.ValidationError as error:
        raise _wrong(body, error, into) from None
    except _NO_JSON as error:
        raise MalformedBody(f"The body is no JSON: {error}.") from None
    check_repeated(body)
    return read


def check_repeated(body: bytes) -> None:
    """MalformedBody where an object of it has a member twice: the decoder has kept the last one. It is JSON."""
    repeated = find_repeated(body)
    if repeated is not None:
        raise MalformedBody(f"The body cannot be read: {repeated}.", field=_cut(repeated.name))


def _wrong(body: bytes, error: msgspec.ValidationError, into: type[msgspec.Struct]) -> FlowtallyError:
    """What is wrong with a body that was not read to its end: it may still be no JSON at all."""
    try:
        value = msgspec.json.decode(body)
    except _NO_JSON as worse:
        return MalformedBody(f"The body is no JSON: {worse}.")
    reason, field = _taken_apart(error, into)
    if reason.endswith(IS_MISSING):
        return Unprocessable(f"{printable(field)} is missing.", field=field)
    if field in SECRET:
        return Unprocessable(f"{field}: {reason}.", field=field)
    value = _value_at(value, field)
    told = f"{printable(field)} = {_shown(value)}: {reason}." if field else f"{reason}."
    return Unprocessable(told, field=field, value=value)


def _taken_apart(error: msgspec.ValidationError, into: type[msgspec.Struct]) -> tuple[str, str]:
    """msgspec says "reason - at `$.field`"; the reason, and the field as people would write it. Both may have the name
    of an unknown member in them, whatever it is and however long."""
    text = str(error)
    found = _PATH.search(text)
    path = found["path"].removeprefix("$").removeprefix(".") if found else ""
    reason = text[: found.start()] if found else text
    named = _FIELD.search(reason)
    name = re.sub(r"\[(\.\.\.|\d+)\]", "", path) if named is None else f"{path}.{named['name']}".removeprefix(".")
    return printable(in_words(reason, into, name), MAX_REASON_CHARS), _cut(name)


def _value_at(value: Any, field: str) -> object:
    """The value that was refused, as far as it is short enough to be repeated."""
    for name in field.split(".") if field else ():
        if not isinstance(value, dict) or name not in value:
            return None
        value = value[name]
    if isinstance(value, (dict, list)):
        return "object" if isinstance(value, dict) else "array"  # JSON's words
    return _cut(value) if isinstance(value, str) else value


def _cut(text: str) -> str:
    return text if len(text) <= MAX_SHOWN_CHARS else text[:MAX_SHOWN_CHARS] + "…"


def _shown(value: object) -> str:
    return repr(_cut(value) if isinstance(value, str) else value)


def _listed(names: Mapping[str, object]) -> str:
    return ", ".join(sorted(names)) or "none"
