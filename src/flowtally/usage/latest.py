"""How late rows may be dated: a bucket that is cut behind the last of them is a whole one, and the projection has it.

"What is left now" cuts the quarter hour that is running, and nothing in it is dated later than now: without this every
balance would read that quarter hour from rows, in a statement twice as long for the engine to plan. Owns that bound, of
one writer: what the table had is asked once, by the projection; each block tells of itself before readers see it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.core.times import BEGINNING
from flowtally.usage.engine import Engine
from flowtally.usage.queries import BUCKET
from flowtally.usage.schema import TABLE
from flowtally.usage.values import BUCKET_MS, Block

LATEST_BUCKET: Final = f"SELECT {BUCKET} AS bucket FROM {TABLE} GROUP BY bucket ORDER BY bucket DESC LIMIT 1"


class Latest:
    """No row is dated at or after the bound, whoever wrote it: for as long as one writer alone adds to the table."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._of_table: int | None = None  # None: not asked yet
        self._of_blocks = BEGINNING

    def append(self, block: Block) -> None:
        """Call it before the rows are there, in the one thread that writes."""
        times = block.rows.column("time").to_numpy()  # for one row a sixth of the time that Arrow's own maximum takes
        if times.size:
            self._of_blocks = max(self._of_blocks, int(times.max()) + 1)

    def whole(self, edges: Sequence[int]) -> Sequence[int]:
        """The same edges; the last one at the end of its bucket where no row lies between the two."""
        end = -(-edges[-1] // BUCKET_MS) * BUCKET_MS
        if end == edges[-1] or self._bound() > edges[-1]:
            return edges
        return [*edges[:-1], end]

    def _bound(self) -> int:
        if self._of_table is None:
            found = self._engine.rows(LATEST_BUCKET)
            # The whole of its last bucket: which of its instants was the last, only its rows could say.
            self._of_table = (found[0][0] + 1) * BUCKET_MS if found else BEGINNING
        return max(self._of_table, self._of_blocks)
