"""A fast place for the blocks on their way to the engine in this process.

The client hands a block over as a temporary file, so memory is the place for it. Where temporary files go is a matter
of the whole process: only who owns the process decides it, and only where nobody else has (TMPDIR). Everybody may make
names in memory, so ours are drawn, and made by us or not used. What is there may be swept by others while we serve: it
is looked for before each block, and made again.
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

_prefix: str | None = None  # of our names, while this process has some


@contextmanager
def fast_temporary_files(data: Path) -> Iterator[None]:
    """Temporary files are in memory inside this block; what a killed process with the same data left is removed. For
    who has the lease on the data."""
    global _prefix  # noqa: PLW0603 - like tempfile.tempdir, of which it is a part
    if tempfile.gettempdir() != USUAL or not os.access(MEMORY, os.W_OK) or shutil.disk_usage(MEMORY).free < ROOM:
        yield
        return
    kept = data.stat()
    prefix = f"flowtally-{os.getuid()}-{kept.st_dev:x}-{kept.st_ino:x}"
    _remove(prefix)
    before, tempfile.tempdir = tempfile.tempdir, None
    _prefix = f"{prefix}-"
    try:
        find_place()
        yield
    finally:
        _prefix, tempfile.tempdir = None, before
        _remove(prefix)


def find_place() -> None:
    """Call before a temporary file is made: one whose directory was removed would fail."""
    if _prefix is None or (tempfile.tempdir is not None and _is_ours(tempfile.tempdir)):
        return
    try:
        tempfile.tempdir = tempfile.mkdtemp(prefix=_prefix, dir=MEMORY)  # drawn, 700, and never one that is there
    except OSError:  # no room for a name; files there are for their owner alone, too
        tempfile.tempdir = USUAL


def _is_ours(place: str) -> bool:
    """A directory that we made and nobody else can enter; what stands there in its place may be anybody's."""
    try:
        found = os.lstat(place)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def _remove(prefix: str) -> None:
    """What processes with the same data left, and earlier versions under a name that could be known. Nobody else's."""
    for one in MEMORY.glob(f"{prefix}*"):
        if (one.name == prefix or one.name.startswith(f"{prefix}-")) and _is_ours(str(one)):
            shutil.rmtree(one, ignore_errors=True)
