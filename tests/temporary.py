"""Files of tests in memory, where there is room: those of a quick sample, and those of an engine.

Each of thousands of tests opens a ledger or keys of its own, which SQLite syncs; that is half of what they take. What
passed leaves nothing behind (`tmp_path_retention_policy`), so that a run takes little memory and keeps none.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 4_000_000_000
PLACE: Final = "PYTEST_DEBUG_TEMPROOT"  # what pytest reads; it makes a directory of this user's own in it


def use_memory() -> None:
    """Unless somebody chose another place."""
    if _has_room():
        os.environ.setdefault(PLACE, str(MEMORY))


def roomy_memory(closing: ExitStack) -> Path | None:
    """A directory that is gone at the end: an engine syncs a hundred files for each test, and nobody cuts the power of
    these."""
    if not _has_room():
        return None
    return Path(closing.enter_context(tempfile.TemporaryDirectory(prefix="flowtally-tests-", dir=MEMORY)))


def _has_room() -> bool:
    return os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES
