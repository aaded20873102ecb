"""How many sources and users requests may bring into being: in one of them, and within an hour for one account.

Each costs the one writer some 15 to 50 microseconds, stays for ever, and comes of nothing but a name in an event. So
whoever invents names cannot hold the writer from others for long, nor fill the stores with them. Counts live in memory
alone: a new hour or a new process begins at nought.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Final

import msgspec

from flowtally.errors import FlowtallyError, NewTooOften, TooManyNew
from flowtally.ingest.block import Gathered
from flowtally.ledger.names import Name

HOUR_MS: Final = 3_600_000
COUNTED: Final = 100_000  # accounts and senders; more begin at nought


class NewLimits(msgspec.Struct, frozen=True):
    """How many new sources and users, in a request and an hour."""

    sources_per_request: int
    sources_per_hour: int
    users_per_request: int
    users_per_hour: int


class Newcomers:
    """What came into being this hour. Only the committer's thread comes here."""

    def __init__(self, limits: NewLimits, clock: Callable[[], int]) -> None:
        self.limits = limits
        self._clock = clock
        self._hour = 0
        self._sources: Counter[str] = Counter()  # by account, or sender of none
        self._users: Counter[str] = Counter()  # by account

    def check_sources(self, whose: str, new: int, others: int) -> None:
        """Whether a request may begin `new` sources, beside `others` of its block. TooManyNew, NewTooOften."""
        if new > self.limits.sources_per_request:
            raise _too_many("sources", new, self.limits.sources_per_request)
        self._begin_hour()
        if new and self._sources[whose] + others + new > self.limits.sources_per_hour:
            raise self._too_often("sources", whose, self.limits.sources_per_hour)

    def may_all(self, users: Iterable[Name]) -> bool:
        """Whether these users may be made, by however many requests."""
        counts = Counter(account for account, _ in users)
        self._begin_hour()
        return counts.total() <= self.limits.users_per_request and all(
            self._users[account] + count <= self.limits.users_per_hour for account, count in counts.items()
        )

    def check_users(self, users: Iterable[Name], others: Mapping[str, int]) -> Counter[str]:
        """Whether one request may make these, beside `others` of its block by account; how many of each account they
        are. TooManyNew, NewTooOften."""
        counts = Counter(account for account, _ in users)
        if counts.total() > self.limits.users_per_request:
            raise _too_many("users", counts.total(), self.limits.users_per_request)
        for account, count in counts.items():
            if self._users[account] + others.get(account, 0) + count > self.limits.users_per_hour:
                raise self._too_often("users", account, self.limits.users_per_hour)
        return counts

    def sources_made(self, whose: Iterable[str]) -> None:
        self._count(self._sources, whose)

    def users_made(self, accounts: Iterable[str]) -> None:
        self._count(self._users, accounts)

    def _count(self, made: Counter[str], whose: Iterable[str]) -> None:
        self._begin_hour()
        made.update(whose)
        if len(made) > COUNTED:
            made.clear()

    def _begin_hour(self) -> None:
        hour = self._clock() // HOUR_MS
        if hour != self._hour:
            self._hour = hour
            self._sources.clear()
            self._users.clear()

    def _too_often(self, what: str, whose: str, limit: int) -> NewTooOften:
        wait_s = -(-(HOUR_MS - self._clock() % HOUR_MS) // 1000)
        return NewTooOften(
            f"More than {limit} new {what} of {whose!r} within an hour. Nothing of this request is stored; send it"
            " again in the next",
            retry_after_s=wait_s,
            what=what,
            limit=limit,
        )


def crowding(
    block: Gathered, stored: Sequence[int], new: Collection[Name], newcomers: Newcomers
) -> dict[int, FlowtallyError]:
    """Which submissions of a block would make more of these new users than they may, and what they are told. `stored`
    are its rows, in order."""
    over: dict[int, FlowtallyError] = {}
    seen: set[Name] = set()
    counted: Counter[str] = Counter()
    account, user = block.rows.columns.account, block.rows.columns.user
    for index, start in enumerate(block.starts):
        end = start + len(block.submissions[index].events)
        rows = stored[bisect_left(stored, start) : bisect_left(stored, end)]
        mine = {(account[row], user[row]) for row in rows}.intersection(new) - seen
        try:
            counted += newcomers.check_users(mine, counted)
            seen |= mine
        except (NewTooOften, TooManyNew) as error:
            over[index] = error
    return over


def _too_many(what: str, new: int, limit: int) -> TooManyNew:
    return TooManyNew(
        f"{new} new {what} in one request; at most {limit}. Nothing of it is stored; send it in parts",
        what=what,
        limit=limit,
    )
