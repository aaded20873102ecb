"""Leases: who may write a place, kept by a lock of the system that ends with its process, however it ends.

Owns the lock files. A lease tells who has it. One that was not kept (`keep`) leaves no trace: a start that is refused
after it took its leases has changed nothing, not even the name in a lock file, and made no directory.
"""

from __future__ import annotations

import fcntl
import os
import socket
from pathlib import Path
from typing import IO, Final

from flowtally.core.errors import ConfigError, WriterBusy

DATA_LOCK: Final = "flowtally.lock"  # in the data directory; taken before all others
_SHOWN: Final = 200


def me() -> str:
    """This process, for people."""
    return f"process {os.getpid()} on {socket.gethostname()}"


def of_data(data: Path) -> Path:
    """The lock of a data directory."""
    return data / DATA_LOCK


def of_keys(path: Path) -> Path:
    """The lock of a keys database, which may lie outside the data directory."""
    return Path(os.path.realpath(path)).with_suffix(".lock")


def of_ledger(path: Path) -> Path:
    """The lock of a ledger's file, which may lie outside the data directory."""
    resolved = Path(os.path.realpath(path))
    return resolved.with_name(f"{resolved.name}.lock")


class Lease:
    """Held by this process. `release` it, or use it as a context."""

    def __init__(self, path: Path, setting: str) -> None:
        """WriterBusy names who has it; ConfigError names the `setting` where there can be no lock at that place."""
        self._path = path
        self._kept = False
        self._made: list[Path] = []
        try:
            self._make_directory(path.parent)
            self._file, self._new = _locked(path)
        except FileExistsError as error:
            self._remove_made()
            raise ConfigError(f"{setting} = {str(path.parent)!r}: this is a file; a directory is needed.") from error
        except OSError as error:
            self._remove_made()
            raise ConfigError(f"{setting} = {str(path.parent)!r}: {error.strerror or error}.") from error
        except BaseException:
            self._remove_made()
            raise
        self._before = self._file.read(_SHOWN)
        self._write(f"{me()}\n")

    @property
    def released(self) -> bool:
        return self._file.closed

    def keep(self) -> None:
        """From now on something was written under this lease: what was made for it stays."""
        self._kept = True

    def release(self) -> None:
        """Give it back. The lock file stays, for who comes next; without `keep` all is as it was."""
        if self._file.closed:
            return
        if not self._kept:
            if self._new:
                self._path.unlink(missing_ok=True)
            else:
                self._write(self._before)
            self._remove_made()
        self._file.close()

    def __enter__(self) -> Lease:
        return self

    def __exit__(self, *_: object) -> None:
        self.release()

    def _make_directory(self, place: Path) -> None:
        missing = [one for one in (place, *place.parents) if not one.exists()]
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._made = missing

    def _remove_made(self) -> None:
        for one in self._made:  # the innermost first; one in which somebody put something stays
            try:
                one.rmdir()
            except OSError:
                return

    def _write(self, text: str) -> None:
        self._file.seek(0)
        self._file.truncate()
        self._file.write(text)
        self._file.flush()


def _locked(path: Path) -> tuple[IO[str], bool]:
    """The file, locked, and whether it is new. Somebody who gave up may have removed it meanwhile: then again."""
    while True:
        new = not path.exists()
        file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_still(file, path):
                return file, new
            file.close()
        except BlockingIOError:
            holder = file.read(_SHOWN).strip() or "another process"
            file.close()
            raise WriterBusy(f"{path.parent} is written by {holder}; one process writes an installation") from None
        except BaseException:
            file.close()
            raise


def _is_still(file: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    except FileNotFoundError:
        return False
