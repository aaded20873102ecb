"""What became of one event, of one correction, and where a source stands: the questions a writer asks.

Answers only to whom it concerns; anything else is as unknown as what does not exist.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

from msgspec import Meta
from msgspec.structs import replace

from flowtally.core.corrections import Quantities, referred
from flowtally.core.edges import format_instant
from flowtally.core.errors import NotFound, RowsCompacted, UnknownAccount
from flowtally.core.events import MAX_SEQUENCE, METERED, number_in
from flowtally.ingest.holding import event_of
from flowtally.ingest.sweeps import BEGINNING
from flowtally.keys.key_bytes import key_of
from flowtally.keys.store import Keys
from flowtally.keys.values import Held, HeldWhere, KnownCounter, Refused, Source
from flowtally.ledger.database import Ledger
from flowtally.ledger.pages import ListPage, walk_of
from flowtally.ledger.people import users
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import (
    CounterAnswer,
    EventAnswer,
    EventCorrection,
    HeldEvent,
    HeldFilter,
    SourceAnswer,
    SourceDetail,
)
from flowtally.usage.values import Row, StoredEvent
from flowtally.usage.verbs import Entries

LIST: Final = "held"
SOURCES: Final = "sources"
COUNTERS: Final = "counters"
MOST_COUNTED: Final = 10_000  # refused events of a source: they may be millions, and every resume asks

_Number = Annotated[int, Meta(ge=0, le=MAX_SEQUENCE)]  # what the keys database can be asked about


class Lookup:
    """Reads keys, rows and names; any thread."""

    def __init__(self, usage: Entries, keys: Keys, ledger: Ledger) -> None:
        self._usage = usage
        self._keys = keys
        self._ledger = ledger

    def source(self, name: str, credential: Credential) -> SourceAnswer:
        source = self._keys.source(name)
        if source is None or not (owns(source, credential) or credential.may("sources:read")):
            raise NotFound(f"There is no source {name!r}", source=name)
        if source.kind != "numbered":
            return SourceAnswer(name, None, None)
        held, refused = self._keys.unstored(source.no, source.mark, MOST_COUNTED + 1)
        more = refused > MOST_COUNTED
        return SourceAnswer(
            name, source.mark, source.position, held=held, refused=min(refused, MOST_COUNTED), more_refused=more
        )

    def sources(
        self, credential: Credential, sender: str | None, cursor: str | None, limit: int
    ) -> ListPage[SourceDetail]:
        """Sources in the order they were first written, those of one sender if given. Whoever is not an administrator
        knows its own."""
        if not credential.may("sources:read"):
            if sender not in (None, credential.sender):
                return ListPage([], None)
            sender = credential.sender
        with self._ledger.read() as tx:
            walk = walk_of(tx, SOURCES, (credential.id, sender))
        after = 0 if cursor is None else walk.place(cursor, _Number)
        found = self._keys.source_page(sender, after, limit + 1)
        more = found[limit - 1] if len(found) > limit else None
        return ListPage([detail_of(one) for one in found[:limit]], None if more is None else walk.cursor(more.no))

    def counters(
        self, name: str, prefix: str, credential: Credential, cursor: str | None, limit: int
    ) -> ListPage[CounterAnswer]:
        """Counters of a source whose names begin so, in order. A credential of an account knows those of that one."""
        source = self._keys.source(name)
        if source is None or not (owns(source, credential) or credential.may("sources:read")):
            raise NotFound(f"There is no source {name!r}", source=name)
        with self._ledger.read() as tx:
            walk = walk_of(tx, COUNTERS, (credential.id, name, prefix))
            after = "" if cursor is None else walk.place(cursor, str)
            found = self._keys.counter_page(source.no, prefix, after, limit + 1, account=credential.account)
            names = users.names_of(tx, {one.standing.user for one in found})
        items = [_shown_counter(name, one, names) for one in found[:limit]]
        more = found[limit - 1] if len(found) > limit else None
        return ListPage(items, None if more is None else walk.cursor(more.counter))

    def event(self, name: str, id: str, credential: Credential) -> EventAnswer:
        source = self._keys.source(name)
        if source is not None:
            refused = self._refused(source, id)
            if refused is not None and sees(source, credential):
                return _refused_answer(source, _may_be_told(refused, credential))
            held = None if refused else self._held(source, id)
            if held is not None and knows(source, held.account, credential):
                return _held_answer(source, held)
            stored = None if refused or held else self._stored(source, id)
            if stored is not None and knows(source, stored.account, credential):
                return self._answer(source, stored)
            row = None if stored or held else self._entry(source, id)
            if row is not None and knows(source, row.event.account, credential):
                return self._entry_answer(row)
            missing = stored is None and row is None and refused is None and held is None
            if missing and sees(source, credential) and self._is_compacted(source, id):
                raise _compacted(name, id)
            if missing and sees(source, credential) and self._is_id_forgotten(source, id):
                raise RowsCompacted(
                    f"Old events of source {name!r} are compacted, and ids of numbered events are kept with their rows"
                    f" only: no row has the id {id!r}. Ask by the event's number.",
                    source=name,
                    id=id,
                )
        raise NotFound(f"There is no event {id!r} of source {name!r}", source=name, id=id)

    def held(self, asked: HeldFilter, credential: Credential, cursor: str | None, limit: int) -> ListPage[HeldEvent]:
        """Held events in order of source and number. Whoever is not an administrator knows those of its account, or of
        its own sources."""
        asked_for = (credential.id, asked.source, asked.account, asked.code, str(asked.sequence or ""))
        with self._ledger.read() as tx:
            walk = walk_of(tx, LIST, asked_for)
        after = BEGINNING if cursor is None else walk.place(cursor, tuple[_Number, _Number])
        where = self.held_where(asked, credential)
        found = [] if where is None else self._keys.held_page(where, after, limit + 1)
        more = found[limit - 1] if len(found) > limit else None
        names = {no: source.name for no in {one.source for one in found} if (source := self._keys.source_of(no))}
        items = [_shown_held(names[one.source], one) for one in found[:limit] if one.source in names]
        return ListPage(items, None if more is None else walk.cursor((more.source, more.sequence)))

    def held_where(self, asked: HeldFilter, credential: Credential | None = None) -> HeldWhere | None:
        """None: there can be no such event. UnknownAccount for an account the credential must not know."""
        source = None if asked.source is None else self._keys.source(asked.source)
        if asked.source is not None and source is None:
            return None
        account, owner = asked.account, None
        if credential is not None:
            if account is not None and credential.account not in (None, account):
                raise UnknownAccount(f"there is no account {account!r}", account=account)
            account = credential.account or account
            whole = credential.may("events:read") or credential.may("export:read")
            owner = None if whole else credential.sender
        return HeldWhere(source.no if source else None, asked.sequence, account, asked.code, owner=owner)

    def _refused(self, source: Source, id: str) -> Refused | None:
        if source.kind != "numbered":
            return None
        number = number_in(id)
        if number is None:
            return self._keys.refusal_of(source.no, id)
        return self._keys.refusals(source.no, number, number).get(number)

    def _held(self, source: Source, id: str) -> Held | None:
        if source.kind != "numbered":
            return None
        number = number_in(id)
        if number is None:
            return self._keys.held_of_id(source.no, id)
        return self._keys.held(source.no, number, number).get(number) if number <= source.mark else None

    def _stored(self, source: Source, id: str) -> StoredEvent | None:
        if source.kind != "numbered":
            key = key_of(id)
            claimed = self._keys.known(source.no, [key]).get(key)
            return None if claimed is None else self._usage.find(source.name, id=id, sequence=None, block=claimed[1])
        number = number_in(id)
        if number is None:
            return self._usage.find(source.name, id=id, sequence=None, block=None)
        return self._usage.find(source.name, id=None, sequence=number, block=None)

    def _is_compacted(self, source: Source, id: str) -> bool:
        """Whether it has no row any more: its key is claimed, in a block that is compacted."""
        if source.kind != "numbered":
            key = key_of(id)
            claimed = self._keys.known(source.no, [key]).get(key)
            return claimed is not None and claimed[1] <= self._usage.compacted_to()
        number = number_in(id)
        return number is not None and 0 < number <= source.mark

    def _is_id_forgotten(self, source: Source, id: str) -> bool:
        """Whether an event of this id may have been: numbered ones are known for ever by their numbers alone."""
        return source.kind == "numbered" and number_in(id) is None and self._usage.compacted_to() > 0

    def _entry(self, source: Source, id: str) -> Row | None:
        """A correction or adjustment is named, never numbered."""
        key = key_of(id)
        claimed = self._keys.known(source.no, [key]).get(key) if source.kind == "named" else None
        return None if claimed is None else self._usage.entry(source.name, id, claimed[1])

    def _name(self, user_id: str) -> str:
        with self._ledger.read() as tx:
            return users.names_of(tx, [user_id]).get(user_id, "") if user_id else ""

    def _answer(self, source: Source, stored: StoredEvent) -> EventAnswer:
        if stored.series != METERED:  # one row of several under a key: nothing by itself
            return self._show(stored, stored.source, stored.id)
        total, corrections = self._corrected(stored)
        shown = self._show(stored, stored.source, stored.id or str(stored.sequence))
        sequence = stored.sequence if source.kind == "numbered" else None
        return replace(shown, sequence=sequence, corrections=corrections, sum=total)

    def _entry_answer(self, row: Row) -> EventAnswer:
        """A correction is dated and grouped as its event, under which it counts; its key is its own."""
        entry = row.entry
        corrects = referred(entry.refers_to) if entry.refers_to and row.event.series == METERED else None
        shown = self._show(row.event, entry.source, entry.id)
        return replace(shown, kind=entry.kind, corrects=corrects, reason=entry.reason)

    def _show(self, stored: StoredEvent, source: str, id: str) -> EventAnswer:
        return EventAnswer(
            source=source,
            id=id,
            sequence=None,
            status="stored",
            code="",
            detail="",
            series=stored.series,
            account=stored.account,
            user=self._name(stored.user) if stored.series == METERED else stored.user,
            user_id=stored.user if stored.series == METERED else "",
            product=stored.product,
            time=format_instant(stored.time),
            received_at=format_instant(stored.received_at),
            bytes_up=stored.bytes_up,
            bytes_down=stored.bytes_down,
            requests=stored.requests,
            http_status=stored.status,
            labels=stored.labels,
            block=stored.block,
            reason=stored.reason,
        )

    def _corrected(self, stored: StoredEvent) -> tuple[Quantities, list[EventCorrection]]:
        """What the event stands at, and how it came there."""
        total = Quantities(stored.bytes_up, stored.bytes_down, stored.requests)
        shown: list[EventCorrection] = []
        entries = self._usage.corrections_of([stored])[stored.reference]
        if stored.block <= self._usage.compacted_to():  # since it was read: its corrections may not have been found
            raise _compacted(stored.source, stored.id or str(stored.sequence))
        for entry in entries:
            added = Quantities(entry.bytes_up, entry.bytes_down, entry.requests)
            total = total.plus(added)
            received_at = format_instant(entry.received_at)
            shown.append(EventCorrection(entry.source, entry.id, received_at, entry.reason, entry.block, added, total))
        return total, shown


def _content(held: Held) -> dict[str, Any]:
    """What the event said, by the names of the API."""
    event = event_of(held)
    return {
        "account": event.account,
        "user": event.user,
        "product": event.product,
        "time": format_instant(held.time),
        "bytes_up": event.bytes_up,
        "bytes_down": event.bytes_down,
        "requests": event.requests,
        "http_status": event.status,
        "labels": event.labels or {},
    }


def _shown_held(source: str, held: Held) -> HeldEvent:
    return HeldEvent(
        source=source,
        sequence=held.sequence,
        id=held.id,
        code=held.code,
        detail=held.detail,
        held_at=format_instant(held.held_at),
        **_content(held),
    )


def _shown_counter(source: str, one: KnownCounter, names: Mapping[str, str]) -> CounterAnswer:
    standing = one.standing
    up, down, requests = standing.run.values
    return CounterAnswer(
        source=source,
        counter=one.counter,
        account=standing.account,
        user=names.get(standing.user, ""),
        user_id=standing.user,
        product=standing.product,
        state=standing.end or "open",
        epoch=standing.run.epoch,
        bytes_up=up,
        bytes_down=down,
        requests=requests,
        began_at=format_instant(standing.run.began_at),
        time=format_instant(standing.time),
        seen_at=format_instant(one.seen_at),
        interval_s=standing.interval_s,
        rows=standing.number,
        flag=standing.flag,
        flagged_at=format_instant(standing.flagged_at) if standing.flag else None,
    )


def owns(source: Source, credential: Credential) -> bool:
    return credential.sender is not None and source.owner == credential.sender


def sees(source: Source, credential: Credential) -> bool:
    """Whether it may know all that became of this source: its own sender's, or anybody's."""
    return owns(source, credential) or (credential.account is None and credential.may("events:read"))


def knows(source: Source, account: str, credential: Credential) -> bool:
    """Whether what is in this source for that account is this credential's to know. One of an account knows nothing of
    others, also where its sender owns the source: it may have been handed over, and administrators write anywhere."""
    if credential.account is not None:
        return credential.account == account
    return sees(source, credential)


def _may_be_told(refused: Refused, credential: Credential) -> Refused:
    """A reason may name an account; its credentials are told of no other."""
    other = credential.account is not None and f"account {credential.account!r}" not in refused.detail
    return replace(refused, detail="") if other and "account" in refused.detail else refused


def detail_of(source: Source) -> SourceDetail:
    sequence = source.mark if source.kind == "numbered" else None
    return SourceDetail(source.name, source.kind, source.owner, sequence, source.position)


def _compacted(source: str, id: str) -> RowsCompacted:
    return RowsCompacted(
        f"Event {id!r} of source {source!r} counts, but it is compacted with others: it cannot be shown alone or"
        " corrected. A free adjustment can be made.",
        source=source,
        id=id,
    )


def _held_answer(source: Source, held: Held) -> EventAnswer:
    """As it was sent: nobody knows yet whose it will be."""
    return replace(_refused_answer(source, held), **_content(held), retriable=True)


def _refused_answer(source: Source, refused: Refused | Held) -> EventAnswer:
    return EventAnswer(
        source=source.name,
        id=refused.id or str(refused.sequence),
        sequence=refused.sequence,
        status="refused",
        code=refused.code,
        detail=refused.detail,
        series="",
        account="",
        user="",
        user_id="",
        product="",
        time=None,
        received_at=None,
        bytes_up=0,
        bytes_down=0,
        requests=0,
        http_status=0,
        labels={},
        block=None,
    )
