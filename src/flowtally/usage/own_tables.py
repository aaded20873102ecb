"""The tables that one writer makes for itself, and whoever writes after it drops: of the tail, and for a flush.

They are named by who made them (`token`), so that a statement of a writer that is gone, still on its way to a server,
names a table that is not there any more: it can neither insert nor move.
"""

from __future__ import annotations

import re
from typing import Final

from flowtally.usage.engine import Engine
from flowtally.usage.schema import TABLE

_NAMES: Final = "^usage_(tail|staged)_[0-9a-z]+_[0-9]+$"
# A flush that a power cut tore is found in the journal again, so what is broken in its table must not keep the engine
# from opening; and nothing of it is to stay on the disk.
_LOOSE: Final = {
    "max_suspicious_broken_parts": 10**9,
    "max_suspicious_broken_parts_bytes": 10**15,
    "old_parts_lifetime": 0,
}
# A column is written through buffers of some megabytes, whatever it has to hold, unless they may begin small: of all 25
# and of the projections these are a sixth of what a flush takes. A server that does not know it is not asked for it.
_SMALL_BUFFERS: Final = "min_columns_to_activate_adaptive_write_buffer"
_SETTING: Final = re.compile(rf",?\s*\b(?:{'|'.join(_LOOSE)}) = [^,\s]+")


def tail_table(token: str, number: int) -> str:
    return f"usage_tail_{token}_{number:d}"


def staged_table(token: str, number: int) -> str:
    return f"usage_staged_{token}_{number:d}"


def is_one(table: str) -> bool:
    return re.match(_NAMES, table) is not None


def drop_all(engine: Engine) -> list[str]:
    """Whatever earlier writers left; for who alone may write. The names of what was there."""
    text = (
        f"SELECT name FROM system.tables WHERE database = currentDatabase() AND match(name, '{_NAMES}') ORDER BY name"
    )
    found = [name for (name,) in engine.rows(text)]
    for name in found:
        engine.command(f"DROP TABLE IF EXISTS {name} SYNC")
    return found


def staging(engine: Engine) -> str:
    """How the engine makes a table as the usage table is, with `{name}` for its name."""
    text = "SELECT create_table_query FROM system.tables WHERE database = currentDatabase() AND name = {table:String}"
    [(made,)] = engine.rows(text, {"table": TABLE})
    head, body = str(made).split(TABLE, 1)
    before, _, settings = body.rpartition(" SETTINGS ")
    kept = _SETTING.sub("", settings).lstrip(", ")
    known = engine.rows(
        "SELECT name FROM system.merge_tree_settings WHERE name = {name:String}", {"name": _SMALL_BUFFERS}
    )
    more = ", ".join(f"{name} = {value:d}" for name, value in (_LOOSE | {name: 1 for (name,) in known}).items())
    head, before = (text.replace("{", "{{").replace("}", "}}") for text in (head, before))
    return f"{head}{{name}}{before} SETTINGS {kept}, {more}"
