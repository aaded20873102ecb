"""Readings turned into rows: the difference to what the counter stood at before.

Owns the plan of a block of readings: which are refused, what each moves (`counters.step`), whose it is, and the rows.
A plan is made on the committer's thread, between two blocks, so what the keys say of a counter is all that was ever
committed; what earlier readings of the block did is kept in the plan. Nothing is written here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec
import numpy as np
import xxhash
from msgspec.structs import replace

from flowtally.corrections import NOTHING, Quantities
from flowtally.counters import Seen, Standing, Step, Values, close, step
from flowtally.edges import format_instant, parse_instant
from flowtally.errors import FlowtallyError
from flowtally.events import MAX_QUANTITY, METERED
from flowtally.ingest.admission import NOT_YOUR_ACCOUNT, Reason, Times, unknown_account
from flowtally.ingest.directory import Directory
from flowtally.ingest.newcomers import Newcomers
from flowtally.ingest.reading_body import Unreadable
from flowtally.ingest.submission import Metering
from flowtally.ledger.names import NOBODY, Name
from flowtally.protocol import ReadingReceipt
from flowtally.readings import Reading
from flowtally.usage import keys_counters
from flowtally.usage.key_bytes import key_of
from flowtally.usage.key_index import Claim
from flowtally.usage.keys import Keys, Source
from flowtally.usage.keys_counters import KnownCounter

Place = tuple[int, str]  # number of a source, name of a counter
NO_SUCH_USER: Final = "the account has no user of this name"


class CounterLimits(msgspec.Struct, frozen=True):
    """How many counters may be known, and bytes a second of one that says nothing of it."""

    per_source: int
    per_account: int
    max_rate: int


class Made(msgspec.Struct):
    """A row that is to be: where its counter stands with it, what it adds, why. `name`: of a user that may have to be
    made; the standing has no user's id until then."""

    source: str
    counter: str
    time: int
    standing: Standing
    added: Quantities
    reason: str
    labels: dict[str, str]
    name: Name | None


class Plan(msgspec.Struct):
    """What a block of readings becomes. `seen`: counters that were read again, which told nothing new."""

    rows: list[Made] = []
    latest: dict[Place, Standing] = {}  # of counters with rows
    seen: dict[Place, Standing] = {}
    new: Counter[int | str] = msgspec.field(default_factory=Counter)  # counters that nobody knew, by source and account
    users: set[Name] = set()  # that are to be made
    receipts: list[ReadingReceipt] = []

    def add(self, other: Plan) -> None:
        """What a later request of the block does."""
        self.rows += other.rows
        for place, standing in other.latest.items():
            self.put(place, standing)
        self.seen |= other.seen
        self.new.update(other.new)
        self.users |= other.users

    def put(self, place: Place, standing: Standing) -> None:
        """The counter stands so from this row on."""
        self.latest[place] = standing
        self.seen.pop(place, None)


class Later(Exception):
    """This request makes users, and others of its block make as many as one block may."""


class Counts:
    """How many counters are known, by source and by account: in memory, counted once."""

    def __init__(self, keys: Keys) -> None:
        self._keys = keys
        self._loaded = False

    def load(self) -> None:
        if self._loaded:
            return
        self.known: Counter[int | str] = Counter()
        for one in self._keys.counter_groups():
            self.known[one.source] += one.counters
            self.known[one.account] += one.counters
        self._loaded = True

    def forget(self) -> None:
        """Whatever happened, all is counted anew."""
        self._loaded = False

    def add(self, new: Mapping[int | str, int]) -> None:
        self.known.update(new)


class Differencer:
    """Plans blocks of readings. Built once, beside the committer."""

    def __init__(
        self,
        keys: Keys,
        directory: Directory,
        newcomers: Newcomers,
        clock: Callable[[], int],
        max_future_ms: int,
        create_users: bool,
        limits: CounterLimits,
    ) -> None:
        self.keys = keys
        self.directory = directory
        self.newcomers = newcomers
        self.clock = clock
        self.max_future_ms = max_future_ms
        self.create_users = create_users
        self.limits = limits
        self.counts = Counts(keys)

    def plan(self, asked: Metering, sources: Mapping[str, Source], before: Plan) -> Plan:
        """What this request does after `before`, which is what others of its block do. Raises TooManyNew, NewTooOften:
        then it does nothing; Later."""
        self.counts.load()
        plan = _Planning(self, asked, sources, before).plan()
        self._check_users(plan, before)
        return plan

    def _check_users(self, plan: Plan, before: Plan) -> None:
        if not self.create_users:
            return
        strange = self.directory.not_remembered({row.name for row in plan.rows if row.name is not None} - before.users)
        plan.users = self.directory.free_names(strange) if strange else set()
        if not self.newcomers.has_room(len(plan.users), len(before.users)):
            raise Later
        self.newcomers.check_users(plan.users, Counter(account for account, _ in before.users))

    def finish(self, plan: Plan, block: int, sources: Mapping[str, Source]) -> Finished:
        """The rows, their keys and where the counters stand, once it is sure that they will be stored: users are made
        now."""
        rows = plan.rows
        self.directory.use_products({row.standing.product for row in rows})
        ids = self._ids(rows)
        standings = [row.standing if row.name is None else replace(row.standing, user=ids[row.name]) for row in rows]
        # Who closes many names no user: one may be erased, and what is stored about that one has no texts.
        closed = {standing.user for row, standing in zip(rows, standings, strict=True) if row.reason == "missing_stop"}
        erased = self.directory.erased(closed) if closed else set()
        made = [_row(row, standing, standing.user in erased) for row, standing in zip(rows, standings, strict=True)]
        claims = [
            (sources[row.source].no, key_of(one["id"]), one["digest"]) for row, one in zip(rows, made, strict=True)
        ]
        last: dict[Place, KnownCounter] = {}
        for row, standing in zip(rows, standings, strict=True):
            place = (sources[row.source].no, row.counter)
            last[place] = KnownCounter(*place, standing, block)
        return Finished(made, claims, tuple(last.values()))

    def _ids(self, rows: Sequence[Made]) -> dict[Name, str]:
        """By name: whoever bears it at the time of the row; a name of two bearers is not left open by the plan."""
        named = [(row.name, row.time) for row in rows if row.name is not None]
        times = np.array([time for _, time in named], dtype=np.int64)
        ids = self.directory.user_ids([name for name, _ in named], times) if named else []
        return {name: id for (name, _), id in zip(named, ids, strict=True)}


class Finished(msgspec.Struct):
    rows: list[dict[str, Any]]
    claims: list[Claim]
    counters: tuple[KnownCounter, ...]


class _Planning:
    """One request, one by one: a later reading sees what an earlier one did."""

    def __init__(self, differencer: Differencer, asked: Metering, sources: Mapping[str, Source], before: Plan) -> None:
        self._ours = differencer
        self._writer = asked.writer
        self._items = asked.readings
        self._sources = sources
        self._before = before
        self._plan = Plan()
        self._latest_at = differencer.clock() + differencer.max_future_ms
        self._times = [_time(one) for one in self._items]
        self._known = self._look_up()
        self._statuses = differencer.directory.statuses(
            {one.account for one in self._items if isinstance(one, Reading)}
        )
        self._users = self._bearers()

    def plan(self) -> Plan:
        for index, one in enumerate(self._items):
            self._plan.receipts.append(self._one(index, one))
        return self._plan

    def _look_up(self) -> dict[Place, KnownCounter]:
        wanted: dict[int, set[str]] = {}
        for one in self._items:
            if isinstance(one, Reading) and one.closes is None:
                wanted.setdefault(self._sources[one.source].no, set()).add(one.counter)
        return {
            (source, name): found
            for source, names in wanted.items()
            for name, found in self._ours.keys.counters(source, names).items()
        }

    def _bearers(self) -> list[str | None]:
        """Whose each reading is, where that is known already."""
        names = [(one.account, one.user) if isinstance(one, Reading) else ("", NOBODY) for one in self._items]
        times: Times = np.array([time if isinstance(time, int) else 0 for time in self._times], dtype=np.int64)
        return self._ours.directory.known_ids(names, times)

    def _one(self, index: int, one: Reading | Unreadable) -> ReadingReceipt:
        if isinstance(one, Unreadable):
            return _refused(index, one, Reason("invalid_reading", one.fault))
        at = self._times[index]
        if isinstance(at, Reason):
            return _refused(index, one, at)
        if at > self._latest_at:
            return _refused(index, one, _in_future(one, self._latest_at))
        if one.closes is not None:
            return self._close(index, one, one.closes, at)
        place = (self._sources[one.source].no, one.counter)
        last = self._last(place)
        reason = self._reason(index, one) or self._foreign(last) or (self._full(one, place) if last is None else None)
        return self._move(index, one, at, place, last) if reason is None else _refused(index, one, reason)

    def _last(self, place: Place) -> Standing | None:
        for plan in (self._plan, self._before):
            for found in (plan.seen, plan.latest):
                if place in found:
                    return found[place]
        known = self._known.get(place)
        return None if known is None else known.standing

    def _reason(self, index: int, one: Reading) -> Reason | None:
        """Why it cannot count as the world is now."""
        mine = self._writer.account
        if mine not in (None, one.account):
            return Reason(NOT_YOUR_ACCOUNT, f"this credential writes for account {mine!r} only")
        status = self._statuses.get(one.account)
        if status is None:
            return unknown_account(one.account)
        if status == "closed":
            return Reason("account_closed", f"account {one.account!r} is closed")
        if not self._ours.create_users and self._users[index] is None:
            return Reason("unknown_user", NO_SUCH_USER)
        return None

    def _foreign(self, last: Standing | None) -> Reason | None:
        """Who writes for one account learns nothing of another's counter, and takes none from it."""
        mine = self._writer.account
        if last is None or mine in (None, last.account):
            return None
        return Reason(NOT_YOUR_ACCOUNT, f"this credential writes for account {mine!r} only")

    def _full(self, one: Reading, place: Place) -> Reason | None:
        counts, limits = self._ours.counts, self._ours.limits
        of_source, of_account = (
            counts.known[whose] + self._before.new[whose] + self._plan.new[whose] for whose in (place[0], one.account)
        )
        if of_source >= limits.per_source:
            return _too_many(f"source {one.source!r} has {of_source}", "max_counters_per_source")
        if of_account >= limits.per_account:
            return _too_many(f"account {one.account!r} has {of_account}", "max_counters_per_account")
        return None

    def _move(self, index: int, one: Reading, at: int, place: Place, last: Standing | None) -> ReadingReceipt:
        rate = one.max_rate or self._ours.limits.max_rate
        done = step(last, Seen(at, one.stated, one.epoch, one.width, one.final, one.from_zero, rate))
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
        standing = replace(done.standing, account=now[0], user=now[1], product=now[2], interval_s=interval_s)
        code = done.code or ("moved" if moved and done.added != NOTHING else "")
        self._plan.put(place, standing)
        if last is None:
            self._plan.new.update((place[0], one.account))
        elif last.account != one.account:
            self._plan.new.update({one.account: 1, last.account: -1})
        labels = one.labels or {}
        self._plan.rows.append(Made(one.source, one.counter, at, standing, done.added, code, labels, name))
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
            ended = close(standing, at, "missing_stop")
            self._plan.put((source, name), ended)
            self._plan.rows.append(self._closing(one.source, name, at, ended))
            closed += 1
        status: Any = "stored" if closed else "duplicate"
        return ReadingReceipt(
            index, one.source, prefix, status, "missing_stop" if closed else "no_change", closed=closed
        )

    def _closing(self, source: str, counter: str, at: int, standing: Standing) -> Made:
        # A user of a row of this block that is to be made has no id yet.
        name = (standing.account, standing.user[1:]) if standing.user.startswith("?") else None
        return Made(source, counter, at, standing, NOTHING, "missing_stop", {}, name)


def _row(one: Made, standing: Standing, erased: bool) -> dict[str, Any]:
    position = keys_counters.encode(standing)
    hashed = xxhash.xxh3_64_intdigest(b"reading\0" + position.encode())
    return {
        "series": METERED,
        "account": standing.account,
        "user": standing.user,
        "product": standing.product,
        "source": one.source,
        "time": one.time,
        "status": 0,
        "labels": one.labels,
        "reason": "" if erased else one.reason,
        "bytes_up": one.added.bytes_up,
        "bytes_down": one.added.bytes_down,
        "requests": one.added.requests,
        "id": keys_counters.row_id(one.counter, standing.number),
        "key_source": one.source,
        "digest": int(np.uint64(hashed).astype(np.int64)),  # signed, as both databases have it
        "place": 0,
        "kind": "use",
        "refers_to": "",
        "position": position,
    }


def _time(one: Reading | Unreadable) -> int | Reason:
    if isinstance(one, Unreadable):
        return 0
    try:
        at = parse_instant(one.time)
    except FlowtallyError as error:
        return Reason("bad_time", error.detail)
    return at if at >= 0 else Reason("bad_time", "time is before 1970")


def _in_future(one: Reading, latest_at: int) -> Reason:
    limit = format_instant(latest_at)
    return Reason("time_in_future", f"time {one.time} is after {limit}, the latest the clock rule allows")


def _too_many(told: str, setting: str) -> Reason:
    return Reason("too_many_counters", f"{told} counters, as many as the setting {setting} allows")


def _refused(index: int, one: Reading | Unreadable, reason: Reason) -> ReadingReceipt:
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
        id=keys_counters.row_id(one.counter, done.standing.number) if stores else "",
        added=done.added,
        before=None if done.before is None else _quantities(done.before),
        after=_quantities(done.after),
    )


def _quantities(values: Values) -> Quantities:
    return Quantities(*values)
