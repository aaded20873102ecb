"""What was used, and what changed."""

from __future__ import annotations

import msgspec

from flowtally.protocol.words import AsOf, Bucket, Totals


class UsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`rows` carry `start`, `end` (end excluded, RFC 3339 in the asked zone), quantities and what `by` named. `as_of`:
    of which moment it is; its token asks for it again."""

    account: str
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[dict[str, str | int | None]]
    total: Totals
    as_of: AsOf | None = None


class OverallUsageAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """The same over all accounts, or those asked for. With `top` every row has `others`: 0 for a group of its own,
    else how many groups it sums up, whose names are null."""

    accounts: list[str] | None
    start: str = msgspec.field(name="from")
    end: str = msgspec.field(name="to")
    timezone: str
    bucket: Bucket
    rows: list[dict[str, str | int | None]]
    total: Totals
    as_of: AsOf | None = None


class Change(msgspec.Struct, frozen=True):
    """What one commit did to one account: how many rows of each kind (`late`: use dated before `late_before`), from
    when to when they are dated (both included), and what they add; negative takes away. `flags`: how many rows of
    readings counted by a rule beyond the usual one, by its code (`reset`, `missing_stop`…)."""

    block: int
    received_at: str
    series: str
    account: str
    use: int
    late: int
    corrections: int
    adjustments: int
    earliest: str
    latest: str
    bytes_up: int
    bytes_down: int
    bytes: int
    requests: int
    flags: dict[str, int] = {}


class ChangesAnswer(msgspec.Struct, frozen=True):
    """Changes in the order they were committed. Ask again with `since` = `next`, at once where there are `more`."""

    late_before: str
    items: list[Change]
    next: str
    more: bool
