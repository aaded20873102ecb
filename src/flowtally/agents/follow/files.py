"""One file of a log, by its inode: where it is seen, whether it is still written, and its descriptor while it is read.

The path tells what is written now, the inode which file was meant. A descriptor is kept from the first look at a file
that is written until it was superseded (its path has another inode) and quiet for the time of `linger`, so a rename or
a deletion loses nothing. A closed file remembers how it looked: when it looks different it is read again.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from flowtally.agents.follow.dispatcher import Backoff
from flowtally.agents.follow.tail import Identity, Print, Tail, identity_of, print_of

QUIET_CLOSE_S: Final = 3600.0  # a file that nobody writes is closed, and opened again when it changes


class FollowedFile:
    """`home`: the path under which it was written; None: it was met as what rotation left."""

    def __init__(self, path: str, stat: os.stat_result, now: float, *, live: bool) -> None:
        self.path = path
        self.identity: Identity = identity_of(stat)
        self.home = path if live else None
        self.live = live
        self.superseded = not live
        self.tail: Tail | None = None
        self.seen: Print = print_of(stat)
        self.moved_at = now
        self.read_as: Print | None = None  # how it looked before the last reading that came to its end
        self.head: bytes | None = None
        self.aside: Print | None = None  # how it looked when it was left alone
        self.fault = False  # something of it cannot be read, and it was told
        self.void = False  # and whether it was finished then
        self.pause = Backoff()
        self.first_at = 0  # the instant of its first line, ms; for the order
        self.source = ""

    @property
    def compressed(self) -> bool:
        return self.tail is not None and bool(self.tail.log.kind)

    def seen_at(self, path: str, *, live: bool) -> None:
        """It was met under this path."""
        self.path = path
        self.live = live
        if live:
            self.home, self.superseded = path, False

    def look(self, now: float, stat: os.stat_result | None = None) -> None:
        """Does it look different from last time? OSError from a descriptor that is of no use any more."""
        if stat is None:
            if self.tail is None:
                return
            stat = self.tail.stat()
        if print_of(stat) != self.seen:
            self.seen, self.moved_at = print_of(stat), now

    @property
    def changed(self) -> bool:
        """Whether there may be something to read."""
        return self.seen != self.read_as

    def finished(self, now: float, linger_s: float, *, by_date: bool) -> bool:
        """Nobody writes it any more: what follows its last newline is its last line. `by_date`: believe its date, for
        who does not stay to see."""
        if not self.superseded:
            return False
        quiet_s = now - self.moved_at
        if by_date:
            quiet_s = max(quiet_s, time.time() - self.seen[1] / 1e9)
        return quiet_s >= linger_s

    def open(self) -> Tail:
        """OSError where it cannot be opened, or another file is there by now."""
        if self.tail is None:
            tail = Tail(Path(self.path))
            if tail.identity != self.identity:
                tail.close()
                raise FileNotFoundError(2, "another file is there", self.path)
            self.tail = tail
        return self.tail

    def close(self) -> None:
        if self.tail is not None:
            self.tail.close()
            self.tail = None

    def begin_anew(self) -> None:
        """It was cut: what is in it now is another log."""
        self.head = None
        self.source = ""
        self.read_as = self.aside = None
        self.fault = False
