"""Settings that take one of a few words: each word with its meaning, for the documentation, the help and the error.

    log_format: Annotated[Literal["console", "json"], choice("Log lines.", {"console": "for people", ...})]

Owns the notation and how a wrong word is answered. Leaves the words to who owns the setting.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, get_args, get_origin

import msgspec
from msgspec import Meta

from flowtally.core.reasons import fault_in_words

_KEY: Final = "x-values"
_WRONG: Final = re.compile(r"Invalid enum value .*?(?: - at `\$\.(?P<field>[^`]+)`)?")


def choice(description: str, values: Mapping[str, str]) -> Meta:
    """The annotation of a `Literal`: what it is about, and what each of its words means."""
    return Meta(description=description, extra_json_schema={_KEY: dict(values)})


def choices_of(kind: Any) -> dict[str, str]:
    """The words of an annotated `Literal`, with their meanings; of a yes or no those two. Empty for anything else."""
    if kind is bool or (get_origin(kind) is Annotated and get_args(kind)[0] is bool):
        return {"true": "", "false": ""}
    metas = [one.extra_json_schema or {} for one in getattr(kind, "__metadata__", ()) if isinstance(one, Meta)]
    return next((dict(one[_KEY]) for one in metas if _KEY in one), {})


def listed(values: Mapping[str, str]) -> str:
    """`console (for people) or json (for programs)`."""
    shown = [f"{value} ({meaning})" if meaning else value for value, meaning in values.items()]
    return " or ".join(filter(None, (", ".join(shown[:-1]), shown[-1])))


def wrong_word(error: msgspec.ValidationError, within: type[msgspec.Struct]) -> str:
    """What a struct's converter says of a fault; where it is a wrong word, with the words that there are."""
    found = _WRONG.fullmatch(str(error))
    kinds = {field.encode_name: field.type for field in msgspec.structs.fields(within)}
    values = choices_of(kinds.get(found["field"])) if found and found["field"] else {}
    return f"{error}: it takes {listed(values)}" if values else fault_in_words(error, within)
