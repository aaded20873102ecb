"""What is wrong with a value, in words that people use: msgspec names types ("Expected `int`, got `str`"). Pure.

    amount = '5GB': a whole number is expected, not text
    bucket = 'wek': it takes 15m, hour, day, week, month or total

Owns the wording. Leaves to the caller which field it is, and what of the value is shown. A reason that is unknown
here stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Enum
from types import UnionType
from typing import Annotated, Any, Final, Literal, Union, get_args, get_origin

from msgspec import Struct
from msgspec.structs import fields

IS_MISSING: Final = " is missing"
_KINDS: Final = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "an array",
    "object": "an object",
    "null": "null",
}
_GOT: Final = _KINDS | {"float": "a number with a decimal point"}
_AT_LEAST: Final = re.compile(r"Expected `int` >= (-?\d+)")
_AT_MOST: Final = re.compile(r"Expected `int` <= (-?\d+)")
_SHORTER: Final = re.compile(r"Expected `str` of length <= (\d+)")
_LONGER: Final = re.compile(r"Expected `str` of length >= (\d+)")
_PATTERN: Final = re.compile(r"Expected `str` matching regex '(.*)'")
_OTHER_KIND: Final = re.compile(r"Expected `([a-z |]+)`, got `([a-z]+)`")
_MISSING: Final = re.compile(r"Object missing required field `([^`]*)`")
_UNKNOWN: Final = re.compile(r"Object contains unknown field `([^`]*)`")
_WRONG_WORD: Final = "Invalid enum value "


def in_words(reason: str, within: Any = None, path: str = "") -> str:
    """msgspec's reason, without its ` - at ...`; `within` is the type that was read, and `path` the field of it in
    dots."""
    if reason.startswith(_WRONG_WORD):
        words = _words_at(within, path) if within is not None and path else []
        return f"it takes {' or '.join(filter(None, (', '.join(words[:-1]), words[-1])))}" if words else reason
    for pattern, told in _WORDING:
        if found := pattern.fullmatch(reason):
            return told(found)
    return reason


def _other_kind(found: re.Match[str]) -> str:
    wanted = [_KINDS.get(kind, kind) for kind in found[1].split(" | ")]
    return f"{' or '.join(wanted)} is expected, not {_GOT.get(found[2], found[2])}"


def _text_length(most: str) -> Callable[[re.Match[str]], str]:
    return lambda found: f"text of at {most} {found[1]} character{'' if found[1] == '1' else 's'} is expected"


_WORDING: Final[tuple[tuple[re.Pattern[str], Callable[[re.Match[str]], str]], ...]] = (
    (_OTHER_KIND, _other_kind),
    (_AT_LEAST, lambda found: f"a whole number of {found[1]} or more is expected"),
    (_AT_MOST, lambda found: f"a whole number of {found[1]} or less is expected"),
    (_LONGER, _text_length("least")),
    (_SHORTER, _text_length("most")),
    (_PATTERN, lambda found: f"text like {found[1]} is expected (a regular expression)"),
    (_MISSING, lambda found: f"`{found[1]}`{IS_MISSING}"),
    (_UNKNOWN, lambda found: f"unknown field `{found[1]}`"),
)


def _words_at(within: Any, path: str) -> list[str]:
    """The words that a field takes, in the order of their declaration; none where it takes others, or is not there."""
    at = [within]
    for name in path.split("."):
        structs = [one for kind in at for one in _parts(kind) if isinstance(one, type) and issubclass(one, Struct)]
        at = [field.type for one in structs for field in fields(one) if field.encode_name == name]
    return [str(word) for kind in at for one in _parts(kind) for word in _words_of(one)]


def _words_of(kind: Any) -> list[Any]:
    if get_origin(kind) is Literal:
        return list(get_args(kind))
    return [word.value for word in kind] if isinstance(kind, type) and issubclass(kind, Enum) else []


def _parts(kind: Any) -> list[Any]:
    """What it may be, without descriptions; of a list, what is in it."""
    origin = get_origin(kind)
    if origin is Annotated:
        return _parts(get_args(kind)[0])
    if origin in (Union, UnionType, list, tuple):
        return [part for one in get_args(kind) for part in _parts(one)]
    return [kind]


def fault_in_words(error: Exception, within: Any) -> str:
    """Of an error as a whole: the field, if it names one, and the reason."""
    reason, _, rest = str(error).partition(" - at `$.")
    path = rest.removesuffix("`")
    told = in_words(reason, within, re.sub(r"\[(\.\.\.|\d+)\]", "", path))
    if told == reason:
        return str(error)
    return f"{path}: {told}" if path else told
