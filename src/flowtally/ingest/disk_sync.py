"""Now and then make sure that everything is on the disk, without keeping the writer waiting.

The engine syncs rows but not the projections' files. After a sync of the whole machine everything up to the block that
was committed when it began is safe, so an unclean stop later has less to compare.
"""

from __future__ import annotations

import os
import threading
import time


class BackgroundSync:
    """At most one sync at a time, on a thread of its own."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._began = time.monotonic()
        self._block = 0
        self._thread: threading.Thread | None = None

    def synced(self, block: int) -> int | None:
        """The block up to which all is on the disk, once after each sync; begins the next when it is time."""
        if self._thread is not None:
            if self._thread.is_alive():
                return None
            self._thread = None
            return self._block
        if time.monotonic() - self._began >= self._every_s:
            self._began = time.monotonic()
            self._block = block
            self._thread = threading.Thread(target=os.sync, name="sync", daemon=True)
            self._thread.start()
        return None

    def finish(self) -> None:
        if self._thread is not None:
            self._thread.join()
