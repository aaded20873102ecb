"""Names to ids while a block is sorted: accounts that exist, users, products seen for the first time.

Owns a bounded memory of what seldom changes: whose a name is, which products were used. Whether an account may be
written is remembered for as long as the ledger has seen no other transaction, which is asked for every block. Nearly
every name has had one bearer, always, and is one look-up whatever the time; where a name has had several, each event is
resolved by its own time. Only the committer's thread comes here, save for `forget`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import filterfalse
from typing import Any, Final

import numpy as np

from flowtally.core.clock import dating
from flowtally.core.errors import FlowtallyError
from flowtally.core.events import NOBODY
from flowtally.core.texts import may_be_known
from flowtally.core.times import LAST_INSTANT
from flowtally.ingest.admission import Times
from flowtally.ingest.event_rows import Codes, Group
from flowtally.ledger import installation, pools
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import lookup, users
from flowtally.ledger.people.names import History, Name, bearer_at, histories
from flowtally.ledger.trail import server

Flags = np.ndarray[Any, np.dtype[np.bool_]]

BEFORE_ALL: Final = -(2**63)
ALL: Final = ""  # no account has this name
REMEMBERED: Final = 500_000  # names; about 100 bytes each
_SORTING: Final = server("events")


class NameResolver:
    """The ledger as ingest needs it."""

    def __init__(
        self,
        ledger: Ledger,
        clock: Callable[[], int],
        users_made: Callable[[Iterable[str]], None] = lambda accounts: None,
    ) -> None:
        """`users_made` hears the account of each user that is made."""
        self._ledger = ledger
        self._date = dating(clock)
        self._users: dict[str, dict[str, str]] = {}  # by account and name: borne by one user, always
        self._count = 0  # of names in it
        self._shared: dict[Name, History] = {}  # given up at least once
        self._products: set[str] = set()
        self._statuses: dict[str, str | None] = {}  # of accounts, as they are at the promise `_statuses_at`
        self._statuses_at = -1
        self._forgotten: set[str] = set()  # accounts whose names changed since the ledger was last asked
        self._telling = threading.Lock()
        self._users_made = users_made
        self.promise = 0  # the ledger's highest number when it was last asked: what a block was decided by

    def try_writing(self) -> None:
        """Raise what making a user would: nothing is written."""
        with self._ledger.begin(_SORTING):
            pass

    def statuses(self, accounts: Iterable[str]) -> dict[str, str]:
        """The status of each of these accounts that exists."""
        asked = list(filter(may_be_known, accounts))
        self.look()
        if self._statuses_at != self.promise or not self._statuses.keys() >= set(asked):
            self._learn_statuses(asked)
        known = ((account, self._statuses[account]) for account in asked)
        return {account: status for account, status in known if status is not None}

    def _learn_statuses(self, asked: Sequence[str]) -> None:
        with self._ledger.read() as tx:
            self._note(tx)
            if self._statuses_at != self.promise or len(self._statuses) + len(asked) > REMEMBERED:
                self._statuses, self._statuses_at = {}, self.promise
            found = lookup.statuses(tx, asked)
        self._statuses |= {account: found.get(account) for account in asked}

    def last_promise(self) -> int:
        """The ledger's highest number now; the last one that was seen where it does not answer."""
        with suppress(FlowtallyError):
            self.look()
        return self.promise

    def look(self) -> None:
        """See what the ledger's highest number is now. LeaseLost where another server writes it."""
        self._saw(*self._ledger.stands())

    def check_lease(self) -> None:
        """LeaseLost where it is known that nothing may be written. Asks nobody."""
        self._ledger.check_lease()

    @property
    def lost(self) -> str:
        """Why nothing may be written; empty while all is well."""
        return self._ledger.lost

    def _note(self, tx: Tx) -> None:
        found = installation.read_installation(tx)
        self._saw(found.promises, found.epoch)

    def _saw(self, promises: int, epoch: int) -> None:
        self._ledger.check_lease(epoch)
        self.promise = promises

    def known_ids(self, events: Sequence[Name], times: Times) -> list[str | None]:
        """The user of each of these events, None where nobody bore the name at the time; nobody is made. Whoever may
        make none keeps this answer: asked again, a name given up meanwhile would be another's, or free."""
        self._learn(set(events))
        return [self._bearer(name, int(times[row])) for row, name in enumerate(events)]

    def user_ids(self, events: Sequence[Name], times: Times) -> list[str]:
        """The user of each of these events; users are made for names that nobody bore at the time. The accounts
        exist."""
        codes = np.arange(len(events), dtype=np.int32)
        ids, codes = self.bearers([(account, [user]) for account, user in events], codes, times)
        return [ids[code] for code in codes.tolist()]

    def bearers(self, groups: Sequence[Group], codes: Codes, times: Times) -> tuple[list[str], Codes]:
        """The same by names, each of which some events have: `codes` and `times` have one for each event, as the
        answer's codes have, which say whose of the answer's ids it is."""
        self._drop_forgotten()
        ids: list[str] = []
        with suppress(KeyError):  # by far the usual case
            for account, mine in groups:
                ids += map(self._users[account].__getitem__, mine)
            return ids, codes
        names = [(account, user) for account, mine in groups for user in mine]
        self._learn(set(names))
        latest = _latest(len(names), codes, times)  # who bears a name last bears it for ever: whether it is free then
        self._make({name for name, at in zip(names, latest, strict=True) if self._bearer(name, at) is None})
        found = [self._borne_always(name) for name in names]
        ids = [id or NOBODY for id in found]
        shared = np.array([id is None for id in found], dtype=np.bool_)
        return self._by_time(names, ids, shared, codes, times) if shared.any() else (ids, codes)

    def _by_time(
        self, names: Sequence[Name], ids: list[str], shared: Flags, codes: Codes, times: Times
    ) -> tuple[list[str], Codes]:
        """Where a name has had several bearers: one of them where all its events are his, else each event by its own
        time."""
        rows = np.flatnonzero(shared[codes])
        first, last = _earliest(len(names), codes[rows], times[rows]), _latest(len(names), codes[rows], times[rows])
        for code in np.flatnonzero(shared).tolist():
            history = self._shared[names[code]]
            if _turn(history, first[code]) == _turn(history, last[code]):
                ids[code] = bearer_at(history, last[code]) or NOBODY
                shared[code] = False
        codes, places = codes.copy(), dict[str, int]()
        for row in np.flatnonzero(shared[codes]).tolist():
            id = self._bearer(names[codes[row]], int(times[row])) or NOBODY
            codes[row] = places.setdefault(id, len(ids) + len(places))
        return ids + list(places), codes

    def free_names(self, wanted: set[Name]) -> set[Name]:
        """Those of these names that are nobody's now, which most of the time are none: users may be made for them."""
        self._learn(wanted)
        return set(filter(self._seems_free, wanted))

    def not_remembered(self, groups: Iterable[Group]) -> set[Name]:
        """Those of these names that a look into the ledger would be for. Asks nobody."""
        self._drop_forgotten()
        found: list[Name] = []
        for account, mine in groups:
            strange = filterfalse(self._users.get(account, {}).__contains__, mine)  # by far most often nobody
            found += [(account, user) for user in strange if self._seems_free((account, user))]
        return set(found)

    def erased(self, whose: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
        """Those of these users (account and id, which may be nobody's) whose texts must not be stored any more: their
        own erasure was asked for, or that of their account."""
        asked = set(whose)
        with self._ledger.read() as tx:
            users = erasures.erased_among(tx, {user for _, user in asked})
            accounts = erased_accounts.erased_among(tx, {account for account, _ in asked})
        return {one for one in asked if one[0] in accounts or one[1] in users}

    def use_products(self, products: set[str]) -> None:
        """From now on the mapping of these products to their pools is fixed."""
        new = products - self._products
        if not new:
            return
        with self._ledger.read() as tx:
            unused = new - pools.used_products(tx, new)
        if unused:
            with self._ledger.begin(_SORTING) as tx:
                pools.mark_products_used(tx, unused, self._date())
        if len(self._products) + len(new) > REMEMBERED:
            self._products.clear()
        self._products |= new

    def forget(self, account: str) -> None:
        """Call after a commit that gave a name of this account another bearer: for its names the ledger is asked again
        from the next block on. From any thread."""
        with self._telling:
            self._forgotten.add(account)

    def forget_all(self) -> None:
        """Call when another server may have written: from the next block on all is asked again. From any thread."""
        with self._telling:
            self._forgotten.add(ALL)

    def _learn(self, wanted: set[Name]) -> None:
        """Ask the ledger for those of these names that are not remembered."""
        self._drop_forgotten()  # before the ledger is read: what is read now may be forgotten in the meantime
        if self._count + len(self._shared) + len(wanted) > REMEMBERED:
            self._users.clear()
            self._shared.clear()
            self._count = 0
        asked = {name for name in wanted if self._borne_always(name) is None and name not in self._shared}
        for name in asked:
            if name[1] == NOBODY:
                self._keep(name, NOBODY)
        if asked := {name for name in asked if name[1] != NOBODY}:
            with self._ledger.read() as tx:
                self._remember(histories(tx, asked))

    def _drop_forgotten(self) -> None:
        """Of these accounts alone: asking for all of a full memory anew takes many seconds."""
        with self._telling:
            gone, self._forgotten = self._forgotten, set()
        if ALL in gone:
            self._users, self._shared, self._products, self._count = {}, {}, set(), 0
        elif gone:
            self._count -= sum(len(self._users.pop(account, ())) for account in gone)
            self._shared = {name: history for name, history in self._shared.items() if name[0] not in gone}

    def _remember(self, found: dict[Name, History]) -> None:
        for name, history in found.items():
            if len(history) == 1 and history[0].until is None:
                self._keep(name, history[0].user_id)
            else:
                self._shared[name] = history

    def _keep(self, name: Name, user_id: str) -> None:
        mine = self._users.setdefault(name[0], {})
        self._count += name[1] not in mine
        mine[name[1]] = user_id

    def _borne_always(self, name: Name) -> str | None:
        """By whom, if only one user ever bore it, as far as is remembered."""
        mine = self._users.get(name[0])
        return None if mine is None else mine.get(name[1])

    def _seems_free(self, name: Name) -> bool:
        """As far as is remembered."""
        if self._borne_always(name) is not None:
            return False
        return name not in self._shared or self._shared[name][-1].until is not None

    def _bearer(self, name: Name, at: int) -> str | None:
        user_id = self._borne_always(name)
        return bearer_at(self._shared.get(name, ()), at) if user_id is None else user_id

    def _make(self, free: set[Name]) -> None:
        if free:
            with self._ledger.begin(_SORTING) as tx:
                self._remember(users.ensure_histories(tx, free, self._date()))
                self._note(tx)
            self._users_made(account for account, _ in free)
            self.promise += 1  # that transaction itself: the rows will name these users


def _latest(count: int, codes: Codes, times: Times) -> list[int]:
    """The latest time of each code."""
    found = np.full(count, BEFORE_ALL, dtype=np.int64)
    np.maximum.at(found, codes, times)
    return list(found.tolist())


def _earliest(count: int, codes: Codes, times: Times) -> list[int]:
    found = np.full(count, LAST_INSTANT, dtype=np.int64)
    np.minimum.at(found, codes, times)
    return list(found.tolist())


def _turn(history: History, at: int) -> int:
    """How many had borne the name before whoever bore it then."""
    return sum(one.until is not None and one.until <= at for one in history)
