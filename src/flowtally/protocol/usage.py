"""What was used, and what changed."""

from __future__ import annotations

from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import Cut, Instant
from flowtally.core.reported import Grain
from flowtally.core.words import Bucket
from flowtally.protocol.words import AsOf, Totals

SHOWN_QUANTITIES: Final = ("bytes_up", "bytes_down", "bytes", "requests")  # in the order of columns


class UsageRow(msgspec.Struct, frozen=True, omit_defaults=True):
    """What was used in one span by one group: a description, for the members of a row depend on the question. Those
    that it splits by are there, labels as `label:<name>`.

    cut: Where the range cuts the bucket of the row: at its start, its end or both. Null where the bucket is whole.
    account: The account's id, or null; where it is split by `account`.
    user: The user's name, empty without a user; in a provider's series the vendor's own name of its sub-user; where it
        is split by `user`.
    user_id: The user's id, null in a provider's series; where it is split by `user`.
    product: What is metered; where it is split by `product`.
    status: The HTTP status of the proxied requests; where it is split by `status`.
    source: Who observed the use; where it is split by `source`.
    series: Whose figures these are; where it is split by `series`.
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
    series: str | None = None
    others: int | None = None


_Row = Annotated[dict[str, str | int | None], Meta(extra_json_schema={"$ref": "#/components/schemas/UsageRow"})]


class ToldStretch(msgspec.Struct, frozen=True, omit_defaults=True):
    """A stretch of the range that a provider told the use of, and how.

    grain: How long its spans are; `pull`: it tells what was used between two looks at it.
    zone: The calendar by which its spans are cut: an IANA name, or an offset such as `+08:00`.
    step: The smallest difference between two of its figures, in bytes or requests.
    finer: True where a row begins or ends within one of its spans. What it says of such a span stands in the row where
        the span begins: it is not spread over the others, for nobody knows how.
    """

    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    grain: Grain
    zone: str
    step: int
    finer: bool = False


class UsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What an account used, by span and by what was asked for.

    timezone: The IANA name of the time zone whose calendar cuts the spans.
    bucket: How long the spans are.
    rows: One for each span and group, in order of time.
    total: The sum of all rows; where several series are asked for, of those of the first: series are never added up.
    totals: The sum of each series; where several are asked for.
    grain: By provider's series, which stretches of the range it told, and how; of the others nothing is known, so zeros
        there say nothing. What is known now, also of a past moment.
    """

    account: str
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[_Row]
    total: Totals
    as_of: AsOf | None = None
    totals: dict[str, Totals] = {}
    grain: dict[str, list[ToldStretch]] = {}


class OverallUsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """What all accounts used, or those asked for, by span and by what was asked for. With `top` every row has
    `others`: 0 for a group of its own, else how many groups it sums up, whose names are null.

    accounts: The accounts that were asked for; null: all.
    timezone: The IANA name of the time zone whose calendar cuts the spans.
    bucket: How long the spans are.
    rows: One for each span and group, in order of time.
    total: The sum of all rows; where several series are asked for, of those of the first: series are never added up.
    totals: The sum of each series; where several are asked for.
    grain: By provider's series, which stretches of the range it told, and how; of the others nothing is known, so zeros
        there say nothing. What is known now, also of a past moment.
    """

    accounts: list[str] | None
    start: Instant = msgspec.field(name="from")
    end: Instant = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[_Row]
    total: Totals
    as_of: AsOf | None = None
    totals: dict[str, Totals] = {}
    grain: dict[str, list[ToldStretch]] = {}


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
