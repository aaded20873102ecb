"""Sorting a block: against a model that takes one event at a time and remembers everything in dicts."""

from __future__ import annotations

from contextlib import suppress
from copy import deepcopy
from typing import Any, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from flowtally.core.errors import AtomicRefused, FlowtallyError, SequenceGap, SourceKindMismatch, SourceNotYours
from flowtally.core.events import MAX_SEQUENCE, UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.admission import Submitter
from flowtally.ingest.block import (
    Gathered,
    Sorted,
    Sorter,
    check_reserved,
    check_source,
    first_number,
    gather,
    source_kinds,
)
from flowtally.ingest.holding import recall
from flowtally.ingest.holds import HoldLimits, Holds
from flowtally.ingest.prepare import prepare, prepare_rows, slim
from flowtally.ingest.submission import NAMES, Outcome, Submission
from flowtally.keys.values import Held, Refused, Source

WRITER: Final = Submitter("c1")
TIME: Final = "2026-01-01T00:00:00Z"
NUMBERED: Final = ("n1", "n2")
NAMED: Final = ("a", "b")
Answer = str | list[tuple[str, str]]  # an error's name, or (status, code) per event
Content = tuple[str, int]


# -- the real thing, with the memory that the keys database gives it --------------------------------------------------


LIMITS: Final = HoldLimits(per_source=4, per_account=6, events=6, bytes=10_000)


class NothingHeld:
    """A table of held events, at its beginning."""

    def held_groups(self) -> list[Any]:
        return []

    def next_held_time(self) -> None:
        return None


class Book:
    """Sources, keys, refusals and holds between blocks, as the committer carries them."""

    def __init__(self, limits: HoldLimits = LIMITS) -> None:
        names = [*((name, "numbered") for name in NUMBERED), *((name, "named") for name in NAMED)]
        self.sources = {name: Source(no, name, kind, "c1", 0, None) for no, (name, kind) in enumerate(names)}  # type: ignore[arg-type]
        self.fresh = set(self.sources)
        self.known: dict[Any, int] = {}
        self.refused: dict[tuple[int, int], Refused] = {}
        self.held: dict[tuple[int, int], Held] = {}
        self.holds = Holds(NothingHeld(), limits)  # type: ignore[arg-type]
        self.stored: list[tuple[str, str, int]] = []

    def refusals(self, source: int, first: int, last: int) -> dict[int, Refused]:
        return {number: one for (no, number), one in self.refused.items() if no == source and first <= number <= last}

    def take(self, submissions: list[Submission]) -> list[Answer]:
        """One block. Sorted first with a guess of what is known, then again if the guess was wrong."""
        block = gather(submissions)
        block.held = self.held
        columns = block.rows.columns
        for submission, start in zip(submissions, block.starts, strict=True):
            self._recall(block, submission, start)
        writers = [(one.writer, len(one.events)) for one in submissions]
        world = admission.world_faults(columns, block.rows.times, writers, {"acme": "active"}, 2**50)
        asked = [block.rows.keys[row] for row in (*world, *block.rows.faults)] if block.rows.keys else []
        guess = {key: self.known[key] for key in asked if key in self.known}
        found = self._sort(block, world, guess)
        if self._claims_twice(block, found):
            found = self._sort(block, world, self.known, guess=False)
        assert not self._claims_twice(block, found)
        assert found.stored == sorted(set(found.stored))
        self._count(block, found)
        return [
            type(answer).__name__ if isinstance(answer, FlowtallyError) else _told(answer) for answer in found.answers
        ]

    def _sort(self, block: Gathered, world: Any, known: Any, *, guess: bool = True) -> Sorted:
        allowance = self.holds.allowance()
        return Sorter(block, self.sources, self.refusals, world, known, self.fresh, allowance, 1, guess=guess).sort()

    def _claims_twice(self, block: Gathered, found: Sorted) -> bool:
        keys = [block.rows.keys[row] for row in found.claims]
        return len(set(keys)) < len(keys) or not self.known.keys().isdisjoint(keys)

    def _recall(self, block: Gathered, submission: Submission, start: int) -> None:
        rows = [start + index for index, one in enumerate(submission.events) if one.sequence is not None]
        if rows:
            source = self.sources[block.rows.columns.source[rows[0]]]
            mine = {number: one for (no, number), one in self.held.items() if no == source.no}
            with suppress(SequenceGap):
                numbers = [block.rows.columns.sequence[row] for row in rows]
                recall(block.rows, rows, first_number(numbers, source.name, source.mark), mine)

    def _count(self, block: Gathered, found: Sorted) -> None:
        columns = block.rows.columns
        self.known |= {block.rows.keys[row]: int(block.rows.digests[row]) for row in found.claims}
        self.refused |= {(one.source, one.sequence): one for one in found.refused}
        self.held |= {(one.source, one.sequence): one for one in found.held}
        assert not found.ended, "here the world never changes"
        self.holds.changed(found.held, found.ended)
        self.fresh -= set(found.fresh)
        for one in found.advances:
            before = self.sources[one.name]
            assert one.mark > before.mark
            assert one.name not in self.fresh
            self.sources[one.name] = Source(before.no, one.name, before.kind, "c1", one.mark, one.position)
        for row in found.stored:
            name = columns.id[row] if columns.sequence[row] is None else str(columns.sequence[row])
            self.stored.append((columns.source[row], name, columns.bytes_up[row]))


def _told(outcome: Outcome) -> list[tuple[str, str]]:
    told: list[tuple[str, str]] = [
        (NAMES[status], outcome.reasons[index].code if index in outcome.reasons else "")
        for index, status in enumerate(outcome.statuses)
    ]
    return told + ([("stopped", str(outcome.stopped.extra["bound"]))] if outcome.stopped else [])


# -- the model --------------------------------------------------------------------------------------------------------


class Model:
    """One event at a time."""

    def __init__(self) -> None:
        self.named: dict[tuple[str, str], Content] = {}
        self.marks = dict.fromkeys(NUMBERED, 0)
        self.positions: dict[str, str | None] = dict.fromkeys(NUMBERED)
        self.refused: dict[tuple[str, int], str] = {}
        self.held: dict[tuple[str, int], Content] = {}
        self.there: set[str] = set()
        self.stored: list[tuple[str, str, int]] = []

    def take(self, submission: Submission) -> Answer:
        before = deepcopy(self.__dict__)
        answer = self._take(submission)
        if isinstance(answer, str) or (
            submission.atomic and any(status in ("conflict", "refused", "stopped") for status, _ in answer)
        ):
            self.__dict__ = before
            return answer if isinstance(answer, str) else "AtomicRefused"
        return answer

    def _take(self, submission: Submission) -> Answer:
        events = list(enumerate(submission.events))
        numbered = [(index, event) for index, event in events if event.sequence is not None]
        numbers = [int(event.sequence or 0) for _, event in numbered]
        source = next((event.source for _, event in numbered), "")
        if numbers and (numbers != list(range(numbers[0], numbers[0] + len(numbers)))):
            return "SequenceGap"
        if numbers and numbers[0] > self.marks[source] + 1:
            return "SequenceGap"
        before = deepcopy(self.__dict__)
        whys = {index: _bad(event, index in submission.faults) or _world(event) for index, event in numbered}
        if numbered and source not in self.there and all(whys.values()):
            return [
                ("refused", whys[index])
                if index in whys
                else self._named(event, _bad(event, index in submission.faults), _world(event))
                for index, event in events
            ]
        said: dict[int, tuple[str, str]] = {}
        stop: tuple[int, str] | None = None
        for index, event in numbered:
            told = self._numbered(event, _bad(event, index in submission.faults), _world(event))
            if told[0] == "stopped":
                stop = index, told[1]
                break
            said[index] = told
        if stop is not None and source not in self.there and all(status != "stored" for status, _ in said.values()):
            self.__dict__ = before
            stop, said = (numbered[0][0], stop[1]), {}
        elif numbers:
            self.there.add(source)
        for index, event in events:
            if event.sequence is None and (stop is None or index < stop[0]):
                said[index] = self._named(event, _bad(event, index in submission.faults), _world(event))
        return [said[index] for index in sorted(said)] + ([("stopped", stop[1])] if stop else [])

    def _numbered(self, event: UsageEvent, bad: str, world: str) -> tuple[str, str]:
        key, content = (event.source, int(event.sequence or 0)), (event.account, event.bytes_up)
        if key in self.refused:
            return ("refused", self.refused[key])
        if key in self.held:
            return ("refused", "unknown_account") if self.held[key] == content else ("conflict", "other_content")
        if key[1] <= self.marks[event.source]:
            return ("duplicate", "")
        if world and not bad and (bound := self._bound(event)):
            return ("stopped", bound)
        self.marks[event.source], self.positions[event.source] = key[1], event.position
        if bad:
            self.refused[key] = bad
        elif world:
            self.held[key] = content
        else:
            self.stored.append((event.source, str(event.sequence), event.bytes_up))
            return ("stored", "")
        return ("refused", bad or world)

    def _bound(self, event: UsageEvent) -> str:
        if sum(source == event.source for source, _ in self.held) == LIMITS.per_source:
            return "source"
        if sum(account == event.account for account, _ in self.held.values()) == LIMITS.per_account:
            return "account"
        return ""

    def _named(self, event: UsageEvent, bad: str, world: str) -> tuple[str, str]:
        key, content = (event.source, event.id), (event.account, event.bytes_up)
        if bad:
            return ("refused", bad)
        if key in self.named:
            return ("duplicate", "") if self.named[key] == content else ("conflict", "other_content")
        if world:
            return ("refused", world)
        self.named[key] = content
        self.stored.append((event.source, event.id, event.bytes_up))
        return ("stored", "")


def _bad(event: UsageEvent, fault: bool) -> str:
    return "invalid_event" if fault else "no_id" if not event.id and event.sequence is None else ""


def _world(event: UsageEvent) -> str:
    return "unknown_account" if event.account != "acme" else ""


# -- any submissions --------------------------------------------------------------------------------------------------

accounts = st.sampled_from(["acme", "acme", "acme", "nobody"])
ups = st.sampled_from([1, 1, 2])
named_events = st.builds(
    UsageEvent,
    source=st.sampled_from(NAMED),
    account=accounts,
    id=st.sampled_from(["1", "2", "3", "0190f3e0-7b1a-7abc-8def-0123456789ab", ""]),
    time=st.just(TIME),
    bytes_up=ups,
)


@st.composite
def numbered_events(draw: st.DrawFn) -> list[UsageEvent]:
    source = draw(st.sampled_from(NUMBERED))
    first = draw(st.integers(1, 6))
    numbers = list(range(first, first + draw(st.integers(1, 5))))
    if draw(st.integers(0, 9)) == 0:
        numbers[-1] += draw(st.sampled_from([-1, 1]))
    as_text = draw(st.booleans())
    return [
        UsageEvent(source, draw(accounts), f"kept {number}", str(number) if as_text else number, f"p{number}", TIME)
        for number in numbers
        if number > 0
    ]


@st.composite
def submissions(draw: st.DrawFn) -> Submission:
    numbered = draw(st.one_of(st.just([]), numbered_events()))
    events = numbered + draw(st.lists(named_events, min_size=0 if numbered else 1, max_size=5))
    if draw(st.booleans()):  # numbered ones keep their order, named ones may stand anywhere between them
        places = sorted(draw(st.permutations(range(len(events))))[: len(numbered)])
        rest = iter(events[len(numbered) :])
        mine = iter(numbered)
        events = [next(mine) if index in places else next(rest) for index in range(len(events))]
    faults = {index: "bad" for index in range(len(events)) if draw(st.integers(0, 7)) == 0}
    how = draw(st.sampled_from([None, prepare, prepare_rows]))
    prepared = how(events, faults) if how is not None else None
    kept = slim(prepared) if prepared is not None and draw(st.booleans()) else None
    return Submission(WRITER, kept or events, faults, 1, draw(st.integers(0, 3)) == 0, prepared=prepared)


@settings(max_examples=200, deadline=None)
@given(submissions())
def test_its_sources_are_the_same_whoever_prepared_a_request(one: Submission) -> None:
    def told(prepared: Any) -> Any:
        one.prepared = prepared
        try:
            return source_kinds(one)
        except FlowtallyError as error:
            return type(error), error.detail

    assert told(prepare_rows(one.events, one.faults)) == told(prepare(one.events, one.faults)) == told(None)


@settings(max_examples=200, deadline=None)
@given(st.lists(submissions(), min_size=1, max_size=6), st.lists(st.integers(1, 4), max_size=6))
def test_a_block_is_sorted_as_if_its_events_came_one_at_a_time(sent: list[Submission], sizes: list[int]) -> None:
    book, model = Book(), Model()
    while sent:
        size = sizes.pop() if sizes else len(sent)
        block, sent = sent[:size], sent[size:]
        assert book.take(block) == [model.take(one) for one in block]
    assert sorted(book.stored) == sorted(model.stored)
    assert {name: book.sources[name].mark for name in NUMBERED} == model.marks
    assert {name: book.sources[name].position for name in NUMBERED} == model.positions


@settings(max_examples=200, deadline=None)
@given(st.lists(submissions(), min_size=1, max_size=6))
def test_one_block_is_the_same_as_a_block_for_each_submission(sent: list[Submission]) -> None:
    together, apart = Book(), Book()
    assert together.take(sent) == [answer for one in sent for answer in apart.take([one])]
    assert together.sources == apart.sources
    assert together.known == apart.known
    assert {key: one.code for key, one in together.refused.items()} == {
        key: one.code for key, one in apart.refused.items()
    }


@settings(max_examples=200, deadline=None)
@given(st.lists(submissions(), min_size=1, max_size=5))
def test_sending_everything_again_stores_nothing(sent: list[Submission]) -> None:
    book = Book()
    answers = book.take(sent)
    before = list(book.stored)
    taken = [one for one, answer in zip(sent, answers, strict=True) if not isinstance(answer, str)]
    for answer in book.take(taken) if taken else []:
        # A named event that was refused may be stored by another submission meanwhile, never twice.
        assert isinstance(answer, str) or all(status != "stored" for status, _ in answer)
    assert book.stored == before


# -- worked examples --------------------------------------------------------------------------------------------------


def numbered(first: int, last: int, source: str = "n1", **more: Any) -> Submission:
    account = more.pop("account", "acme")
    events = [UsageEvent(source, account, "", number, None, TIME, **more) for number in range(first, last + 1)]
    return Submission(WRITER, events, {}, 1)


def named(*ids: str, source: str = "a", up: int = 1, atomic: bool = False) -> Submission:
    return Submission(WRITER, [UsageEvent(source, "acme", id, time=TIME, bytes_up=up) for id in ids], {}, 1, atomic)


STORED: Final = ("stored", "")
DUPLICATE: Final = ("duplicate", "")
CONFLICT: Final = ("conflict", "other_content")


def test_numbers_go_on_from_one_submission_to_the_next_of_the_same_block() -> None:
    assert Book().take([numbered(1, 2), numbered(3, 3), numbered(2, 4)]) == [
        [STORED, STORED],
        [STORED],
        [DUPLICATE, DUPLICATE, STORED],
    ]


def test_of_a_source_that_is_not_there_nothing_is_kept_until_something_is_stored() -> None:
    book = Book()
    [answer] = book.take([numbered(1, 2, account="nobody")])
    assert answer == [("refused", "unknown_account")] * 2
    assert (book.held, book.refused, "n1" in book.fresh) == ({}, {}, True)
    mixed = Submission(WRITER, [*numbered(1, 1, account="nobody").events, *numbered(2, 2).events], {}, 1)
    assert book.take([mixed]) == [[("refused", "unknown_account"), STORED]]
    assert (len(book.held), book.sources["n1"].mark, "n1" in book.fresh) == (1, 2, False)


def test_the_request_stops_where_no_more_can_be_held_and_says_how_far_it_went() -> None:
    book = Book(HoldLimits(per_source=2, per_account=9, events=9, bytes=9_000))
    nobodys = numbered(2, 5, account="nobody").events
    named_one, named_late = named("1").events[0], named("2").events[0]
    sent = Submission(WRITER, [*numbered(1, 1).events, named_one, *nobodys, named_late], {}, 1)
    held = ("refused", "unknown_account")
    assert book.take([sent]) == [[STORED, STORED, held, held, ("stopped", "source")]]
    assert book.sources["n1"].mark == 3
    assert book.stored == [("n1", "1", 0), ("a", "1", 1)]
    block = gather([Submission(WRITER, list(nobodys[2:]), {}, 1)])
    world = admission.world_faults(block.rows.columns, block.rows.times, [(WRITER, 2)], {"acme": "active"}, 2**50)
    [answer] = book._sort(block, world, {}).answers
    assert isinstance(answer, Outcome)
    assert answer.stopped is not None
    assert (answer.statuses, answer.stopped.extra["sequence"]) == ([], 3)
    assert "number" not in answer.stopped.detail
    assert "2 events of this source are held" in answer.stopped.detail


def test_an_event_of_another_account_is_refused_with_its_request() -> None:
    book, bound = Book(), Submitter("c1", "acme")
    events = [*numbered(1, 1).events, *numbered(2, 2, account="other").events]
    assert book.take([Submission(bound, events, {}, 1)]) == ["NotYourAccount"]
    assert (book.stored, book.held, book.sources["n1"].mark) == ([], {}, 0)


def test_a_gap_is_told_with_the_mark_and_stops_nobody_else() -> None:
    book = Book()
    assert book.take([numbered(1, 3), numbered(5, 6), numbered(1, 1, "n2")]) == [[STORED] * 3, "SequenceGap", [STORED]]
    assert book.sources["n1"].mark == 3
    block = gather([numbered(7, 7)])
    [answer] = Sorter(block, book.sources, book.refusals, {}, {}).sort().answers
    assert isinstance(answer, SequenceGap)
    assert answer.extra["sequence"] == 3


@pytest.mark.parametrize("sequence", ["02", "1.0", "+1", " 1", "x", "", "１", "1_0", "0", "00"])
def test_what_is_not_the_next_number_in_decimal_is_a_gap(sequence: str) -> None:
    event = UsageEvent("n1", "acme", "", sequence, None, TIME)
    assert Book().take([Submission(WRITER, [event], {}, 1)]) == ["SequenceGap"]


def test_the_same_id_with_other_content_is_a_conflict_and_changes_nothing() -> None:
    book = Book()
    assert book.take([named("1"), named("1", up=2), named("1", "1", up=1)]) == [
        [STORED],
        [CONFLICT],
        [DUPLICATE, DUPLICATE],
    ]
    assert book.stored == [("a", "1", 1)]


def test_an_id_twice_in_one_submission_counts_once() -> None:
    assert Book().take([named("1", "2", "1")]) == [[STORED, STORED, DUPLICATE]]


def test_an_atomic_submission_that_fails_leaves_its_keys_to_the_next() -> None:
    book = Book()
    book.take([named("1")])
    assert book.take([named("9", "1", up=2, atomic=True), named("9")]) == ["AtomicRefused", [STORED]]


def test_what_an_atomic_refusal_lists_is_what_was_wrong() -> None:
    book = Book()
    book.take([named("1")])
    block = gather([named("9", "1", up=2, atomic=True)])
    [answer] = Sorter(block, book.sources, book.refusals, {}, book.known).sort().answers
    assert isinstance(answer, AtomicRefused)
    receipts: Any = answer.extra["receipts"]
    [receipt] = receipts
    assert (receipt.index, receipt.id, receipt.status) == (1, "1", "conflict")


@pytest.mark.parametrize("last", [str(MAX_SEQUENCE + 1), MAX_SEQUENCE + 1, "7"])
def test_no_run_goes_beyond_the_last_number_there_can_be(last: int | str) -> None:
    """Not even where the first one is one."""
    with pytest.raises(SequenceGap, match="is no whole number" if last != "7" else "not 7"):
        first_number([str(MAX_SEQUENCE - 1), str(MAX_SEQUENCE), last], "log", MAX_SEQUENCE - 2)


def test_a_source_is_numbered_or_named_and_a_request_numbers_one_source() -> None:
    mixed = Submission(WRITER, [*numbered(1, 1, "x").events, *named("1", source="x").events], {}, 1)
    with pytest.raises(SourceKindMismatch):
        source_kinds(mixed)
    two = Submission(WRITER, [*numbered(1, 1, "x").events, *numbered(1, 1, "y").events], {}, 1)
    with pytest.raises(SequenceGap, match="one source"):
        source_kinds(two)
    both = Submission(WRITER, [*numbered(1, 1, "x").events, *named("1", source="y").events], {}, 1)
    assert source_kinds(both) == {"x": "numbered", "y": "named"}


def test_an_item_at_fault_without_a_number_leaves_no_trace_of_its_source() -> None:
    at_fault = Submission(WRITER, [UsageEvent("ghost", "", "1")], {0: "bad"}, 1)
    assert source_kinds(at_fault) == {}


def test_a_source_keeps_its_owner_and_an_admin_may_write_any() -> None:
    source = Source(1, "x", "named", "c1", 0, None)
    for writer, allowed in ((Submitter("c1"), True), (Submitter("c2"), False), (Submitter("c2", admin=True), True)):
        one = Submission(writer, named("1").events, {}, 1)
        if allowed:
            check_source(one.writer, source, "named")
        else:
            with pytest.raises(SourceNotYours):
                check_source(one.writer, source, "named")
    with pytest.raises(SourceKindMismatch):
        check_source(named("1").writer, source, "numbered")


def test_a_source_of_this_server_is_written_by_nobody_else() -> None:
    ours = "flowtally:whitepages"
    for writer in (Submitter("c1"), Submitter("c1", admin=True)):
        with pytest.raises(SourceNotYours):
            check_reserved(writer, ours)
    check_reserved(Submitter(ours), ours)
