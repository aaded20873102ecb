"""Emptying the texts of rows of users, or of whole accounts: labels, and why corrections were made (decision 0024).

No quantity or key is touched, and no projection holds these texts: the engine writes anew the two columns of the parts
concerned and links the projections as they are (seen in a trace). Of an account what its providers said loses the
vendors' names of sub-users, too, which a projection does hold: there all of it becomes use of nobody in particular, and
the engine makes that part's projections anew (decision 0117). Under our merge settings it syncs what it
writes before the part takes its place (seen too), so a power cut leaves each part as it was or as it shall be. A
mutation is the engine's own promise: one that a dying process left is carried on by the next.

Owns the statements and their order. Old parts stay on the disk for minutes, in case; here they must not.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from typing import Final, Literal, TypeAlias

from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.errors import Unavailable
from flowtally.core.events import METERED
from flowtally.usage import relation
from flowtally.usage.engine import Engine
from flowtally.usage.faults import meaning
from flowtally.usage.values import Tell

LOOK_S: Final = 0.05
GIVE_UP_S: Final = 900  # for a question that still reads an old part: none lasts longer
Whose: TypeAlias = Literal["user", "account"]  # the column that says whose rows are meant
# Of use it is the rule by which a reading was counted: that tells nothing of anybody, is counted, and stays.
_HAS_TEXT: Final = "(notEmpty(labels) OR (reason != '' AND kind != 'use'))"
# In a provider's series the vendor's own names of its sub-users stand where ids of ours do, and in keys of figures.
_HAS_NAME: Final = f"(series != '{METERED}' AND (user != '' OR refers_to != ''))"
_TEXTS: Final[Mapping[Whose, str]] = {"user": f"series = '{METERED}' AND {_HAS_TEXT}", "account": _HAS_TEXT}
_ANY: Final[Mapping[Whose, str]] = {"user": _TEXTS["user"], "account": f"({_HAS_TEXT} OR {_HAS_NAME})"}
_NO_NAME: Final = "user = '', refers_to = ''"
_EMPTY: Final = "labels = CAST(map(), 'Map(LowCardinality(String), String)'), reason = if(kind = 'use', reason, '')"
_OURS: Final = "database = currentDatabase() AND table = {table:String}"
SETTINGS: Final = {"optimize_use_projections": 0, "max_execution_time": 0}
NO_MONTH: Final = 190001  # no block was received in 1900


def with_texts(whose: Whose) -> str:
    """Those of `ids` that have rows with labels, with reasons that somebody wrote, or (of accounts) with a vendor's
    names of its sub-users; of table and tail."""
    return f"SELECT DISTINCT toString({whose}) AS one FROM {relation.rows(_of(whose, _ANY[whose]))} ORDER BY one"


def erase(engine: Engine, table: str, whose: Whose, ids: Sequence[str], tell: Tell) -> None:
    """Unavailable or StorageFull where the engine could not; the rows are then as they were, part by part."""
    _finish_mutations(engine, table, tell)  # what a process that died had begun
    changes = [(_EMPTY, _TEXTS[whose])]
    if whose == "account":  # by itself, for it makes the projections of a part anew, and few parts have such rows
        changes.append((_NO_NAME, _HAS_NAME))
    for change, those in changes:
        for month in _months(engine, table, _of(whose, those), ids):
            engine.command(_statement(table, month, _of_these(whose, ids), change, those))
            _finish_mutations(engine, table, tell)
    if engine.embedded:
        os.sync()  # the names of the new parts too, before the old ones go
    _drop_old_parts(engine, table, tell)


def _statement(table: str, month: int, whose: str, change: str, those: str) -> str:
    where = f"IN PARTITION {month:d} WHERE {whose} AND {those}"
    return f"ALTER TABLE {table} UPDATE {change} {where} SETTINGS mutations_sync = 0"


def _of_these(whose: Whose, ids: Sequence[str]) -> str:
    """A mutation takes no values. Whoever runs flowtally chooses the ids of accounts, so they are written in
    hexadecimal."""
    listed = ", ".join(f"unhex('{one.encode().hex()}')" for one in ids)
    return f"{whose} IN ({listed})"


def _of(whose: Whose, those: str) -> str:
    return f"{whose} IN {{ids:Array(String)}} AND {those}"


def _months(engine: Engine, table: str, those: str, ids: Sequence[str]) -> list[int]:
    """The partitions with something to empty: parts of others are not written anew."""
    text = f"SELECT DISTINCT toYYYYMM(received_at) AS month FROM {table} WHERE {those} ORDER BY month"
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
