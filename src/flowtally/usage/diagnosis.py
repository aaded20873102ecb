"""Which part keeps the engine from opening? It says only how many there are, and in the process it says it to nobody.

Owns when that is asked, and of whom: `diagnose`, a program of its own, because one process opens one path.
"""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from pathlib import Path
from typing import Final

from flowtally.usage.damage import Broken

GIVE_UP_S: Final = 120


def is_open_elsewhere(path: Path) -> bool:
    """Whether another process has this directory of the engine open: it keeps a lock on a file of it."""
    try:
        with (path / "status").open() as status:
            fcntl.flock(status, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


def find_broken(path: Path) -> list[Broken]:
    """The parts that do not open, of a directory that nobody has open; empty where it is something else, or where it
    cannot be found out."""
    command = [sys.executable, "-m", "flowtally.usage.diagnose", str(path)]
    try:
        done = subprocess.run(command, capture_output=True, timeout=GIVE_UP_S, check=True)  # noqa: S603 - ourselves
        return [Broken(*one) for one in json.loads(done.stdout.splitlines()[-1])]
    except (OSError, subprocess.SubprocessError, ValueError, IndexError):
        return []
