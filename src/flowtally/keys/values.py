"""The values that the event keys take and give. Pure.

Owns their shape and meaning. Leaves what is done with them to `store` and the tables beside it, so that who only thinks
with them reaches no database.
"""

from __future__ import annotations

import msgspec

from flowtally.core.counters import Standing
from flowtally.core.words import SourceKind

Claim = tuple[int, bytes, int]  # a named event's key: number of its source, bytes, digest
Known = dict[bytes, tuple[int, int]]  # key -> (digest, block)
Number = tuple[int, int]  # number of a source, and a number of its
Place = tuple[int, str]  # number of a source, name of a counter


class Source(msgspec.Struct, frozen=True):
    no: int
    name: str
    kind: SourceKind
    owner: str
    mark: int
    position: str | None


class Refused(msgspec.Struct, frozen=True):
    """A numbered event that was refused: it consumed its number and lives only here."""

    source: int
    sequence: int
    id: str
    code: str
    detail: str


class Advance(msgspec.Struct, frozen=True):
    """A numbered source moves to a new mark."""

    source: int
    name: str
    mark: int
    position: str | None


class Held(msgspec.Struct, frozen=True):
    """One held event; `event` is the event as JSON, instants are milliseconds."""

    source: int
    sequence: int
    id: str
    account: str
    user: str
    time: int
    code: str
    detail: str
    digest: int
    held_at: int
    event: bytes


class HeldWhere(msgspec.Struct, frozen=True):
    """Which of them; None: all. `until`: only those whose time is not after it. `owner`: of sources of this
    credential."""

    source: int | None = None
    sequence: int | None = None
    account: str | None = None
    code: str | None = None
    until: int | None = None
    owner: str | None = None


class HeldGroup(msgspec.Struct, frozen=True):
    """How many events of a source and an account are held, and the bytes of them."""

    source: int
    account: str
    events: int
    bytes: int


class KnownCounter(msgspec.Struct, frozen=True, gc=False):
    """A counter and what is known of it; `standing.time` is of the latest reading."""

    source: int
    counter: str
    standing: Standing
    block: int
    seen_at: int = 0

    @property
    def is_watched(self) -> bool:
        """Whether it is open, and to be read again by a time."""
        return not self.standing.end and self.standing.interval_s is not None


class Due(msgspec.Struct, frozen=True):
    """A counter that is to be looked at later than was thought."""

    source: int
    counter: str
    at: int


class CounterGroup(msgspec.Struct, frozen=True):
    """How many counters of a source and an account are known."""

    source: int
    account: str
    counters: int


class Moved(msgspec.Struct, frozen=True):
    """What a block moves, besides keys. Records of the journal have it: new members go to the end."""

    block: int
    received_at: int
    rows: int
    advances: tuple[Advance, ...] = ()
    refused: tuple[Refused, ...] = ()
    held: tuple[Held, ...] = ()
    ended: tuple[Number, ...] = ()  # holds that end
    filled: tuple[Number, ...] = ()  # refused numbers that have a row after all
    counters: tuple[KnownCounter, ...] = ()  # that have rows in it
    seen: tuple[KnownCounter, ...] = ()  # that were read again, which told nothing new
    forgotten: tuple[KnownCounter, ...] = ()  # that are taken out: their rows still know them
    due: tuple[Due, ...] = ()  # that are to be looked at later than was thought
    promise: int = 0  # the ledger's highest number when this was decided
    sources: tuple[Source, ...] = ()  # that come into being


class Committed(msgspec.Struct, frozen=True):
    """Where the committer stands."""

    epoch: int
    block: int
    skipped: int
    received_at: int
    rows_total: int
    clean_block: int
    clean: bool
    installation: str = ""  # whose keys these are; empty until bound
    generation: str = ""
    promise: int = 0  # the highest number of the ledger's that was known when a block was last committed
    journaled: bool = True  # every block since is in the journal; not yet where an earlier version wrote last
