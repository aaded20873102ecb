"""What the entry of a log names and is not there, is no file, or cannot be looked at: told once, until it is.

Between the rename of a log and its new file nothing is there for a moment, which is no news.
"""

from __future__ import annotations

import glob
import stat
from typing import Final

from flowtally.agents.follow.tail import kind_of
from flowtally.agents.follow.telling import Telling

MOMENT_S: Final = 10.0
_KIND: Final = "missing"


class Missing:
    """`path`: as in the entry. Of what a glob meets nothing is missed, and a directory is no trouble."""

    def __init__(self, path: tuple[str, ...], telling: Telling) -> None:
        self._named = {one for one in path if not glob.has_magic(one)}
        self._telling = telling
        self._since: dict[str, float] = {}
        self.faults: set[str] = set()  # paths at which something is that cannot be read

    def gone(self, path: str, now: float, *, at_once: bool) -> None:
        """Nothing has this name."""
        self._settle(path)
        if path in self._named:
            self._tell(path, "No such file or directory", now, at_once=at_once)

    def unmatched(self, patterns: dict[str, str], now: float, *, at_once: bool) -> None:
        """Each glob, and why it finds nothing; empty: it finds something."""
        for pattern, why in patterns.items():
            if why:
                self._tell(pattern, why, now, at_once=at_once)
            else:
                self.there(pattern)

    def no_file(self, path: str, mode: int) -> None:
        """Something else than a file has this name."""
        if path in self._named or not stat.S_ISDIR(mode):
            self.faults.add(path)
            self._telling.trouble(_KIND, "not_a_file", path, f"it is {kind_of(mode)}: nothing of it is read")

    def hidden(self, path: str, error: OSError) -> None:
        """Nobody lets us look what is there."""
        self.faults.add(path)
        self._telling.trouble("cannot_look", "cannot_look", path, error)

    def there(self, path: str) -> None:
        self._since.pop(path, None)
        self._settle(path)
        self._telling.over(_KIND, path, "is_there")

    def _settle(self, path: str) -> None:
        self.faults.discard(path)
        self._telling.over("cannot_look", path)

    def _tell(self, path: str, why: str, now: float, *, at_once: bool) -> None:
        since = self._since.setdefault(path, now)
        if at_once or now - since >= MOMENT_S:
            self._telling.trouble(_KIND, "no_such_file", path, why)
