"""The usage schema: numbered .sql files, applied in order, each once. The file name is its number and its name.

A migration may hold several statements, divided by a line that is only `;`. Applying is idempotent in the sense that
matters: a statement that was applied before a crash but not recorded would fail, so files hold one statement wherever
they can, and `CREATE` is recorded by the very existence of its table.

`made/` has what becomes of it: each table as the engine tells it, under the number of the last migration that changed
it (0 for the table of migrations, which is made before all). A test makes the tables and compares.
"""

from __future__ import annotations

from importlib.resources import files
from typing import Final

import msgspec

TABLE: Final = "usage_events"
ENGINE: Final = "MergeTree"  # the one place that names the table engine


MIGRATIONS_TABLE: Final = (
    "CREATE TABLE IF NOT EXISTS schema_migrations (number UInt32, name String) ENGINE = MergeTree ORDER BY number"
    " SETTINGS fsync_after_insert = 1, fsync_part_directory = 1"
)


class Migration(msgspec.Struct, frozen=True):
    number: int
    name: str
    statements: tuple[str, ...]


class Made(msgspec.Struct, frozen=True):
    """What a table is once migration `since` was applied."""

    since: int
    table: str
    text: str


def migrations() -> list[Migration]:
    """All migrations of this version of flowtally, in order."""
    found = [entry for entry in files(__name__).iterdir() if entry.name.endswith(".sql")]
    return [_read(entry.name, entry.read_text()) for entry in sorted(found, key=lambda entry: entry.name)]


def latest_migration() -> int:
    return migrations()[-1].number


def _read(file_name: str, text: str) -> Migration:
    number, _, name = file_name.removesuffix(".sql").partition("_")
    statements = tuple(part.strip() for part in text.replace("{engine}", ENGINE).split("\n;\n") if part.strip())
    return Migration(int(number), name, statements)


def _read_made(file_name: str, text: str) -> Made:
    since, _, table = file_name.removesuffix(".sql").partition("_")
    return Made(int(since), table, text)


MADE: Final = tuple(
    _read_made(entry.name, entry.read_text())
    for entry in sorted((files(__name__) / "made").iterdir(), key=lambda entry: entry.name)
    if entry.name.endswith(".sql")
)
