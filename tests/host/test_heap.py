"""Memory that is free goes back to the system, in a process of its own: what an allocator was told holds for good."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

BEGIN: Final = """
import threading
from pathlib import Path
import pyarrow as pa
from flowtally.host import heap

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096 // 2**20

heap.bound()
before = resident()
"""
COLUMNS: Final = """
columns = [pa.repeat(1, 50_000) for _ in range(500)]
print(resident() - before)
del columns
"""
PIECES: Final = """
kept = []
def use():
    pieces = [b"x" * 50_000 for _ in range(4000)]
    kept.append(pieces[::20])
thread = threading.Thread(target=use)
thread.start()
thread.join()
print(resident() - before)
heap.give_back()
"""


def used(program: str) -> tuple[int, int]:
    """MB at the most, and in the end."""
    command = [sys.executable, "-c", f"{BEGIN}{program}print(resident() - before)"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    most, after = map(int, done.stdout.split())
    return most, after


def test_columns_of_arrow_that_are_gone_take_nothing() -> None:
    most, after = used(COLUMNS)
    assert most > 150
    assert after < most // 3


def test_what_is_free_between_what_is_used_goes_back() -> None:
    most, after = used(PIECES)
    assert most > 150
    assert after < most // 3
