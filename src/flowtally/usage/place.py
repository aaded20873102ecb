"""Where a usage store lies that keeps its files on this machine."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import urlsplit


def embedded_directory(url: str) -> Path | None:
    """Where the engine in this process keeps its files; None for a store elsewhere. Both chdb:///data and chdb:////data
    mean /data."""
    return Path(os.path.realpath("/" + urlsplit(url).path.lstrip("/"))) if url.startswith("chdb:") else None
