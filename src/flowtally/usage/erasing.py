"""Emptying the texts of users' rows: labels, and why corrections were made (decision 0024).

No quantity, dimension or key is touched, and no roll-up holds a text: the engine writes anew the two columns of the
parts concerned and links the roll-ups as they are (seen in a trace). Under our merge settings it syncs what it writes
before the part takes its place (seen too), so a power cut leaves each part as it was or as it shall be. A mutation is
the engine's own promise: one that a dying process left is carried on by the next.

Owns the statements and their order. Old parts stay on the disk for minutes, in case; here they must not.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Sequence
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.errors import Unavailable
from flowtally.usage.engine import Engine
from flowtally.usage.faults import meaning
from flowtally.usage.store import Tell

LOOK_S: Final = 0.05
GIVE_UP_S: Final = 900  # for a question that still reads an old part: none lasts longer
_USER_ID: Final = re.compile(r"[A-Za-z0-9_-]{1,256}")  # it goes into a statement that takes no values
# Of use it is the rule by which a reading was counted: that tells nothing of anybody, is counted, and stays.
_HAS_TEXT: Final = "(notEmpty(labels) OR (reason != '' AND kind != 'use'))"
_EMPTY: Final = "labels = CAST(map(), 'Map(LowCardinality(String), String)'), reason = if(kind = 'use', reason, '')"
_OURS: Final = "database = currentDatabase() AND table = {table:String}"
_SETTINGS: Final = {"optimize_use_projections": 0, "max_execution_time": 0}
NO_MONTH: Final = 190001  # no block was received in 1900


def with_texts(engine: Engine, table: str, users: Sequence[str]) -> list[str]:
    """Those of these users that have rows with labels, or with reasons that somebody wrote."""
    text = f"SELECT DISTINCT toString(user) AS u FROM {table} WHERE user IN {{users:Array(String)}} AND {_HAS_TEXT}"
    return [row[0] for row in engine.rows(f"{text} ORDER BY u", {"users": list(users)}, **_SETTINGS)]


def erase(engine: Engine, table: str, users: Sequence[str], tell: Tell) -> None:
    """Unavailable or StorageFull where the engine could not; the rows are then as they were, part by part."""
    _finish_mutations(engine, table, tell)  # what a process that died had begun
    for month in _months(engine, table, users):
        engine.command(_statement(table, month, users))
        _finish_mutations(engine, table, tell)
    if engine.embedded:
        os.sync()  # the names of the new parts too, before the old ones go
    _drop_old_parts(engine, table, tell)


def _statement(table: str, month: int, users: Sequence[str]) -> str:
    assert all(_USER_ID.fullmatch(one) for one in users), "user ids are of our own making"
    listed = ", ".join(f"'{one}'" for one in users)
    where = f"IN PARTITION {month:d} WHERE user IN ({listed}) AND {_HAS_TEXT}"
    return f"ALTER TABLE {table} UPDATE {_EMPTY} {where} SETTINGS mutations_sync = 0"


def _months(engine: Engine, table: str, users: Sequence[str]) -> list[int]:
    """The partitions with something to empty: parts of others are not written anew."""
    where = f"user IN {{users:Array(String)}} AND {_HAS_TEXT}"
    text = f"SELECT DISTINCT toYYYYMM(received_at) AS month FROM {table} WHERE {where} ORDER BY month"
    return [row[0] for row in engine.rows(text, {"users": list(users)}, **_SETTINGS)]


def _finish_mutations(engine: Engine, table: str, tell: Tell) -> None:
    most = 0
    while left := _unfinished(engine, table):
        parts = sum(to_do for _, to_do, _ in left)
        most = max(most, parts)
        tell("labels", most - parts, most)
        for mutation, _, failed in left:
            if failed:  # else it would be tried for ever, and stand in the way of every later change
                engine.command(f"KILL MUTATION WHERE table = '{table}' AND mutation_id = '{mutation}'")
                error = ClickHouseError(failed)
                raise meaning(error) or Unavailable(f"Labels could not be erased: {failed[:300]}") from error
        time.sleep(LOOK_S)


def _unfinished(engine: Engine, table: str) -> list[tuple[str, int, str]]:
    text = f"SELECT mutation_id, parts_to_do, latest_fail_reason FROM system.mutations WHERE {_OURS} AND NOT is_done"
    return [(row[0], int(row[1]), row[2]) for row in engine.rows(text, {"table": table})]


def _drop_old_parts(engine: Engine, table: str, tell: Tell) -> None:
    """Parts that were replaced are removed now instead of after `old_parts_lifetime`. That is safe here: what replaced
    them is synced. Whoever still reads one keeps it a moment longer."""
    until = time.monotonic() + GIVE_UP_S
    try:
        engine.command(f"ALTER TABLE {table} MODIFY SETTING old_parts_lifetime = 0")
        while left := _old_parts(engine, table):
            tell("old files", 0, left)
            if time.monotonic() > until:
                raise Unavailable("Old files of usage are still being read; the erasure is not finished")
            # Dropping a month that does not exist is how this engine is made to look for old parts at once: by itself
            # it does twice a minute.
            engine.command(f"ALTER TABLE {table} DROP PARTITION {NO_MONTH}")
            time.sleep(LOOK_S)
    finally:
        engine.command(f"ALTER TABLE {table} RESET SETTING old_parts_lifetime")


def _old_parts(engine: Engine, table: str) -> int:
    text = f"SELECT count() FROM system.parts WHERE {_OURS} AND NOT active"
    return int(engine.rows(text, {"table": table})[0][0])
