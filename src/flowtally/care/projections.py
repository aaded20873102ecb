"""The projections of each part against its rows. Merges replace parts while they are looked at: what a part became is
looked at in the next round."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.care.finding import Find
from flowtally.care.job import Progress
from flowtally.usage.checks.rows import RowPart, RowsCheck

ROUNDS: Final = 10


class Projections:
    """One look at all parts with rows of blocks up to `block`, but those `without`, whose rows cannot be read. `notes`
    get what could not be compared."""

    def __init__(
        self, rows: RowsCheck, block: int, find: Find, say: Progress, notes: list[str], without: Sequence[str] = ()
    ) -> None:
        self._rows = rows
        self._block = block
        self._find = find
        self._say = say
        self._notes = notes
        self._without = without

    def check(self) -> int:
        """How many rows were looked at."""
        seen: set[str] = set()
        looked_at = 0
        for _ in range(ROUNDS):
            parts = [part for part in self._rows.parts(self._block, self._without) if part.name not in seen]
            if not parts:
                return looked_at
            total = sum(part.rows for part in parts)
            for part in parts:
                if self._rows.is_active(part.name):
                    looked_at += self._look_at(part, seen)
                self._say("roll-ups", looked_at, total)
        self._notes.append(
            "Merges kept replacing parts: the projections of the newest were not compared; verify again."
        )
        return looked_at

    def _look_at(self, part: RowPart, seen: set[str]) -> int:
        whole = True
        for portion in range(self._rows.slices(part)):
            whole = whole and self._rows.agrees(part, portion)
            self._say("roll-ups", portion, self._rows.slices(part))
        if not self._rows.is_active(part.name):
            return 0  # merged away meanwhile: what it became is looked at in the next round
        seen.add(part.name)
        if not whole:
            self._name_accounts(part)
        return part.rows

    def _name_accounts(self, part: RowPart) -> None:
        unreadable, differing = self._rows.differing_accounts(part)
        where = f"part {part.name}"
        if unreadable:
            self._find("roll_up", where, f"its projection {', '.join(unreadable)} is missing or cannot be read")
        elif not differing:
            self._find(
                "roll_up", where, "groups of its projection differ from its rows; the sums of the accounts agree"
            )
        for one in differing:
            names = ("bytes up", "bytes down", "requests")
            figures = ", ".join(
                f"{name} {projected} instead of {by_rows}"
                for name, projected, by_rows in zip(names, one.projection, one.rows, strict=True)
                if projected != by_rows
            )
            account = f"{where}, account {one.account!r}, series {one.series!r}"
            self._find("roll_up", account, f"the projection {one.name} says {figures}")
