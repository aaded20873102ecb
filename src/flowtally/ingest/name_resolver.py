"""Names to ids while a block is sorted: accounts that exist, users, products seen for the first time.

Owns a bounded memory of what seldom changes: whose a name is, which products were used. Whether an account may be
written is asked anew for every block. Nearly every name has had one bearer, always, and is one look-up whatever the
time; where a name has had several, each event is resolved by its own time. Only the committer's thread comes here, save
for `forget`.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Final

from flowtally.core.clock import dating
from flowtally.core.errors import FlowtallyError
from flowtally.core.events import NOBODY
from flowtally.core.texts import may_be_known
from flowtally.ingest.admission import Times
from flowtally.ledger import installation, pools
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.erasing import erased_accounts, erasures
from flowtally.ledger.people import lookup, names, users
from flowtally.ledger.people.names import History, Name
from flowtally.ledger.trail import server

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
        self._users: dict[Name, str] = {}  # borne by one user, always
        self._shared: dict[Name, History] = {}  # given up at least once
        self._products: set[str] = set()
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
        with self._ledger.read() as tx:
            self._note(tx)
            return lookup.statuses(tx, filter(may_be_known, accounts))

    def last_promise(self) -> int:
        """The ledger's highest number now; the last one that was seen where it does not answer."""
        with suppress(FlowtallyError):
            self.look()
        return self.promise

    def look(self) -> None:
        """See what the ledger's highest number is now. LeaseLost where another server writes it."""
        with self._ledger.read() as tx:
            self._note(tx)

    def check_lease(self) -> None:
        """LeaseLost where it is known that nothing may be written. Asks nobody."""
        self._ledger.check_lease()

    @property
    def lost(self) -> str:
        """Why nothing may be written; empty while all is well."""
        return self._ledger.lost

    def _note(self, tx: Tx) -> None:
        found = installation.read_installation(tx)
        self._ledger.check_lease(found.epoch)
        self.promise = found.promises

    def known_ids(self, events: Sequence[Name], times: Times) -> list[str | None]:
        """The user of each of these events, None where nobody bore the name at the time; nobody is made. Whoever may
        make none keeps this answer: asked again, a name given up meanwhile would be another's, or free."""
        self._learn(set(events))
        return [self._bearer(name, int(times[row])) for row, name in enumerate(events)]

    def user_ids(self, events: Sequence[Name], times: Times) -> list[str]:
        """The user of each of these events; users are made for names that nobody bore at the time. The accounts
        exist."""
        self._drop_forgotten()
        with suppress(KeyError):  # by far the usual case
            return [self._users[name] for name in events]
        wanted = set(events)
        self._learn(wanted)
        if self._maybe_unknown(wanted):
            free = {name for row, name in enumerate(events) if self._bearer(name, int(times[row])) is None}
            self._make(free)
        if self._shared.keys().isdisjoint(wanted):  # by far the usual case
            return [self._users[name] for name in events]
        return [self._bearer(name, int(times[row])) or NOBODY for row, name in enumerate(events)]

    def free_names(self, wanted: set[Name]) -> set[Name]:
        """Those of these names that are nobody's now, which most of the time are none: users may be made for them."""
        self._learn(wanted)
        return set(filter(self._seems_free, wanted))

    def not_remembered(self, wanted: set[Name]) -> set[Name]:
        """Those of these names that a look into the ledger would be for. Asks nobody."""
        self._drop_forgotten()
        return set(filter(self._seems_free, wanted))

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
        if len(self._users) + len(self._shared) + len(wanted) > REMEMBERED:
            self._users.clear()
            self._shared.clear()
        asked = {name for name in wanted if name not in self._users and name not in self._shared}
        self._users |= {name: NOBODY for name in asked if name[1] == NOBODY}
        if asked := {name for name in asked if name[1] != NOBODY}:
            with self._ledger.read() as tx:
                self._remember(names.histories(tx, asked))

    def _drop_forgotten(self) -> None:
        """Looking through a full memory takes some 30 ms, asking for all of it anew as many seconds."""
        with self._telling:
            gone, self._forgotten = self._forgotten, set()
        if ALL in gone:
            self._users, self._shared, self._products = {}, {}, set()
        elif gone:
            self._users = {name: user for name, user in self._users.items() if name[0] not in gone}
            self._shared = {name: history for name, history in self._shared.items() if name[0] not in gone}

    def _remember(self, found: dict[Name, History]) -> None:
        for name, history in found.items():
            if len(history) == 1 and history[0].until is None:
                self._users[name] = history[0].user_id
            else:
                self._shared[name] = history

    def _maybe_unknown(self, wanted: set[Name]) -> bool:
        """Whether one of these names may be free: by far the usual case is that none is."""
        return any(map(self._seems_free, wanted))

    def _seems_free(self, name: Name) -> bool:
        """As far as is remembered."""
        return name not in self._users and (name not in self._shared or self._shared[name][-1].until is not None)

    def _bearer(self, name: Name, at: int) -> str | None:
        user_id = self._users.get(name)
        return names.bearer_at(self._shared.get(name, ()), at) if user_id is None else user_id

    def _make(self, free: set[Name]) -> None:
        if free:
            with self._ledger.begin(_SORTING) as tx:
                self._remember(users.ensure_histories(tx, free, self._date()))
                self._note(tx)
            self._users_made(account for account, _ in free)
            self.promise += 1  # that transaction itself: the rows will name these users
