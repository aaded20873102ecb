"""Sample: what a gauge of a server stood at at an instant, as the door takes it.

Owns the shape and the unit: whole thousandths, so that what is added up is exact. Leaves to `samples` what is kept,
which was there before, and what a period comes to.
"""

from __future__ import annotations

import re
from decimal import ROUND_HALF_EVEN, Decimal
from math import isfinite
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant

MAX_SAMPLES: Final = 10_000  # in one request
MAX_VALUE: Final = 2**53 - 1
THOUSAND: Final = 1000
MAX_SERIES: Final = 32  # of one server
MAX_PERIODS: Final = 11_000  # of one series in an answer: a year of hours, a week of minutes

_NAME: Final = re.compile(r"[a-z][a-z0-9_.-]{0,63}", re.ASCII)
_SERVER: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", re.ASCII)
_STEP: Final = Decimal("0.001")


class ServerSample(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a gauge of a server stood at.

    server: The id of the server.
    name: Of the gauge: `cpu`, `memory`, `connections`, `bytes_in`, `bytes_out`, or another of 1 to 64 small letters,
        digits, dots, dashes and underscores that begins with a letter.
    time: When it was measured. Samples are kept by the second: a fraction is cut off.
    value: What it stood at. Three decimals are kept, the last one rounded to the nearest (half to even).
    """

    server: Annotated[str, Meta(max_length=64)]
    name: Annotated[str, Meta(max_length=64)]
    time: Instant
    value: float


def fault_of(one: ServerSample) -> str | None:
    """Why it can be no sample, whatever is known of its server."""
    if not _SERVER.fullmatch(one.server):
        return "server is no id of a server"
    if not is_series_name(one.name):
        return "name has 1 to 64 of a-z, 0-9, dot, dash and underscore, and begins with a letter"
    if not isfinite(one.value) or abs(one.value) > MAX_VALUE:
        return f"value is larger than {MAX_VALUE}"
    return None


def is_series_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def is_server_id(text: str) -> bool:
    return _SERVER.fullmatch(text) is not None


def thousandths(value: float) -> int:
    """The nearest whole number of thousandths, half to even."""
    if value.is_integer():
        return int(value) * THOUSAND
    return int(Decimal(repr(value)).quantize(_STEP, ROUND_HALF_EVEN).scaleb(3))


def in_units(number: int) -> float:
    """What is shown of thousandths."""
    return number / THOUSAND
