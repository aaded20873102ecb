"""How many sources and users requests may bring into being: in one of them, in one block, and within an hour for one
account.

Each costs the one writer some 15 microseconds, stays for ever, and comes of nothing but a name in an event. So
whoever invents names cannot hold the writer from others for long, nor fill the stores with them. Counts live in memory
alone: a new hour or a new process begins at nought.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from flowtally.core.errors import FlowtallyError, NewTooOften, TooManyNew
from flowtally.core.times import HOUR_MS
from flowtally.ingest.block import Gathered
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.submission import Submission
from flowtally.ledger.people.names import Name

COUNTED: Final = 100_000  # accounts and senders; more begin at nought


class NewLimits(msgspec.Struct, frozen=True):
    """How many new sources and users, in a request and an hour."""

    sources_per_request: int
    sources_per_hour: int
    users_per_request: int
    users_per_hour: int

    @property
    def users_per_block(self) -> int:
        """Those of the largest request, and some of others beside it: who makes few waits for nobody who makes many."""
        return self.users_per_request + self.users_per_request // 10


class Newcomers:
    """What came into being this hour. Only the committer's thread comes here."""

    def __init__(self, limits: NewLimits, clock: Callable[[], int]) -> None:
        self.limits = limits
        self._clock = clock
        self._hour = 0
        self._sources: Counter[str] = Counter()  # by account, or sender of none
        self._users: Counter[str] = Counter()  # by account
        self._in_block = 0  # users

    def begin_block(self) -> None:
        """From here to the next one all is answered at once."""
        self._in_block = 0

    def fit(self, new: int) -> bool:
        """Whether so many new users, at most, go into this block."""
        return self._in_block + new <= self.limits.users_per_block

    def has_room(self, new: int, others: int) -> bool:
        """The same of one request, beside `others` that the block makes already. The first in a block always do."""
        return not new or not self._in_block + others or self.fit(others + new)

    def check_sources(self, whose: str, new: int, others: int) -> None:
        """Whether a request may begin `new` sources, beside `others` of its block. TooManyNew, NewTooOften."""
        self.check_many(new)
        self._begin_hour()
        if new and self._sources[whose] + others + new > self.limits.sources_per_hour:
            raise self._too_often("sources", whose, self.limits.sources_per_hour)

    def check_many(self, new: int, *, all_counted: bool = True) -> None:
        """Whether one request may begin so many sources. TooManyNew."""
        if new > self.limits.sources_per_request:
            raise _too_many("sources", new, self.limits.sources_per_request, "" if all_counted else "At least ")

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
        made = list(accounts)
        self._in_block += len(made)
        self._count(self._users, made)

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
    for index, named in _names(block, stored):
        mine = named.intersection(new) - seen
        try:
            counted += newcomers.check_users(mine, counted)
            seen |= mine
        except (NewTooOften, TooManyNew) as error:
            over[index] = error
    return over


def overflowing(
    block: Gathered, stored: Sequence[int], resolver: NameResolver, newcomers: Newcomers
) -> list[Submission]:
    """Which submissions of a block wait for the next one: their new users and those before them are too many for one.
    So does what comes after them in the same turn, as each turn keeps its order. Once one has to wait nothing more is
    looked up: names that nobody remembers count as new."""
    late: list[Submission] = []
    late_keys: set[str] = set()
    seen: set[Name] = set()
    for index, named in _names(block, stored):
        submission = block.submissions[index]
        strange = resolver.not_remembered((account, [user]) for account, user in named - seen)
        new = strange if late or not strange else resolver.free_names(strange)
        if submission.queue_key in late_keys or not newcomers.has_room(len(new), len(seen)):
            late.append(submission)
            late_keys.add(submission.queue_key)
        else:
            seen |= new
    return late


def _names(block: Gathered, stored: Sequence[int]) -> Iterator[tuple[int, set[Name]]]:
    """The users that each submission would write events of."""
    account, user = block.rows.columns.account, block.rows.columns.user
    for index, start in enumerate(block.starts):
        end = start + len(block.submissions[index].events)
        rows = stored[bisect_left(stored, start) : bisect_left(stored, end)]
        yield index, {(account[row], user[row]) for row in rows}


def _too_many(what: str, new: int, limit: int, least: str = "") -> TooManyNew:
    return TooManyNew(
        f"{least}{new} new {what} in one request; at most {limit}. Nothing of it is stored; send it in parts",
        what=what,
        limit=limit,
    )
