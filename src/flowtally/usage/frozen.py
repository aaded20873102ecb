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
from flowtally.usage.clickhouse import TABLE, ClickHouseStore
from flowtally.usage.damage import read_broken
from flowtally.usage.store import UsageStore

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


def can_freeze(usage: UsageStore) -> bool:
    return isinstance(usage, ClickHouseStore) and usage.engine.embedded


def freeze(usage: UsageStore, name: str) -> Frozen:
    """Every row that is there now. `name` is of our own making."""
    assert isinstance(usage, ClickHouseStore)
    assert usage.engine.path is not None
    assert name.isalnum()
    usage.engine.command(f"ALTER TABLE {TABLE} FREEZE WITH NAME '{PREFIX}{name}'")
    return Frozen(usage.engine.path / "shadow" / f"{PREFIX}{name}")


def surplus(usage: UsageStore) -> int:
    """By how much the entries are more than the rows, because old ones are rolled up."""
    assert isinstance(usage, ClickHouseStore)
    return usage.guard.extents.surplus


def remove_leftovers(usage: UsageStore) -> None:
    """What a process that died while it made a backup left frozen."""
    assert isinstance(usage, ClickHouseStore)
    if usage.engine.path is not None:
        for left in (usage.engine.path / "shadow").glob(f"{PREFIX}*"):
            shutil.rmtree(left, ignore_errors=True)


def put_back(usage: UsageStore, parts: list[Path]) -> None:
    """Copy parts into an empty store of the same schema. BackupBroken where the engine does not take one in, which it
    does without reading it."""
    assert isinstance(usage, ClickHouseStore)
    [(paths,)] = usage.engine.rows(
        "SELECT data_paths FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": TABLE},
    )
    for part in parts:
        shutil.copytree(part, Path(paths[0]) / "detached" / part.name)
        try:
            usage.engine.command(f"ALTER TABLE {TABLE} ATTACH PART '{part.name}'")
        except (ClickHouseError, StoreDamaged) as error:
            raise BackupBroken(f"A part cannot be taken in: {_reason(error, part.name)}") from error


def _reason(error: Exception, part: str) -> str:
    return str(read_broken(str(error.__cause__ or error), part))


def schema_of(usage: UsageStore) -> int:
    """The number of the last migration."""
    assert isinstance(usage, ClickHouseStore)
    return int(usage.engine.rows("SELECT max(number) FROM schema_migrations")[0][0])
