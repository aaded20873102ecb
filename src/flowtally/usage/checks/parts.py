"""Is every part what was written? Its files, and what the engine took from them when it loaded the part.

Owns the looking, in two kinds. `look` reads all files of a part: CHECK compares those that `checksums.txt` lists, of
projections too, and the four small files it does not list are read here. `believed` costs next to nothing whatever
there is, and covers what no error would tell later: the engine takes counts, bounds of `received_at` and names of
columns from files without a checksum of their own, and a wrong one makes rows invisible. Leaves to `damage` what the
engine's words mean, to `projections` whether sums agree.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from flowtally.core.errors import StoreDamaged
from flowtally.usage.damage import Broken, read_broken
from flowtally.usage.engine import Engine
from flowtally.usage.projections import is_merged
from flowtally.usage.schema import TABLE
from flowtally.usage.text_files import OF_PROJECTIONS, PROJECTIONS, Columns, fault_of_columns, faults
from flowtally.usage.values import Tell

ROUNDS: Final = 3
LOOK_BYTES: Final = 1 << 30  # some two seconds of one core
_ACTIVE: Final = "active AND database = currentDatabase() AND table = {table:String}"
_BOUNDS: Final = (
    "SELECT _part, count(), toUnixTimestamp64Milli(min(received_at)), toUnixTimestamp64Milli(max(received_at))"
    " FROM {table} GROUP BY _part"
)


class PartsCheck:
    """The parts of one table. `settings` hold for every question."""

    def __init__(self, engine: Engine, table: str, settings: Mapping[str, Any] | None = None) -> None:
        self._engine = engine
        self._table = table
        self._settings = dict(settings or {})

    def names(self) -> list[str]:
        return sorted(self._paths())

    def since(self, block: int) -> list[str]:
        """The parts with blocks after this one; those that a merge wrote only as far as `LOOK_BYTES` go: a merge has
        read and synced all it wrote, and a start must not take longer the more there is."""
        text = f"SELECT DISTINCT _part FROM {self._table} WHERE block > {{block:UInt64}}"
        late = {part for (part,) in self._ask(text, block=block, optimize_use_projections=0)}
        text = f"SELECT name, bytes_on_disk FROM system.parts WHERE {_ACTIVE} ORDER BY level > 0, bytes_on_disk"
        left, found = LOOK_BYTES, []
        for part, size in self._ask(text, table=self._table):
            if part in late and (size <= left or not is_merged(part)):
                found.append(part)
                left -= size
        return found

    def look(self, part: str) -> Broken | None:
        """The first damage in a part's files. None too where the part is no longer there: a merge has read it."""
        return self._text_files(part) or self._checked(part)

    def believed(self) -> Iterator[Broken]:
        """Parts of which the engine believes what their rows or the schema do not say."""
        for asked in (self._indexes, self._bounds, self._columns, self._projections):
            try:
                yield from asked()
            except StoreDamaged as error:
                yield _broken(error)

    # Reading files

    def _checked(self, part: str) -> Broken | None:
        try:
            said = self._engine.check(self._table, part)
        except StoreDamaged as error:
            said = str(error.__cause__ or error)
        if not said or part not in self._paths():
            return None
        return read_broken(said, part)

    def _text_files(self, part: str) -> Broken | None:
        path = self._paths().get(part)
        if path is None or not self._engine.embedded:
            return None
        try:
            for place in (path, *sorted(path.glob("*.proj"))):
                schema = self._schema() if place == path else None
                if found := next(faults(place, schema), None):
                    return Broken(part, str((place / found[0]).relative_to(path)), found[1])
        except OSError as error:
            if part in self._paths():
                file = str(error.filename).removeprefix(f"{path}/")
                return Broken(part, file, error.strerror or "it cannot be read")
        return None

    def _schema(self) -> Columns:
        text = "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {table:String}"
        return [(name, kind) for name, kind in self._ask(f"{text} ORDER BY position", table=self._table)]

    def _paths(self) -> dict[str, Path]:
        rows = self._ask(f"SELECT name, path FROM system.parts WHERE {_ACTIVE}", table=self._table)
        return {name: Path(path) for name, path in rows}

    # What the engine holds in memory

    def _indexes(self) -> Iterator[Broken]:
        """The index of a part is loaded at its first use: a start that did not use it would open and fail later."""
        projected = (f"mergeTreeProjection(currentDatabase(), {self._table}, {name})" for name in PROJECTIONS)
        for source in (self._table, *projected):
            try:
                self._ask(f"SELECT count() FROM {source} WHERE series = ''", optimize_use_projections=0)
            except StoreDamaged as error:
                yield _broken(error)

    def _bounds(self) -> Iterator[Broken]:
        text = _BOUNDS.format(table=self._table)
        held = {row[0]: row[1:] for row in self._ask(text)}
        rows = self._ask(text, optimize_use_implicit_projections=0, optimize_use_projections=0)
        for part, count, first, last in rows:
            if part in held and held[part][0] != count:
                yield Broken(part, "count.txt", f"the engine took {held[part][0]} rows from it, there are {count}")
            elif part in held and held[part][1:] != (first, last):
                bounds = " to ".join(str(one) for one in held[part][1:])
                told = f"rows received from {first} to {last} are there, the engine took {bounds} from it"
                yield Broken(part, "minmax_received_at.idx", told)

    def _columns(self) -> Iterator[Broken]:
        text = (
            "SELECT columns, groupArray(name) FROM (SELECT name, groupArray((column, type)) AS columns"
            f" FROM system.parts_columns WHERE {_ACTIVE} GROUP BY name) GROUP BY columns"
        )
        for columns, parts in self._ask(text, table=self._table):
            if fault := fault_of_columns(columns, self._schema()):
                yield from (Broken(part, "columns.txt", fault) for part in parts)

    def _projections(self) -> Iterator[Broken]:
        columns = "parent_name, name, toValidUTF8(exception)"
        text = f"SELECT {columns} FROM system.projection_parts WHERE {_ACTIVE} AND is_broken"
        for part, name, exception in self._ask(text, table=self._table):
            yield read_broken(f"broken projection `{name}` {exception}", part) or Broken(part, f"{name}.proj", "")
        text = (
            "SELECT parent_name, name, countIf((column, type) IN ({known:Array(Tuple(String, String))}))"
            f" FROM system.projection_parts_columns WHERE {_ACTIVE} GROUP BY parent_name, name"
        )
        for part, name, known in self._ask(text, table=self._table, known=list(OF_PROJECTIONS.items())):
            if known != PROJECTIONS.get(name):
                yield Broken(part, f"{name}.proj/columns.txt", "its columns are not those of the projection")

    def _ask(self, text: str, **parameters: Any) -> list[tuple[Any, ...]]:
        settings = {name: parameters.pop(name) for name in list(parameters) if name.startswith("optimize_")}
        return self._engine.rows(text, parameters, **{**self._settings, **settings})


def look_at_all(engine: Engine, tell: Tell) -> tuple[int, list[Broken]]:
    """Every part of every table: how many were read, and those that are broken. What merges made meanwhile is looked at
    too, but for what the last of `ROUNDS` rounds would find new: a merge reads all it takes."""
    read, found = 0, []
    for (table,) in engine.rows("SHOW TABLES"):
        check, seen = PartsCheck(engine, table, {"max_threads": 1, "max_execution_time": 0}), set[str]()
        for _ in range(ROUNDS):
            new = [part for part in check.names() if part not in seen]
            for number, part in enumerate(new):
                tell("parts", number, len(new))
                found += [one] if (one := check.look(part)) else []
            seen.update(new)
        read += len(seen)
        if table == TABLE:
            found += [one for one in check.believed() if not _is_named(one, found)]
    return read, found


def _broken(error: StoreDamaged) -> Broken:
    return read_broken(str(error.__cause__ or error)) or Broken("of unknown name", "", error.detail)


def _is_named(one: Broken, found: Sequence[Broken]) -> bool:
    """One part is not told twice, but for its projections."""
    return any(other.part == one.part and other.in_projection == one.in_projection for other in found)
