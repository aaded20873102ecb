"""Are the tables what our migrations make? The engine keeps a text of each, without a checksum, and opens over whatever
it says: another default, another number of an enum, other buckets of a projection, a setting that syncs nothing.

Owns the comparison: with `schema/made`, which has each table as the engine tells it; where that differs, with a table
that this engine makes anew and drops again, for another version may tell the same otherwise. The order of columns is
not compared: one that was added later may stand elsewhere, and rows are written by name. Leaves parts to
`checks.parts`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any, Final, Protocol

from flowtally.core.errors import TableChanged
from flowtally.core.texts import printable
from flowtally.usage.schema import MADE, MIGRATIONS_TABLE, Made, migrations

# Set while an erasure removes old files: a server that was killed meanwhile leaves it, and the erasure that goes on at
# the next start takes it back.
FOR_A_MOMENT: Final = "old_parts_lifetime = 0"
SHOWN: Final = 160  # characters of what differs
_DECIDED: Final = re.compile(r"usage_fold_[0-9]{6}")  # months on their way: tables made as the table of usage
_HEAD: Final = re.compile(r"ATTACH TABLE _ UUID '[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}'\n")
_SPARE: Final = "made_anew_"  # there for the moment of a comparison


class Database(Protocol):
    """What is asked of the engine: questions and statements, and where its files are (None: elsewhere)."""

    @property
    def path(self) -> Path | None: ...

    @property
    def database(self) -> str: ...

    def rows(self, text: str, parameters: Mapping[str, Any] | None = None) -> list[tuple[Any, ...]]: ...

    def command(self, text: str) -> None: ...


def check(engine: Database, migration: int) -> None:
    """TableChanged where a table that no migration after this one changes is not what they make."""
    found = _read_all(engine)
    for made in (one for one in MADE if one.since <= migration):
        if made.table not in found and migration:
            raise TableChanged(f"The usage store has no table {made.table}, though its making is recorded")
        of_it = [made.table] + [name for name in found if made.table == "usage_events" and _DECIDED.fullmatch(name)]
        for name in of_it:
            if name in found and _lines(found[name]) != _lines(made.text):
                _compare_anew(engine, made, name, found[name])


def _compare_anew(engine: Database, made: Made, name: str, found: str) -> None:
    if said := _difference(found, _made_anew(engine, made.table)):
        raise TableChanged(f"The usage store's table {name} is not what flowtally makes{_place(engine, name)}: {said}")


def find_changed(path: Path) -> list[str]:
    """What the files of a directory say otherwise, of an engine that does not open: it tells nobody why."""
    told = []
    for made in MADE:
        for file in path.glob(f"metadata/*/{made.table}.sql"):
            text = file.read_text(errors="backslashreplace")
            if said := _difference(text, made.text):
                told.append(f"{file}: {said}")
            elif not _HEAD.match(text):
                told.append(f"{file}: its first line is {_shown(text.splitlines()[:1])}, without an id that can be one")
    return told


def _read_all(engine: Database, prefix: str = "") -> dict[str, str]:
    """Tables of ours that are there, and how the engine tells them."""
    names = f"^{prefix}({'|'.join(one.table for one in MADE)}|{_DECIDED.pattern})$"
    text = (
        "SELECT name, formatQuery(create_table_query) FROM system.tables"
        " WHERE database = currentDatabase() AND match(name, {names:String})"
    )
    return dict(engine.rows(text, {"names": names}))


def _made_anew(engine: Database, table: str) -> str:
    spare = f"{_SPARE}{table}"
    named = re.compile(rf"\bTABLE (IF NOT EXISTS )?{table}\b")
    engine.command(f"DROP TABLE IF EXISTS {spare} SYNC")
    try:
        for statement in [MIGRATIONS_TABLE, *(one for each in migrations() for one in each.statements)]:
            if named.search(statement):
                engine.command(named.sub(rf"TABLE \1{spare}", statement))
        return _read_all(engine, _SPARE)[spare]
    finally:
        engine.command(f"DROP TABLE IF EXISTS {spare} SYNC")


def _place(engine: Database, table: str) -> str:
    return f" ({engine.path / 'metadata' / engine.database / table}.sql)" if engine.path else ""


def _difference(found: str, expected: str) -> str:
    """The first one in words, empty where there is none."""
    ours, theirs = _lines(expected), _lines(found)
    for change, a, b, c, d in SequenceMatcher(None, ours, theirs, autojunk=False).get_opcodes():
        if change != "equal":
            return f"{_shown(theirs[c:d])} where {_shown(ours[a:b])} belongs"
    return ""


def _shown(lines: Sequence[str]) -> str:
    return repr(printable(" ".join(line.strip() for line in lines), SHOWN)) if lines else "nothing"


def _lines(text: str) -> list[str]:
    """But for its name; columns in the order of their names, each setting on a line."""
    head, _, body = text.strip().partition("\n")
    lines = [line for whole in body.split("\n") for line in _settings(whole) if line.rstrip(",") != FOR_A_MOMENT]
    columns = sorted(line.removesuffix(",") for line in lines if line.startswith("    `"))
    kind = head.split(" ")[1:2]  # CREATE TABLE in an answer, ATTACH TABLE in a file
    return [*kind, *columns, *(line.removesuffix(",") for line in lines if not line.startswith("    `"))]


def _settings(line: str) -> list[str]:
    return line.replace(", ", ",\n").split("\n") if line.startswith("SETTINGS ") else [line]
