"""One block: what waits, sorted into stored, duplicate, conflict and refused. Pure; the committer carries it out.

Submissions are taken in order, as if one after the other: a later one sees what an earlier one in the same block
stored. A submission that breaks a rule of its source (a gap, a foreign source) is left out with an error of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

import msgspec

from flowtally.errors import AtomicRefused, FlowtallyError, SequenceGap, SourceKindMismatch, SourceNotYours
from flowtally.events import UsageEvent
from flowtally.ingest.admission import Reason, Reasons, Writer
from flowtally.ingest.prepare import Key, Prepared, join, prepare
from flowtally.ingest.submission import CONFLICT, DUPLICATE, REFUSED, STORED, Outcome, Submission
from flowtally.ledger.texts import check_text
from flowtally.protocol import Receipt
from flowtally.texts import is_text
from flowtally.usage.keys import Advance, Refused, Source, SourceKind

OTHER_CONTENT: Final = Reason(
    "other_content", "this id was stored with another account, user, product, quantity or status"
)
_LISTED = 100  # receipts inside an error document
OURS: Final = "flowtally:"  # sources whose names begin so are written by this server alone


class Gathered(msgspec.Struct):
    """All submissions of a block as one `Prepared`; `starts` are their first rows in it. `user_ids`, where users are
    not made: the user of each row, None where there is none, so that whoever was checked is whoever is written."""

    submissions: list[Submission]
    starts: list[int]
    rows: Prepared
    user_ids: list[str | None] | None = None


class Sorted(msgspec.Struct):
    """What becomes of a block: `stored` are rows of the block, `claims` the keys of the named ones among them
    with their rows, `advances` where the numbered sources stand once it is committed."""

    answers: list[Outcome | FlowtallyError]
    stored: list[int]
    claims: dict[Key, int]
    advances: list[Advance]
    refused: list[Refused]


class Running(msgspec.Struct):
    """A numbered source while the block is sorted."""

    mark: int
    position: str | None
    moved: bool = False


class Part(msgspec.Struct):
    """What one submission adds, kept apart until it is known whether it counts (`atomic`)."""

    outcome: Outcome
    stored: list[int]
    claims: dict[Key, int]
    refused: list[Refused]


def gather(submissions: list[Submission]) -> Gathered:
    starts: list[int] = []
    parts: list[Prepared] = []
    events: list[UsageEvent] = []  # of submissions that nobody has prepared yet, a run of them at a time
    unreadable: dict[int, str] = {}
    count = 0
    for submission in submissions:
        starts.append(count)
        count += len(submission.events)
        if submission.prepared is None:
            unreadable |= {len(events) + index: fault for index, fault in submission.faults.items()}
            events += submission.events
            continue
        if events:
            parts.append(prepare(events, unreadable))
            events, unreadable = [], {}
        parts.append(submission.prepared)
    if events:
        parts.append(prepare(events, unreadable))
    return Gathered(submissions, starts, join(parts))


def source_kinds(submission: Submission) -> dict[str, SourceKind]:
    """Which sources a submission writes, and how. Raises where its numbers cannot be a continuation of any mark."""
    kinds: dict[str, SourceKind] = {}
    numbered = {event.source for event in submission.events if event.sequence is not None}
    # An item that is no usage event and has no number leaves no trace, not even its source.
    faults = submission.faults
    named = {event.source for i, event in enumerate(submission.events) if event.sequence is None and i not in faults}
    named = set(filter(is_text, named))  # the others are refused one by one; a number needs a source that can be kept
    for name in numbered:
        check_text("source", name)
    if len(numbered) > 1:
        raise SequenceGap(
            f"A request carries numbered events of one source, not of {len(numbered)}", sources=len(numbered)
        )
    if mixed := numbered & named:
        raise SourceKindMismatch(f"Source {next(iter(mixed))!r} has both numbered and named events in one request")
    kinds |= dict.fromkeys(named, "named")
    kinds |= dict.fromkeys(numbered, "numbered")
    for name in kinds:
        if name.startswith(OURS) and submission.writer.credential != name:
            raise SourceNotYours(f"Source {name!r} is this server's own: names that begin with {OURS!r} are")
    return kinds


def check_source(writer: Writer, source: Source, kind: SourceKind) -> None:
    """A source keeps the kind and the owner of its first use."""
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
        self._rows = block.rows
        self._sources = sources
        self._refusals = refusals
        self._world = world
        self._known = known
        self._clean = not block.rows.faults and not world
        self._claimed: dict[Key, int] = {}
        self._running: dict[str, Running] = {}
        self._sorted = Sorted([], [], {}, [], [])

    def sort(self) -> Sorted:
        for submission, start in zip(self._block.submissions, self._block.starts, strict=True):
            try:
                self._sorted.answers.append(self._one(submission, start))
            except FlowtallyError as error:
                self._sorted.answers.append(error)
        moved = [(name, one) for name, one in self._running.items() if one.moved]
        self._sorted.stored.sort()
        self._sorted.advances += [Advance(self._sources[name].no, name, one.mark, one.position) for name, one in moved]
        return self._sorted

    def _one(self, submission: Submission, start: int) -> Outcome:
        count = len(submission.events)
        part = Part(Outcome([REFUSED] * count, {}), [], {}, [])
        sequences = self._rows.columns.sequence[start : start + count]
        numbered = range(count) if None not in sequences else [i for i, one in enumerate(sequences) if one is not None]
        running = self._numbered(start, numbered, part) if numbered else None
        if len(numbered) < count:
            self._named(
                start, [i for i, one in enumerate(sequences) if one is None] if numbered else range(count), part
            )
        if submission.atomic and any(status in (CONFLICT, REFUSED) for status in part.outcome.statuses):
            raise _atomic_refused(submission, part.outcome)
        if running is not None:
            self._running[self._rows.columns.source[start + numbered[0]]] = running
        self._claimed |= part.claims
        self._sorted.stored += part.stored
        self._sorted.claims |= part.claims
        self._sorted.refused += part.refused
        return part.outcome

    def _fault(self, row: int) -> Reason | None:
        return self._rows.faults.get(row) or self._world.get(row)

    def _numbered(self, start: int, numbered: Sequence[int], part: Part) -> Running:
        columns = self._rows.columns
        last = start + numbered[-1]
        source = self._sources[columns.source[last]]
        before = self._running.get(source.name) or Running(source.mark, source.position)
        asked = [columns.sequence[start + index] for index in numbered]
        first = _first_number(asked, source.name, before.mark)
        overlap = max(0, min(len(numbered), before.mark + 1 - first))
        self._overlap(source, first, numbered[:overlap], part.outcome)
        if overlap == len(numbered):
            return before
        if self._clean and len(numbered) - overlap == len(part.outcome.statuses):  # by far the usual case
            part.outcome.statuses = [STORED] * len(numbered)
            part.stored += range(start, last + 1)
        else:
            self._new_numbers(source, start, first + overlap, numbered[overlap:], part)
        return Running(first + len(numbered) - 1, columns.position[last], moved=True)

    def _new_numbers(self, source: Source, start: int, first: int, indices: Sequence[int], part: Part) -> None:
        for number, index in enumerate(indices, start=first):
            reason = self._fault(start + index)
            if reason is None:
                part.outcome.statuses[index] = STORED
                part.stored.append(start + index)
            else:
                part.outcome.reasons[index] = reason
                id = self._rows.columns.id[start + index]
                part.refused.append(Refused(source.no, number, id, reason.code, reason.detail))

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

    def _named(self, start: int, named: Sequence[int], part: Part) -> None:
        if self._clean and not self._known and len(named) == len(part.outcome.statuses):  # by far the usual case
            rows = range(start, start + len(named))
            claims = dict(zip(self._rows.keys[start : rows.stop], rows, strict=True))
            if len(claims) == len(named) and self._claimed.keys().isdisjoint(claims):
                part.outcome.statuses = [STORED] * len(named)
                part.stored += rows
                part.claims |= claims
                return
        for index in named:
            self._one_named(start + index, index, part)

    def _one_named(self, row: int, index: int, part: Part) -> None:
        fault = self._rows.faults.get(row)
        if fault is not None and not fault.younger:
            part.outcome.reasons[index] = fault
            return
        key = self._rows.keys[row]
        theirs = self._seen(key, part)
        if theirs is not None:
            same = theirs == self._rows.digests[row]
            part.outcome.statuses[index] = DUPLICATE if same else CONFLICT
            if not same:
                part.outcome.reasons[index] = OTHER_CONTENT
        elif reason := fault or self._world.get(row):
            part.outcome.reasons[index] = reason
        else:
            part.claims[key] = row
            part.outcome.statuses[index] = STORED
            part.stored.append(row)

    def _seen(self, key: Key, part: Part) -> int | None:
        """The digest this key was claimed with: before this block, or earlier in it."""
        row = part.claims.get(key, self._claimed.get(key))
        return self._known.get(key) if row is None else self._rows.digests[row]


def _first_number(asked: Sequence[int | str | None], source: str, mark: int) -> int:
    """The first number of a run without holes that continues at the mark or overlaps it. Raises SequenceGap."""
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
