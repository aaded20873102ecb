"""A file system that is soon full. Needs the right to mount (root); a test that asks for one skips otherwise."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(size_bytes: int) -> Iterator[Path]:
    """An empty directory on a file system of that size, in memory."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a small file system")
    place = Path(tempfile.mkdtemp(prefix="flowtally-disk-"))
    options = f"size={size_bytes},mode=0700"
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(place)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        place.rmdir()
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.decode().strip()}")
    try:
        yield place
    finally:
        # Lazily: a process that was killed a moment ago may not have let go of its files yet.
        subprocess.run(["umount", "-l", str(place)], check=True)
        place.rmdir()
