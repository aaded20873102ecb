"""Which threads are readers': whatever these ask, what the engine gives them is bounded, and apart from the writer's.

Owns the mark, and nothing else. Whoever answers requests marks the threads it starts; the writer, a start, a check and
a backup are no readers, because their threads carry no mark.
"""

from __future__ import annotations

import threading

_here = threading.local()


def mark() -> None:
    """This thread is a reader's, from now on: for the `initializer` of a pool of threads."""
    _here.marked = True


def is_one() -> bool:
    """Whether this thread is a reader's."""
    return getattr(_here, "marked", False)
