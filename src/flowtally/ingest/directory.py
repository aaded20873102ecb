"""Names to ids while a block is sorted: accounts that exist, users, products seen for the first time.

Owns a bounded memory of what never changes (a user id, a product that was used). Whether an account may be written is
asked anew for every block. Only the committer's thread comes here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from flowtally.ledger import directory, pools, users
from flowtally.ledger.database import Ledger
from flowtally.ledger.texts import is_text

REMEMBERED: Final = 500_000  # names; about 100 bytes each

Name = tuple[str, str]  # (account, user name)


class Directory:
    """The ledger as ingest needs it."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._users: dict[Name, str] = {}
        self._products: set[str] = set()

    def statuses(self, accounts: Iterable[str]) -> dict[str, str]:
        """The status of each of these accounts that exists."""
        with self._ledger.read() as tx:
            return directory.statuses(tx, filter(is_text, accounts))  # PostgreSQL fails over a NUL even in a question

    def unknown_users(self, names: set[Name]) -> set[Name]:
        """Those of these names that nobody bears."""
        asked = {name for name in names if name not in self._users and name[1]}
        if not asked:
            return set()
        with self._ledger.read() as tx:
            self._users |= users.resolve_users(tx, asked, self._clock())
        return {name for name in asked if name not in self._users}

    def user_ids(self, names: set[Name]) -> dict[Name, str]:
        """The ids of all these names; users are made for names that nobody bears. The accounts exist."""
        if len(self._users) + len(names) > REMEMBERED:
            self._users.clear()  # before, not while the block's own names are being gathered
        missing = self.unknown_users(names)
        if missing:
            with self._ledger.begin() as tx:
                self._users |= users.ensure_users(tx, missing, self._clock())
        return {name: self._users[name] if name[1] else "" for name in names}

    def use_products(self, products: set[str]) -> None:
        """From now on the mapping of these products to their pools is fixed."""
        new = products - self._products
        if not new:
            return
        with self._ledger.read() as tx:
            unused = new - pools.used_products(tx, new)
        if unused:
            with self._ledger.begin() as tx:
                pools.mark_products_used(tx, unused, self._clock())
        if len(self._products) + len(new) > REMEMBERED:
            self._products.clear()
        self._products |= new

    def forget(self) -> None:
        """A name was given another meaning: ask the ledger again."""
        self._users.clear()
