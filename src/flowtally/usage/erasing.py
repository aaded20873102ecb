"""Emptying the texts of rows of users, or of whole accounts: labels, and why corrections were made (decision 0024).

No quantity, dimension or key is touched, and no projection holds a text: the engine writes anew the two columns of the
parts concerned and links the projections as they are (seen in a trace). Under our merge settings it syncs what it
writes before the part takes its place (seen too), so a power cut leaves each part as it was or as it shall be. A
mutation is the engine's own promise: one that a dying process left is carried on by the next.

Owns the statements and their order. Old parts stay on the disk for minutes, in case; here they must not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from typing import Final, Literal, TypeAlias

from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.errors import Unavailable
from flowtally.usage import relation
from flowtally.usage.engine import Engine
from flowtally.usage.faults import meaning
from flowtally.usage.values import Tell

LOOK_S: Final = 0.05
GIVE_UP_S: Final = 900  # for a question that still reads an old part: none lasts longer
Whose: TypeAlias = Literal["user", "account"]  # the column that says whose rows are meant
# Of use it is the rule by which a reading was counted: that tells nothing of anybody, is counted, and stays.
_HAS_TEXT: Final = "(notEmpty(labels) OR (reason != '' AND kind != 'use'))"
_EMPTY: Final = "labels = CAST(map(), 'Map(LowCardinality(String), String)'), reason = if(kind = 'use', reason, '')"
_OURS: Final = "database = currentDatabase() AND table = {table:String}"
SETTINGS: Final = {"optimize_use_projections": 0, "max_execution_time": 0}
NO_MONTH: Final = 190001  # no block was received in 1900


def with_texts(whose: Whose) -> str:
    """Those of `ids` that have rows with labels, or with reasons that somebody wrote; of table and tail."""
    return f"SELECT DISTINCT toString({whose}) AS one FROM {relation.rows(_of(whose))} ORDER BY one"


def erase(engine: Engine, table: str, whose: Whose, ids: Sequence[str], tell: Tell) -> None:
    """Unavailable or StorageFull where the engine could not; the rows are then as they were, part by part."""
    _finish_mutations(engine, table, tell)  # what a process that died had begun
    for month in _months(engine, table, whose, ids):
        engine.command(_statement(table, month, whose, ids))
        _finish_mutations(engine, table, tell)
    if engine.embedded:
        os.sync()  # the names of the new parts too, before the old ones go
    _drop_old_parts(engine, table, tell)


def _statement(table: str, month: int, whose: Whose, ids: Sequence[str]) -> str:
    """It takes no values. Whoever runs flowtally chooses the ids of accounts, so they are written in hexadecimal."""
    listed = ", ".join(f"unhex('{one.encode().hex()}')" for one in ids)
    where = f"IN PARTITION {month:d} WHERE {whose} IN ({listed}) AND {_HAS_TEXT}"
    return f"ALTER TABLE {table} UPDATE {_EMPTY} {where} SETTINGS mutations_sync = 0"


def _of(whose: Whose) -> str:
    return f"{whose} IN {{ids:Array(String)}} AND {_HAS_TEXT}"


def _months(engine: Engine, table: str, whose: Whose, ids: Sequence[str]) -> list[int]:
    """The partitions with something to empty: parts of others are not written anew."""
    text = f"SELECT DISTINCT toYYYYMM(received_at) AS month FROM {table} WHERE {_of(whose)} ORDER BY month"
    return [row[0] for row in engine.rows(text, {"ids": list(ids)}, **SETTINGS)]


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
