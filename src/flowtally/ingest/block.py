"""One block: what waits, sorted into stored, duplicate, conflict, refused and held. Pure; the committer carries it out.

Submissions are taken in order, as if one after the other: a later one sees what an earlier one in the same block
stored. A submission that breaks a rule of its source (a gap, a foreign source) is left out with an error of its own.

A numbered event that the world may still allow is held: refused, retriable, its number taken and its content kept. A
source comes into being with the first event of it that is stored; until then its numbers are not taken.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from flowtally.core.corrections import DEFAULT_SOURCE
from flowtally.core.errors import (
    AtomicRefused,
    FlowtallyError,
    HoldsFull,
    NotYourAccount,
    SequenceGap,
    SourceKindMismatch,
    SourceNotYours,
)
from flowtally.core.events import MAX_SEQUENCE, UsageEvent, number_of
from flowtally.core.reported import PROVIDER
from flowtally.core.texts import is_text
from flowtally.core.words import SourceKind
from flowtally.ingest.admission import NOT_YOUR_ACCOUNT, Reason, Reasons, Submitter
from flowtally.ingest.holding import digest_of, hold
from flowtally.ingest.holds import Allowance, Full
from flowtally.ingest.prepare import Key, Prepared, join, prepare
from flowtally.ingest.submission import CONFLICT, DUPLICATE, REFUSED, STORED, Outcome, Submission
from flowtally.keys.values import Advance, Due, Held, KnownCounter, Number, Refused, Source
from flowtally.ledger.texts import check_text
from flowtally.protocol import Receipt

OTHER_CONTENT: Final = Reason(
    "other_content", "this id was stored with another account, user, product, quantity or status"
)
HELD_OTHER_CONTENT: Final = Reason(
    "other_content", "this number is held with another account, user, product, quantity or status"
)
RETRY_AFTER_S: Final = 30  # holds end when somebody acts, or an instant comes
_TOLD: Final = {"named": "named", "numbered": "numbered", "counters": "for readings of counters"}
_THESE: Final = {"named": "named events", "numbered": "numbered events", "counters": "readings"}
_LISTED = 100  # receipts inside an error document
OURS: Final = "flowtally:"  # sources whose names begin so are written by this server alone


class Gathered(msgspec.Struct):
    """All submissions of a block as one `Prepared`; `starts` are their first rows in it. `user_ids`, where users are
    not made: the user of each row, None where there is none, so that whoever was checked is whoever is written. `held`:
    what is held of the numbers that are sent again."""

    submissions: list[Submission]
    starts: list[int]
    rows: Prepared
    user_ids: list[str | None] | None = None
    held: dict[Number, Held] = {}


class Sorted(msgspec.Struct):
    """What becomes of a block: `stored` are rows of the block, `claims` the named ones among them, which claim their
    keys, both in order; `advances` where the numbered sources stand once it is committed. `held` are new, `ended` were
    held and are stored or refused now; `fresh` are sources that come into being."""

    answers: list[Outcome | FlowtallyError]
    stored: list[int]
    claims: list[int]
    advances: list[Advance]
    refused: list[Refused]
    held: list[Held] = []
    ended: list[Held] = []
    fresh: list[str] = []
    counters: tuple[KnownCounter, ...] = ()  # that have rows in it
    seen: tuple[KnownCounter, ...] = ()  # as `Moved` has them, the next ones too
    forgotten: tuple[KnownCounter, ...] = ()
    due: tuple[Due, ...] = ()


class SourceProgress(msgspec.Struct):
    """A numbered source while the block is sorted."""

    mark: int
    position: str | None
    moved: bool = False


class BlockPart(msgspec.Struct):
    """What one submission adds, kept apart until it is known whether it counts (`atomic`)."""

    outcome: Outcome
    stored: list[int]
    claims: dict[Key, int]  # of those that were looked at one by one, their rows
    unseen: Sequence[int]  # rows that claim their keys too, all at once
    refused: list[Refused]
    held: list[Held]
    ended: list[Held]
    stop: int  # the first event of which nothing becomes: there is no room to hold it


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
    numbered, named = _sources(submission)
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
    return kinds


def _sources(submission: Submission) -> tuple[set[str], set[str]]:
    """Those of its events that are numbered, and of the others."""
    rows = None if submission.prepared is None else submission.prepared.made_rows()
    if rows is not None and rows.first:
        return set(rows.sources()), set()
    if rows is not None and rows.named and not submission.faults:
        return set(), set(rows.sources())
    if submission.prepared is None:
        sent = [(event.source, event.sequence) for event in submission.events]
    else:
        sent = list(zip(submission.prepared.columns.source, submission.prepared.columns.sequence, strict=True))
    numbered = {source for source, sequence in sent if sequence is not None}
    # An item that is no usage event and has no number leaves no trace, not even its source.
    faults = submission.faults
    named = {source for i, (source, sequence) in enumerate(sent) if sequence is None and i not in faults}
    return numbered, named


def is_never_stored(submission: Submission) -> bool:
    """Whether nothing of it can ever be stored, whatever is there: all are no usage events, and take no numbers."""
    if len(submission.faults) < len(submission.events):
        return False
    return all(event.sequence is None for event in submission.events)


def refuse(submission: Submission) -> Outcome:
    """What becomes of one that is never stored, without a block. Raises AtomicRefused."""
    [answer] = Sorter(gather([submission]), {}, lambda source, first, last: {}, {}, {}).sort().answers
    if isinstance(answer, FlowtallyError):
        raise answer
    return answer


def check_reserved(writer: Submitter, name: str, begins: SourceKind | None = None) -> None:
    """Some names are nobody's to take, and not theirs who took them when they still could: else whoever came first
    would shut administrators out of the default source of corrections, or write what is told as this server's.
    `begins`: the source is not there yet and would be of this kind, for ever."""
    if name.startswith(OURS) and writer.sender != name:
        raise SourceNotYours(f"Source {name!r} is this server's own: names that begin with {OURS!r} are")
    if name.startswith(PROVIDER) and writer.sender != name:
        raise SourceNotYours(
            f"Source {name!r} is kept for what a provider says: this server alone writes names that begin with"
            f" {PROVIDER!r}; name another source"
        )
    if name == DEFAULT_SOURCE and not writer.admin:
        raise SourceNotYours(f"The source {DEFAULT_SOURCE!r} is the administrators'; name a source of your own")
    if name == DEFAULT_SOURCE and begins == "numbered":
        raise SourceKindMismatch(
            f"The source {DEFAULT_SOURCE!r} is kept for corrections, which have no numbers; name another source for"
            " numbered events"
        )


def check_source(writer: Submitter, source: Source, kind: SourceKind, *, fresh: bool = False) -> None:
    """A source keeps the kind of its first use, and its owner until it is handed over. `fresh`: it is not there yet, so
    nobody's but of whoever may be about to make it, not even an administrator's."""
    if source.owner != writer.sender and (fresh or not writer.admin):
        raise SourceNotYours(f"Source {source.name!r} belongs to another sender")
    if source.kind != kind:
        other = ": name another source for them" if source.name == DEFAULT_SOURCE else ""
        raise SourceKindMismatch(f"Source {source.name!r} is {_TOLD[source.kind]}; these are {_THESE[kind]}{other}")


class Sorter:
    """Sorts one block. Built anew for every attempt: the first time it is a `guess` that `known` has all keys that are
    there, and that requests have no key of one another; claiming them tells. `fresh` are those of the sources that are
    not there yet; `allowance` is what may still be held, of which this block takes."""

    def __init__(
        self,
        block: Gathered,
        sources: Mapping[str, Source],
        refusals: Callable[[int, int, int], dict[int, Refused]],
        world: Reasons,
        known: Mapping[Key, int],
        fresh: Collection[str] = (),
        allowance: Allowance | None = None,
        now: int = 0,
        *,
        guess: bool = True,
    ) -> None:
        self._guess = guess
        self._block = block
        self._rows = block.rows
        self._sources = sources
        self._refusals = refusals
        self._world = world
        self._known = known
        self._fresh = fresh
        self._allowance = allowance
        self._now = now
        self._clean = not block.rows.faults and not world
        self._claimed: dict[Key, int] = {}
        self._progress: dict[str, SourceProgress] = {}
        self._sorted = Sorted([], [], [], [], [])

    def sort(self) -> Sorted:
        for submission, start in zip(self._block.submissions, self._block.starts, strict=True):
            try:
                self._sorted.answers.append(self._one(submission, start))
            except FlowtallyError as error:
                self._sorted.answers.append(error)
        self._sorted.stored.sort()
        self._sorted.claims.sort()
        self._sorted.advances += self._advances()
        if self._fresh:
            written = self._written()
            self._sorted.fresh = sorted(written.intersection(self._fresh))
        return self._sorted

    def _written(self) -> set[str]:
        """The sources of what is stored."""
        rows = self._rows.made_rows()
        if rows is not None and len(self._sorted.stored) == len(rows):
            return set(rows.sources())
        return {self._rows.columns.source[row] for row in self._sorted.stored}

    def _advances(self) -> Iterator[Advance]:
        """Of sources that moved; and of those with rows again, which bear where it stands."""
        again = {self._rows.columns.source[row] for row in self._sorted.stored} if self._sorted.ended else ()
        for name, one in self._progress.items():
            if one.moved or name in again:
                yield Advance(self._sources[name].no, name, one.mark, one.position)

    def _one(self, submission: Submission, start: int) -> Outcome:
        count = len(submission.events)
        times = self._rows.times[start : start + count]
        if self._continues(submission):
            self._sorted.stored += range(start, start + count)
            return Outcome([STORED] * count, {}, times=times)
        outcome = Outcome([REFUSED] * count, {}, times=times)
        part = BlockPart(outcome, [], {}, (), [], [], [], count)
        numbered = self._numbered_of(submission, start, count)
        running = self._numbered(submission, start, numbered, part) if numbered else None
        if len(numbered) < count:
            named = sorted({*range(count)}.difference(numbered)) if numbered else range(count)
            self._named(start, named if part.stop == count else [i for i in named if i < part.stop], part)
        if submission.atomic and any(status in (CONFLICT, REFUSED) for status in part.outcome.statuses):
            raise _atomic_refused(submission, part.outcome)
        if running is not None:
            self._progress[self._rows.columns.source[start + numbered[0]]] = running
        self._count(part)
        return _cut(part)

    def _numbered_of(self, submission: Submission, start: int, count: int) -> Sequence[int]:
        """Which of its events have a number."""
        rows = None if submission.prepared is None else submission.prepared.made_rows()
        if rows is not None and rows.named:
            return ()
        sequences = self._rows.columns.sequence[start : start + count]
        return range(count) if None not in sequences else [i for i, one in enumerate(sequences) if one is not None]

    def _continues(self, submission: Submission) -> bool:
        """Whether all of it is new numbers without a hole, and nothing is wrong with any event of the block: then its
        source has moved. By far the usual case, without a look at single events."""
        rows = None if submission.prepared is None else submission.prepared.made_rows()
        if submission.prepared is None or rows is None or not rows.first or not self._clean:
            return False
        [name] = rows.sources()
        source = self._sources[name]
        before = self._progress.get(source.name)
        if rows.first != (source.mark if before is None else before.mark) + 1:
            return False
        position = submission.prepared.columns.position[-1]
        self._progress[source.name] = SourceProgress(rows.first + len(rows) - 1, position, moved=True)
        return True

    def _count(self, part: BlockPart) -> None:
        self._claimed |= part.claims
        self._sorted.stored += part.stored
        self._sorted.claims += part.unseen or part.claims.values()
        self._sorted.refused += part.refused
        self._sorted.held += part.held
        self._sorted.ended += part.ended
        part.outcome.held += len(part.held)

    def _fault(self, row: int) -> Reason | None:
        return self._rows.faults.get(row) or self._world.get(row)

    # Numbered events

    def _numbered(
        self, submission: Submission, start: int, numbered: Sequence[int], part: BlockPart
    ) -> SourceProgress | None:
        """Where the source stands after it; None where it does not come into being."""
        columns = self._rows.columns
        last = start + numbered[-1]
        source = self._sources[columns.source[last]]
        before = self._progress.get(source.name) or SourceProgress(source.mark, source.position)
        asked = [columns.sequence[start + index] for index in numbered]
        first = first_number(asked, source.name, before.mark)
        overlap = max(0, min(len(numbered), before.mark + 1 - first))
        self._overlap(source, start, first, numbered[:overlap], part)
        if overlap == len(numbered):
            return before
        new = numbered[overlap:]
        if self._clean and len(new) == len(part.outcome.statuses):  # by far the usual case
            part.outcome.statuses = [STORED] * len(numbered)
            part.stored += range(start, last + 1)
            return SourceProgress(first + len(numbered) - 1, columns.position[last], moved=True)
        return self._beyond(submission, start, source, before, new, part)

    def _beyond(
        self,
        submission: Submission,
        start: int,
        source: Source,
        before: SourceProgress,
        new: Sequence[int],
        part: BlockPart,
    ) -> SourceProgress | None:
        """The events after the mark, one by one."""
        self._check_accounts(source.name, before.mark, start, new)
        absent = source.name in self._fresh and source.name not in self._progress
        faults = {index: self._fault(start + index) for index in new} if absent else {}
        if absent and None not in faults.values():
            part.outcome.reasons |= {index: reason for index, reason in faults.items() if reason is not None}
            return None
        full = self._new_numbers(source, submission, start, before.mark + 1, new, part)
        why = self._fault(start + part.stop) if full is not None else None
        if absent and not part.stored:
            self._take_back(part, new[0])
        done = [index for index in new if index < part.stop]
        now = before
        if done:
            now = SourceProgress(before.mark + len(done), self._rows.columns.position[start + done[-1]], moved=True)
        if full is not None and why is not None:
            part.outcome.stopped = _holds_full(source.name, now.mark, why, full)
        return now if done or not absent else None

    def _check_accounts(self, source: str, mark: int, start: int, indices: Sequence[int]) -> None:
        """What a credential may never send is refused with its request."""
        for index in indices:
            reason = self._world.get(start + index)
            if reason is not None and reason.code == NOT_YOUR_ACCOUNT and self._rows.columns.account[start + index]:
                raise NotYourAccount(reason.detail, index=index, source=source, sequence=mark)

    def _new_numbers(
        self, source: Source, submission: Submission, start: int, first: int, indices: Sequence[int], part: BlockPart
    ) -> Full | None:
        """Why the rest of the request is left, where there is no room to hold an event: `part.stop` is its index."""
        for number, index in enumerate(indices, start=first):
            row = start + index
            reason = self._fault(row)
            if reason is None:
                part.outcome.statuses[index] = STORED
                part.stored.append(row)
                continue
            part.outcome.reasons[index] = reason
            if not reason.retriable:
                id = self._rows.columns.id[row]
                part.refused.append(Refused(source.no, number, id, reason.code, reason.detail))
            elif not submission.atomic:  # of which nothing is kept
                one = hold(source, number, submission.events[index], int(self._rows.times[row]), reason, self._now)
                full = None if self._allowance is None else self._allowance.take(one)
                if full is not None:
                    part.stop = index
                    return full
                part.held.append(one)
        return None

    def _take_back(self, part: BlockPart, first: int) -> None:
        """The request stops before anything of the source is stored: nothing of it is kept, and it is not there."""
        if self._allowance is not None:
            self._allowance.give_back(part.held)
        part.held, part.refused, part.stop = [], [], first

    def _overlap(self, source: Source, start: int, first: int, indices: Sequence[int], part: BlockPart) -> None:
        # At or below the mark: counted already, unless it is held, or was refused then; so it is refused again, for
        # that reason.
        if not indices:
            return
        kept = self._refusals(source.no, first, first + len(indices) - 1)
        kept |= {one.sequence: one for one in self._sorted.refused if one.source == source.no}
        held = self._held(source, first, first + len(indices) - 1)
        for number, index in enumerate(indices, start=first):
            if number in kept:
                part.outcome.reasons[index] = Reason(kept[number].code, kept[number].detail)
            elif number in held:
                self._held_again(held[number], source, start + index, index, part)
            else:
                part.outcome.statuses[index] = DUPLICATE

    def _held(self, source: Source, first: int, last: int) -> dict[int, Held]:
        """Of these numbers those that are held still, before this block or since it began."""
        mine: dict[int, Held] = {}
        if self._block.held:
            numbers = ((source.no, number) for number in range(first, last + 1))
            mine = {number[1]: self._block.held[number] for number in numbers if number in self._block.held}
            for one in self._sorted.ended:
                if one.source == source.no:
                    mine.pop(one.sequence, None)
        return mine | {one.sequence: one for one in self._sorted.held if one.source == source.no}

    def _held_again(self, one: Held, source: Source, row: int, index: int, part: BlockPart) -> None:
        """A held number sent again. Its row is what is held (`recall`), where the content is the same."""
        if one.digest != digest_of(self._rows.columns, row):
            part.outcome.statuses[index] = CONFLICT
            part.outcome.reasons[index] = HELD_OTHER_CONTENT
            return
        reason = self._fault(row) if (one.source, one.sequence) in self._block.held else Reason(one.code, one.detail)
        if reason is None:
            part.outcome.statuses[index] = STORED
            part.stored.append(row)
            part.ended.append(one)
            return
        part.outcome.reasons[index] = reason
        if reason.code == NOT_YOUR_ACCOUNT:
            raise NotYourAccount(reason.detail, index=index, source=source.name, sequence=source.mark)
        if reason.retriable:
            part.outcome.held += 1
        else:
            part.ended.append(one)
            part.refused.append(Refused(one.source, one.sequence, one.id, reason.code, reason.detail))

    # Named events

    def _named(self, start: int, named: Sequence[int], part: BlockPart) -> None:
        is_whole = len(named) == len(part.outcome.statuses)
        if self._guess and self._clean and not self._known and self._rows.differ and is_whole:  # by far the usual case
            part.unseen = range(start, start + len(named))
            part.outcome.statuses = [STORED] * len(named)
            part.stored += part.unseen
            return
        for index in named:
            self._one_named(start + index, index, part)

    def _one_named(self, row: int, index: int, part: BlockPart) -> None:
        fault = self._rows.faults.get(row)
        if fault is not None and not fault.younger:
            part.outcome.reasons[index] = fault
            return
        key = self._rows.keys[row]
        theirs = self._seen(key, part)
        if theirs is not None:
            same = theirs == int(self._rows.digests[row])
            part.outcome.statuses[index] = DUPLICATE if same else CONFLICT
            if not same:
                part.outcome.reasons[index] = OTHER_CONTENT
        elif reason := fault or self._world.get(row):
            part.outcome.reasons[index] = reason
        else:
            part.claims[key] = row
            part.outcome.statuses[index] = STORED
            part.stored.append(row)

    def _seen(self, key: Key, part: BlockPart) -> int | None:
        """The digest this key was claimed with: before this block, or earlier in it."""
        row = part.claims.get(key, self._claimed.get(key))
        return self._known.get(key) if row is None else int(self._rows.digests[row])


def first_number(asked: Sequence[int | str | None], source: str, mark: int) -> int:
    """The first number of a run without holes that continues at the mark or overlaps it. Raises SequenceGap."""
    first = number_of(asked[0]) or 0
    texts, last = list(map(str, range(first, first + len(asked)))), first + len(asked) - 1
    if first < 1 or last > MAX_SEQUENCE or (asked != texts and not _are(asked, texts)):
        pairs = enumerate(zip(asked, texts, strict=True))
        at = next((i for i, (one, text) in pairs if number_of(one) is None or not _are([one], [text])), 0)
        detail = f"Source {source!r}: {asked[at]!r} is no whole number from 1 to {MAX_SEQUENCE}"
        if number_of(asked[at]) is not None:
            detail = (
                f"The numbers of source {source!r} must follow one another: {texts[at]} comes next, not {asked[at]}"
            )
        raise SequenceGap(detail, source=source, sequence=mark)
    if first > mark + 1:
        detail = f"Source {source!r} stands at {mark}; the next number is {mark + 1}, not {first}"
        raise SequenceGap(detail, source=source, sequence=mark)
    return first


def _are(asked: Sequence[int | str | None], texts: list[str]) -> bool:
    """Whether they are these numbers, in whatever spelling: as JSON numbers, with zeros before them."""
    given = list(map(str, asked))
    return given == texts or [one.lstrip("0") for one in given] == texts


def _cut(part: BlockPart) -> Outcome:
    """Of a request that stopped, what became of the events before."""
    outcome = part.outcome
    if outcome.stopped is not None:
        del outcome.statuses[part.stop :]
        outcome.reasons = {index: reason for index, reason in outcome.reasons.items() if index < part.stop}
    return outcome


def _holds_full(source: str, mark: int, reason: Reason, full: Full) -> HoldsFull:
    whole = {
        "source": f"{full.limit} events of this source are held",
        "account": f"{full.limit} events of this account are held",
        "events": f"{full.limit} events are held",
        "bytes": f"{full.limit} bytes of events are held",
    }
    return HoldsFull(
        f"Event {mark + 1} of source {source!r} cannot be stored now ({reason.detail}), and {whole[full.bound]}, as"
        " many as may be. All before it is stored. Send it again when the reason has passed",
        retry_after_s=RETRY_AFTER_S,
        source=source,
        sequence=mark,
        reason=reason.code,
        bound=full.bound,
        limit=full.limit,
    )


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
            outcome.statuses[index] == REFUSED and outcome.reasons[index].retriable,
        )
        for index in bad[:_LISTED]
    ]
    return AtomicRefused(
        f"Nothing was stored: {len(bad)} of {len(outcome.statuses)} events cannot be", receipts=receipts
    )
