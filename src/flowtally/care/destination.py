"""Where the stores of a backup go when it is restored: beside each other in a data directory, or some elsewhere.

Owns which places may be named, and that they are empty. What is put there, and in which order, is `restore`'s.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import msgspec

from flowtally.care.manifest import Manifest
from flowtally.core.errors import ConfigError
from flowtally.host.lease import DATA_LOCK, me
from flowtally.ledger import portable
from flowtally.ledger.database import Ledger, ledger_file

WORK: Final = ".restoring"
OURS: Final = frozenset({WORK, DATA_LOCK})  # in a directory that counts as empty
LEDGER: Final = "ledger.db"  # of the data directory


class Destination(msgspec.Struct, frozen=True):
    """`data`: the new data directory, where the keys always are. `ledger_url`: a database for the ledger; None: a file
    in the data directory. `usage_url`: a database of a ClickHouse server; None: in the data directory."""

    data: Path
    ledger_url: str | None = None
    usage_url: str | None = None


def chosen(told: Manifest, data: Path, ledger_url: str | None, usage_url: str | None = None) -> Destination:
    """ConfigError for a place that cannot be meant, or one that must be named and was not. Looks at nothing."""
    if usage_url is not None and not usage_url.startswith(("clickhouse://", "clickhouses://")):
        raise ConfigError(
            "--usage-url names a database of a ClickHouse server, clickhouse://HOST/DATABASE; without it usage is in"
            " the data directory"
        )
    return msgspec.structs.replace(_ledger(told, data, ledger_url), usage_url=usage_url)


def _ledger(told: Manifest, data: Path, ledger_url: str | None) -> Destination:
    if ledger_url is None:
        if told.ledger != "sqlite":
            raise ConfigError(
                "The ledger of this backup was in PostgreSQL: make an empty database for it and name it with"
                f" --ledger-url. To have it as a file in the data directory say --ledger-url {in_file(data)}"
            )
        return Destination(data)
    file = ledger_file(ledger_url)
    if file is None:
        return Destination(data, ledger_url)
    if os.path.realpath(file) != os.path.realpath(data / LEDGER):
        raise ConfigError(
            f"ledger_url names the file {file}: a ledger that is restored as a file is in the data directory. Say"
            f" --ledger-url {in_file(data)}"
        )
    return Destination(data)


def in_file(data: Path) -> str:
    """The URL of a ledger in this directory."""
    return f"sqlite:///{data / LEDGER}"


def check_empty(source: Path, to: Destination) -> None:
    """ConfigError where something is there already."""
    data = to.data
    if data.exists() and (not data.is_dir() or any(one.name not in OURS for one in data.iterdir())):
        raise ConfigError(f"{data} is not empty: a backup is restored into a new directory")
    if data.absolute().is_relative_to(source.absolute()):
        raise ConfigError(f"{data} is inside the backup")


def check_databases(to: Destination) -> None:
    """ConfigError where a database that is named cannot be used, or has anything in it."""
    if to.ledger_url is not None:
        portable.check_empty(to.ledger_url)
    if to.usage_url is not None:
        from flowtally.usage import copying  # noqa: PLC0415 - the engine is only loaded where it is used

        copying.check_empty(to.usage_url)


@contextmanager
def lease_of_ledger(to: Destination) -> Iterator[None]:
    """WriterBusy where a server has just begun in that database."""
    if to.ledger_url is None:
        yield
        return
    with Ledger.connected(to.ledger_url) as ledger, ledger.held(f"{me()}, restoring"):
        yield
