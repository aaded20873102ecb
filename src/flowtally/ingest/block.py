"""One block: what waits, sorted into stored, duplicate, conflict and refused. Pure; the committer carries it out.

Submissions are taken in order, as if one after the other: a later one sees what an earlier one in the same block
stored. A submission that breaks a rule of its source (a gap, a foreign source) is left out with an error of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import chain

import msgspec

from flowtally.errors import AtomicRefused, FlowtallyError, SequenceGap, SourceKindMismatch, SourceNotYours
from flowtally.events import UsageEvent
from flowtally.ingest import admission
from flowtally.ingest.admission import Reason, Reasons, Times
from flowtally.ingest.submission import CONFLICT, DUPLICATE, REFUSED, STORED, Outcome, Submission
from flowtally.ledger.texts import check_text
from flowtally.protocol import Receipt
from flowtally.usage.keys import Advance, Claim, Refused, Source, SourceKind, key_of

Key = tuple[int, bytes]
_LISTED = 100  # receipts inside an error document


class Gathered(msgspec.Struct):
    """The events of all submissions as one list, with what can be said before any key is looked up."""

    submissions: list[Submission]
    starts: list[int]
    events: list[UsageEvent]
    times: Times
    faults: Reasons


class Sorted(msgspec.Struct):
    """What becomes of a block. `stored` are rows of `Gathered.events`; `marks` the mark of each numbered one's source
    once this block is committed; `digests` of the named ones, by row."""

    answers: list[Outcome | FlowtallyError]
    stored: list[int]
    claims: list[Claim]
    digests: dict[int, int]
    advances: list[Advance]
    refused: list[Refused]


class Running(msgspec.Struct):
    """A numbered source while the block is sorted."""

    mark: int
    position: str | None
    moved: bool = False


def gather(submissions: list[Submission]) -> Gathered:
    starts: list[int] = []
    events: list[UsageEvent] = []
    unreadable: dict[int, str] = {}
    for submission in submissions:
        starts.append(len(events))
        unreadable |= {len(events) + index: fault for index, fault in submission.faults.items()}
        events += submission.events
    times, faults = admission.faults(events, unreadable)
    return Gathered(submissions, starts, events, times, faults)


def source_kinds(submission: Submission) -> dict[str, SourceKind]:
    """Which sources a submission writes, and how. Raises where its numbers cannot be a continuation of any mark."""
    kinds: dict[str, SourceKind] = {}
    numbered = {event.source for event in submission.events if event.sequence is not None}
    # An item that is no usage event and has no number leaves no trace, not even its source.
    faults = submission.faults
    named = {event.source for i, event in enumerate(submission.events) if event.sequence is None and i not in faults}
    for name in numbered | named:
        check_text("source", name)
    if len(numbered) > 1:
        raise SequenceGap(
            f"A request carries numbered events of one source, not of {len(numbered)}", sources=len(numbered)
        )
    if mixed := numbered & named:
        raise SourceKindMismatch(f"Source {next(iter(mixed))!r} has both numbered and named events in one request")
    kinds |= dict.fromkeys(named, "named")
    kinds |= dict.fromkeys(numbered, "numbered")
    return kinds


def check_source(submission: Submission, source: Source, kind: SourceKind) -> None:
    """A source keeps the kind and the owner of its first use."""
    writer = submission.writer
    if source.owner != writer.credential and not writer.admin:
        raise SourceNotYours(f"Source {source.name!r} belongs to another credential")
    if source.kind != kind:
        raise SourceKindMismatch(f"Source {source.name!r} is {source.kind}; these events are {kind}")


class Sorter:
    """Sorts one block. Built anew for every attempt: `known` may be only a guess the first time."""

    def __init__(
        self,
        block: Gathered,
        sources: Mapping[str, Source],
        refusals: Callable[[int, int, int], dict[int, Refused]],
        world: Reasons,
        known: Mapping[Key, int],
    ) -> None:
        self._block = block
        self._sources = sources
        self._refusals = refusals
        self._world = world
        self._known = known
        self._clean = not block.faults and not world
        self._claimed: dict[Key, int] = {}
        self._running: dict[str, Running] = {}
        self._sorted = Sorted([], [], [], {}, [], [])

    def sort(self) -> Sorted:
        for submission, start in zip(self._block.submissions, self._block.starts, strict=True):
            try:
                self._sorted.answers.append(self._one(submission, start))
            except FlowtallyError as error:
                self._sorted.answers.append(error)
        moved = [(name, one) for name, one in self._running.items() if one.moved]
        self._sorted.advances += [Advance(self._sources[name].no, name, one.mark, one.position) for name, one in moved]
        return self._sorted

    def _one(self, submission: Submission, start: int) -> Outcome:
        outcome = Outcome([REFUSED] * len(submission.events), {})
        numbered = [index for index, event in enumerate(submission.events) if event.sequence is not None]
        new: list[int] = []
        refused: list[Refused] = []
        running: Running | None = None
        if numbered:
            running = self._numbered(submission, start, numbered, outcome, new, refused)
        claims: dict[Key, Claim] = {}
        digests: dict[int, int] = {}
        if len(numbered) < len(submission.events):
            self._named(submission, start, outcome, new, claims, digests)
        if submission.atomic and any(status in (CONFLICT, REFUSED) for status in outcome.statuses):
            raise _atomic_refused(submission, outcome)
        if running is not None:
            self._running[submission.events[numbered[0]].source] = running
        self._claimed |= {key: claim.digest for key, claim in claims.items()}
        self._sorted.stored += new
        self._sorted.claims += claims.values()
        self._sorted.digests |= digests
        self._sorted.refused += refused
        return outcome

    def _fault(self, row: int) -> Reason | None:
        return self._block.faults.get(row) or self._world.get(row)

    def _numbered(
        self,
        submission: Submission,
        start: int,
        numbered: list[int],
        outcome: Outcome,
        new: list[int],
        refused: list[Refused],
    ) -> Running:
        events = submission.events
        source = self._sources[events[numbered[0]].source]
        before = self._running.get(source.name) or Running(source.mark, source.position)
        first = _first_number([events[index] for index in numbered], source.name, before.mark)
        overlap = max(0, min(len(numbered), before.mark + 1 - first))
        self._overlap(source, first, numbered[:overlap], outcome)
        if self._clean and len(numbered) - overlap == len(events):  # by far the usual case
            outcome.statuses = [STORED] * len(events)
            new += range(start, start + len(events))
            return Running(first + len(numbered) - 1, events[-1].position, moved=True)
        for number, index in enumerate(numbered[overlap:], start=first + overlap):
            reason = self._fault(start + index)
            if reason is None:
                outcome.statuses[index] = STORED
                new.append(start + index)
            else:
                outcome.reasons[index] = reason
                refused.append(Refused(source.no, number, events[index].id, reason.code, reason.detail))
        if overlap == len(numbered):
            return before
        return Running(first + len(numbered) - 1, events[numbered[-1]].position, moved=True)

    def _overlap(self, source: Source, first: int, indices: Sequence[int], outcome: Outcome) -> None:
        # At or below the mark: counted already, unless it was refused then; so it is refused again, for that reason.
        if not indices:
            return
        kept = self._refusals(source.no, first, first + len(indices) - 1)
        kept |= {one.sequence: one for one in self._sorted.refused if one.source == source.no}
        for number, index in enumerate(indices, start=first):
            if number in kept:
                outcome.reasons[index] = Reason(kept[number].code, kept[number].detail)
            else:
                outcome.statuses[index] = DUPLICATE

    def _named(
        self,
        submission: Submission,
        start: int,
        outcome: Outcome,
        new: list[int],
        claims: dict[Key, Claim],
        digests: dict[int, int],
    ) -> None:
        numbers = {name: source.no for name, source in self._sources.items()}
        for index, event in enumerate(submission.events):
            row = start + index
            if event.sequence is not None:
                continue
            if row in self._block.faults:
                outcome.reasons[index] = self._block.faults[row]
                continue
            key = (numbers[event.source], key_of(event.id))
            ours = admission.digest(event)
            theirs = self._seen(key, claims)
            if theirs is not None:
                outcome.statuses[index] = DUPLICATE if theirs == ours else CONFLICT
                if theirs != ours:
                    detail = "this id was stored with another account, user, product, quantity or status"
                    outcome.reasons[index] = Reason("other_content", detail)
            elif row in self._world:
                outcome.reasons[index] = self._world[row]
            else:
                claims[key] = Claim(key[0], key[1], ours)
                digests[row] = ours
                outcome.statuses[index] = STORED
                new.append(row)

    def _seen(self, key: Key, claims: Mapping[Key, Claim]) -> int | None:
        if key in claims:
            return claims[key].digest
        if key in self._claimed:
            return self._claimed[key]
        return self._known.get(key)


def _first_number(events: Sequence[UsageEvent], source: str, mark: int) -> int:
    """The first number of a run without holes that continues at the mark or overlaps it. Raises SequenceGap."""
    asked = [event.sequence for event in events]
    try:
        first = int(asked[0] or 0)
    except ValueError:
        first = 0
    texts = list(map(str, range(first, first + len(asked))))
    if first < 1 or (asked != texts and list(map(str, asked)) != texts):
        at = next((i for i, (a, b) in enumerate(zip(asked, texts, strict=True)) if str(a) != b or first < 1), 0)
        detail = f"The numbers of source {source!r} must be whole and follow one another; {asked[at]!r} does not"
        raise SequenceGap(detail, source=source, sequence=mark)
    if first > mark + 1:
        detail = f"Source {source!r} stands at {mark}; the next number is {mark + 1}, not {first}"
        raise SequenceGap(detail, source=source, sequence=mark)
    return first


def _atomic_refused(submission: Submission, outcome: Outcome) -> AtomicRefused:
    bad = [index for index, status in enumerate(outcome.statuses) if status in (CONFLICT, REFUSED)]
    receipts = [
        Receipt(
            index,
            submission.events[index].source,
            submission.events[index].id,
            "conflict" if outcome.statuses[index] == CONFLICT else "refused",
            outcome.reasons[index].code,
            outcome.reasons[index].detail,
        )
        for index in bad[:_LISTED]
    ]
    return AtomicRefused(
        f"Nothing was stored: {len(bad)} of {len(outcome.statuses)} events cannot be", receipts=receipts
    )


def all_sources(submissions: Sequence[Submission]) -> set[str]:
    return set(chain.from_iterable((event.source for event in one.events) for one in submissions))
