"""Which files are a log's: those that are written now, and what rotation left of them. Looks at directories, opens
nothing.

What rotation leaves is found by name beside the log: `PATH.1`, `PATH-20261129`, `PATH.2.gz`, `PATH.old`; other schemes
are named by the entry's `rotated`.
"""

from __future__ import annotations

import fnmatch
import glob
import os
import re
from typing import Final

_STAMP: Final = r"(?:[.\-_](?:\d[\w.:+\-]*?|old|prev|previous|bak))"
_PACKED: Final = r"(?:\.(?:gz|xz|bz2|zst))"
_LEFT: Final = f"(?:{_STAMP}{_PACKED}?|{_PACKED})"
_UNFINISHED: Final = (".tmp", ".temp", ".swp", ".part", "~")


class Patterns:
    """`path`: paths or globs of the files that are written. `rotated`: globs; None: beside them, by the usual names."""

    def __init__(self, path: tuple[str, ...], rotated: tuple[str, ...] | None) -> None:
        self._path = path
        self._rotated = rotated
        self._found: dict[str, list[str]] = {}  # of each glob, at the last look
        self._left = [re.compile(_translated(one) + _LEFT) for one in path]
        self.fixed = not any(map(glob.has_magic, path))  # no directory need be listed to find the live ones

    def live(self) -> list[str]:
        """Paths of the files that are written now, whether they are there or not where they are named whole."""
        self._found = {one: sorted(glob.glob(one, recursive=True)) for one in self._path if glob.has_magic(one)}
        found = dict.fromkeys(name for one in self._path for name in self._found.get(one, [one]))
        return [name for name in found if name in self._path or not name.endswith(_UNFINISHED)]

    def unmatched(self) -> dict[str, str]:
        """Each glob, and why it found nothing at the last look; empty: it found something."""
        return {one: "" if names else _why_nothing(one) for one, names in self._found.items()}

    def left(self) -> list[str]:
        """Paths of what rotation left, and of nothing that `live` names."""
        live = set(self.live())
        if self._rotated is not None:
            names = [name for one in self._rotated for name in glob.glob(one, recursive=True)]
        else:
            names = [name for one, left in zip(self._path, self._left, strict=True) for name in _beside(one, left)]
        return [name for name in dict.fromkeys(names) if name not in live and not name.endswith(_UNFINISHED)]


def _why_nothing(pattern: str) -> str:
    """A directory that may not be listed looks to `glob` like an empty one."""
    folder = os.path.dirname(pattern)
    while glob.has_magic(folder):
        folder = os.path.dirname(folder)
    try:
        with os.scandir(folder or "."):
            return "no file is called so"
    except OSError as error:
        return f"{folder}: {error.strerror or error}"


def _beside(pattern: str, left: re.Pattern[str]) -> list[str]:
    whole = pattern if glob.has_magic(pattern) else glob.escape(pattern)
    return [name for name in glob.glob(whole + "[._-]*", recursive=True) if left.fullmatch(name)]


def _translated(pattern: str) -> str:
    """As a regular expression; a path without magic is itself."""
    if not glob.has_magic(pattern):
        return re.escape(pattern)
    return fnmatch.translate(os.path.join(pattern)).removesuffix("\\Z").removesuffix("\\z")
