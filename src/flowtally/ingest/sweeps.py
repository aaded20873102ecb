"""What of the held events to look at next: when their account changed, when their instant comes, and all now and then.

Owns the order, a page at a time: between two pages others are written. Accounts are told by any thread, all else is the
committer's. What was missed (an account that came into being while nobody was told) is found by looking at all.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.keys.values import HeldWhere, Number

ALL_EVERY_S: Final = 60.0
PAGE: Final = 10_000
PAGE_OF_ALL: Final = 2_000  # nobody waits for these
AFTER_FAILURE_S: Final = 30.0
FEWER: Final = 10  # after a failure a page is this many times smaller; after as many that went well as large again
BEGINNING: Final = (0, 0)


class SweepPage(msgspec.Struct, frozen=True):
    """The next events to look at: those after a number, at most `limit`."""

    where: HeldWhere
    after: Number
    limit: int
    urgent: bool  # somebody may wait for it


class Sweeps:
    """The pages to look at. Look at all at once at first: this may be a start after years."""

    def __init__(self, seconds: Callable[[], float] = time.monotonic) -> None:
        self._seconds = seconds
        self._telling = threading.Lock()
        self._accounts: dict[str, None] = {}  # that changed, in order
        self._page: SweepPage | None = None
        self._all_again = self._not_before = seconds()
        self._most = PAGE
        self._well = 0  # pages in a row

    def look_again(self, account: str) -> None:
        """This account or its users changed: call it after the commit. From any thread."""
        with self._telling:
            self._accounts[account] = None

    @property
    def told(self) -> bool:
        return bool(self._accounts)

    def forget(self) -> None:
        """Nothing is held."""
        with self._telling:
            self._accounts.clear()
        self._page = None

    def next(self, latest_at: int, next_time: int | None) -> SweepPage | None:
        """The page to look at now, if any: `latest_at` is the latest instant that is not in the future, `next_time` the
        first instant that an event waits for."""
        if self._seconds() < self._not_before:
            return None
        if self._page is None:
            self._page = self._begin(latest_at, next_time)
        return self._page

    def went(self, next: Number | None) -> bool:
        """The page was looked at, and there are more after this number. Whether somebody may wait for the next."""
        assert self._page is not None
        urgent = self._page.urgent and (next is not None or bool(self._accounts))
        self._well += 1
        if self._most < PAGE and (next is None or self._well == FEWER):  # what failed before was all in these
            self._most, self._well = min(PAGE, self._most * FEWER), 0
        limit = self._limit(self._page.urgent)
        self._page = None if next is None else msgspec.structs.replace(self._page, after=next, limit=limit)
        return urgent

    def failed(self, first: Number | None) -> None:
        """The page could not be written; `first` is the first number in it. Fewer next time, so that one that cannot be
        stands in nobody's way; one that failed alone is left out, until all are looked at again."""
        page, self._page = self._page, None
        self._well = 0
        self._not_before = self._seconds() + AFTER_FAILURE_S
        if page is None or first is None:
            return
        if self._most == 1:
            page, self._most = msgspec.structs.replace(page, after=first), PAGE
        else:
            self._most = max(1, self._most // FEWER)
        self._page = msgspec.structs.replace(page, limit=self._limit(page.urgent))

    def _limit(self, urgent: bool) -> int:
        return min(PAGE if urgent else PAGE_OF_ALL, self._most)

    def _begin(self, latest_at: int, next_time: int | None) -> SweepPage | None:
        with self._telling:
            account = next(iter(self._accounts), None)
            self._accounts.pop(account or "", None)
        if account is not None:
            return SweepPage(HeldWhere(account=account), BEGINNING, self._limit(True), urgent=True)
        if next_time is not None and next_time <= latest_at:
            return SweepPage(
                HeldWhere(code="time_in_future", until=latest_at), BEGINNING, self._limit(True), urgent=True
            )
        if self._seconds() >= self._all_again:
            self._all_again = self._seconds() + ALL_EVERY_S
            return SweepPage(HeldWhere(), BEGINNING, self._limit(False), urgent=False)
        return None
