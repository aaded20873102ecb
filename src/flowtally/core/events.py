"""UsageEvent: one observed use, as every door hands it in, and the limits of its fields.

Owns the shape. Leaves to `ingest` whether it may be stored now. Instants are whole milliseconds since 1970 UTC.
Sources: CloudEvents 1.0.2 (attributes), its Sequence extension (`sequence`), RFC 9562 (UUIDv7), the ULID specification.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant
from flowtally.core.texts import text_fault

MAX_QUANTITY: Final = 2**53 - 1  # the largest whole number every JSON reader keeps exactly
MAX_SEQUENCE: Final = 2**63 - 1
MAX_SEQUENCE_CHARS: Final = 32  # with zeros before its digits, of which there are 19 at most
MAX_LABELS: Final = 16
MAX_LABEL_NAME_BYTES: Final = 64
MAX_LABEL_VALUE_BYTES: Final = 256
MAX_POSITION_CHARS: Final = 4096
MAX_NAME_CHARS: Final = 256  # source, id, account, user, product
METERED: Final = "metered"  # the series of our own measurements

Name = Annotated[str, Meta(min_length=1, max_length=MAX_NAME_CHARS)]
MaybeName = Annotated[str, Meta(max_length=MAX_NAME_CHARS)]
Quantity = Annotated[int, Meta(ge=0, le=MAX_QUANTITY)]
Status = Annotated[int, Meta(ge=0, le=65_535)]
Position = Annotated[str, Meta(max_length=MAX_POSITION_CHARS)]
Sequence = Annotated[int, Meta(ge=1, le=MAX_SEQUENCE)] | Annotated[str, Meta(max_length=MAX_SEQUENCE_CHARS)]


class UsageEvent(msgspec.Struct, gc=False, omit_defaults=True, forbid_unknown_fields=True):
    """A usage event as plain JSON: flat, times RFC 3339, quantities whole numbers from 0 to 2^53 - 1. Unknown fields
    are refused: a misspelt quantity must not silently count as nothing.

    id: Its id, unique in its source: the same id again is the same event. Without `time` it must be a UUIDv7 or a
        ULID, which carry it.
    sequence: The source's own running number from 1, as text or as a number; where it is given it is the key and `id`
        is only kept. Zeros before it do not count.
    position: A text of your own that is kept with the number, such as the place in a log file.
    time: When the use was; null: as `id` carries it.
    user: The user's name inside the account; empty: none.
    product: What is metered, such as `residential` or `api`; empty: none.
    status: The HTTP status of the proxied request; 0: not known.
    labels: Names and values of your own, up to 16 of them.
    """

    source: Name
    account: Name
    id: MaybeName = ""
    sequence: Sequence | None = None
    position: Position | None = None
    time: Instant | None = None
    user: MaybeName = ""
    product: MaybeName = ""
    bytes_up: Quantity = 0
    bytes_down: Quantity = 0
    requests: Quantity = 1
    status: Status = 0
    labels: dict[str, str] | None = None


class UsageData(msgspec.Struct, forbid_unknown_fields=True):
    """The `data` of a CloudEvent: what a plain event has beside the context attributes.

    user: The user's name inside the account; empty: none.
    product: What is metered, such as `residential` or `api`; empty: none.
    status: The HTTP status of the proxied request; 0: not known.
    labels: Names and values of your own, up to 16 of them.
    """

    user: MaybeName = ""
    product: MaybeName = ""
    bytes_up: Quantity = 0
    bytes_down: Quantity = 0
    requests: Quantity = 1
    status: Status = 0
    labels: dict[str, str] | None = None


NO_DATA: Final = UsageData()


class CloudEvent(msgspec.Struct):
    """A CloudEvent in JSON. Other extension attributes are allowed and not kept.

    specversion: The version of CloudEvents.
    id: Its id, unique in its source: the same id again is the same event.
    type: The type of the event; any.
    subject: The account's id.
    time: When the use was; null: as `id` carries it.
    datacontenttype: The media type of the data: JSON.
    data: The use.
    data_base64: Data that are not JSON are refused.
    sequence: The source's own running number from 1; where it is given it is the key and `id` is only kept.
    position: A text of your own that is kept with the number, such as the place in a log file.
    """

    specversion: Literal["1.0"]
    id: Name
    source: Name
    type: Name
    subject: Name
    time: Instant | None = None
    datacontenttype: str | None = None
    data: UsageData = msgspec.field(default_factory=lambda: NO_DATA)  # it is changed by nobody
    data_base64: Any = None
    sequence: Sequence | None = None
    position: Position | None = None

    def plain(self) -> UsageEvent:
        """The same event, flat. Raises `ValueError` where the data is not JSON."""
        kind = (self.datacontenttype or "application/json").partition(";")[0].strip().lower()
        if self.data_base64 is not None or not (kind.endswith(("/json", "+json"))):
            other = "data_base64 (some libraries write bytes so: hand them an object)"
            raise ValueError(f"data must be JSON, not {kind if self.data_base64 is None else other}")
        data = self.data
        return UsageEvent(
            self.source,
            self.subject,
            self.id,
            self.sequence,
            self.position,
            self.time,
            data.user,
            data.product,
            data.bytes_up,
            data.bytes_down,
            data.requests,
            data.status,
            data.labels,
        )


def number_of(sequence: object) -> int | None:
    """The number that a `sequence` is; None where it is none."""
    if isinstance(sequence, str):
        is_number = sequence.isascii() and sequence.isdigit() and len(sequence) <= MAX_SEQUENCE_CHARS
        sequence = int(sequence) if is_number else None
    is_one = isinstance(sequence, int) and not isinstance(sequence, bool) and 0 < sequence <= MAX_SEQUENCE
    return sequence if is_one else None  # type: ignore[return-value]


def number_in(id: str) -> int | None:
    """The number that an id is where it stands for one, as the API writes it: canonical decimal. None where it is none,
    or more than any event can have."""
    is_one = id.isascii() and id.isdigit() and len(id) <= MAX_SEQUENCE_CHARS and str(int(id)) == id
    return int(id) if is_one and int(id) <= MAX_SEQUENCE else None


_UUID7: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", re.IGNORECASE)
_ULID: Final = re.compile(r"[0-7][0-9A-HJKMNP-TV-Z]{25}", re.IGNORECASE)
_CROCKFORD: Final = {char: value for value, char in enumerate("0123456789ABCDEFGHJKMNPQRSTVWXYZ")}
LABEL: Final = "label:"  # before the name of a label, where dimensions are named
NOBODY: Final = ""  # whose use it is when an event names no user


def time_of_id(id: str) -> int | None:
    """The instant that a UUIDv7 or a ULID carries; None for any other id."""
    if _UUID7.fullmatch(id):
        return int(id[:8] + id[9:13], 16)
    if _ULID.fullmatch(id):
        value = 0
        for char in id[:10].upper():
            value = value * 32 + _CROCKFORD[char]
        return value
    return None


def labels_fault(labels: dict[str, str]) -> str | None:
    """Why these labels cannot be kept, or None."""
    if len(labels) > MAX_LABELS:
        return f"{len(labels)} labels; at most {MAX_LABELS}"
    for name, value in labels.items():
        if not name.isprintable() and (fault := text_fault(name)):
            return f"the label name {name[:80]!r} {fault}"
        if not value.isprintable() and (fault := text_fault(value)):
            return f"the value of label {name[:80]!r} {fault}"
        if not 0 < len(name.encode()) <= MAX_LABEL_NAME_BYTES:
            return f"the label name {name[:80]!r} must have 1 to {MAX_LABEL_NAME_BYTES} bytes"
        if len(value.encode()) > MAX_LABEL_VALUE_BYTES:
            return f"the value of label {name!r} has {len(value.encode())} bytes; at most {MAX_LABEL_VALUE_BYTES}"
    return None
