"""A fast place for the blocks on their way to the engine in this process.

The client hands a block over as a temporary file, so memory is the place for it. Where temporary files go is a matter
of the whole process: only who owns the process decides it, and only where nobody else has (TMPDIR). A place in memory
may be swept by others while we serve: it is looked for before each block, and made again.
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

MEMORY: Final = Path("/dev/shm")  # noqa: S108
USUAL: Final = "/tmp"  # noqa: S108
ROOM: Final = 1 << 30  # several blocks of 64 MiB

_ours: str | None = None  # while this process has one


@contextmanager
def fast_temporary_files(data: Path) -> Iterator[None]:
    """Temporary files are in memory inside this block; what a killed process with the same data left is removed. For
    who has the lease on the data."""
    global _ours  # noqa: PLW0603 - like tempfile.tempdir, of which it is a part
    if tempfile.gettempdir() != USUAL or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield
        return
    kept = data.stat()
    place = MEMORY / f"flowtally-{os.getuid()}-{kept.st_dev:x}-{kept.st_ino:x}"
    shutil.rmtree(place, ignore_errors=True)
    before, tempfile.tempdir = tempfile.tempdir, str(place)
    _ours = str(place)
    try:
        find_place()
        yield
    finally:
        _ours, tempfile.tempdir = None, before
        shutil.rmtree(place, ignore_errors=True)


def find_place() -> None:
    """Call before a temporary file is made: one whose directory was removed would fail."""
    place = _ours
    if place is None:
        return
    try:
        found = os.lstat(place)
    except FileNotFoundError:
        os.makedirs(place, mode=0o700, exist_ok=True)
        found = os.lstat(place)
    # Everybody may make names in memory: what is not our own directory is nowhere to put customers' usage.
    tempfile.tempdir = place if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() else USUAL
