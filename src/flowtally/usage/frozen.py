"""The rows of one moment as files: hard links the engine makes (FREEZE), and the way back (ATTACH PART).

Parts are never changed, so a link keeps what a merge would remove, costs no room and takes milliseconds. Only for the
engine in this process: the files of a server are on its own machine.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Final

from clickhouse_connect.driver.exceptions import ClickHouseError

from flowtally.core.errors import BackupBroken, StoreDamaged
from flowtally.usage.damage import read_broken
from flowtally.usage.engine import Engine
from flowtally.usage.schema import TABLE

PREFIX: Final = "flowtally_"  # of the names of what we freeze, by which a dead process's is known; `-` would be escaped


class Frozen:
    """Links to every active part, until `thaw`."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def parts(self) -> list[Path]:
        """The directories of the parts, named as the parts are; none where there are no rows."""
        return sorted(one for one in self.root.glob("store/*/*/*") if one.is_dir())

    def rows(self) -> int:
        """As the parts themselves say."""
        return sum(int((part / "count.txt").read_text()) for part in self.parts())

    def thaw(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


class Freezing:
    """The rows of an engine in this process. `path`: where it keeps its files."""

    def __init__(self, engine: Engine, path: Path) -> None:
        self._engine = engine
        self._path = path

    def freeze(self, name: str) -> Frozen:
        """Every row that is there now. `name` is of our own making."""
        assert name.isalnum()
        self._engine.command(f"ALTER TABLE {TABLE} FREEZE WITH NAME '{PREFIX}{name}'")
        return Frozen(self._path / "shadow" / f"{PREFIX}{name}")

    def remove_leftovers(self) -> None:
        """What a process that died while it made a backup left frozen."""
        for left in (self._path / "shadow").glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)

    def put_back(self, parts: list[Path]) -> None:
        """Copy parts into an empty store of the same schema. BackupBroken where the engine does not take one in, which
        it does without reading it."""
        [(paths,)] = self._engine.rows(
            "SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
            {"table": TABLE},
        )
        for part in parts:
            shutil.copytree(part, Path(paths[0]) / "detached" / part.name)
            try:
                self._engine.command(f"ALTER TABLE {TABLE} ATTACH PART '{part.name}'")
            except (ClickHouseError, StoreDamaged) as error:
                raise BackupBroken(f"A part cannot be taken in: {_reason(error, part.name)}") from error

    def schema(self) -> int:
        """The number of the last migration."""
        return int(self._engine.rows("SELECT max(number) FROM schema_migrations")[0][0])


def _reason(error: Exception, part: str) -> str:
    return str(read_broken(str(error.__cause__ or error), part))
