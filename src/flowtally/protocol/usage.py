"""What was used, and what changed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import Cut, Instant
from flowtally.core.words import Bucket
from flowtally.protocol.words import AsOf, Totals

SHOWN_QUANTITIES: Final = ("bytes_up", "bytes_down", "bytes", "requests")  # in the order of columns


class UsageRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was used in one span by one group: a description, for the members of a row depend on the question. Those
    that it splits by are there, labels as `label:<name>`.

    cut: Where the range cuts the bucket of the row: at its start, its end or both. Null where the bucket is whole.
    account: The account's id, or null; where it is split by `account`.
    user: The user's name, empty without a user; where it is split by `user`.
    user_id: The user's id; where it is split by `user`.
    product: What is metered; where it is split by `product`.
    status: The HTTP status of the proxied requests; where it is split by `status`.
    source: Who observed the use; where it is split by `source`.
    others: How many groups the row sums up, 0 for one of its own; where `top` was asked for.
    """

    start: Instant
    end: Instant
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int
    cut: Cut | None
    account: str | None = None
    user: str | None = None
    user_id: str | None = None
    product: str | None = None
    status: int | None = None
    source: str | None = None
    others: int | None = None


_Row = Annotated[dict[str, str | int | None], Meta(extra_json_schema={"$ref": "#/components/schemas/UsageRow"})]


class UsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an account used, by span and by what was asked for.

    timezone: The IANA name of the time zone whose calendar cuts the spans.
    bucket: How long the spans are.
    rows: One for each span and group, in order of time.
    total: The sum of all rows.
    """

    account: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[_Row]
    total: Totals
    as_of: AsOf | None = None


class OverallUsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all accounts used, or those asked for, by span and by what was asked for. With `top` every row has
    `others`: 0 for a group of its own, else how many groups it sums up, whose names are null.

    accounts: The accounts that were asked for; null: all.
    timezone: The IANA name of the time zone whose calendar cuts the spans.
    bucket: How long the spans are.
    rows: One for each span and group, in order of time.
    total: The sum of all rows.
    """

    accounts: list[str] | None
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[_Row]
    total: Totals
    as_of: AsOf | None = None


class Change(msgspec.Struct, frozen=True):
    """What one commit did to one account. Quantities below zero take away.

    series: Whose figures changed: `metered` are our own.
    use: How many events came.
    late: How many of them are dated before `late_before`.
    corrections: How many corrections came.
    adjustments: How many free adjustments came.
    earliest: The earliest instant that they are dated at.
    latest: The latest instant that they are dated at.
    flags: How many rows of readings were counted by a rule beyond the usual one, by its code (`reset`,
        `missing_stop`…).
    """

    block: int
    received_at: Instant
    series: str
    account: str
    use: int
    late: int
    corrections: int
    adjustments: int
    earliest: Instant
    latest: Instant
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int
    flags: dict[str, int] = {}


class ChangesAnswer(msgspec.Struct, frozen=True):
    """Changes in the order they were committed.

    late_before: Use dated before this instant counts as late.
    items: The changes.
    next: Ask again with `since` = this.
    more: Whether there are more: ask again at once.
    """

    late_before: Instant
    items: list[Change]
    next: str
    more: bool
