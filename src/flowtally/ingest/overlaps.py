"""Which events of a log are there already, under another source: asked before they are sent.

A log that is read again under another name (a copy, two logs in one file, a rotated file, what an agent shipped before)
gets a source of its own, and there every event of it counts again. Whoever is about to send looks for some of them
first. An event is taken for the same where account, user, instant, quantities and status are; product and labels are
what the sender makes of it.

Owns what is compared and who is told. Leaves to the stores how it is found, to the sender what it does then.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Final

from flowtally.core.edges import format_instant
from flowtally.core.errors import Unprocessable
from flowtally.core.events import NOBODY, UsageEvent
from flowtally.ingest.holding import event_of
from flowtally.ingest.lookup import knows, owns
from flowtally.ingest.prepare import Prepared, prepare
from flowtally.keys.store import Keys
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import names
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import Overlap, OverlapsAnswer, OverlapsRequest
from flowtally.usage.values import CountedUse
from flowtally.usage.verbs import Entries

MAX_NAMED: Final = 5  # sources that are named of one event


class Overlaps:
    """Reads rows, what is held, and names; any thread."""

    def __init__(self, usage: Entries, keys: Keys, ledger: Ledger) -> None:
        self._usage = usage
        self._keys = keys
        self._ledger = ledger

    def find(self, asked: OverlapsRequest, credential: Credential) -> OverlapsAnswer:
        """Those that are there. Unprocessable where an event is of another source than the one that is asked about."""
        for index, event in enumerate(asked.events):
            if event.source != asked.source:
                raise Unprocessable(
                    f"Event {index} is of source {event.source!r}, not of {asked.source!r}",
                    field=f"events[{index}].source",
                )
        prepared = prepare(asked.events, {})
        looked_for = {
            row: int(prepared.times[row])
            for row, event in enumerate(asked.events)
            if _may_be_stored(prepared, row) and credential.account in (None, event.account)
        }
        found = self._stored(asked, prepared, looked_for)
        for row, sources in self._held(asked, looked_for).items():
            found[row] |= sources
        until = self._usage.compacted_until()
        told = [self._told(row, asked.events[row].account, found[row], credential) for row in sorted(found)]
        overlaps = [one for one in told if one.sources or one.other_senders]
        return OverlapsAnswer(overlaps, format_instant(until) if until else None)

    def _stored(
        self, asked: OverlapsRequest, prepared: Prepared, looked_for: Mapping[int, int]
    ) -> defaultdict[int, set[str]]:
        """By row. Names are resolved as they are for an event that is stored, by its own time."""
        events = asked.events
        with self._ledger.read() as tx:
            histories = names.histories(tx, {(events[row].account, events[row].user) for row in looked_for})
        rows: defaultdict[CountedUse, list[int]] = defaultdict(list)
        for row, time in looked_for.items():
            event = events[row]
            history = histories.get((event.account, event.user), ())
            user = names.bearer_at(history, time) if event.user != NOBODY else NOBODY
            if user is not None:
                rows[_use(event, user, time)].append(row)
        sources = self._usage.sources_of(list(rows), asked.source)
        found: defaultdict[int, set[str]] = defaultdict(set)
        for use, there in sources.items():
            for row in rows[use]:
                found[row] |= set(there)
        return found

    def _held(self, asked: OverlapsRequest, looked_for: Mapping[int, int]) -> dict[int, set[str]]:
        """The same of what is held, by the name it was sent with: whose it will be nobody knows yet."""
        times: defaultdict[str, set[int]] = defaultdict(set)
        for row, time in looked_for.items():
            times[asked.events[row].account].add(time)
        held: defaultdict[CountedUse, set[int]] = defaultdict(set)
        for account, instants in times.items():
            for one in self._keys.held_at(account, sorted(instants)):
                held[_use(event_of(one), one.user, one.time)].add(one.source)
        if not held:
            return {}
        sources = {no: self._keys.source_of(no) for no in set[int]().union(*held.values())}
        found: dict[int, set[str]] = {}
        for row, time in looked_for.items():
            there = held.get(_use(asked.events[row], asked.events[row].user, time), set())
            found[row] = {source.name for no in there if (source := sources[no]) and source.name != asked.source}
        return found

    def _told(self, row: int, account: str, found: Iterable[str], credential: Credential) -> Overlap:
        """Sources are named to whoever may ask where they stand. That there are others is told to whoever could look
        the event itself up, and to nobody else: by guessing what others used it could be found out."""
        sources = self._keys.named_sources(found).values()
        named = sorted(one.name for one in sources if owns(one, credential) or credential.may("sources:read"))
        others = sum(one.name not in named and knows(one, account, credential) for one in sources)
        return Overlap(row, named[:MAX_NAMED], others)


def _may_be_stored(prepared: Prepared, row: int) -> bool:
    """An event that has no id yet will have one."""
    fault = prepared.faults.get(row)
    return fault is None or fault.code == "no_id"


def _use(event: UsageEvent, user: str, time: int) -> CountedUse:
    return CountedUse(event.account, user, time, event.bytes_up, event.bytes_down, event.requests, event.status)
