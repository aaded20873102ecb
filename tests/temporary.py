"""Where a quick sample keeps its files: in memory, where there is room, for it never has to wait for the disk then.

Each of thousands of tests opens a ledger or keys of its own, which SQLite syncs; that is half of what they take. What
passed leaves nothing behind (`tmp_path_retention_policy`), so that a run takes little memory and keeps none.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")
ROOM_BYTES: Final = 4_000_000_000
PLACE: Final = "PYTEST_DEBUG_TEMPROOT"  # what pytest reads; it makes a directory of this user's own in it


def use_memory() -> None:
    """Unless somebody chose another place."""
    if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free > ROOM_BYTES:
        os.environ.setdefault(PLACE, str(MEMORY))
