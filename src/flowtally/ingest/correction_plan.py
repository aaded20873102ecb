"""Corrections planned: what is right of an event becomes the difference to what it stands at. Pure.

Owns which corrections of a request are duplicates, in conflict or refused, what each of the others adds, and what is
answered. They are taken one after the other: a later one sees what an earlier one did. What is there is told in
`Facts` (`correction_facts` gathers them), the rows are encoded by `rows`, and the committer carries the plan out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence

import msgspec
from msgspec.structs import replace

from flowtally.core.corrections import Correction, EventRef, Quantities
from flowtally.core.edges import parse_if_any, parse_instant
from flowtally.core.errors import NotAsExpected
from flowtally.core.events import METERED, NOBODY
from flowtally.ingest.admission import Reason, Submitter, closed_account, in_future
from flowtally.ingest.correction_receipts import (
    NEEDS_ADMIN,
    OTHER_CONTENT,
    compacted,
    of_a_provider,
    receipt,
    remark,
    told,
    unknown,
)
from flowtally.ingest.prepare import Key
from flowtally.ingest.rows import NewRow, digest_of
from flowtally.keys.key_bytes import key_of
from flowtally.protocol import CorrectionReceipt, CorrectionsAnswer
from flowtally.usage.values import Entry, EventKey, StoredEvent

User = tuple[str, str]  # account and id


class Facts(msgspec.Struct, frozen=True):
    """All that a request of corrections is planned on, as it is between two blocks.

    writer: Who corrects.
    claimed: The digests of those of the corrections' own keys that are there.
    keys: By which key each named event is found, or why by none.
    events: Those of these keys that have a row.
    entries: The corrections so far of each of these events, by its `reference`, in order of commit.
    compacted_to: Events of blocks up to this one have no rows of their own any more.
    erased: Those of the events' users whose texts must not be stored any more.
    statuses: The status of each account that a free adjustment names and that exists.
    user_ids: Whose the free adjustments are, by index, None: of no user there is; None for all: users are made.
    latest_at: The latest instant that an adjustment may be dated at.
    """

    writer: Submitter
    claimed: Mapping[Key, int]
    keys: Mapping[EventRef, EventKey | Reason]
    events: Mapping[EventKey, StoredEvent]
    entries: Mapping[str, Sequence[Entry]]
    compacted_to: int = 0
    erased: Collection[User] = frozenset()
    statuses: Mapping[str, str] = {}
    user_ids: Mapping[int, str | None] | None = None
    latest_at: int = 0


class CorrectionPlan(msgspec.Struct, frozen=True):
    """What a request of corrections becomes: rows of one block, the keys they claim with their digests, and what is
    answered. `named`: rows whose user still has its name, because it may have to be made."""

    rows: list[NewRow]
    claims: dict[Key, int]
    named: list[int]
    answer: CorrectionsAnswer


def plan(corrections: Sequence[Correction], facts: Facts) -> CorrectionPlan:
    """One after the other. Raises NotAsExpected: then nothing is stored."""
    return _Planning(facts).plan(corrections)


def with_users(rows: Sequence[NewRow], users: Mapping[int, str]) -> list[NewRow]:
    """The rows with these users, by their index."""
    found = list(rows)
    for index, user in users.items():
        found[index] = replace(found[index], user=user)
    return found


def digest(one: Correction) -> int:
    """What must be equal for a retry to be a retry: everything but `expects`, which is a guard, not a content."""
    at = parse_if_any(one.time)
    event = None if one.corrects is None else (one.corrects.source, one.corrects.id)
    content = (event, one.stated, one.void, one.reason, one.account, one.user, one.product, at)
    return digest_of(b"entry\0" + msgspec.json.encode(content))


def dated(one: Correction) -> int:
    """When a free adjustment counts; the door checked that it says so."""
    return parse_instant(one.time or "")


class _Entered(msgspec.Struct, frozen=True):
    """What one correction added to its event."""

    source: str
    id: str
    added: Quantities


class _Standing(msgspec.Struct):
    """An event, its corrections so far, and what it stands at."""

    event: StoredEvent
    entered: list[_Entered]
    sum: Quantities
    erased: bool  # its user or account was: what is stored about it has no texts

    @classmethod
    def of(cls, event: StoredEvent, entries: Sequence[Entry], erased: bool) -> _Standing:
        entered = [_Entered(one.source, one.id, _quantities(one)) for one in entries]
        total = _quantities(event)
        for one in entered:
            total = total.plus(one.added)
        return cls(event, entered, total, erased)

    def enter(self, one: Correction, added: Quantities) -> None:
        self.entered.append(_Entered(one.source, one.id, added))
        self.sum = self.sum.plus(added)


class _Planning:
    """One request. What it did so far is in the digests, the standings and the rows."""

    def __init__(self, facts: Facts) -> None:
        self._facts = facts
        self._digests = dict(facts.claimed)
        self._standings: dict[EventRef, _Standing | Reason] = {}
        self._rows: list[NewRow] = []
        self._claims: dict[Key, int] = {}
        self._named: list[int] = []

    def plan(self, corrections: Sequence[Correction]) -> CorrectionPlan:
        receipts = [self._one(index, one) for index, one in enumerate(corrections)]
        counts = Counter(one.status for one in receipts)
        answer = CorrectionsAnswer(
            counts["stored"], counts["duplicate"], counts["conflict"], counts["refused"], receipts
        )
        return CorrectionPlan(self._rows, self._claims, self._named, answer)

    def _one(self, index: int, one: Correction) -> CorrectionReceipt:
        key, ours = (one.source, key_of(one.id)), digest(one)
        theirs = self._digests.get(key)
        if theirs is not None:  # before any rule that can change with time
            return self._again(index, one) if theirs == ours else receipt(index, one, "conflict", OTHER_CONTENT)
        done = self._adjust(index, one, ours) if one.corrects is None else self._correct(index, one, one.corrects, ours)
        if isinstance(done, Reason):
            return receipt(index, one, "refused", done)
        self._digests[key] = self._claims[key] = ours
        return done

    def _correct(self, index: int, one: Correction, event: EventRef, ours: int) -> CorrectionReceipt | Reason:
        standing = self._standing(event)
        if isinstance(standing, Reason):
            return standing
        before = standing.sum
        if one.expects is not None and not one.expects.met_by(before):
            raise NotAsExpected(
                f"Event {event.id!r} of source {event.source!r} stands at {told(before)}",
                index=index,
                source=event.source,
                id=event.id,
                present=msgspec.to_builtins(before),
            )
        after = one.right(before)
        added = after.minus(before)
        standing.enter(one, added)
        stored = standing.event
        row = NewRow(
            # All dimensions are the event's, so that whatever is summed, the correction falls where the event fell.
            series=stored.series,
            account=stored.account,
            user=stored.user,
            product=stored.product,
            source=stored.source,
            time=stored.time,
            status=stored.status,
            labels={} if standing.erased else stored.labels,
            kind="correction",
            refers_to=stored.reference,
            reason="" if standing.erased else one.reason,
            key_source=one.source,
            id=one.id,
            digest=ours,
            place=len(self._rows) + 1,
            **msgspec.structs.asdict(added),
        )
        self._rows.append(row)
        return receipt(index, one, "stored", remark(one, before, after), added, before, after)

    def _adjust(self, index: int, one: Correction, ours: int) -> CorrectionReceipt | Reason:
        reason = self._refusal(index, one)
        if reason is not None:
            return reason
        ids = self._facts.user_ids
        if ids is None:
            self._named.append(len(self._rows))
        row = NewRow(
            account=one.account,
            user=one.user if ids is None else ids[index] or NOBODY,
            product=one.product,
            source=one.source,
            time=dated(one),
            kind="adjustment",
            reason=one.reason,
            key_source=one.source,
            id=one.id,
            digest=ours,
            place=len(self._rows) + 1,
            **msgspec.structs.asdict(one.adds()),
        )
        self._rows.append(row)
        return receipt(index, one, "stored", None, one.adds())

    def _again(self, index: int, one: Correction) -> CorrectionReceipt:
        """A duplicate tells what it did the first time."""
        if one.corrects is None:
            return receipt(index, one, "duplicate", None, one.adds())
        standing = self._standing(one.corrects)
        if isinstance(standing, Reason):
            return receipt(index, one, "duplicate")
        before = _quantities(standing.event)
        for entered in standing.entered:
            after = before.plus(entered.added)
            if (entered.source, entered.id) == (one.source, one.id):
                return receipt(index, one, "duplicate", None, entered.added, before, after)
            before = after
        return receipt(index, one, "duplicate")

    def _standing(self, event: EventRef) -> _Standing | Reason:
        """What the event stands at now, or why it cannot be corrected."""
        if event not in self._standings:
            self._standings[event] = self._look(event)
        return self._standings[event]

    def _look(self, event: EventRef) -> _Standing | Reason:
        facts, key = self._facts, self._facts.keys[event]
        if isinstance(key, Reason):
            return key
        stored, mine = facts.events.get(key), facts.writer.account
        # Looked up before, an event may be compacted since, and its corrections with it: none would be found, and what
        # they took would be taken again.
        if stored is None or stored.block <= facts.compacted_to:
            return compacted(event) if mine is None and self._is_compacted(key) else unknown(event)
        if mine not in (None, stored.account):
            return unknown(event)
        if stored.series != METERED:
            return of_a_provider(event)
        return _Standing.of(stored, facts.entries[stored.reference], (stored.account, stored.user) in facts.erased)

    def _is_compacted(self, key: EventKey) -> bool:
        """Its key is claimed and its row is not there. Of named ones it may be no event's but a correction's."""
        return bool(key.sequence) or key.block <= self._facts.compacted_to

    def _refusal(self, index: int, one: Correction) -> Reason | None:
        """Why a free adjustment cannot be made as the world is now."""
        facts = self._facts
        if not facts.writer.admin:
            return NEEDS_ADMIN
        status = facts.statuses.get(one.account)
        if status is None:
            return Reason("unknown_account", f"there is no account {one.account!r}")
        if status == "closed":
            return closed_account(one.account)
        if facts.user_ids is not None and facts.user_ids[index] is None:
            return Reason("unknown_user", f"there is no user {one.user!r}")
        if dated(one) > facts.latest_at:
            return in_future(one.time, facts.latest_at)
        return None


def _quantities(one: StoredEvent | Entry) -> Quantities:
    return Quantities(one.bytes_up, one.bytes_down, one.requests)
