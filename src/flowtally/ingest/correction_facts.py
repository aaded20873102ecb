"""What a request of corrections is planned on: event keys, rows, and what the ledger knows.

Owns the questions and their order; `correction_plan` decides. Rows are read before, on the request's own thread
(`find`), for the writer must not wait for the usage store. Keys and ledger are asked on the committer's thread, between
two blocks; whether the rows are all that was ever committed is known from memory there (`recent_corrections`), and
where they are not, the request reads them again (`RowsChanged`). Nothing is written here.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

import numpy as np

from flowtally.core.corrections import Correction, EventRef
from flowtally.core.events import number_in
from flowtally.ingest.admission import Reason, Submitter
from flowtally.ingest.correction_plan import Facts, dated
from flowtally.ingest.correction_receipts import is_held, not_a_number, unknown, was_refused
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.prepare import Key
from flowtally.ingest.recent_corrections import RecentCorrections
from flowtally.ingest.submission import Correcting, LookedUp
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import Keys
from flowtally.keys.values import Known, Source
from flowtally.usage.values import EventKey, StoredEvent
from flowtally.usage.verbs import Entries

NOTHING: Final = LookedUp(0, frozenset(), {}, {})


class RowsChanged(Exception):
    """What was read of the rows is not all of it any more."""


LookUp = Callable[[int, Sequence[bytes]], Known]
Found = dict[EventRef, EventKey | Reason]


class CorrectionFacts:
    """Built once, beside the committer."""

    def __init__(
        self,
        usage: Entries,
        keys: Keys,
        resolver: NameResolver,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
        recent: RecentCorrections,
    ) -> None:
        self._usage = usage
        self._recent = recent
        self._keys = keys
        self._resolver = resolver
        self._clock = clock
        self._max_future_ms = max_future_ms
        self._create_users = create_users

    def find(self, corrections: Sequence[Correction]) -> LookedUp:
        """The events these name, as far as they are there already, and what corrected them; any thread but the
        committer's. What the keys have committed readers see already."""
        keys = _only_keys(self._event_keys(_named(corrections), self._keys.known))
        if not keys:
            return NOTHING
        block = self._keys.committed().block
        events = self._usage.events_of(keys)
        entries = self._usage.corrections_of(list(events.values())) if events else {}
        return LookedUp(block, frozenset(keys), events, entries)

    def gather(self, asked: Correcting, sources: Mapping[str, Source]) -> Facts:
        """`sources` are those of the corrections' own keys. Nothing is compacted while this is asked and planned.
        Raises RowsChanged."""
        keys = self._event_keys(_named(asked.corrections), self._keys.claimed, asked.writer)
        events = self._events(_only_keys(keys), asked.looked)
        free = self._free(asked)
        return Facts(
            writer=asked.writer,
            claimed=self._claimed(asked.corrections, sources),
            keys=keys,
            events=events,
            entries=asked.looked.entries,
            compacted_to=self._usage.compacted_to(),
            # A correction bears its event's labels, and the events were looked up before: those of a user that was
            # erased since must not come back, nor a reason that may tell who it was.
            erased=self._resolver.erased((one.account, one.user) for one in events.values()) if events else set(),
            statuses=self._resolver.statuses({one.account for one in free.values()}) if free else {},
            user_ids=None if self._create_users else self._user_ids(free),
            latest_at=self._clock() + self._max_future_ms,
        )

    def _claimed(self, corrections: Sequence[Correction], sources: Mapping[str, Source]) -> dict[Key, int]:
        """The digests of those of their keys that are claimed."""
        by_source: dict[str, list[bytes]] = defaultdict(list)
        for one in corrections:
            by_source[one.source].append(key_of(one.id))
        return {
            (source, key): digest
            for source, keys in by_source.items()
            for key, (digest, _) in self._keys.claimed(sources[source].no, keys).items()
        }

    def _events(self, keys: Sequence[EventKey], looked: LookedUp) -> dict[EventKey, StoredEvent]:
        """Rows never change, so those that were found are what they are; more may have come."""
        found = {key: looked.events[key] for key in keys if key in looked.events}
        if not looked.asked.issuperset(keys):
            raise RowsChanged
        if found and self._recent.since(looked.block, (event.reference for event in found.values())):
            raise RowsChanged
        return found

    def _event_keys(self, named: Iterable[EventRef], look_up: LookUp, writer: Submitter | None = None) -> Found:
        """By which keys these events are found; `writer`: only those that it may correct. One question of a kind for
        all events of a source."""
        by_source: dict[str, list[EventRef]] = defaultdict(list)
        for event in named:
            by_source[event.source].append(event)
        sources = self._keys.named_sources(by_source) if by_source else {}
        found: Found = {}
        for name, events in by_source.items():
            source = sources.get(name)
            if source is None or not (writer is None or writer.admin or source.owner == writer.sender):
                found |= {event: unknown(event) for event in events}
            elif source.kind == "numbered":
                found |= self._numbered(source, events)
            else:
                found |= _claimed_in(source, events, look_up)
        return found

    def _numbered(self, source: Source, events: Sequence[EventRef]) -> Found:
        numbers = {event: number_in(event.id) for event in events}
        there = [number for number in numbers.values() if number is not None and 0 < number <= source.mark]
        refused = self._keys.refused_among(source.no, there)
        held = self._keys.held_among(source.no, there)
        found: Found = {}
        for event, number in numbers.items():
            if number is None:
                found[event] = not_a_number(event)
            elif number in refused:
                found[event] = was_refused(event, refused[number].code)
            elif number in held:
                found[event] = is_held(event, held[number].code)
            else:
                is_there = 0 < number <= source.mark
                found[event] = EventKey(source.name, sequence=number) if is_there else unknown(event)
        return found

    def _free(self, asked: Correcting) -> dict[int, Correction]:
        """The free adjustments that may be made, by index."""
        if not asked.writer.admin:
            return {}
        return {index: one for index, one in enumerate(asked.corrections) if one.corrects is None}

    def _user_ids(self, free: Mapping[int, Correction]) -> dict[int, str | None]:
        """Whose these are. Asked once: a name given up meanwhile would be another's."""
        times = np.array([dated(one) for one in free.values()], dtype=np.int64)
        ids = self._resolver.known_ids([(one.account, one.user) for one in free.values()], times)
        return dict(zip(free, ids, strict=True))


def _claimed_in(source: Source, events: Sequence[EventRef], look_up: LookUp) -> Found:
    keys = {event: key_of(event.id) for event in events}
    claimed = look_up(source.no, list(keys.values()))
    return {
        event: EventKey(source.name, id=event.id, block=claimed[key][1]) if key in claimed else unknown(event)
        for event, key in keys.items()
    }


def _named(corrections: Sequence[Correction]) -> list[EventRef]:
    """The events these correct, each once."""
    return list(dict.fromkeys(one.corrects for one in corrections if one.corrects is not None))


def _only_keys(found: Found) -> list[EventKey]:
    """Each once."""
    return list(dict.fromkeys(key for key in found.values() if isinstance(key, EventKey)))
