"""Readings planned: the difference to what the counter stood at before.

Owns which are refused, what each of the others moves (`counters.step`), whose it is, and what is answered. A plan is
made on the committer's thread, between two blocks, so what the keys say of a counter is all that was ever committed;
what earlier readings of the block did is kept in the plan. Nothing is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

import numpy as np
from msgspec.structs import replace

from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.counter_values import Values
from flowtally.core.counters import Seen, Standing, Step, close, step
from flowtally.core.events import MAX_QUANTITY, NOBODY
from flowtally.core.readings import Reading
from flowtally.ingest.admission import NO_SUCH_USER, Reason, Times, account_reason, in_future, not_your_account
from flowtally.ingest.counter_limits import CounterLimits, KnownCounters, too_many
from flowtally.ingest.counter_rows import MISSING, PlannedRow, ReadingsPlan
from flowtally.ingest.name_resolver import NameResolver
from flowtally.ingest.newcomers import Newcomers
from flowtally.ingest.reading_body import UnreadableReading
from flowtally.ingest.revival import RowsWanted, revive
from flowtally.ingest.submission import ReadingsSubmission
from flowtally.keys.counter_states import row_id
from flowtally.keys.store import Keys
from flowtally.keys.values import KnownCounter, Place, Source
from flowtally.protocol import ReadingReceipt
from flowtally.usage.values import EventKey


class Later(Exception):
    """This request makes users, and others of its block make as many as one block may."""


class Differencer:
    """Plans blocks of readings. Built once, beside the committer."""

    def __init__(
        self,
        keys: Keys,
        resolver: NameResolver,
        newcomers: Newcomers,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
        limits: CounterLimits,
    ) -> None:
        self.keys = keys
        self.resolver = resolver
        self.newcomers = newcomers
        self.clock = clock
        self.max_future_ms = max_future_ms
        self.create_users = create_users
        self.limits = limits
        self.counts = KnownCounters(keys)

    def plan(self, asked: ReadingsSubmission, sources: Mapping[str, Source], before: ReadingsPlan) -> ReadingsPlan:
        """What this request does after `before`, which is what others of its block do. Raises TooManyNew, NewTooOften,
        RowsWanted: then it does nothing; Later."""
        self.counts.load()
        plan = _Planning(self, asked, sources, before).plan()
        self._check_users(plan, before)
        return plan

    def _check_users(self, plan: ReadingsPlan, before: ReadingsPlan) -> None:
        if not self.create_users:
            return
        named = {row.name for row in plan.rows if row.name is not None} - before.users
        strange = self.resolver.not_remembered((account, [user]) for account, user in named)
        plan.users = self.resolver.free_names(strange) if strange else set()
        if not self.newcomers.has_room(len(plan.users), len(before.users)):
            raise Later
        self.newcomers.check_users(plan.users, Counter(account for account, _ in before.users))


class _Planning:
    """One request, one by one: a later reading sees what an earlier one did."""

    def __init__(
        self, differencer: Differencer, asked: ReadingsSubmission, sources: Mapping[str, Source], before: ReadingsPlan
    ) -> None:
        self._ours = differencer
        self._writer = asked.writer
        self._items = asked.readings
        self._positions = asked.positions
        self._sources = sources
        self._before = before
        self._plan = ReadingsPlan()
        self._latest_at = differencer.clock() + differencer.max_future_ms
        self._times = asked.times
        self._known = self._look_up()
        self._revived = self._revive(self._known)
        self._known |= self._revived
        self._statuses = differencer.resolver.statuses({one.account for one in self._items if isinstance(one, Reading)})
        self._users = self._bearers()

    def plan(self) -> ReadingsPlan:
        for index, one in enumerate(self._items):
            self._plan.receipts.append(self._one(index, one))
        return self._plan

    def _look_up(self) -> dict[Place, KnownCounter]:
        wanted: dict[int, set[str]] = {}
        for one in self._counters():
            wanted.setdefault(self._sources[one.source].no, set()).add(one.counter)
        known: dict[Place, KnownCounter] = {}
        for no, names in wanted.items():
            found = self._ours.keys.counters(no, names)
            known |= {(no, name): one for name, one in found.items()}
        return known | self._before.revived

    def _revive(self, known: Mapping[Place, KnownCounter]) -> dict[Place, KnownCounter]:
        """Of the counters that are not known those that were once."""
        wanted: dict[str, set[str]] = {}
        missing: set[EventKey] = set()
        for one in self._counters():
            if self._place(one) not in known and self._before.last(self._place(one)) is None:
                wanted.setdefault(one.source, set()).add(one.counter)
        found = (one for source, names in wanted.items() for one in self._revived_of(source, names, missing))
        revived = {(one.source, one.counter): one for one in found}
        if missing:
            raise RowsWanted(frozenset(missing))
        return revived

    def _revived_of(self, source: str, names: Collection[str], missing: set[EventKey]) -> list[KnownCounter]:
        try:
            return revive(self._ours.keys, self._positions, self._sources[source], names)
        except RowsWanted as wanted:  # those of all sources are read at once
            missing |= wanted.keys
            return []

    def _counters(self) -> Iterator[Reading]:
        return (one for one in self._items if isinstance(one, Reading) and one.closes is None)

    def _place(self, one: Reading) -> Place:
        return self._sources[one.source].no, one.counter

    def _bearers(self) -> list[str | None]:
        """Whose each reading is, where that is known already."""
        names = [(one.account, one.user) if isinstance(one, Reading) else ("", NOBODY) for one in self._items]
        times: Times = np.array([time if isinstance(time, int) else 0 for time in self._times], dtype=np.int64)
        return self._ours.resolver.known_ids(names, times)

    def _one(self, index: int, one: Reading | UnreadableReading) -> ReadingReceipt:
        if isinstance(one, UnreadableReading):
            return _refused(index, one, Reason("invalid_reading", one.fault))
        at = self._times[index]
        if isinstance(at, Reason):
            return _refused(index, one, at)
        if at > self._latest_at:
            return _refused(index, one, in_future(one.time, self._latest_at))
        if one.closes is not None:
            return self._close(index, one, one.closes, at)
        place = self._place(one)
        last = self._last(place)
        comes = last is None or (place in self._revived and place not in self._plan.revived)
        reason = self._reason(index, one) or self._foreign(last) or (self._full(one, place) if comes else None)
        if reason is not None:
            return _refused(index, one, reason)
        if comes and last is not None:
            self._plan.revived[place] = self._revived[place]
            self._plan.new.update((place[0], last.account))
        return self._move(index, one, at, place, last)

    def _last(self, place: Place) -> Standing | None:
        planned = self._plan.last(place) or self._before.last(place)
        if planned is not None or place not in self._known:
            return planned
        return self._known[place].standing

    def _reason(self, index: int, one: Reading) -> Reason | None:
        """Why it cannot count as the world is now."""
        mine = self._writer.account
        if mine is not None and mine != one.account:
            return not_your_account(mine)
        if reason := account_reason(one.account, self._statuses.get(one.account)):
            return reason
        if not self._ours.create_users and self._users[index] is None:
            return Reason("unknown_user", NO_SUCH_USER)
        return None

    def _foreign(self, last: Standing | None) -> Reason | None:
        """Who writes for one account learns nothing of another's counter, and takes none from it."""
        mine = self._writer.account
        if last is None or mine is None or mine == last.account:
            return None
        return not_your_account(mine)

    def _full(self, one: Reading, place: Place) -> Reason | None:
        counts, limits = self._ours.counts, self._ours.limits
        of_source, of_account = (
            counts.known[whose] + self._before.new[whose] + self._plan.new[whose] for whose in (place[0], one.account)
        )
        if of_source >= limits.per_source:
            return too_many(f"source {one.source!r} has {of_source}", "max_counters_per_source")
        if of_account >= limits.per_account:
            return too_many(f"account {one.account!r} has {of_account}", "max_counters_per_account")
        return None

    def _move(self, index: int, one: Reading, at: int, place: Place, last: Standing | None) -> ReadingReceipt:
        rate = one.max_rate or self._ours.limits.max_rate
        seen = Seen(at, one.stated, one.epoch, one.width, one.final, one.from_zero, rate, one.epoch_derived)
        done = step(last, seen)
        if max(done.after) > MAX_QUANTITY:
            reason = Reason("too_large", f"the counter would stand at {max(done.after)}, which is more than 2^53 - 1")
            return _refused(index, one, reason)
        if not done.stores:
            if done.code == "no_change":
                self._plan.seen[place] = done.standing
            return _receipt(index, one, "duplicate", done.code, done)
        return self._store(index, one, at, place, last, done)

    def _store(
        self, index: int, one: Reading, at: int, place: Place, last: Standing | None, done: Step
    ) -> ReadingReceipt:
        user = self._users[index]
        name = None if user is not None else (one.account, one.user)
        # A user that is not there yet has no id: until it has one, its name stands for it.
        now = (one.account, f"?{one.user}" if user is None else user, one.product)
        interval_s = one.interval_s if last is None else one.interval_s or last.interval_s
        moved = last is not None and (last.account, last.user, last.product) != now
        code = done.code or ("moved" if moved and done.added != NOTHING else "")
        standing = replace(done.standing, account=now[0], user=now[1], product=now[2], interval_s=interval_s)
        if code:
            standing = replace(standing, flag=code, flagged_at=at)
        self._plan.put(place, standing)
        if last is None:
            self._plan.new.update((place[0], one.account))
        elif last.account != one.account:
            self._plan.new.update({one.account: 1, last.account: -1})
        labels = one.labels or {}
        self._plan.rows.append(PlannedRow(one.source, one.counter, at, standing, done.added, code, labels, name))
        return _receipt(index, one, "stored", code, done)

    def _close(self, index: int, one: Reading, prefix: str, at: int) -> ReadingReceipt:
        """Close what is open and begins so, with what was last read of it."""
        source = self._sources[one.source].no
        found = {known.counter: known.standing for known in self._ours.keys.open_counters(source, prefix)}
        for plan in (self._before, self._plan):
            for those in (plan.latest, plan.seen):
                found |= {name: it for (no, name), it in those.items() if no == source and name.startswith(prefix)}
        mine, closed = self._writer.account, 0
        for name, standing in sorted(found.items()):
            if standing.end or mine not in (None, standing.account) or standing.time > at:
                continue
            ended = replace(close(standing, at, MISSING), flag=MISSING, flagged_at=at)
            self._plan.put((source, name), ended)
            self._plan.rows.append(self._closing(one.source, name, at, ended))
            closed += 1
        status: Any = "stored" if closed else "duplicate"
        return ReadingReceipt(index, one.source, prefix, status, MISSING if closed else "no_change", closed=closed)

    def _closing(self, source: str, counter: str, at: int, standing: Standing) -> PlannedRow:
        # A user of a row of this block that is to be made has no id yet.
        name = (standing.account, standing.user[1:]) if standing.user.startswith("?") else None
        return PlannedRow(source, counter, at, standing, NOTHING, MISSING, {}, name)


def _refused(index: int, one: Reading | UnreadableReading, reason: Reason) -> ReadingReceipt:
    name = (one.closes or "") if isinstance(one, Reading) and one.closes is not None else one.counter
    return ReadingReceipt(index, one.source, name, "refused", reason.code, reason.detail, retriable=reason.retriable)


def _receipt(index: int, one: Reading, status: Any, code: str, done: Step) -> ReadingReceipt:
    stores = done.stores
    return ReadingReceipt(
        index,
        one.source,
        one.counter,
        status,
        code,
        id=row_id(one.counter, done.standing.number) if stores else "",
        added=done.added,
        before=None if done.before is None else _quantities(done.before),
        after=_quantities(done.after),
    )


def _quantities(values: Values) -> Quantities:
    return Quantities(*values)
