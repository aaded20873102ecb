"""Bytes are conserved (law 5): the balance of every account and funded user against what its parts add up to.

Owns the equations. The right sides are what is served (`account_balance`, `user_balance`); the left sides are added up
from the rows and the ledger's tables by other questions (`usage.checks.sums`, `ledger.checks.sums`), so that no mistake
is on both.

    use by the rows + draws  =  spent + overage + forgiven - credit
    grants given             =  spent + left + pending + expired + voided
    draws of an account      =  what the purses of its users were given + what its vouchers hold or became
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import msgspec

from flowtally.answers.account_balance import BalanceUsage, burn_pools, units_of
from flowtally.answers.user_balance import burn_funded
from flowtally.care.finding import Find
from flowtally.care.job import Progress
from flowtally.core.burndown import Balance
from flowtally.core.errors import BadRange, FlowtallyError
from flowtally.ledger import pools
from flowtally.ledger.checks import rules, sums
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.people.users import User, read_user
from flowtally.ledger.pools import Pools
from flowtally.usage.checks.sums import SumsCheck, Used
from flowtally.usage.values import MAX_SUMS, Sum, Where

ACCOUNTS: Final = 50  # in one transaction of the ledger, and one question to the rows
USERS: Final = 100  # the same of funded users, but for accounts of many:
PAGES: Final = 50  # each page goes through all rows of the account, so there are no more of them, however many users
SUMS: Final = 200_000  # held at a time; a page whose users have more is halved


class Balances:
    """One walk over all accounts and their funded users: rows of blocks up to `block`, dated before `at`."""

    def __init__(
        self, usage: BalanceUsage, sums: SumsCheck, ledger: Ledger, block: int, at: int, find: Find, say: Progress
    ) -> None:
        self._usage = usage
        self._sums = sums
        self._ledger = ledger
        self._block = block
        self._at = at
        self._find = find
        self._say = say
        self._seen = 0

    def check(self) -> int:
        """How many purses' owners were looked at. Each page of accounts is one moment of the ledger."""
        with self._ledger.read() as tx:
            count = rules.count_accounts(tx)
        done, last = 0, ""
        while True:
            with self._ledger.read() as tx:
                page = sums.account_ids(tx, last, ACCOUNTS)
                if not page:
                    return self._seen
                for _ in self._check_page(tx, page):
                    done += 1
                    self._say("balances", done, max(count, done))
            last = page[-1]

    def _check_page(self, tx: Tx, page: Sequence[str]) -> Iterator[str]:
        at = max(self._at, sums.last_draw(tx, page) + 1)  # each must see all that was drawn
        known = pools.read_pools(tx)
        used = self._sums.of_accounts(page, at)
        given, allocated = sums.granted(tx, page), sums.allocated_by(tx, page)
        aside = sums.set_aside_by(tx, page)
        for account in page:
            funded, in_purses = self._check_funded(tx, account, known, at)
            mine = charged(used.get(account, {}), known)
            own = {pool: mine.get(pool, 0) - funded.get(pool, 0) for pool in units_of(known)}
            try:
                _, burnt = burn_pools(tx, account, at, self._ask("product"))
            except (AssertionError, KeyError, FlowtallyError) as error:  # the ledger is broken: say so, and go on
                self._find("balance", f"account {account!r}", f"its balance cannot be made: {error!r}"[:500])
            else:
                purses = {pool: one.balance for pool, one in burnt.items()}
                set_aside = _of(account, aside)
                drawn = _added(_of(account, allocated), set_aside)
                self._compare(f"account {account!r}", purses, own, _of(account, given), drawn, units_of(known))
                self._compare_draws(account, purses, in_purses, set_aside)
            self._seen += 1
            yield account

    def _check_funded(self, tx: Tx, account: str, known: Pools, at: int) -> tuple[dict[str, int], dict[str, int]]:
        """What the funded users of the account used, and what their purses were given, by pool."""
        used_by_all: dict[str, int] = defaultdict(int)
        in_purses: dict[str, int] = defaultdict(int)
        last, size = "", max(USERS, -(-sums.count_funded(tx, account) // PAGES))
        while page := sums.funded_ids(tx, account, last, size):
            last = page[-1]
            used, given = self._sums.of_users(account, page, at), sums.allocated_to(tx, page)
            mine = {user: charged(used.get(user, {}), known) for user in page}
            for one in mine.values():
                for pool, amount in one.items():
                    used_by_all[pool] += amount
            users = [read_user(tx, account, user) for user in page]
            for user, purses in self._purses_of(tx, account, users, at).items():
                where = f"account {account!r}, user {user!r}"
                self._compare(where, purses, mine[user], _of(user, given), {}, units_of(known))
                for pool, purse in purses.items():
                    in_purses[pool] += purse.granted
                self._seen += 1
            self._say("balances")
        return used_by_all, in_purses

    def _purses_of(self, tx: Tx, account: str, users: Sequence[User], at: int) -> dict[str, dict[str, Balance]]:
        alone = len(users) == 1
        try:
            return burn_funded(tx, account, users, at, self._ask("user", "product", limit=MAX_SUMS if alone else SUMS))
        except (AssertionError, KeyError, FlowtallyError) as error:
            if isinstance(error, BadRange) and not alone:
                half = len(users) // 2
                return {
                    **self._purses_of(tx, account, users[:half], at),
                    **self._purses_of(tx, account, users[half:], at),
                }
            where = f"account {account!r}, users {users[0].id!r} to {users[-1].id!r}"
            self._find("balance", where, f"the balance of one of them cannot be made: {error!r}"[:500])
            return {}

    def _ask(self, *by: str, limit: int = MAX_SUMS) -> Callable[[Where, list[int]], Sequence[Sum]]:
        def ask(where: Where, edges: list[int]) -> Sequence[Sum]:
            return self._usage.sums(edges, msgspec.structs.replace(where, until_block=self._block), by, limit=limit)

        return ask

    def _compare(
        self,
        where: str,
        purses: Mapping[str, Balance],
        used: Mapping[str, int],
        given: Mapping[str, int],
        drawn: Mapping[str, int],
        units: Mapping[str, str],
    ) -> None:
        for pool, unit in units.items():
            use, draws, grants = used.get(pool, 0), drawn.get(pool, 0), given.get(pool, 0)
            purse = purses.get(pool)
            paid = 0 if purse is None else purse.spent + purse.overage + purse.forgiven - purse.credit
            if use + draws != paid:
                detail = f"{use} {unit} used by the rows and {draws} passed on, but spent + overage + forgiven - credit"
                self._find("use_and_draws", f"{where}, pool {pool!r}", f"{detail} are {paid}")
            whole = 0 if purse is None else purse.spent + purse.left + purse.pending + purse.expired + purse.voided
            if grants != whole:
                detail = f"was given {grants} {unit}, but spent + left + pending + expired + voided are {whole}"
                self._find("granted", f"{where}, pool {pool!r}", detail)

    def _compare_draws(
        self, account: str, purses: Mapping[str, Balance], given: Mapping[str, int], aside: Mapping[str, int]
    ) -> None:
        for pool in sorted(purses.keys() | given.keys() | aside.keys()):
            drawn = purses[pool].drawn if pool in purses else 0
            users, vouchers = given.get(pool, 0), aside.get(pool, 0)
            if drawn != users + vouchers:
                told = f"the purses of its users were given {users} and its vouchers hold or became {vouchers}"
                detail = f"passed on {drawn}, but {told}"
                self._find("draws_and_purses", f"account {account!r}, pool {pool!r}", detail)


def charged(used: Mapping[str, Used], known: Pools) -> dict[str, int]:
    """What the pools that have balances charge for this use by product."""
    found: dict[str, int] = defaultdict(int)
    for product, one in used.items():
        pool = known.pool_of(product)
        charge = known.charges.get(pool, "nothing")
        if charge != "nothing":
            found[pool] += one.requests if charge == "requests" else one.bytes
    return found


def _of(whose: str, sums: Mapping[tuple[str, str], int]) -> dict[str, int]:
    return {pool: amount for (one, pool), amount in sums.items() if one == whose}


def _added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    return {pool: one.get(pool, 0) + other.get(pool, 0) for pool in one.keys() | other.keys()}
