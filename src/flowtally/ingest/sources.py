"""Sources as the committer knows them: owner, kind and mark of those it met lately, and those that a block may make.

A source comes into being inside the block that stores something of it. Until then it is `fresh`: only here, and
forgotten with the request of which nothing was stored. Owns the memory; leaves what is kept to the keys database. Only
the committer's thread comes here, or whoever has the moment between two blocks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from flowtally.core.errors import NotFound
from flowtally.core.words import SourceKind
from flowtally.ingest.admission import Submitter
from flowtally.ingest.block import check_reserved, check_source
from flowtally.ingest.newcomers import Newcomers
from flowtally.keys.store import Keys
from flowtally.keys.values import Advance, Source

REMEMBERED: Final = 50_000
SLICE: Final = 1_000  # names that are looked up at a time where a request has many


class Sources(Mapping[str, Source]):
    """By name: those that were opened for this block, and others of blocks before."""

    def __init__(self, keys: Keys, newcomers: Newcomers) -> None:
        self._keys = keys
        self._newcomers = newcomers
        self._whose: dict[str, str] = {}  # for whom each fresh one counts
        self._opened: Counter[str] = Counter()  # how many that are
        self._known: dict[str, Source] = {}
        self._last = keys.last_source()
        self.fresh: set[str] = set()  # those of them that are not there yet

    def __getitem__(self, name: str) -> Source:
        return self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def load(self, names: Iterable[str]) -> None:
        """Remember those of these that are there: one question for all of them."""
        wanted = {name for name in names if name not in self._known}
        if len(self._known) + len(wanted) > REMEMBERED:
            self.forget()
            wanted = set(names)
        if wanted:
            self._known |= self._keys.named_sources(wanted)

    def check_many(self, names: Collection[str]) -> None:
        """Whether one request may begin those of these that are not there. Looks some up at a time, and no more than
        it takes to know. TooManyNew."""
        if len(names) <= self._newcomers.limits.sources_per_request:
            return
        wanted = [name for name in names if name not in self._known]
        new = 0
        for start in range(0, len(wanted), SLICE):
            some = wanted[start : start + SLICE]
            self.load(some)
            new += sum(name not in self._known for name in some)
            self._newcomers.check_many(new, all_counted=start + SLICE >= len(wanted))

    def open(self, kinds: Mapping[str, SourceKind], writer: Submitter) -> None:
        """Let this writer write these, which were loaded; those that are not there may come into being now. Raises
        SourceNotYours, SourceKindMismatch, TooManyNew, NewTooOften: then none of them does."""
        for name, kind in kinds.items():
            source = self._known.get(name)
            check_reserved(writer, name, kind if source is None else None)
            if source is not None:
                check_source(writer, source, kind, fresh=name in self.fresh)
        new = [name for name in kinds if name not in self._known]
        if not new:
            return
        whose = writer.account or writer.sender
        self._newcomers.check_sources(whose, len(new), self._opened[whose])
        self._opened[whose] += len(new)
        for name in new:
            self._last += 1
            self._known[name] = Source(self._last, name, kinds[name], writer.sender, 0, None)
            self._whose[name] = whose
        self.fresh.update(new)

    def load_numbers(self, numbers: Iterable[int]) -> dict[int, Source]:
        """The same for numbers of sources: by number."""
        found = (self._keys.source_of(no) for no in numbers)
        sources = {source.no: source for source in found if source is not None}
        self._known |= {source.name: source for source in sources.values()}
        return sources

    def made(self, names: Sequence[str]) -> None:
        """These are there now: their block was committed."""
        self._newcomers.sources_made([self._whose.pop(name) for name in names])
        self.fresh.difference_update(names)

    def move(self, advances: Iterable[Advance]) -> None:
        for one in advances:
            self._known[one.name] = replace(self._known[one.name], mark=one.mark, position=one.position)

    def forget_fresh(self) -> None:
        """Nothing was stored of those that are not there."""
        for name in self.fresh:
            self._known.pop(name, None)
        self._open_none()

    def forget(self) -> None:
        """Whatever happened, all is read anew."""
        self._known.clear()
        self._open_none()

    def _open_none(self) -> None:
        self.fresh.clear()
        self._whose.clear()
        self._opened.clear()

    def hand_over(self, name: str, owner: str) -> Source:
        """Give a source to another sender, between two blocks: from the next one on it is that sender's. Synced.
        NotFound."""
        self.forget_fresh()
        source = self._keys.hand_over(name, owner)
        if source is None:
            raise NotFound(f"There is no source {name!r}", source=name)
        self._known.pop(name, None)
        return source
