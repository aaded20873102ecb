"""Which old backups go when a new one is complete, and how: the server removes what it made and named by itself.

Owns the choice. What somebody named stays until somebody removes it; so does what is of another installation, what
holds a file that its manifest does not name, and what no manifest describes. The newest whole backup never goes.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import msgspec
import structlog

from flowtally.care import manifest
from flowtally.care.manifest import Manifest
from flowtally.core.errors import ConfigError

GONE: Final = ".partial-gone-"  # what is being removed is called so: the next backup removes what a crash left of it
_BY_INSTANT: Final = re.compile(r"\d{8}T\d{6}Z")  # as `backup.name_at` calls them

log = structlog.get_logger(__name__)


class Pruned(msgspec.Struct, frozen=True):
    """Names of what was removed, and what was not and why."""

    removed: list[str]
    notes: list[str]


def named_by_instant(name: str) -> bool:
    """Whether the server chose this name."""
    return _BY_INSTANT.fullmatch(name) is not None


def prune(place: Path, keep: int, made: str, installation: str) -> Pruned:
    """Remove all but the newest `keep` of what this server made and named, and never `made`, the one just made."""
    ours = [one for one in _ours(place, installation) if one != made]
    old = sorted(ours, reverse=True)[max(keep, 1) - 1 :]  # `made` is one of those kept, whatever the clock says
    told = [(name, _remove(place / name)) for name in sorted(old)]
    return Pruned(
        [name for name, why in told if not why], [f"{name} was not removed: {why}" for name, why in told if why]
    )


def _ours(place: Path, installation: str) -> Sequence[str]:
    return [
        one.name
        for one in place.iterdir()
        if named_by_instant(one.name) and not one.is_symlink() and _is_of(one, installation)
    ]


def _is_of(backup: Path, installation: str) -> bool:
    try:
        return manifest.read(backup).installation == installation != ""
    except (ConfigError, OSError):
        return False


def _remove(backup: Path) -> str:
    """Empty, or why it is still there. It goes as a whole: first its name, which no reader takes for a backup then."""
    try:
        if strange := _strange(backup, manifest.read(backup)):
            return f"{strange} does not belong to it"
        gone = backup.with_name(f"{GONE}{backup.name}")
        os.rename(backup, gone)
        manifest.sync_directory(backup.parent)
        shutil.rmtree(gone)
    except (ConfigError, OSError) as error:
        return str(error)
    log.info("backup_removed", backup=backup.name)
    return ""


def _strange(backup: Path, told: Manifest) -> str:
    """A file that the manifest does not name; empty where there is none."""
    known = {manifest.NAME, *(file.path for file in told.files)}
    for one in sorted(backup.rglob("*")):
        path = one.relative_to(backup).as_posix()
        if (one.is_symlink() or not one.is_dir()) and path not in known:
            return path
    return ""
