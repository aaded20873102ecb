"""Parts that a power cut tore are put aside, and put back where that was no help.

They are moved, not deleted, but for an erasure: by then all their rows are in the table.

Owns the directory `unsynced` among the engine's, which is not open meanwhile, and what is in it: `pending` while nobody
knows yet whether all rows are there without these parts, which the next start undoes, or the instant at which that was
known. Whether they are there is decided by who counts (`ingest.opening`).
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flowtally.usage.damage import PART
from flowtally.usage.schema import TABLE

PENDING: Final = "pending"
_UUID: Final = re.compile(r" UUID '([0-9a-f-]{36})'")


class Unsynced:
    """Of the engine's directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._place = directory / "unsynced"
        self._pending = self._place / PENDING

    def put_aside(self, parts: Sequence[str]) -> bool:
        """Whether some of these are parts of usage, which are put aside now."""
        table = self._table()
        found = [part for part in parts if table is not None and PART.fullmatch(part) and (table / part).is_dir()]
        if table is None or not found:
            return False
        self._pending.mkdir(mode=0o700, parents=True, exist_ok=True)
        for part in found:
            (table / part).rename(self._pending / part)
        _sync(table, self._pending)
        return True

    def put_back(self) -> None:
        """As it was. A part whose name was given again meanwhile is one whose rows were all there."""
        table = self._table()
        if table is None or not self._pending.is_dir():
            return
        for part in self._pending.iterdir():
            if not (table / part.name).exists():
                part.rename(table / part.name)
        _sync(table, self._pending)
        if any(self._pending.iterdir()):
            self.keep("earlier")
        else:
            self._pending.rmdir()
            if not any(self._place.iterdir()):
                self._place.rmdir()

    def keep(self, name: str) -> tuple[list[str], Path]:
        """Which parts are put aside for good, and where they are; none where nothing is pending."""
        if not self._pending.is_dir():
            return [], self._place
        kept, number = self._place / name, 1
        while kept.exists():
            kept, number = self._place / f"{name}-{number}", number + 1
        self._pending.rename(kept)
        return sorted(one.name for one in kept.iterdir()), kept

    def drop_kept(self) -> None:
        """None of what is put aside for good is left."""
        for one in self._place.iterdir() if self._place.is_dir() else ():
            if one.name != PENDING:
                shutil.rmtree(one)

    def _table(self) -> Path | None:
        """Where the parts of usage are; None where that is not one place."""
        texts = [one.read_text(errors="replace") for one in self._directory.glob(f"metadata/*/{TABLE}.sql")]
        found = [uuid for text in texts for uuid in _UUID.findall(text)[:1]]
        place = self._directory / "store" / found[0][:3] / found[0] if len(found) == 1 else None
        return place if place is not None and place.is_dir() else None


def _sync(*directories: Path) -> None:
    for directory in directories:
        opened = os.open(directory, os.O_RDONLY)
        try:
            os.fsync(opened)
        finally:
            os.close(opened)
