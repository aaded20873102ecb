"""What is in a backup: every file with its size and digest, and what they hold. Written last, read first."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec

from flowtally.core.errors import BackupTooNew, ConfigError

NAME: Final = "manifest.json"
FORMAT: Final = 1
CHUNK: Final = 1 << 20


class File(msgspec.Struct, frozen=True):
    path: str
    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """`block` and `rows` are where keys and usage stand; `ledger` says how the ledger is in it."""

    format: int
    flowtally: str
    engine: str
    made_at: str
    block: int
    rows: int
    usage_schema: int
    ledger: str  # "sqlite": the file ledger.db; "postgresql": a file per table in ledger/, of the version below
    ledger_schema: str = ""
    installation: str = ""  # whose it is; backups of earlier versions do not say it
    notes: list[str]
    files: list[File]
    sha256: str = ""  # of all the others, as compact JSON; manifests of earlier versions do not have it


def describe(root: Path, say: Callable[[int], None]) -> Iterator[File]:
    """Every file below `root`, read and synced, in order of path. `say` is told of bytes read."""
    for path in sorted(one for one in root.rglob("*") if one.is_file()):
        if path.name == NAME and path.parent == root:
            continue
        digest = hashlib.sha256()
        with path.open("rb") as file:
            os.fsync(file.fileno())
            while chunk := file.read(CHUNK):
                digest.update(chunk)
                say(len(chunk))
        yield File(path.relative_to(root).as_posix(), path.stat().st_size, digest.hexdigest())


def write(root: Path, manifest: Manifest) -> None:
    """Put it beside the files, synced, and the directories too."""
    said = msgspec.to_builtins(manifest)
    said["sha256"] = _digest(said)
    with (root / NAME).open("xb") as file:
        file.write(msgspec.json.format(msgspec.json.encode(said), indent=1))
        file.flush()
        os.fsync(file.fileno())
    for directory in [*(one for one in root.rglob("*") if one.is_dir()), root]:
        sync_directory(directory)


def read(root: Path) -> Manifest:
    """ConfigError where this is no backup, BackupTooNew (also one) where a later flowtally made it."""
    try:
        told = msgspec.json.decode((root / NAME).read_bytes(), type=dict[str, object])
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigError(f"{root} is no backup: it has no {NAME}") from None
    except OSError as error:
        raise ConfigError(f"{root / NAME} cannot be read: {error.strerror}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{root / NAME} cannot be read: {error}") from None
    if told.get("format") != FORMAT:
        raise BackupTooNew(
            f"The backup {root} has format {told.get('format')!r}, which this flowtally does not know: it knows format "
            f"{FORMAT}. Restore it with the version that made it, or a later one"
        )
    if "sha256" in told and told["sha256"] != _digest(told):
        raise ConfigError(f"{root / NAME} is not as it was written: nothing that it says can be relied on")
    try:
        return msgspec.convert(told, Manifest)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{root / NAME} cannot be read: {error}") from None


def _digest(told: Mapping[str, object]) -> str:
    """Of what is said, but for the digest itself: members of later versions are covered too."""
    said = {name: value for name, value in told.items() if name != "sha256"}
    return hashlib.sha256(msgspec.json.encode(said)).hexdigest()


def differences(root: Path, manifest: Manifest, say: Callable[[int], None]) -> list[str]:
    """What is not as it was written: missing, changed or strange files, and links, which are no copy."""
    if links := sorted(one.relative_to(root).as_posix() for one in root.rglob("*") if one.is_symlink()):
        return [f"{path} is a link: a copy has the file itself" for path in links]
    wanted = {file.path: file for file in manifest.files}
    found = {file.path: file for file in describe(root, say)}
    told = [f"{path} is missing" for path in wanted.keys() - found.keys()]
    told += [f"{path} does not belong to it" for path in found.keys() - wanted.keys()]
    for path in wanted.keys() & found.keys():
        if found[path].size != wanted[path].size:
            told.append(f"{path} has {found[path].size} bytes instead of {wanted[path].size}")
        elif found[path] != wanted[path]:
            told.append(f"{path} has other content")
    return sorted(told)


def sync_directory(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
