"""One text of SQL over two places: the table, and the rows that are not flushed into it yet. Pure.

A question says in its text which of it is asked of rows (`rows`, `leaf`). Rendered with a `View` each of these is asked
of the table and of the tail, and what is around it sees one relation; of a view without a tail the text stays what it
is, so projection, primary key and skip indexes serve it as ever. There is no second text for any question.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

_LEAF: Final = re.compile(r"/\*rows\*/(SELECT .*?) FROM usage_events(?: PREWHERE (.*?))? WHERE (.*?)/\*end\*/", re.S)


class View(msgspec.Struct, frozen=True):
    """What readers see at one moment: the rows of the table, and of the tail those of blocks after `flushed` up to
    `until`, and of the blocks set `aside`, in these tables. `by_rows`: the table may get rows meanwhile, so it is asked
    up to `flushed` only, which no projection can answer."""

    flushed: int = 0
    until: int = 0
    tables: tuple[str, ...] = ()
    aside: tuple[int, ...] = ()
    by_rows: bool = False


def rows(where: str, *, first: str = "", then: str = "") -> str:
    """A relation for FROM: the rows of table and tail that these conditions let through. `first`: conditions on small
    columns that are looked at first (PREWHERE); `then`: an order and a limit, which have to be said again around it."""
    return f"({leaf('*', where, first=first, then=then)}) AS usage_events"


def leaf(columns: str, where: str, *, first: str = "", then: str = "") -> str:
    """A SELECT that is asked of the table and of the tail. What it groups has to be added up around it."""
    before = f" PREWHERE {first}" if first else ""
    return f"/*rows*/SELECT {columns} FROM usage_events{before} WHERE {where}{then}/*end*/"


def render(text: str, view: View) -> str:
    """The text as it is asked."""
    return _LEAF.sub(lambda found: _both(found, view), text)


def _both(found: re.Match[str], view: View) -> str:
    select, first, where = found.groups()
    bound = f"block <= {view.flushed:d} AND " if view.by_rows else ""
    before = f" PREWHERE {first}" if first else ""
    of_table = f"{select} FROM usage_events{before} WHERE {bound}{where}"
    if not view.tables:
        return of_table
    inside = f"block <= {view.until:d} AND {_unflushed(view)}"
    conditions = f"{first} AND {where}" if first else where  # the engine takes PREWHERE of no table in memory
    of_tail = (f"({select} FROM {table} AS usage_events WHERE {inside} AND {conditions})" for table in view.tables)
    return " UNION ALL ".join((f"({of_table})", *of_tail))


def _unflushed(view: View) -> str:
    after = f"block > {view.flushed:d}"
    return f"({after} OR block IN ({', '.join(f'{one:d}' for one in view.aside)}))" if view.aside else after
