"""Closed periods: every frozen statement made anew from the rows of its time, and the law of what came later.

Owns the comparison. Use is added up by a question of its own (`usage.checks.sums`), once per account for all its
periods; the balance is the one that `as_of` its moment would show.

    statement              =  rows of blocks up to its own, by product, pool and in total; the balance at its end, then
    its adjustments        =  what had come into earlier periods since the closing before
    statement + since then =  usage now
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import msgspec

from flowtally.answers.account_balance import BalanceUsage, make_balance
from flowtally.answers.moment import Moment
from flowtally.care.finding import Find
from flowtally.care.job import Progress
from flowtally.core.corrections import QUANTITIES
from flowtally.core.errors import FlowtallyError
from flowtally.ledger import pools
from flowtally.ledger.checks import sums
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.pools import Pools
from flowtally.ledger.traffic import periods
from flowtally.ledger.traffic.periods import Period
from flowtally.protocol import BalanceAnswer, PeriodStatement
from flowtally.usage.checks.sums import SumPart, SumsCheck, Used
from flowtally.usage.values import Where

ACCOUNTS: Final = 20  # in one transaction of the ledger
PLANNING_MS: Final = 600_000  # a statement is planned before it is kept: what was promised meanwhile is not in it

Figures = Mapping[str, int | str | None]


class Statements:
    """One walk over the periods of all accounts that were closed at blocks up to `block`."""

    def __init__(
        self, usage: BalanceUsage, sums: SumsCheck, ledger: Ledger, block: int, find: Find, say: Progress
    ) -> None:
        self._usage = usage
        self._sums = sums
        self._ledger = ledger
        self._block = block
        self._find = find
        self._say = say

    def check(self) -> int:
        """How many periods were looked at."""
        with self._ledger.read() as tx:
            count = sums.count_accounts_with_periods(tx)
        seen, done, last = 0, 0, ""
        while True:
            with self._ledger.read() as tx:
                page = sums.accounts_with_periods(tx, last, ACCOUNTS)
                if not page:
                    return seen
                for account in page:
                    seen += self._check_account(tx, account)
                    done += 1
                    self._say("periods", done, max(count, done))
            last = page[-1]

    def _check_account(self, tx: Tx, account: str) -> int:
        closed = [one for one in periods.closed_spans(tx, account) if one.block <= self._block]
        if not closed:
            return 0
        edges = sorted({edge for one in closed for edge in (one.starts_at, one.ends_at)})
        parts = self._sums.in_spans(account, edges, [one.block for one in closed])
        by_span, by_closing = _by(parts, lambda part: part.start), _by(parts, lambda part: part.after)
        known = pools.read_pools(tx)
        before: dict[int, str] = {}  # those closed before, by the start of their span
        since: int | None = None  # the block of the closing before
        for one in closed:
            late = by_closing.get(since, []) if since is not None and since < one.block else []
            period = periods.read_period(tx, one.id, account)
            adjusted = _adjusted([part for part in late if part.start in before], before)
            self._check_period(tx, period, by_span.get(one.starts_at, []), adjusted, known)
            before[one.starts_at], since = one.id, one.block
            self._say("periods")
        return len(closed)

    def _check_period(
        self,
        tx: Tx,
        period: Period,
        rows: Sequence[SumPart],
        adjusted: Figures,
        known: Pools,
    ) -> None:
        """`rows`: those of its time; `adjusted`: what came into earlier periods since the closing before."""
        where = f"account {period.account!r}, period {period.id}"
        try:
            stated = msgspec.json.decode(period.statement, type=PeriodStatement)
        except (msgspec.DecodeError, UnicodeError) as error:
            self._find("statement", where, f"its statement cannot be read: {error}"[:500])
            return
        then = _by_product(part for part in rows if part.after < period.block)
        what = f"the rows up to block {period.block} say"
        self._differ("statement", where, _use_stated(stated), _use_of(then, known), what)
        what = "the rows since the closing before say"
        self._differ("statement", where, _adjusted_stated(stated), adjusted, what)
        self._check_balance(tx, where, period, stated)
        self._check_since(where, period, stated, _total(_by_product(rows)))

    def _check_balance(self, tx: Tx, where: str, period: Period, stated: PeriodStatement) -> None:
        """As of the block and the promise it names; one of before promises were counted, as of its closing, or of a
        moment shortly before it, when something was promised while it was planned."""
        frozen = _balance_figures(stated)
        instants = [period.closed_at]
        if not period.known_promise:
            first = period.closed_at - PLANNING_MS
            instants += (at - 1 for at in sums.changes_between(tx, period.account, first, period.closed_at))
        try:
            made = [self._balance_of(tx, period, instant) for instant in instants]
        except (AssertionError, KeyError, FlowtallyError) as error:  # the ledger is broken: say so, and go on
            self._find("statement_balance", where, f"its balance cannot be computed again: {error!r}"[:500])
            return
        if frozen not in made:
            self._differ("statement_balance", where, frozen, made[0], "computed again it is")

    def _balance_of(self, tx: Tx, period: Period, instant: int) -> Figures:
        moment = Moment(period.block, instant, promise=period.known_promise or None)
        return _balance_figures(make_balance(tx, self._usage, period.account, period.ends_at, moment))

    def _check_since(self, where: str, period: Period, stated: PeriodStatement, now: Used) -> None:
        since = Where(account=period.account, after_block=period.block, until_block=self._block)
        span = [period.starts_at, period.ends_at]
        later = self._usage.sums(span, since) if self._block > period.block else []
        for name in QUANTITIES:
            frozen, adjusted = getattr(stated.total, name), sum(getattr(one, name) for one in later)
            if frozen + adjusted != getattr(now, name):
                told = f"{name} {frozen} frozen + {adjusted} since then are {frozen + adjusted}"
                self._find("statement_and_since", where, f"{told}, usage now is {getattr(now, name)}")

    def _differ(self, code: str, where: str, stated: Figures, found: Figures, what: str) -> None:
        for name in sorted(stated.keys() | found.keys()):
            said, right = stated.get(name, "nothing"), found.get(name, "nothing")
            if said != right:
                self._find(code, where, f"its statement says {name} {said}, {what} {right}")


def _by_product(parts: Iterable[SumPart]) -> dict[str, Used]:
    found: dict[str, Used] = {}
    for part in parts:
        found[part.product] = found.get(part.product, Used()).plus(part.used)
    return found


def _total(used: Mapping[str, Used]) -> Used:
    whole = Used()
    for one in used.values():
        whole = whole.plus(one)
    return whole


def _quantities(of: str, one: Any) -> dict[str, int | str | None]:
    return {f"{of} {name}": getattr(one, name) for name in ("bytes_up", "bytes_down", "bytes", "requests")}


def _use_stated(stated: PeriodStatement) -> Figures:
    found = _quantities("total", stated.total)
    for product in stated.products:
        found |= _quantities(f"product {product.product!r}", product)
        found[f"product {product.product!r} pool"] = product.pool
    for pool in stated.pools:
        found |= _of_pool(pool.pool, pool.charge, pool.used, pool.bytes, pool.requests)
    return found


def _use_of(used: Mapping[str, Used], known: Pools) -> Figures:
    found = _quantities("total", _total(used))
    by_pool: dict[str, Used] = {}
    for product, one in used.items():
        pool = known.pool_of(product)
        found |= _quantities(f"product {product!r}", one)
        found[f"product {product!r} pool"] = pool
        by_pool[pool] = by_pool.get(pool, Used()).plus(one)
    for pool, one in by_pool.items():
        charge = known.charges.get(pool, "nothing")
        amount = {"bytes": one.bytes, "requests": one.requests, "nothing": 0}[charge]
        found |= _of_pool(pool, charge, amount, one.bytes, one.requests)
    return found


def _of_pool(pool: str, charge: str, used: int, size: int, requests: int) -> dict[str, int | str | None]:
    named: dict[str, int | str | None] = {"charge": charge, "used": used, "bytes": size, "requests": requests}
    return {f"pool {pool!r} {name}": value for name, value in named.items()}


def _adjusted_stated(stated: PeriodStatement) -> Figures:
    found: dict[str, int | str | None] = {}
    for one in stated.adjustments:
        found |= _quantities(f"adjustment of {one.period}", one.total)
        for product in one.products:
            found |= _quantities(f"adjustment of {one.period} product {product.product!r}", product)
    return found


def _adjusted(late: Iterable[SumPart], before: Mapping[int, str]) -> Figures:
    """What these rows brought into the periods closed before, by the start of their span."""
    found: dict[str, int | str | None] = {}
    for start, parts in _by(late, lambda part: part.start).items():
        used = _by_product(parts)
        found |= _quantities(f"adjustment of {before[start]}", _total(used))
        for product, one in used.items():
            found |= _quantities(f"adjustment of {before[start]} product {product!r}", one)
    return found


def _by(parts: Iterable[SumPart], what: Callable[[SumPart], int]) -> dict[int, list[SumPart]]:
    found: dict[int, list[SumPart]] = defaultdict(list)
    for part in parts:
        found[what(part)].append(part)
    return found


def _balance_figures(one: PeriodStatement | BalanceAnswer) -> Figures:
    purses = one.balance if isinstance(one, PeriodStatement) else one.pools
    found: dict[str, int | str | None] = {}
    for pool, purse in purses.items():
        found |= {f"pool {pool!r} {name}": value for name, value in msgspec.to_builtins(purse).items()}
    for grant in one.grants:
        found |= {f"grant {grant.id} {name}": value for name, value in msgspec.to_builtins(grant).items()}
    return found
