"""Corrections turned into entries: the difference between what is right and what an event stands at now.

Plans are made on the committer's thread, between two blocks, so what is read is all that was ever committed; what
earlier corrections of the same request did is kept in `_Standing`. Nothing is written here: a plan is rows and an
answer. The events themselves are looked up before, on the request's own thread (`find`): that takes the longer the more
rows there are, and the writer must not wait for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import pyarrow as pa
import xxhash

from flowtally.core.corrections import NOTHING, QUANTITIES, Correction, EventRef, Quantities
from flowtally.core.edges import parse_if_any, parse_instant
from flowtally.core.errors import NotAsExpected
from flowtally.core.events import METERED, number_in
from flowtally.core.units import counted
from flowtally.ingest.admission import Reason, Times, Writer, closed_account, in_future
from flowtally.ingest.directory import Directory
from flowtally.ingest.prepare import Key
from flowtally.ingest.submission import NAMES, Correcting
from flowtally.keys.key_bytes import key_of
from flowtally.keys.key_index import Claim, Known
from flowtally.keys.store import Keys, Source
from flowtally.ledger.people.names import Name
from flowtally.protocol import CorrectionReceipt, CorrectionsAnswer, ReceiptStatus
from flowtally.usage.store import Entry, EventKey, StoredEvent, UsageReader

OTHER_CONTENT: Final = Reason("other_content", "this id was stored with another content")
UNKNOWN: Final = "unknown_event"
_LABELS: Final = pa.map_(pa.string(), pa.string())
_TEXTS: Final = ("series", "account", "user", "product", "source", "kind", "key_source")
_NUMBERS: Final = {"time": pa.int64(), "status": pa.uint16(), "digest": pa.int64(), "place": pa.uint32()} | {
    name: pa.int64() for name in QUANTITIES
}


class Plan(msgspec.Struct):
    """What a request of corrections becomes: rows of one block, the keys they claim, and what is answered."""

    rows: list[dict[str, Any]]
    claims: list[Claim]
    answer: CorrectionsAnswer


class _Standing(msgspec.Struct):
    """An event, its corrections so far, and what it stands at."""

    event: StoredEvent
    entries: list[Entry]
    sum: Quantities
    erased: bool = False  # its user or account was: what is stored about it has no texts

    @classmethod
    def of(cls, event: StoredEvent, entries: list[Entry], erased: bool = False) -> _Standing:
        total = Quantities(event.bytes_up, event.bytes_down, event.requests)
        for entry in entries:
            total = total.plus(quantities(entry))
        return cls(event, entries, total, erased)


def quantities(entry: Entry) -> Quantities:
    return Quantities(entry.bytes_up, entry.bytes_down, entry.requests)


def digest(one: Correction) -> int:
    """What must be equal for a retry to be a retry: everything but `expects`, which is a guard, not a content."""
    at = parse_if_any(one.time)
    event = None if one.corrects is None else (one.corrects.source, one.corrects.id)
    content = (event, one.stated, one.void, one.reason, one.account, one.user, one.product, at)
    hashed = xxhash.xxh3_64_intdigest(b"entry\0" + msgspec.json.encode(content))
    return int(np.uint64(hashed).astype(np.int64))  # signed, as both databases have it


class Corrector:
    """Plans requests of corrections. Built once, beside the committer."""

    def __init__(
        self,
        usage: UsageReader,
        keys: Keys,
        directory: Directory,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
    ) -> None:
        self._usage = usage
        self._keys = keys
        self._directory = directory
        self._clock = clock
        self._max_future_ms = max_future_ms
        self._create_users = create_users

    def plan(self, asked: Correcting, sources: Mapping[str, Source]) -> Plan:
        """`sources` are those of the corrections' own keys. Raises NotAsExpected: then nothing is stored."""
        return _Planning(self, asked, sources).plan()

    def find(self, corrections: Sequence[Correction]) -> dict[EventKey, StoredEvent]:
        """The events these name, as far as they are there already; any thread."""
        keys = (self._key(event, self._keys.known) for event in _named(corrections))
        return self._usage.events_of([key for key in keys if isinstance(key, EventKey)])

    def known(self, asked: Correcting, sources: Mapping[str, Source]) -> dict[Key, tuple[int, int]]:
        """Digest and block of those of these keys that are claimed."""
        by_source: dict[str, list[bytes]] = {}
        for one in asked.corrections:
            by_source.setdefault(one.source, []).append(key_of(one.id))
        return {
            (source, key): found
            for source, keys in by_source.items()
            for key, found in self._keys.claimed(sources[source].no, keys).items()
        }

    def standings(self, asked: Correcting) -> tuple[dict[EventRef, _Standing], dict[EventRef, Reason]]:
        """What the events stand at that are to be corrected, and why some cannot be."""
        refused: dict[EventRef, Reason] = {}
        keys: dict[EventRef, EventKey] = {}
        for event in _named(asked.corrections):
            found = self._key(event, self._keys.claimed) if self._may(event, asked.writer) else _unknown(event)
            if isinstance(found, Reason):
                refused[event] = found
            else:
                keys[event] = found
        late = [key for key in dict.fromkeys(keys.values()) if key not in asked.found]
        events = asked.found | self._usage.events_of(late)
        entries = self._usage.corrections_of([events[key] for key in dict.fromkeys(keys.values()) if key in events])
        # Looked up before, an event may be rolled up since, and its corrections with it: none would be found, and what
        # they took would be taken again. Nothing is rolled up while a block is planned.
        rolled_up_to = self._usage.rolled_up_to()
        events = {key: stored for key, stored in events.items() if stored.block > rolled_up_to}
        # A correction bears its event's labels, and the events were looked up before: those of a user that was erased
        # since must not come back, nor a reason that may tell who it was.
        erased = self._directory.erased((event.account, event.user) for event in events.values())
        standings: dict[EventRef, _Standing] = {}
        for event, key in keys.items():
            stored = events.get(key)
            if stored is None and asked.writer.account is None and self._is_rolled_up(key):
                refused[event] = _rolled_up(event)
            elif stored is None or asked.writer.account not in (None, stored.account):
                refused[event] = _unknown(event)
            else:
                standings[event] = _Standing.of(
                    stored, entries[stored.reference], (stored.account, stored.user) in erased
                )
        return standings, refused

    def _is_rolled_up(self, key: EventKey) -> bool:
        """Its key is claimed and its row is not there. Of named ones it may be no event's but a correction's."""
        return bool(key.sequence) or key.block <= self._usage.rolled_up_to()

    def _may(self, event: EventRef, writer: Writer) -> bool:
        source = self._keys.source(event.source)
        return source is not None and (writer.admin or source.owner == writer.sender)

    def _key(self, event: EventRef, look_up: Callable[[int, Sequence[bytes]], Known]) -> EventKey | Reason:
        source = self._keys.source(event.source)
        if source is None:
            return _unknown(event)
        if source.kind != "numbered":
            key = key_of(event.id)
            claimed = look_up(source.no, [key]).get(key)
            return _unknown(event) if claimed is None else EventKey(source.name, id=event.id, block=claimed[1])
        number = number_in(event.id)
        if number is None:
            return Reason(UNKNOWN, f"source {event.source!r} is numbered: name its events by their numbers")
        if refusal := self._keys.refusals(source.no, number, number).get(number):
            return Reason("refused_event", f"event {number} was refused ({refusal.code}) and counts for nothing")
        if held := self._keys.held(source.no, number, number).get(number):
            return Reason("refused_event", f"event {number} is held ({held.code}) and counts for nothing yet")
        return EventKey(source.name, sequence=number) if 0 < number <= source.mark else _unknown(event)

    def known_ids(self, asked: Correcting) -> dict[int, str | None] | None:
        """Whose the free adjustments are, by index, where users are not made; None where they are. Asked once."""
        if self._create_users:
            return None
        free = {index: one for index, one in enumerate(asked.corrections) if one.corrects is None}
        times = np.array([_at(one) for one in free.values()], dtype=np.int64)
        ids = self._directory.known_ids([(one.account, one.user) for one in free.values()], times)
        return dict(zip(free, ids, strict=True))

    def reasons(self, asked: Correcting, ids: dict[int, str | None] | None) -> dict[int, Reason]:
        """Why free adjustments cannot be made as the world is now, by index; `ids` as `known_ids` gave them."""
        free = {index: one for index, one in enumerate(asked.corrections) if one.corrects is None}
        if not free:
            return {}
        if not asked.writer.admin:
            return dict.fromkeys(
                free, Reason("adjustment_needs_admin", "free adjustments need the right sources:write")
            )
        statuses = self._directory.statuses({one.account for one in free.values()})
        unknown = {index for index, user_id in (ids or {}).items() if user_id is None}
        latest = self._clock() + self._max_future_ms
        found = {index: _adjustment_reason(one, statuses, index in unknown, latest) for index, one in free.items()}
        return {index: reason for index, reason in found.items() if reason is not None}

    def user_ids(self, names: Sequence[Name], times: Times) -> list[str]:
        return self._directory.user_ids(names, times)

    def use_products(self, products: set[str]) -> None:
        self._directory.use_products(products)


class _Planning:
    """One request, one by one: a later correction sees what an earlier one did."""

    def __init__(self, corrector: Corrector, asked: Correcting, sources: Mapping[str, Source]) -> None:
        self._corrector = corrector
        self._asked = asked
        self._sources = sources
        self._known = corrector.known(asked, sources)
        self._standings, self._refused = corrector.standings(asked)
        self._ids = corrector.known_ids(asked)
        self._world = corrector.reasons(asked, self._ids)
        self._digests: dict[Key, int] = {key: digest for key, (digest, _) in self._known.items()}
        self._plan = Plan([], [], CorrectionsAnswer(0, 0, 0, 0, []))

    def plan(self) -> Plan:
        receipts = [self._one(index, one) for index, one in enumerate(self._asked.corrections)]
        self._resolve()
        stored, duplicate, conflict, refused = (sum(one.status == name for one in receipts) for name in NAMES)
        self._plan.answer = CorrectionsAnswer(stored, duplicate, conflict, refused, receipts)
        return self._plan

    def _one(self, index: int, one: Correction) -> CorrectionReceipt:
        key, ours = (one.source, key_of(one.id)), digest(one)
        theirs = self._digests.get(key)
        if theirs is not None:  # before any rule that can change with time
            if theirs != ours:
                return _receipt(index, one, "conflict", OTHER_CONTENT)
            return self._again(index, one)
        reason = self._world.get(index) if one.corrects is None else self._refused.get(one.corrects)
        if reason is not None:
            return _receipt(index, one, "refused", reason)
        self._digests[key] = ours
        self._plan.claims.append((self._sources[one.source].no, key[1], ours))
        return self._adjust(index, one, ours) if one.corrects is None else self._correct(index, one, one.corrects, ours)

    def _correct(self, index: int, one: Correction, event: EventRef, ours: int) -> CorrectionReceipt:
        standing = self._standings[event]
        before = standing.sum
        if one.expects is not None and not one.expects.met_by(before):
            raise NotAsExpected(
                f"Event {event.id!r} of source {event.source!r} stands at {_told(before)}",
                index=index,
                source=event.source,
                id=event.id,
                present=msgspec.to_builtins(before),
            )
        after = one.right(before)
        added = after.minus(before)
        standing.entries.append(self._store(one, standing, added, ours))
        standing.sum = after
        return _receipt(index, one, "stored", _remark(one, before, after), added, before, after)

    def _store(self, one: Correction, standing: _Standing, added: Quantities, ours: int) -> Entry:
        event = standing.event
        # All dimensions are the event's, so that whatever is summed, the correction falls where the event fell.
        dimensions = {name: getattr(event, name) for name in ("series", "account", "user", "product", "source")}
        row = {
            **dimensions,
            "time": event.time,
            "status": event.status,
            "labels": {} if standing.erased else event.labels,
        }
        row["reason"] = "" if standing.erased else one.reason
        return self._add(one, row, "correction", event.reference, added, ours)

    def _adjust(self, index: int, one: Correction, ours: int) -> CorrectionReceipt:
        assert one.time is not None, "the door checked it"
        user = one.user if self._ids is None else self._ids[index]
        row: dict[str, Any] = {"series": METERED, "account": one.account, "user": user, "product": one.product}
        row |= {"source": one.source, "time": parse_instant(one.time), "status": 0, "labels": {}, "reason": one.reason}
        self._add(one, row, "adjustment", "", one.adds(), ours)
        return _receipt(index, one, "stored", None, one.adds())

    def _add(
        self, one: Correction, row: dict[str, Any], kind: str, refers_to: str, added: Quantities, ours: int
    ) -> Entry:
        place = len(self._plan.rows) + 1
        own = {"id": one.id, "key_source": one.source, "digest": ours, "place": place}
        self._plan.rows.append({**row, **msgspec.structs.asdict(added), **own, "kind": kind, "refers_to": refers_to})
        up, down, requests = added.bytes_up, added.bytes_down, added.requests
        return Entry(kind, one.source, one.id, refers_to, up, down, requests, row["reason"], place, 0, 0)

    def _again(self, index: int, one: Correction) -> CorrectionReceipt:
        """A duplicate tells what it did the first time."""
        if one.corrects is None:
            return _receipt(index, one, "duplicate", None, one.adds())
        standing = self._standings.get(one.corrects)
        if standing is None:
            return _receipt(index, one, "duplicate")
        before = Quantities(standing.event.bytes_up, standing.event.bytes_down, standing.event.requests)
        for entry in standing.entries:
            after = before.plus(quantities(entry))
            if (entry.source, entry.id) == (one.source, one.id):
                return _receipt(index, one, "duplicate", None, quantities(entry), before, after)
            before = after
        return _receipt(index, one, "duplicate")

    def _resolve(self) -> None:
        """Names of adjustments become ids; only now, when it is sure that they will be stored."""
        free = [row for row in self._plan.rows if row["kind"] == "adjustment"]
        if not free:
            return
        self._corrector.use_products({row["product"] for row in free})
        if self._ids is not None:
            return  # they were when they were checked
        times = np.array([row["time"] for row in free], dtype=np.int64)
        ids = self._corrector.user_ids([(row["account"], row["user"]) for row in free], times)
        for row, user_id in zip(free, ids, strict=True):
            row["user"] = user_id


def batch(rows: Sequence[dict[str, Any]]) -> Any:
    """The rows of a plan as one record batch with the columns of `usage_events`."""
    count = len(rows)
    columns: dict[str, Any] = {
        name: pa.array([row[name] for row in rows], pa.string()).dictionary_encode() for name in _TEXTS
    }
    for name, kind in _NUMBERS.items():
        columns[name] = pa.array([row[name] for row in rows], kind)
    for name in ("id", "refers_to", "reason"):
        columns[name] = pa.array([row[name] for row in rows], pa.string())
    columns["labels"] = pa.array([list(row["labels"].items()) for row in rows], _LABELS)
    columns |= {name: pa.array([0] * count, pa.uint64()) for name in ("sequence", "mark")}
    columns["position"] = pa.array([row.get("position", "") for row in rows], pa.string())
    return pa.RecordBatch.from_pydict(columns)


def _named(corrections: Sequence[Correction]) -> list[EventRef]:
    """The events these correct, each once."""
    wanted = {one.corrects for one in corrections if one.corrects is not None}
    return sorted(wanted, key=lambda ref: (ref.source, ref.id))


def _at(one: Correction) -> int:
    """When an adjustment counts; the door checked that it says so."""
    return parse_instant(one.time or "")


def _unknown(event: EventRef) -> Reason:
    return Reason(UNKNOWN, f"there is no event {event.id!r} of source {event.source!r}")


def _rolled_up(event: EventRef) -> Reason:
    told = f"event {event.id!r} of source {event.source!r} is rolled up with others; a free adjustment can be made"
    return Reason("rolled_up", told)


def _adjustment_reason(one: Correction, statuses: dict[str, str], unknown: bool, latest: int) -> Reason | None:
    status = statuses.get(one.account)
    if status is None:
        return Reason("unknown_account", f"there is no account {one.account!r}")
    if status == "closed":
        return closed_account(one.account)
    if unknown:
        return Reason("unknown_user", f"there is no user {one.user!r}")
    if _at(one) > latest:
        return in_future(one.time, latest)
    return None


def _remark(one: Correction, before: Quantities, after: Quantities) -> Reason | None:
    if one.void and before == NOTHING:
        return Reason("already_void", "the event counted for nothing already; an entry of zero was stored")
    if before == after:
        return Reason("no_change", "the event stood so already; an entry of zero was stored")
    return None


def _told(sum: Quantities) -> str:
    up, down = counted(sum.bytes_up, "byte"), counted(sum.bytes_down, "byte")
    return f"{up} up, {down} down, {counted(sum.requests, 'request')}"


def _receipt(
    index: int,
    one: Correction,
    status: ReceiptStatus,
    reason: Reason | None = None,
    added: Quantities | None = None,
    before: Quantities | None = None,
    after: Quantities | None = None,
) -> CorrectionReceipt:
    code, detail = ("", "") if reason is None else (reason.code, reason.detail)
    return CorrectionReceipt(index, one.source, one.id, status, code, detail, added, before, after)
