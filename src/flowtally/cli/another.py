"""What to type in another terminal to ask a server that was started in this one."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from pathlib import Path


def in_another_terminal(url: str, token: str) -> list[str]:
    """Commands to paste, one a line: make `flowtally` known there, where it may not be, and say whom to ask."""
    return [*_activation(), f"export FLOWTALLY_URL={url} FLOWTALLY_TOKEN={token}"]


def _activation() -> list[str]:
    """A virtual environment is active in the terminal where that was said, and in no other one."""
    script = Path(sys.prefix, "bin", "activate")
    needed = bool(os.environ.get("VIRTUAL_ENV")) or shutil.which("flowtally") is None
    return [f". {shlex.quote(str(script))}"] if needed and sys.prefix != sys.base_prefix and script.exists() else []
