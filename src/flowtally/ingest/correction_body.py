"""A request body as corrections. Pure.

Unlike events, one that is wrong refuses the whole request: corrections are few and written on purpose, and half a list
of them is harder to put right than none.
"""

from __future__ import annotations

import re
from typing import Any, Final

import msgspec

from flowtally.core.corrections import MAX_CORRECTIONS, Correction, fault_of
from flowtally.core.errors import MalformedBody, Unprocessable
from flowtally.core.media import JSON
from flowtally.core.members import count_members, find_repeated
from flowtally.core.reasons import fault_in_words
from flowtally.core.texts import printable
from flowtally.ingest.counting import check_parts, count_names, is_array, items_of, may_be_long
from flowtally.ingest.items import MAX_FAULT_CHARS, unsupported

_FIELD: Final = re.compile(r"`\$?\.?(?P<field>[a-z_.]+)`")


def decode_corrections(body: bytes, media_type: str) -> list[Correction]:
    """The corrections of a decompressed body. Raises MalformedBody, TooLarge, UnsupportedMedia; Unprocessable names
    the index and the field of the first that is wrong."""
    kind = media_type.partition(";")[0].strip().lower()
    if kind != JSON:
        raise unsupported(kind, [JSON])
    try:
        msgspec.json.decode(body, type=msgspec.Raw)
        if is_array(body):  # counted before anything is made of it
            items_of(body, MAX_CORRECTIONS)
        elif may_be_long(body):
            check_parts(body)
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise MalformedBody(f"The body is not JSON: {error}") from None
    _check_repeated(body, value)
    items = value if isinstance(value, list) else [value]
    return [_correction(index, item) for index, item in enumerate(items)]


def _check_repeated(body: bytes, value: Any) -> None:
    if count_members(value) == count_names(body):
        return
    repeated = find_repeated(body)
    if repeated is not None:
        raise MalformedBody(f"The body cannot be read: {repeated}")


def _correction(index: int, item: Any) -> Correction:
    try:
        one = msgspec.convert(item, Correction)
    except (msgspec.ValidationError, RecursionError) as error:
        found = _FIELD.search(str(error))
        field = found["field"] if found else ""
        told = printable(
            fault_in_words(error, Correction), MAX_FAULT_CHARS
        )  # it may have the name of an unknown member in it
        raise Unprocessable(f"Correction {index}: {told}", index=index, field=field) from None
    fault = fault_of(one)
    if fault is not None:
        raise Unprocessable(f"Correction {index}: {fault[0]}: {fault[1]}", index=index, field=fault[0])
    return one
