"""The world as a bookkeeper would write it down: lists of what happened, everything recomputed from the beginning.

Nothing is indexed, summed up or remembered, and no code of the server is used but its shapes. What a purse holds is the
business of `tests.burndown_model`, one unit of traffic after the other.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from typing import Any

import msgspec
from tests import burndown_model
from tests.ingest.said import Bookkeeper

from flowtally.core.burndown import Draw, Grant
from flowtally.core.corrections import NOTHING, Quantities
from flowtally.core.edges import parse_instant, second_of

POOLS = {"residential": "traffic", "mobile": "mobile", "api": "api", "unlimited": "unlimited"}
PURSES = ("traffic", "mobile", "api")  # unlimited charges nothing
FUTURE_MS = 300_000  # how far ahead of the clock an event may be dated

Key = tuple[str, str]  # source and id, or source and number


@dataclass(frozen=True)
class Account:
    name: str
    zone: str
    overage: str
    carry_from: int


@dataclass(eq=False)
class User:
    """`id` is the server's to say; empty until it was asked."""

    account: str
    name: str
    created_at: int
    id: str = ""
    funded: bool = False
    managed: bool = False
    deleted: bool = False
    limit: dict[str, Any] | None = None


@dataclass(frozen=True)
class Row:
    """Something that counts. `of`: the event that a correction is about; `key` is its own."""

    kind: str
    key: Key
    of: Key | None
    account: str
    user: User | None
    product: str
    source: str
    status: int
    country: str
    time: int
    adds: Quantities
    sent_user: str  # what the user was called in it

    def charged(self) -> int:
        return self.adds.requests if self.product == "api" else self.adds.bytes_up + self.adds.bytes_down


@dataclass
class Metered:
    """A counter: what it shows, and what of it was told. `rows`: how many readings of it were stored."""

    shows: Quantities = NOTHING
    epoch: int = 1
    told: Quantities | None = None
    told_epoch: int = 1
    whose: tuple[str, User | None, str] = ("", None, "")
    rows: int = 0


@dataclass
class Allocation:
    id: str
    user: User
    pool: str
    amount: int
    created_at: int
    expires_at: int | None
    returned: int = 0


@dataclass
class Voucher:
    """`status`: unused, used (by `redeemed_by`) or revoked."""

    id: str
    code: str
    account: str
    pool: str
    amount: int
    duration_s: int
    created_at: int
    status: str = "unused"
    redeemed_by: str | None = None


@dataclass
class Period:
    id: str
    account: str
    start: int
    end: int
    rows: int  # of all rows, how many there were
    answer: dict[str, Any]


@dataclass
class LeasePlan:
    id: str
    days: int
    price: int


@dataclass
class Leased:
    """Who has what is in stock, from when until when."""

    id: str
    account: str
    item: str
    start: int
    end: int
    released: int | None = None

    def over_at(self) -> int:
        return self.end if self.released is None else self.released


@dataclass
class Plan:
    id: str
    pool: str
    amount: int
    price: int
    days: int | None
    retired: bool = False


@dataclass
class Asked:
    """What was asked of what is leased. `outcome`: what was said of it."""

    id: str
    lease: Leased
    what: str
    until: int
    taken: bool = False
    outcome: str = ""

    def status(self, now: int) -> str:
        if self.outcome:
            return self.outcome
        if now >= min(self.until, self.lease.over_at()):
            return "expired"
        return "taken" if self.taken else "requested"


@dataclass
class Model:
    accounts: dict[str, Account]
    rows: list[Row] = field(default_factory=list)
    rolled_up_to_block: int = 0
    compacted: int = 0  # as many of them, from the first on, have no row of their own any more
    content: dict[Key, object] = field(default_factory=dict)  # what must be equal for a retry to be a retry
    marks: dict[str, tuple[int, str]] = field(default_factory=dict)
    refused: dict[Key, str] = field(default_factory=dict)
    held: dict[Key, dict[str, Any]] = field(default_factory=dict)  # the event as it was sent first, by its number
    bearers: dict[tuple[str, str], list[tuple[User, int | None]]] = field(default_factory=lambda: defaultdict(list))
    users: list[User] = field(default_factory=list)
    grants: dict[str, list[tuple[str, Grant]]] = field(default_factory=lambda: defaultdict(list))  # (pool, grant)
    allocations: list[Allocation] = field(default_factory=list)
    vouchers: list[Voucher] = field(default_factory=list)
    check_ins: dict[str, list[tuple[date, int, int]]] = field(
        default_factory=lambda: defaultdict(list)
    )  # day, at, amount
    periods: list[Period] = field(default_factory=list)
    money: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))  # what moved an account's wallet
    plans: list[Plan] = field(default_factory=list)
    stock: list[str] = field(default_factory=list)  # ids, in order
    lease_plans: list[LeasePlan] = field(default_factory=list)
    leases: list[Leased] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)
    gateways: dict[str, tuple[str, int, int]] = field(default_factory=dict)  # product, first port, last port
    places: dict[str, list[str]] = field(default_factory=dict)  # cities of a product, in its one country
    bought: dict[str, list[tuple[Plan, str]]] = field(default_factory=lambda: defaultdict(list))  # with its grant
    counters: dict[str, Metered] = field(default_factory=lambda: defaultdict(Metered))
    erased: set[str] = field(default_factory=set)  # accounts
    providers: dict[tuple[str, str], Bookkeeper] = field(default_factory=lambda: defaultdict(Bookkeeper))
    whitelist: dict[tuple[str, User | None, str, str], bool] = field(default_factory=dict)  # (..., pool, address)

    @property
    def stored(self) -> int:
        """How many rows there are, those of what providers said included."""
        return len(self.rows) + sum(one.changes for one in self.providers.values())

    # Users and their names

    def bearer(self, account: str, name: str, at: int) -> User | None:
        return next((user for user, until in self.bearers[account, name] if until is None or at < until), None)

    def user_of(self, account: str, name: str, at: int, now: int) -> User | None:
        """Whose this use is; a name that nobody bore makes a user."""
        if not name:
            return None
        return self.bearer(account, name, at) or self.bear(User(account, name, now))

    def bear(self, user: User) -> User:
        """Give the user its name, from where the last bearer of it ended."""
        if user not in self.users:
            self.users.append(user)
        self.bearers[user.account, user.name].append((user, None))
        return user

    def give_up(self, user: User, now: int) -> None:
        history = self.bearers[user.account, user.name]
        assert history[-1] == (user, None)
        history[-1] = (user, now)

    def give_way(self, user: User, now: int) -> None:
        """Deleted, as if by hand."""
        self.give_up(user, now)
        self.forget_addresses(user)
        user.deleted = user.managed = True

    def hand_over_addresses(self, user: User, heir: User) -> None:
        here = self.whitelist.items()
        self.whitelist = {(key[0], heir if key[1] is user else key[1], *key[2:]): on for key, on in here}

    def forget_addresses(self, user: User) -> None:
        self.whitelist = {key: enabled for key, enabled in self.whitelist.items() if key[1] is not user}

    def erase(self, user: User) -> None:
        """Whoever bore one of its names next bears it from where this one did; its use has no labels. What is held
        under one of them goes."""
        its = {name for name, _, _ in self.names(user)}
        for key, event in list(self.held.items()):
            if event["account"] == user.account and event["user"] in its:
                del self.held[key]
                self.refused[key] = "erased"
        user.name, user.deleted, user.managed = f"erased-{user.id}", True, True
        for history in self.bearers.values():
            history[:] = [one for one in history if one[0] is not user]
        self.rows = [replace(row, country="") if row.user is user else row for row in self.rows]

    def erase_account(self, account: str) -> None:
        """All its users are erased; no row of it has a label, nobody's either."""
        self.erased.add(account)
        for user in self.users:
            if user.account == account:
                self.forget_addresses(user)
                self.erase(user)
        self.rows = [replace(row, country="") if row.account == account else row for row in self.rows]

    def names(self, user: User) -> set[tuple[str, int | None, int | None]]:
        """What the user was called, from when (none: since ever) and until when."""
        found: set[tuple[str, int | None, int | None]] = set()
        for (_, name), history in self.bearers.items():
            before = None
            for bearer, until in history:
                if bearer is user:
                    found.add((name, before, until))
                before = until
        return found

    # Events and entries

    def take(self, sent: list[dict[str, Any]], now: int) -> list[tuple[str, str]]:
        """Status and code of each event's receipt. Of a source that is not there no number is taken unless something of
        it is stored."""
        numbered = [event for event in sent if "sequence" in event]
        absent = bool(numbered) and numbered[0]["source"] not in self.marks
        if absent and all(self.code_of(event, now) for event in numbered):
            return [
                ("refused", self.code_of(event, now)) if "sequence" in event else self._take(event, now)
                for event in sent
            ]
        return [self._take(event, now) for event in sent]

    def code_of(self, event: dict[str, Any], now: int) -> str:
        """Why it cannot be stored now."""
        if event["account"] not in self.accounts:
            return "unknown_account"
        return "time_in_future" if parse_instant(event["time"]) > now + FUTURE_MS else ""

    def _take(self, event: dict[str, Any], now: int) -> tuple[str, str]:
        numbered = "sequence" in event
        key = (event["source"], str(event["sequence"] if numbered else event["id"]))
        if key in self.held:
            if content_of(event) != content_of(self.held[key]):
                return "conflict", "other_content"
            code = self.code_of(self.held[key], now)
            return ("refused", code) if code else self.release(key, now)
        if numbered:
            if event["sequence"] <= self.marks.get(event["source"], (0, ""))[0]:
                return ("refused", self.refused[key]) if key in self.refused else ("duplicate", "")
            self.marks[event["source"]] = event["sequence"], event["position"]
        elif key in self.content:
            return ("duplicate", "") if self.content[key] == content_of(event) else ("conflict", "other_content")
        if code := self.code_of(event, now):
            if numbered:
                self.held[key] = event
            return "refused", code
        self._store(key, event, now)
        return "stored", ""

    def due(self, now: int) -> list[Key]:
        """Of what is held, what the world allows by now, in the order in which it will be stored."""
        return sorted((key for key, event in self.held.items() if not self.code_of(event, now)), key=_numbered)

    def release(self, key: Key, now: int) -> tuple[str, str]:
        self._store(key, self.held.pop(key), now)
        return "stored", ""

    def _store(self, key: Key, event: dict[str, Any], now: int) -> None:
        self.content[key] = content_of(event)
        at = parse_instant(event["time"])
        self._add("use", key, None, event, at, self.user_of(event["account"], event["user"], at, now))

    @property
    def sources(self) -> set[str]:
        """Those of which something was stored."""
        return {row.key[0] for row in self.rows}

    def adjust(self, asked: dict[str, Any], now: int) -> str:
        key = ("corrections", asked["id"])
        if key in self.content:
            return "duplicate" if self.content[key] == asked else "conflict"
        self.content[key] = asked
        at = parse_instant(asked["time"])
        user = self.user_of(asked["account"], asked["user"], at, now)
        self._add("adjustment", key, None, {"requests": 0, "source": key[0], **asked}, at, user)
        return "stored"

    def correct(self, asked: dict[str, Any]) -> tuple[str, str, Quantities | None]:
        """Status, code and what it adds."""
        key, event = ("corrections", asked["id"]), (asked["corrects"]["source"], asked["corrects"]["id"])
        if key in self.content:
            if self.content[key] != asked:
                return "conflict", "other_content", None
            if event in self.gone:
                return "duplicate", "", None  # what it did cannot be told any more
            return "duplicate", "", next(row.adds for row in self.rows if row.key == key)
        if event in self.refused or event in self.held:
            return "refused", "refused_event", None
        found = next((row for row in self.rows if row.key == event and row.kind == "use"), None)
        if found is None:
            return "refused", "unknown_event", None
        if event in self.gone:
            return "refused", "rolled_up", None
        now = self.stands(event)
        right = {name: asked.get(name, getattr(now, name)) for name in ("bytes_up", "bytes_down", "requests")}
        after = NOTHING if asked.get("void") else Quantities(**right)
        added = after.minus(now)
        self.content[key] = asked
        self.rows.append(Row(**{**vars(found), "kind": "correction", "key": key, "of": event, "adds": added}))
        code = "already_void" if asked.get("void") and now == NOTHING else "no_change" if after == now else ""
        return "stored", code, added

    def read(self, sent: dict[str, Any], now: int) -> tuple[str, str]:
        """Status and code of a reading's receipt. It shows what the counter shows, in its present epoch."""
        one, key = self.counters[sent["counter"]], (sent["source"], f"{sent['counter']}/")
        first, restarted = one.told is None, one.epoch != one.told_epoch
        if one.told == one.shows and not restarted:
            return "duplicate", "no_change"
        before = one.shows if first else NOTHING if restarted else one.told
        assert before is not None
        added, at = one.shows.minus(before), parse_instant(sent["time"])
        whose = (sent["account"], self.user_of(sent["account"], sent["user"], at, now), sent["product"])
        moved, one.rows = whose != one.whose, one.rows + 1
        one.told, one.told_epoch, one.whose = one.shows, one.epoch, whose
        self._add("use", (key[0], key[1] + str(one.rows)), None, {**sent, **msgspec.to_builtins(added)}, at, whose[1])
        usual = "moved" if moved and added != NOTHING else ""
        return "stored", "baseline" if first else "restarted" if restarted else usual

    def stands(self, event: Key) -> Quantities:
        return total(row for row in self.rows if event in (row.key, row.of))

    def events(self) -> list[Row]:
        return [row for row in self.rows if row.kind == "use"]

    def kept_events(self) -> list[Row]:
        """Those that have rows of their own."""
        return [row for row in self.rows[self.compacted :] if row.kind == "use"]

    @property
    def gone(self) -> set[Key]:
        return {row.key for row in self.rows[: self.compacted]}

    def _add(self, kind: str, key: Key, of: Key | None, said: dict[str, Any], at: int, user: User | None) -> None:
        adds = Quantities(said.get("bytes_up", 0), said.get("bytes_down", 0), said.get("requests", 1))
        country = said.get("labels", {}).get("country", "")
        dimensions = (said["account"], user, said["product"], said["source"], said.get("status", 0), country)
        self.rows.append(Row(kind, key, of, *dimensions, at, adds, said["user"]))

    # Purses

    def balance(self, account: str, pool: str, at: int, rows: int | None = None) -> dict[str, int]:
        """An account's purse at `at`; `rows`: as it was when there were so many."""
        mine = [grant for its, grant in self.grants[account] if its == pool]
        draws = [
            Draw(one.id, one.created_at, one.amount, one.returned)
            for one in self.allocations
            if one.user.account == account and one.pool == pool
        ]
        draws += [
            Draw(one.id, one.created_at, one.amount)
            for one in self.vouchers
            if one.account == account and one.pool == pool and one.status != "revoked"
        ]
        paid = [
            row
            for row in self.rows[:rows]
            if row.account == account and POOLS[row.product] == pool and not (row.user and row.user.funded)
        ]
        known = self.accounts[account]
        return burn(mine, draws, paid, at, known.carry_from, known.overage)

    def purse(self, user: User, pool: str, at: int, rows: Iterable[Row] | None = None) -> dict[str, int]:
        """A funded user's purse; `rows`: as if these were all there is."""
        mine = [
            Grant(one.id, one.amount - one.returned, 100, second_of(one.created_at), one.expires_at)
            for one in self.allocations
            if one.user is user and one.pool == pool and one.amount > one.returned
        ]
        paid = [row for row in (self.rows if rows is None else rows) if row.user is user and POOLS[row.product] == pool]
        known = self.accounts[user.account]
        return burn(mine, [], paid, at, max(known.carry_from, second_of(user.created_at)), known.overage)

    def unspent(self, one: Allocation, now: int) -> int:
        """Of an allocation, what use dated now or later leaves too. What adjustments dated so give is not counted on;
        they are taken together by product. A purse has no grant of it once it was returned whole. Nothing is left of
        one that has expired."""
        if one.expires_at is not None and one.expires_at <= now:
            return 0
        coming = [row for row in self.rows if row.kind == "adjustment" and row.time >= now and row.user is one.user]
        rows = [row for row in self.rows if row not in coming]
        for product in {row.product for row in coming}:
            mine = [row for row in coming if row.product == product]
            sums = total(mine)
            taken = Quantities(max(0, sums.bytes_up), max(0, sums.bytes_down), max(0, sums.requests))
            rows.append(replace(mine[0], adds=taken))
        far = max([now, *(row.time for row in rows)]) + 1
        whole = one.amount - one.returned
        return whole - self.purse(one.user, one.pool, far, rows).get(f"spent:{one.id}", 0)


def burn(
    grants: list[Grant], draws: list[Draw], rows: list[Row], at: int, carry_from: int, overage: str
) -> dict[str, int]:
    """The auditor's figures. Corrections count at their event's instant, so no event is negative; where free
    adjustments made something negative, what a span adds up to is what counts, and spans are cut where the promises
    change: that is their definition, so it is said here again."""
    instants: dict[int, int] = defaultdict(int)
    if any(row.kind == "adjustment" for row in rows):
        edges = {0, carry_from, *(draw.at for draw in draws)}
        for grant in grants:
            if grant.starts_at < burndown_model.ends(grant):
                edges |= {grant.starts_at, burndown_model.ends(grant)}
        for row in rows:
            if row.time < at:
                instants[max(edge for edge in edges if edge <= row.time)] += row.charged()
        events = list(instants.items())
    else:
        by_event: dict[Key, int] = defaultdict(int)
        for row in rows:
            by_event[row.of or row.key] += row.charged()
        times = {row.key: row.time for row in rows}
        events = [(times[key], amount) for key, amount in by_event.items()]
    return burndown_model.balance(grants, draws, events, at, carry_from, overage)


def _numbered(key: Key) -> tuple[str, int]:
    return key[0], int(key[1])


def content_of(event: dict[str, Any]) -> object:
    """What must be the same: not the time, not the labels."""
    names = ("account", "user", "product", "bytes_up", "bytes_down", "status")
    return (*(event.get(name) for name in names), event.get("requests", 1))


def total(rows: Iterable[Row]) -> Quantities:
    summed = NOTHING
    for row in rows:
        summed = summed.plus(row.adds)
    return summed


def inside(rows: Iterable[Row], account: str, start: int, end: int) -> Iterator[Row]:
    return (row for row in rows if row.account == account and start <= row.time < end)
