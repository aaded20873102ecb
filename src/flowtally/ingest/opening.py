"""Opening usage after a power cut: a part that it tore is put aside where the journal has the rows of it.

The count decides, as at every start: what is in the table and what only the journal has must be what was acknowledged.
Then it goes on without that part, whose blocks are the tail again. Else all is put back, and the start is refused for
the part that is broken. Owns that order; leaves files to `usage.unsynced`, counting to `recovery`.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

import structlog

from flowtally.core.clock import now_ms
from flowtally.core.errors import BrokenParts, JournalBroken
from flowtally.usage.damage import parts_in
from flowtally.usage.journal import peek
from flowtally.usage.store import UsageStore
from flowtally.usage.unsynced import Unsynced

log = structlog.get_logger(__name__)

T = TypeVar("T")


def opened(
    open_usage: Callable[[], UsageStore], then: Callable[[UsageStore], T], directory: Path | None, journal: Path
) -> tuple[UsageStore, T]:
    """The usage store, and what becomes of it `then`, which counts. `directory`: of the engine in this process; None:
    its files are another's to mend. Either may be asked again after BrokenParts."""
    if directory is None:
        return _once(open_usage, then)
    aside = Unsynced(directory)
    aside.put_back()  # of a start that ended before it knew
    first: BrokenParts | None = None
    try:
        while True:
            try:
                found = _once(open_usage, then)
                break
            except BrokenParts as broken:
                first = first or broken
                if not (_has_records(journal) and aside.put_aside(parts_in(str(broken)))):
                    raise
    except BaseException as error:
        aside.put_back()
        if first is None or first is error or not isinstance(error, Exception):
            raise
        raise first from error  # without it rows are missing, or it is not the only one that is broken
    parts, place = aside.keep(str(now_ms()))
    if parts:
        log.warning("torn_parts_put_aside", parts=parts, place=str(place), detail=str(first))
    return found


def _once(open_usage: Callable[[], UsageStore], then: Callable[[UsageStore], T]) -> tuple[UsageStore, T]:
    usage = open_usage()
    try:
        return usage, then(usage)
    except BaseException:
        with suppress(Exception):
            usage.close()
        raise


def _has_records(journal: Path) -> bool:
    try:
        found = peek(journal)
    except JournalBroken:
        return False
    return found is not None and found.last > 0
