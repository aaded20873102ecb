"""Corrections are planned as if each were said to a bookkeeper who writes down what is right, and nothing else.

The model keeps no differences: it walks what was said, from the beginning, every time. `Book` is what the stores hold,
and tells it as facts. Both are slow and obvious.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from flowtally.core.corrections import NOTHING, QUANTITIES, Correction, EventRef, Expected, Quantities
from flowtally.core.edges import format_instant
from flowtally.core.errors import NotAsExpected
from flowtally.core.events import METERED
from flowtally.ingest.admission import Reason, Submitter
from flowtally.ingest.correction_plan import CorrectionPlan, Facts, digest, plan, with_users
from flowtally.ingest.correction_receipts import unknown
from flowtally.ingest.prepare import Key
from flowtally.ingest.rows import NewRow
from flowtally.keys.key_bytes import key_of
from flowtally.protocol import CorrectionReceipt
from flowtally.usage.values import Entry, EventKey, StoredEvent

LATEST: Final = 1_000_000  # ms: nothing may be dated later
REFUSED, HELD = EventRef("log", "8"), EventRef("log", "9")
EVENTS: Final = tuple(EventRef(*name) for name in (("gw", "e1"), ("gw", "e2"), ("log", "1"), ("log", "2")))
NAMED: Final = (*EVENTS, REFUSED, HELD, EventRef("gw", "none"), EventRef("log", "77"), EventRef("corrections", "c1"))
ADMIN, OWNER, BOUND, STRANGER = (
    Submitter("snd_1", admin=True),
    Submitter("snd_2"),  # owns both sources
    Submitter("snd_2", "acme"),
    Submitter("snd_3"),
)


class Book:
    """Everything that was ever stored, in lists."""

    def __init__(self) -> None:
        self.events: dict[EventRef, StoredEvent] = {}
        self.entries: list[tuple[int, NewRow]] = []
        self.block = 0
        self.compacted_to = 0
        self.names = {(account, "ann"): [f"usr_{account}"] for account in ("acme", "beta")}
        self.statuses = {"acme": "active", "beta": "active"}
        self.erased: set[tuple[str, str]] = set()
        self.create_users = False

    def facts(self, corrections: Sequence[Correction], writer: Submitter, *, stale: bool) -> Facts:
        """`stale`: events were looked up before they were compacted, their corrections after that."""
        refs = {one.corrects for one in corrections if one.corrects is not None}
        keys = {ref: self.key(ref, writer) for ref in refs}
        there = {ref: one for ref, one in self.events.items() if stale or one.block > self.compacted_to}
        events = {key: there[ref] for ref, key in keys.items() if isinstance(key, EventKey) and ref in there}
        return Facts(
            writer=writer,
            claimed={key: row.digest for key, (_, row) in self.claims().items()},
            keys=keys,
            events=events,
            entries={event.reference: self.of(event) for event in events.values()},
            compacted_to=self.compacted_to,
            erased=self.erased,
            statuses=self.statuses,
            user_ids=None if self.create_users else self.users(corrections),
            latest_at=LATEST,
        )

    def claims(self) -> dict[Key, tuple[int, NewRow]]:
        return {(row.key_source, key_of(row.id)): (block, row) for block, row in self.entries}

    def key(self, ref: EventRef, writer: Submitter) -> EventKey | Reason:
        if not writer.admin and (writer.sender != "snd_2" or ref.source not in ("gw", "log")):
            return unknown(ref)
        if ref in (REFUSED, HELD):
            return Reason("refused_event", "")
        if ref in self.events:
            event = self.events[ref]
            return EventKey(
                ref.source, id=event.id, sequence=event.sequence, block=0 if event.sequence else event.block
            )
        claimed = self.claims().get((ref.source, key_of(ref.id)))
        return EventKey(ref.source, id=ref.id, block=claimed[0]) if claimed else unknown(ref)

    def of(self, event: StoredEvent) -> list[Entry]:
        """Its corrections that have rows."""
        return [
            Entry(
                row.kind, row.key_source, row.id, row.refers_to, row.bytes_up, row.bytes_down, row.requests, row.reason,
                row.place, block, 0,
            )
            for block, row in self.entries
            if row.refers_to == event.reference and block > self.compacted_to
        ]  # fmt: skip

    def users(self, corrections: Sequence[Correction]) -> dict[int, str | None]:
        names = ((index, one.account, one.user) for index, one in enumerate(corrections) if one.corrects is None)
        return {index: self.bearer(account, name) for index, account, name in names}

    def bearer(self, account: str, name: str) -> str | None:
        return "" if not name else self.names.get((account, name), [None])[-1]

    def store(self, done: CorrectionPlan) -> list[NewRow]:
        """As the committer does: users are made now."""
        made = {}
        for index in done.named:
            name = (done.rows[index].account, done.rows[index].user)
            if name[1]:
                self.names.setdefault(name, [f"usr_{name}"])
            made[index] = self.bearer(*name) or ""
        rows = with_users(done.rows, made)
        self.block += bool(rows)
        self.entries += [(self.block, row) for row in rows]
        return rows


class Model:
    """What was said and taken, in order; what an event stands at is the last that was said of it."""

    def __init__(self, book: Book) -> None:
        self.book = book
        self.said: list[Correction] = []

    def stands(self, event: EventRef, said: Sequence[Correction]) -> Quantities:
        stored = self.book.events[event]
        now = [stored.bytes_up, stored.bytes_down, stored.requests]
        for one in said:
            if one.corrects == event:
                said_now = (0, 0, 0) if one.void else one.stated
                now = [was if says is None else says for was, says in zip(now, said_now, strict=True)]
        return Quantities(*now)

    def take(self, one: Correction, writer: Submitter) -> tuple[str, str, Any]:
        """Status, code, and (before, after) or what is added."""
        for place, taken in enumerate(self.said):
            if (taken.source, taken.id) == (one.source, one.id):
                if replace(taken, expects=None) != replace(one, expects=None):
                    return "conflict", "other_content", None
                return "duplicate", "", self.moved(one, self.said[: place + 1], writer)
        code = self.refusal(one) if one.corrects is None else self.missing(one.corrects, writer)
        if one.corrects is None and not writer.admin:
            code = "adjustment_needs_admin"
        if code:
            return "refused", code, None
        if one.corrects is not None and one.expects is not None:
            now = self.stands(one.corrects, self.said)
            if any(getattr(one.expects, name) not in (None, getattr(now, name)) for name in QUANTITIES):
                raise NotAsExpected("")
        self.said.append(one)
        return "stored", self.remark(one), self.moved(one, self.said, writer)

    def moved(self, one: Correction, said: Sequence[Correction], writer: Submitter) -> Any:
        if one.corrects is None:
            return one.adds()
        if self.missing(one.corrects, writer):
            return None
        return self.stands(one.corrects, said[:-1]), self.stands(one.corrects, said)

    def remark(self, one: Correction) -> str:
        if one.corrects is None:
            return ""
        before, after = self.stands(one.corrects, self.said[:-1]), self.stands(one.corrects, self.said)
        return "already_void" if one.void and before == NOTHING else "no_change" if before == after else ""

    def refusal(self, one: Correction) -> str:
        if one.account not in self.book.statuses:
            return "unknown_account"
        if self.book.statuses[one.account] == "closed":
            return "account_closed"
        if not self.book.create_users and self.book.bearer(one.account, one.user) is None:
            return "unknown_user"
        return "time_in_future" if one.time == format_instant(LATEST + 1) else ""

    def missing(self, event: EventRef, writer: Submitter) -> str:
        key = self.book.key(event, writer)
        if isinstance(key, Reason):
            return key.code
        stored = self.book.events.get(event)
        block = self.book.claims()[event.source, key_of(event.id)][0] if stored is None else stored.block
        if block <= self.book.compacted_to:
            return "rolled_up" if writer.account is None else "unknown_event"
        return "unknown_event" if stored is None or writer.account not in (None, stored.account) else ""


# -- what happens -----------------------------------------------------------------------------------------------------

few = st.integers(0, 4)
maybe = st.none() | few
ids = st.sampled_from(["c1", "c2", "c3", "c4", "c5", "c6"])
expected = st.none() | st.builds(Expected, bytes_up=few)
rights = st.builds(
    Correction, id=ids, corrects=st.sampled_from(NAMED), bytes_up=few, bytes_down=maybe, requests=maybe,
    expects=expected, reason=st.sampled_from(["", "ann rang"]),
)  # fmt: skip
voids = st.builds(Correction, id=ids, corrects=st.sampled_from(NAMED), void=st.just(True), expects=expected)
adjustments = st.builds(
    Correction, id=ids, account=st.sampled_from(["acme", "beta", "nobody"]), user=st.sampled_from(["", "ann", "bob"]),
    product=st.sampled_from(["", "mobile"]), time=st.sampled_from([5, LATEST, LATEST + 1]).map(format_instant),
    bytes_up=st.integers(-4, 4).filter(bool), reason=st.just("goodwill"),
)  # fmt: skip
requests = st.tuples(
    st.just("request"),
    st.sampled_from([ADMIN, ADMIN, ADMIN, OWNER, BOUND, STRANGER]),
    st.lists(rights | rights | voids | adjustments, min_size=1, max_size=6),
    st.booleans(),
)
happenings = st.sampled_from(["rename", "erase", "erase_account", "compact", "close", "create_users"]).map(
    lambda it: (it,)
)
events = st.tuples(st.just("event"), st.sampled_from(EVENTS), few, few, st.sampled_from(["acme", "beta"]))
steps = st.lists(requests | requests | events | happenings, min_size=1, max_size=14)


def happen(book: Book, step: tuple[Any, ...]) -> None:
    match step:
        case ("event", ref, up, down, account) if ref not in book.events:
            book.block += 1
            number = int(ref.id) if ref.source == "log" else 0
            user, labels = book.bearer(account, "ann") or "", {"k": "v"}
            book.events[ref] = StoredEvent(
                METERED, account, user, "mobile", ref.source, "" if number else ref.id, number, 7, 200, up, down, 1,
                labels, book.block, 1,
            )  # fmt: skip
        case ("rename",):
            book.names["acme", "ann"].append(f"usr_{len(book.names['acme', 'ann'])}")
        case ("erase",):
            book.erased.add(("acme", book.names["acme", "ann"][0]))
        case ("erase_account",):
            book.erased |= {(one.account, one.user) for one in book.events.values() if one.account == "beta"}
        case ("compact",):
            book.compacted_to = book.block
        case ("close",):
            book.statuses["beta"] = "closed"
        case ("create_users",):
            book.create_users = True


def ask(book: Book, model: Model, writer: Submitter, asked: Sequence[Correction], stale: bool) -> None:
    facts, said = book.facts(asked, writer, stale=stale), list(model.said)
    try:
        told = [model.take(one, writer) for one in asked]
    except NotAsExpected:
        model.said = said
        with pytest.raises(NotAsExpected):
            plan(asked, facts)
        return
    done = plan(asked, facts)
    for receipt, (status, code, moved) in zip(done.answer.receipts, told, strict=True):
        assert (receipt.status, receipt.code) == (status, code)
        assert amounts(receipt) == moved
    counts = [done.answer.stored, done.answer.duplicate, done.answer.conflict, done.answer.refused]
    assert counts == [sum(it[0] == name for it in told) for name in ("stored", "duplicate", "conflict", "refused")]
    assert len(done.claims) == len(done.rows) == done.answer.stored
    for row in book.store(done):
        check_row(book, row, next(one for one in model.said if one.id == row.id))


def amounts(receipt: CorrectionReceipt) -> Any:
    if receipt.before is None or receipt.after is None:
        return receipt.added
    assert receipt.added == receipt.after.minus(receipt.before)
    return receipt.before, receipt.after


def check_row(book: Book, row: NewRow, one: Correction) -> None:
    """It falls where its event fell, and says nothing more of a user that was erased."""
    assert (row.digest, row.key_source, row.place > 0) == (digest(one), one.source, True)
    if one.corrects is None:
        where = (one.account, book.bearer(one.account, one.user), one.product)
        assert ((row.account, row.user, row.product), row.refers_to, row.reason) == (where, "", "goodwill")
        return
    event = book.events[one.corrects]
    for name in ("series", "account", "user", "product", "source", "time", "status"):
        assert getattr(row, name) == getattr(event, name)
    is_erased = (event.account, event.user) in book.erased
    assert (row.labels, row.reason) == (({}, "") if is_erased else (event.labels, one.reason))


def check_sums(book: Book, model: Model) -> None:
    """What became of it sums to what was said."""
    rows = [row for _, row in book.entries]
    for ref, event in book.events.items():
        total = added([row for row in rows if row.refers_to == event.reference], event)
        assert total == model.stands(ref, model.said)
        assert min(total.bytes_up, total.bytes_down, total.requests) >= 0
    free = [one for one in model.said if one.corrects is None]
    assert added([row for row in rows if not row.refers_to]).bytes_up == sum(one.bytes_up or 0 for one in free)
    assert len({(row.key_source, row.id) for row in rows}) == len(rows) == len(model.said)


def added(rows: Sequence[NewRow], event: StoredEvent | None = None) -> Quantities:
    all_ = [*rows, *([] if event is None else [event])]
    return Quantities(*(sum(getattr(one, name) for one in all_) for name in QUANTITIES))


@settings(max_examples=400, deadline=None)
@given(steps)
def test_what_was_said_is_what_the_rows_sum_to(steps: list[tuple[Any, ...]]) -> None:
    book = Book()
    model = Model(book)
    for ref in EVENTS[:3]:
        happen(book, ("event", ref, 3, 2, "acme"))
    for step in steps:
        if step[0] == "request":
            ask(book, model, *step[1:])
            check_sums(book, model)
        else:
            happen(book, step)


@settings(max_examples=200, deadline=None)
@given(st.lists(rights | voids | adjustments, min_size=1, max_size=8))
def test_one_request_does_what_many_of_one_correction_do(asked: list[Correction]) -> None:
    asked = [replace(one, expects=None) for one in asked]
    whole, cut = Book(), Book()
    for book in (whole, cut):
        for ref in EVENTS:
            happen(book, ("event", ref, 3, 2, "acme"))
    at_once = plan(asked, whole.facts(asked, ADMIN, stale=False))
    whole.store(at_once)
    receipts = []
    for index, one in enumerate(asked):
        alone = plan([one], cut.facts([one], ADMIN, stale=False))
        receipts.append(replace(alone.answer.receipts[0], index=index))
        cut.store(alone)
    assert at_once.answer.receipts == receipts
    assert [replace(row, place=1) for _, row in whole.entries] == [row for _, row in cut.entries]


def test_a_plan_changes_no_fact() -> None:
    book = Book()
    happen(book, ("event", EVENTS[0], 3, 2, "acme"))
    asked = [Correction("c1", corrects=EVENTS[0], void=True), Correction("c2", corrects=EVENTS[0], bytes_up=9)]
    facts = book.facts(asked, ADMIN, stale=False)
    assert plan(asked, facts) == plan(asked, facts)
    assert facts == book.facts(asked, ADMIN, stale=False)
