"""What the rows add up to, asked past the projections: the other side of the laws that `verify` checks.

Owns the SQL, which shares nothing with the questions that answers are made of (`queries`). All of it is about the rows
of blocks up to one block, which never change. One thread of the engine does the work.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeAlias

import msgspec

from flowtally.core.events import METERED
from flowtally.usage import relation
from flowtally.usage.queries import MEASURES

SETTINGS: Final = {"optimize_use_projections": 0, "max_threads": 1, "max_execution_time": 0}
_MINE: Final = "series = {series:String} AND block <= {block:UInt64} AND time < fromUnixTimestamp64Milli({end:Int64})"


Ask: TypeAlias = Callable[[str, dict[str, Any], Mapping[str, Any]], list[tuple[Any, ...]]]


class Used(msgspec.Struct, frozen=True):
    """Quantities that were added up."""

    bytes_up: int = 0
    bytes_down: int = 0
    requests: int = 0

    def plus(self, other: Used) -> Used:
        return Used(self.bytes_up + other.bytes_up, self.bytes_down + other.bytes_down, self.requests + other.requests)

    @property
    def bytes(self) -> int:
        return self.bytes_up + self.bytes_down


class SumPart(msgspec.Struct, frozen=True):
    """What blocks after `after` (up to the next that was asked for) brought of `product` to the span from `start`."""

    start: int
    after: int
    product: str
    used: Used


class SumsCheck:
    """Questions to the metered rows of blocks up to `block`; any thread. `ask` as `RowsCheck` has it."""

    def __init__(self, ask: Ask, block: int) -> None:
        self._asked = ask
        self._block = block

    def of_accounts(self, accounts: Sequence[str], end: int) -> dict[str, dict[str, Used]]:
        """What each of these accounts used before `end`, by product: all its users together."""
        text = (
            f"SELECT toString(account), toString(product), {MEASURES}"
            f" FROM {relation.rows(f'{_MINE} AND account IN {{accounts:Array(String)}}')} GROUP BY account, product"
        )
        return _by_first(self._ask(text, accounts=list(accounts), end=end))

    def of_users(self, account: str, users: Sequence[str], end: int) -> dict[str, dict[str, Used]]:
        """What each of these users of an account used before `end`, by product."""
        where = f"{_MINE} AND account = {{account:String}} AND user IN {{users:Array(String)}}"
        text = (
            f"SELECT toString(user), toString(product), {MEASURES} FROM {relation.rows(where)} GROUP BY user, product"
        )
        return _by_first(self._ask(text, account=account, users=list(users), end=end))

    def in_spans(self, account: str, edges: Sequence[int], blocks: Sequence[int]) -> list[SumPart]:
        """The use of an account between these edges, told apart by the blocks that brought it: those up to the first of
        `blocks`, those after it up to the second, and so on."""
        after = sorted({0, *blocks})
        where = f"{_MINE} AND account = {{account:String}} AND time >= fromUnixTimestamp64Milli({{first:Int64}})"
        text = (
            "SELECT roundDown(toUnixTimestamp64Milli(time), {edges:Array(Int64)}) AS start,"
            " roundDown(toInt64(block) - 1, {after:Array(Int64)}) AS since, toString(product),"
            f" {MEASURES} FROM {relation.rows(where)} GROUP BY start, since, product"
        )
        rows = self._ask(text, account=account, edges=list(edges), after=after, first=edges[0], end=edges[-1])
        return [SumPart(start, since, product, Used(*sums)) for start, since, product, *sums in rows]

    def _ask(self, text: str, **parameters: Any) -> list[tuple[Any, ...]]:
        return self._asked(text, {"series": METERED, "block": self._block, **parameters}, SETTINGS)


def _by_first(rows: Sequence[tuple[Any, ...]]) -> dict[str, dict[str, Used]]:
    found: dict[str, dict[str, Used]] = {}
    for whose, product, *sums in rows:
        found.setdefault(whose, {})[product] = Used(*sums)
    return found
