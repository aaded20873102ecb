"""UsageEvent: one observed use, as every door hands it in.

Owns the shape and the limits of an event. Leaves to `ingest.admission` whether it may be stored now.
Instants are whole milliseconds since 1970-01-01T00:00:00Z.
"""

from __future__ import annotations

from typing import Final, Literal

import msgspec

MAX_QUANTITY: Final = 2**53 - 1  # the largest whole number every JSON reader keeps exactly
MAX_LABELS: Final = 16
MAX_LABEL_NAME_BYTES: Final = 64
MAX_LABEL_VALUE_BYTES: Final = 256
MAX_POSITION_BYTES: Final = 4096
MAX_NAME_BYTES: Final = 256  # source, id, account, user, product

Kind = Literal["use", "correction", "adjustment"]
METERED: Final = "metered"  # the series of our own measurements


class PlainEvent(msgspec.Struct, gc=False, omit_defaults=True):
    """A usage event as JSON: flat, times RFC 3339, quantities whole numbers from 0 to 2^53 - 1.

    `sequence` is the source's own running number (canonical decimal, as CloudEvents' `sequence` extension is text;
    a JSON number is taken too); when present it is the key. `position` is opaque and only kept with a `sequence`.
    """

    source: str
    account: str
    id: str = ""
    sequence: int | str | None = None
    position: str | None = None
    time: str | None = None
    user: str = ""
    product: str = ""
    bytes_up: int = 0
    bytes_down: int = 0
    requests: int = 1
    status: int = 0
    labels: dict[str, str] | None = None
