"""Who may enter and read what flowtally writes: its owner, and nobody else.

Owns the umask of our processes, the look at a place before anything is written there, and files that are their owner's
alone from the first byte. Leaves to `start` when a place is looked at, to `care.doctor` how the doctor tells it.
"""

from __future__ import annotations

import errno
import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Final

from flowtally.core.errors import ConfigError

OTHERS: Final = 0o077
# What shows that a directory is flowtally's own, or the engine's in it: only such a one is closed without being asked.
OURS: Final = frozenset(
    {
        "flowtally.lock",
        "keys.db",
        "journal.db",
        "ledger.db",
        "passwords.key",
        "usage",
        ".restoring",
        "store",
        "metadata",
    }
)


def keep_to_owner() -> None:
    """From now on this process makes files and directories for its user alone, whoever it was started by."""
    os.umask(OTHERS)


@contextmanager
def owner_alone() -> Iterator[None]:
    """The same, inside this block."""
    before = os.umask(OTHERS)
    try:
        yield
    finally:
        os.umask(before)


def check_directory(place: Path, setting: str) -> None:
    """ConfigError where others can enter or replace this directory and it is not ours to close."""
    if reason := why_shared(place):
        raise ConfigError(f"{setting} = {str(place)!r}: {reason}.")


def check_parent(place: Path, setting: str) -> None:
    """The same for a directory in which others may look around, as what is made in it is closed to them."""
    if reason := _above(place / "anything"):
        raise ConfigError(f"{setting} = {str(place)!r}: {reason}.")


def check_file(path: Path, setting: str) -> None:
    """The same for one file in a directory that may hold others."""
    reason = _above(path)
    with suppress(OSError):  # it is still to be made, or whoever opens it says what is wrong
        reason = reason or _not_ours(path.stat())
    if reason:
        raise ConfigError(f"{setting} = {str(path)!r}: {reason}.")


def why_shared(place: Path) -> str | None:
    """Why nothing may be kept below this directory, and what mends it. None where nobody else can enter it, or where
    `close_to_others` may see to that: it is ours, and open only as an earlier umask left it."""
    if reason := _above(place):
        return reason
    try:
        found = place.stat()
    except OSError:  # as in `check_file`
        return None
    if reason := _not_ours(found):
        return reason
    mode = stat.S_IMODE(found.st_mode)
    if not mode & OTHERS or not stat.S_ISDIR(found.st_mode):
        return None
    seen, mend = f"mode {mode:o}", f"`chmod 700 {shlex.quote(str(place))}`"
    if mode & stat.S_IWOTH:
        return f"everybody can write in it ({seen}). Make sure that all in it is flowtally's, then {mend}"
    if _shared_on_purpose(place, found):
        return f"it is shared with others ({seen}, group {found.st_gid}). Use a directory of its own, or {mend}"
    if not _is_own(place):
        return f"others can enter it ({seen}), and what it holds is not flowtally's. Use another one, or {mend}"
    return None


def close_to_others(place: Path) -> list[str]:
    """Nobody else can enter this directory from now on, or read what lies directly in it. What was changed, for
    people: nothing where a thing is not there or not ours. ConfigError where its file system keeps no modes."""
    if not place.is_dir():
        return []
    closed = [told for one in (place, *place.iterdir()) for told in close(one)]
    if (mode := stat.S_IMODE(place.stat().st_mode)) & OTHERS:
        raise ConfigError(f"{str(place)!r} cannot be closed to others (mode {mode:o}): use another file system")
    return closed


def close_sqlite(path: Path) -> list[str]:
    """The same for a SQLite file, and for the two that SQLite keeps beside it."""
    return [told for side in ("", "-wal", "-shm") for told in close(path.with_name(path.name + side))]


def close(path: Path) -> list[str]:
    """The same for one file or directory."""
    try:
        found = path.stat() if path.is_dir() else path.lstat()
    except FileNotFoundError:
        return []
    mode = stat.S_IMODE(found.st_mode)
    kept = stat.S_ISDIR(found.st_mode) or stat.S_ISREG(found.st_mode)
    if not kept or not mode & OTHERS or found.st_uid != os.geteuid():
        return []
    path.chmod(mode & ~OTHERS)
    return [f"{path} from {mode:o} to {mode & ~OTHERS:o}"]


def create_for_owner(path: Path) -> IO[bytes]:
    """An empty file to write, readable by its owner alone from the first byte, over one that is ours. PermissionError
    where somebody else's file or link stands there: its owner would read what we write, or choose where it goes. A
    device or a pipe is written as it is."""
    handle = open_for_owner(path, os.O_WRONLY | os.O_CREAT)
    try:
        if stat.S_ISREG(os.fstat(handle).st_mode):
            os.ftruncate(handle, 0)
        return os.fdopen(handle, "wb")
    except BaseException:
        os.close(handle)
        raise


def open_for_owner(path: Path, flags: int) -> int:
    """A handle of a file that only we can read; one that is ours and was open to others is closed to them."""
    try:
        handle = os.open(path, flags | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        if error.errno != errno.ELOOP:
            raise
        if os.lstat(path).st_uid not in (os.geteuid(), 0):
            raise PermissionError(errno.EACCES, "is a link that another user made", str(path)) from None
        handle = os.open(path, flags | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(handle)
        if stat.S_ISREG(found.st_mode):
            if found.st_uid != os.geteuid():
                raise PermissionError(errno.EACCES, f"belongs to {_name(found.st_uid)}", str(path))
            if found.st_mode & OTHERS:
                os.fchmod(handle, stat.S_IMODE(found.st_mode) & ~OTHERS)
    except BaseException:
        os.close(handle)
        raise
    return handle


def _not_ours(found: os.stat_result) -> str | None:
    if found.st_uid == os.geteuid():
        return None
    owner, me = _name(found.st_uid), _name(os.geteuid())
    return f"it belongs to {owner} and flowtally runs as {me}. Start it as {owner}, or use a place of its own"


def _above(place: Path) -> str | None:
    """Who can write in a directory can put another one in the place of what is below, but for one like /tmp."""
    if place.is_symlink() and place.lstat().st_uid not in (os.geteuid(), 0):
        return "it is a link that another user made"
    for above in _directories_above(place):
        try:
            mode = stat.S_IMODE(above.stat().st_mode)
        except OSError:  # as in `check_file`
            continue
        if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
            return f"everybody can write in {above} (mode {mode:o}). `chmod o-w {shlex.quote(str(above))}`"
    return None


def _directories_above(place: Path) -> Iterator[Path]:
    yield from place.absolute().parents
    if (resolved := Path(os.path.realpath(place))) != place.absolute():  # does not mind links in a circle
        yield from resolved.parents


def _shared_on_purpose(place: Path, found: os.stat_result) -> bool:
    """A umask gives to others, it chooses no group and makes no access list."""
    if found.st_mode & (stat.S_ISGID | stat.S_ISVTX) or (found.st_mode & 0o070 and found.st_gid != os.getegid()):
        return True
    try:
        return bool(os.getxattr(place, "system.posix_acl_access"))
    except (OSError, AttributeError):  # there is none, or no such thing on this system
        return False


def _is_own(place: Path) -> bool:
    names = {one.name for one in place.iterdir()}
    return not names or bool(names & OURS)


def _name(uid: int) -> str:
    try:
        return f"{pwd.getpwuid(uid).pw_name} ({uid})"
    except KeyError:
        return f"user {uid}"
