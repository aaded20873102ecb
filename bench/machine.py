"""What the numbers were measured on and with: no ratio means anything without it."""

from __future__ import annotations

import os
import platform
import sqlite3
import subprocess
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Final

from bench.postgres import find_binaries
from bench.server import RATIONS_NOBODY

PACKAGES: Final = ("flowtally", "chdb", "clickhouse-connect", "granian", "litestar", "msgspec", "numpy", "pyarrow")


def describe(place: Path) -> dict[str, str]:
    """Facts by name, in the order they are shown; `place` is where the measured data lives."""
    return {
        "cpu": f"{_cpu_model()}, {os.cpu_count()} cores",
        "memory": f"{_memory_bytes() / 2**30:.1f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "data on": f"{place} ({filesystem(place)})",
        "python": platform.python_version(),
        "sqlite": sqlite3.sqlite_version,
        "postgresql": _postgres_version(),
        "settings": f"{_listed(RATIONS_NOBODY)}, all others as they come; for the part fair all as they come",
        **{name: version(name) for name in PACKAGES},
    }


def load_average() -> float:
    """Of the last minute: above the number of cores, somebody else was working too."""
    return os.getloadavg()[0]


def filesystem(place: Path) -> str:
    """Its type, such as ext4. On tmpfs nothing is durable and no ratio here holds."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    above = [(mount, kind) for mount, kind in mounts if place.resolve().is_relative_to(mount)]
    return max(above, key=lambda pair: len(pair[0]))[1]


def _cpu_model() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "unknown")


def _memory_bytes() -> int:
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def _listed(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in settings.items())


def _postgres_version() -> str:
    binaries = find_binaries()
    if binaries is None:
        return "not installed: its comparisons are left out"
    said = subprocess.run([binaries / "postgres", "--version"], capture_output=True, text=True, check=True).stdout
    return said.split(maxsplit=2)[2].strip()
