"""Counters that nobody reads any more: closed where they were to be read again by now, forgotten later.

Owns when. A counter whose readings say how often it is read is closed as `missing_stop` once it was silent for three
of those intervals; a server that was not running heard nothing, so its start counts like a reading. Closed ones are
forgotten a day later, others after a month: their rows know all of it, and one that comes again is looked up there
(`revival`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from flowtally.core.corrections import NOTHING
from flowtally.core.counters import close
from flowtally.ingest.counter_rows import MISSING, PlannedRow, ReadingsPlan
from flowtally.keys.counter_states import due_at
from flowtally.keys.values import Due, KnownCounter, Source

PAGE: Final = 1_000  # counters looked at in one block
LOOK_EVERY_S: Final = 1.0
AFTER_FAILURE_S: Final = 30.0


def plan_silence(due: Sequence[KnownCounter], now: int, started_at: int, sources: Mapping[int, Source]) -> ReadingsPlan:
    """What becomes of these, which may be silent too long."""
    plan = ReadingsPlan()
    for one in due:
        at = due_at(one.standing, max(one.seen_at, started_at) if one.is_watched else one.seen_at)
        if at > now:  # it was read since, or we were not there
            plan.due.append(Due(one.source, one.counter, at))
        elif one.is_watched:
            ended = replace(close(one.standing, one.standing.time, MISSING), flag=MISSING, flagged_at=now)
            plan.put((one.source, one.counter), ended)
            plan.rows.append(PlannedRow(sources[one.source].name, one.counter, now, ended, NOTHING, MISSING, {}))
        else:
            plan.forgotten.append(one)
            plan.new.update({one.source: -1, one.standing.account: -1})
    return plan
