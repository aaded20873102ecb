"""Memory that is free goes back to the system: what this process asks of the allocators of its libraries.

Each allocator keeps what was freed for whoever comes next, in as many heaps as threads asked at the same time. A server
that takes large requests on several threads held three times of what it used. So there are few heaps, what is large is
a mapping of its own, and now and then what is free is handed back. Of the GNU C library alone: elsewhere nothing is
asked. The engine in this process has an allocator of its own (`usage.engine`).
"""

from __future__ import annotations

import ctypes
from typing import Any, Final

import pyarrow as pa

HEAPS: Final = 2  # nearly all of it is asked for by whoever holds the interpreter's lock, and that is one
LARGE: Final = 256 * 1024  # bytes: goes back to the system at once when it is freed
SPARE: Final = 4 * 1024 * 1024  # bytes at the end of a heap that stay with it
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _ARENA_MAX = -1, -3, -8  # malloc.h


def bound() -> None:
    """Call before there are threads, in a process that serves."""
    libc = _gnu()
    if libc is not None:
        for name, value in ((_ARENA_MAX, HEAPS), (_MMAP_THRESHOLD, LARGE), (_TRIM_THRESHOLD, SPARE)):
            libc.mallopt(name, value)
    # Arrow's own allocator takes a gigabyte of addresses, and keeps in memory most of what it ever used of them.
    pa.set_memory_pool(pa.system_memory_pool())


def give_back() -> None:
    """What is free in the middle of heaps, too. Takes some milliseconds."""
    libc = _gnu()
    if libc is not None:
        libc.malloc_trim(0)


def _gnu() -> Any:
    """The C library, where it is GNU's."""
    libc = ctypes.CDLL(None)
    return libc if hasattr(libc, "gnu_get_libc_version") else None
