"""Does this machine keep the promises we make on it? Looked at from a data directory, the server running or not.

Owns the checks of the machine: whether fsync reaches something that lasts, the file system, the clock, room, limits,
versions, what earlier processes left. Each is a line with a verdict; nothing stays changed.
"""

from __future__ import annotations

import fcntl
import os
import platform
import resource
import shutil
import stat
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Final

import msgspec

from flowtally.core.clock import now_ms
from flowtally.core.words import Verdict
from flowtally.host.lease import of_data, of_keys
from flowtally.host.permissions import OTHERS, why_shared
from flowtally.ledger.snapshot import sqlite_facts

FSYNCS: Final = 24
IMPLAUSIBLE_US: Final = 15  # the quickest drives that keep what they confirm need longer than a system call or two
SLOW_MS: Final = 50
MIN_ROOM: Final = 2 << 30
MIN_MEMORY: Final = 1 << 30
MIN_FILES: Final = 2048
CLOCK_DRIFT_MS: Final = 20
CLOCK_LOOK_S: Final = 0.1
EARLIEST_MS: Final = 1_750_000_000_000  # this code is younger
IN_MEMORY: Final = frozenset({"tmpfs", "ramfs", "rootfs"})
OVER_NETWORK: Final = frozenset({"nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "virtiofs", "ceph", "glusterfs"})
NO_BARRIERS: Final = frozenset({"nobarrier", "barrier=0"})
_ESCAPES: Final = {"\\040": " ", "\\011": "\t", "\\012": "\n", "\\134": "\\"}


class Check(msgspec.Struct, frozen=True):
    """One promise of the machine: what was seen, and why it matters where it is not well."""

    name: str
    verdict: Verdict
    seen: str
    detail: str = ""


class Mount(msgspec.Struct, frozen=True):
    place: str
    kind: str
    options: frozenset[str]


def checks(
    data: Path,
    *,
    min_free: int,
    received_at: int | None = None,
    serving: bool = False,
    now: Callable[[], int] = now_ms,
    mounts: str = "/proc/mounts",
) -> list[Check]:
    """All of them. `received_at`: when the last block was received, where known; `serving`: this process has the
    lock."""
    return [
        *_of_directory(data, min_free, serving, Path(mounts)),
        preloaded(Path("/proc/self/maps")),
        clock(now(), received_at),
        steadiness(),
        memory(Path("/proc/meminfo")),
        files(*resource.getrlimit(resource.RLIMIT_NOFILE)),
        temporary(Path(tempfile.gettempdir())),
        sqlite(),
        versions(),
    ]


def _of_directory(data: Path, min_free: int, serving: bool, mounts: Path) -> Iterator[Check]:
    if not data.is_dir():
        yield Check("data directory", "fail", f"{data} is not there")
        return
    mount = mount_of(data, mounts.read_text() if mounts.exists() else "")
    yield file_system(mount)
    try:
        yield fsync(fsync_us(data), mount)
    except OSError as error:
        yield Check("fsync", "fail", str(error.strerror), "Nothing can be written there.")
    yield room(data, min_free)
    yield inodes(data)
    yield owner_alone(data)
    mine = of_data(data)
    yield lock(mine if mine.exists() else of_keys(data / "keys.db"), serving=serving)  # before: the keys' alone
    yield from leftovers(data)


def mount_of(path: Path, mounts: str) -> Mount | None:
    """The mount this path is on, by the system's table of mounts."""
    found: Mount | None = None
    place = path.resolve()
    for line in mounts.splitlines():
        fields = line.split()
        if len(fields) < 4:
            continue
        where = fields[1]
        for written, meant in _ESCAPES.items():
            where = where.replace(written, meant)
        if place.is_relative_to(where) and (found is None or len(where) >= len(found.place)):
            found = Mount(where, fields[2], frozenset(fields[3].split(",")))
    return found


def file_system(mount: Mount | None) -> Check:
    if mount is None:
        return Check("file system", "warn", "unknown", "This system does not say what it is.")
    seen = f"{mount.kind} at {mount.place}"
    if mount.kind in IN_MEMORY:
        return Check("file system", "fail", seen, "It is memory: a power cut takes everything. Use a disk.")
    if mount.kind in OVER_NETWORK:
        return Check("file system", "fail", seen, "SQLite and locks cannot be relied on over a network. Use a disk.")
    if mount.options & NO_BARRIERS:
        return Check(
            "file system", "fail", seen, "Write barriers are off: what is synced may be lost. Mount with them."
        )
    if mount.kind == "overlay":
        return Check("file system", "warn", seen, "A container's own layer goes with the container. Mount a volume.")
    if mount.kind.startswith("fuse"):
        return Check("file system", "warn", seen, "Whether it keeps what it is told to keep is up to its program.")
    return Check("file system", "ok", seen)


def fsync_us(data: Path) -> float:
    """The median time of writing 4 KiB and syncing it, in microseconds."""
    taken = []
    with tempfile.NamedTemporaryFile(dir=data, prefix=".doctor-") as file:
        for number in range(FSYNCS):
            began = time.perf_counter()
            file.write(bytes([number]) * 4096)
            file.flush()
            os.fsync(file.fileno())
            taken.append((time.perf_counter() - began) * 1e6)
    return statistics.median(taken)


def fsync(median_us: float, mount: Mount | None) -> Check:
    seen = f"{median_us:,.0f} us (median of {FSYNCS} writes of 4 KiB)"
    if median_us < IMPLAUSIBLE_US:
        verdict: Verdict = "fail" if mount is not None and mount.kind in IN_MEMORY else "warn"
        return Check("fsync", verdict, seen, "Implausibly quick: nothing that survives a power cut answers so soon.")
    if median_us > SLOW_MS * 1000:
        return Check("fsync", "warn", seen, "Slow: every acknowledgement waits for one. Batches hide it.")
    return Check("fsync", "ok", seen)


def preloaded(maps: Path) -> Check:
    """libeatmydata and its like turn fsync off for a process."""
    loaded = maps.read_text() if maps.exists() else ""
    if "eatmydata" in loaded:
        return Check("libraries", "fail", "libeatmydata is loaded", "It turns fsync off. Start without it.")
    return Check("libraries", "ok", "nothing that turns fsync off")


def clock(now: int, received_at: int | None) -> Check:
    if now < EARLIEST_MS:
        return Check("clock", "fail", f"{now} ms", "It is before this program was written. Set it.")
    if received_at and received_at > now + 1000:
        behind = (received_at - now) / 1000
        detail = "It went back, or ran ahead before. Nothing is dated earlier; beyond max_clock_jump_s nothing at all."
        return Check("clock", "warn", f"{behind:,.0f} s behind the last block", detail)
    return Check("clock", "ok", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now / 1000)))


def steadiness() -> Check:
    """Whether the wall clock runs as the monotonic one does."""
    wall, steady = time.time(), time.monotonic()
    time.sleep(CLOCK_LOOK_S)
    drift_ms = abs((time.time() - wall) - (time.monotonic() - steady)) * 1000
    seen = f"{drift_ms:.1f} ms apart after {CLOCK_LOOK_S:g} s"
    if drift_ms > CLOCK_DRIFT_MS:
        return Check("clock steadiness", "warn", seen, "Something sets the clock while it runs.")
    return Check("clock steadiness", "ok", seen)


def room(data: Path, min_free: int) -> Check:
    total, _, free = shutil.disk_usage(data)
    seen = f"{free / 1e9:,.1f} GB free of {total / 1e9:,.1f} GB"
    if free < min_free:
        return Check("room", "fail", seen, f"Below {min_free:,} bytes events are refused. Make room.")
    if free < MIN_ROOM or free < total // 20:
        return Check("room", "warn", seen, "Merges need as much room again as the parts they merge.")
    return Check("room", "ok", seen)


def inodes(data: Path) -> Check:
    told = os.statvfs(data)
    if not told.f_files:
        return Check("inodes", "ok", "not limited")
    seen = f"{told.f_favail:,} free of {told.f_files:,}"
    return Check("inodes", "warn" if told.f_favail < told.f_files // 20 else "ok", seen)


def memory(meminfo: Path) -> Check:
    fields = dict(line.split(":", 1) for line in meminfo.read_text().splitlines()) if meminfo.exists() else {}
    if "MemAvailable" not in fields:
        return Check("memory", "warn", "unknown", "This system does not say.")
    available = int(fields["MemAvailable"].split()[0]) * 1024
    seen = f"{available / 1e9:,.1f} GB available"
    if available < MIN_MEMORY:
        return Check("memory", "warn", seen, "The engine wants 300 MB at the start and up to 1 GB under load.")
    return Check("memory", "ok", seen)


def files(soft: int, hard: int) -> Check:
    seen = "unlimited" if soft == resource.RLIM_INFINITY else f"{soft:,} (may be raised to {hard:,})"
    if soft != resource.RLIM_INFINITY and soft < MIN_FILES:
        return Check("open files", "warn", seen, f"Connections and parts need files: `ulimit -n {MIN_FILES}` or more.")
    return Check("open files", "ok", seen)


def temporary(place: Path) -> Check:
    """Every block passes through a temporary file on its way to the engine in the process."""
    shared = Path("/dev/shm")  # noqa: S108
    if os.access(shared, os.W_OK) and shutil.disk_usage(shared).free > MIN_MEMORY:
        return Check("temporary files", "ok", f"{shared}, {shutil.disk_usage(shared).free / 1e9:,.1f} GB free")
    seen = f"{place}, {shutil.disk_usage(place).free / 1e9:,.1f} GB free"
    return Check("temporary files", "warn", seen, f"{shared} has no room for them: blocks go over a disk.")


def owner_alone(data: Path) -> Check:
    mode = stat.S_IMODE(data.stat().st_mode)
    if reason := why_shared(data):
        return Check("access", "fail", f"mode {mode:o}", f"No server starts here: {reason}.")
    if mode & OTHERS:
        return Check("access", "warn", f"mode {mode:o}", "Others can enter it. The next start makes it 700.")
    return Check("access", "ok", f"mode {mode:o}")


def lock(path: Path, *, serving: bool) -> Check:
    """The lock that keeps a second writer out; the file stays, the lock goes with its process."""
    if not path.exists():
        return Check("writer", "ok", "nobody has written here yet")
    with path.open("r") as file:
        holder = file.read(200).strip() or "a process"
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return Check("writer", "ok", f"{holder}, running")
    if serving:
        return Check("writer", "fail", f"{holder}; nobody holds the lock", "Was the file replaced? Restart the server.")
    return Check("writer", "ok", f"none; the last was {holder}")


def in_use(data: Path, keys: Path) -> bool:
    """Whether a process has the right to write this installation."""
    for path in (of_data(data), of_keys(keys)):
        if path.exists():
            with path.open("r") as file:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    return True
    return False


def leftovers(data: Path) -> Iterator[Check]:
    """What processes that died left lying about."""
    found = [*data.glob("backups/.partial-*"), *data.glob("usage/shadow/flowtally_*"), *data.glob("*.rebuilding")]
    found += [*data.glob(".restoring"), *data.glob("usage/unsynced/*")]
    if not found:
        yield Check("leftovers", "ok", "none")
    for one in sorted(found):
        detail = "Of a backup, restore or rebuild: under way, or cut short and safe to remove."
        if one.parent.name == "unsynced":
            detail = "Parts that a power cut tore; their rows were in the journal. Safe to remove after a clean verify."
        yield Check("leftovers", "warn", str(one.relative_to(data)), detail)


def sqlite() -> Check:
    facts = sqlite_facts()
    seen = f"{facts['version']} {facts['options']}".strip()
    if facts["unsafe"]:
        return Check("SQLite", "fail", seen, f"Compiled with {facts['unsafe']}: it cannot keep its promises.")
    return Check("SQLite", "ok", seen)


def versions() -> Check:
    names = ("flowtally", "chdb", "chdb-core", "clickhouse-connect", "sqlalchemy")  # chdb-core: as ClickHouse counts
    told = ", ".join(f"{name} {version(name)}" for name in names)
    return Check("versions", "ok", f"Python {platform.python_version()}, {told}")
