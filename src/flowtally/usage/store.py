"""A usage store as a whole: all verbs, and what only some stores can do besides.

Owns no SQL. `clickhouse.py` (chDB in the process or a ClickHouse server) and `memory.py` (the slow, obvious reference)
are the two; each has all verbs of `verbs`, and no other, and the same tests run over both.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from flowtally.usage.shelf import Shelf
from flowtally.usage.verbs import Blocks, Claims, Owned, SaidFigures, Texts, UsageReader, Wholeness

if TYPE_CHECKING:
    from flowtally.usage.checks.rows import RowsCheck
    from flowtally.usage.compaction import Compaction
    from flowtally.usage.frozen import Freezing


class UsageStore(UsageReader, SaidFigures, Blocks, Claims, Owned, Wholeness, Texts, Protocol):
    """For who opens and closes a store, and hands its parts to those who ask. What a store cannot do is None."""

    shelf: Shelf  # the newest blocks, for who follows them

    @property
    def compaction(self) -> Compaction | None:
        """How old months become few rows; None: nothing is kept."""

    @property
    def rows_check(self) -> RowsCheck | None:
        """What the rows say of themselves; None: nothing is kept."""

    @property
    def freezing(self) -> Freezing | None:
        """The rows of a moment as files; None: they are not in this process."""

    def measures(self) -> dict[str, float]:
        """Gauges for /metrics."""

    def close(self) -> None: ...
