"""The SQL about what providers said: the rows under a key add up to what was said last. Pure: from a question to text
and bound parameters.

The primary key (series, account, time) leads to them: a series of an account has thousands of rows, not millions. They
are never compacted (`compaction`), for a compacted row bears no key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from flowtally.usage.queries import BOUNDS, Query
from flowtally.usage.relation import rows
from flowtally.usage.values import FigureStretch

_OF: Final = "series = {series:String} AND account = {account:String}"
_SAID: Final = (
    "refers_to, toUnixTimestamp64Milli(min(time)), argMin(toString(user), (block, place)),"
    " argMin(toString(product), (block, place)), count(), sum(toInt128(bytes_down)), sum(toInt128(requests))"
)


def said_in(stretch: FigureStretch) -> Query:
    asked = {"series": stretch.series, "account": stretch.account, "prefix": stretch.prefix}
    where = " AND ".join((_OF, *BOUNDS, "startsWith(refers_to, {prefix:String})"))
    if stretch.user is None:
        return _said(where, asked | {"first": stretch.start, "last": stretch.end})
    whose = {"first": stretch.start, "last": stretch.end, "user": stretch.user}
    return _said(f"{where} AND user = {{user:String}}", asked | whose)


def said_under(series: str, account: str, keys: Sequence[str]) -> Query:
    where = f"{_OF} AND refers_to IN {{keys:Array(String)}}"
    return _said(where, {"series": series, "account": account, "keys": list(keys)})


def _said(where: str, asked: dict[str, Any]) -> Query:
    return Query(f"SELECT {_SAID} FROM {rows(where)} GROUP BY refers_to ORDER BY refers_to", asked)
