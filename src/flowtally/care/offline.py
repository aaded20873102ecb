"""The usage of an installation that does not run: the engine, and the journal with what it has not seen yet.

A server that was killed leaves blocks whose rows only the journal has. Owns that none of these is missed by who works
on the files: one way in for all of them. Which places an installation has is `start`'s.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from secrets import token_hex

from flowtally.config import Config
from flowtally.core.errors import JournalBroken, KeysBroken, StoresDiffer
from flowtally.host.lease import Lease, of_data, of_keys
from flowtally.ingest.identity import UNBOUND
from flowtally.ingest.settings import journal_path, keys_path
from flowtally.keys.store import peek as peek_keys
from flowtally.usage.journal import Journal, peek
from flowtally.usage.open import open_usage
from flowtally.usage.place import embedded_directory
from flowtally.usage.store import UsageStore
from flowtally.usage.unsynced import Unsynced


@contextmanager
def usage_of(config: Config) -> Iterator[UsageStore]:
    """The usage store of an installation that does not run, and stays so meanwhile."""
    with Lease(of_data(config.data_dir), "data"):
        Lease(of_keys(keys_path(config.keys_url)), "keys_url").release()  # the work itself takes it, when it begins
        if (directory := embedded_directory(config.usage_url)) is not None:
            Unsynced(directory).put_back()  # of a start that ended before it knew whether all is there without them
        usage = open_usage(config.usage_url, config.max_engine_bytes)
        try:
            yield usage
        finally:
            usage.close()


@contextmanager
def journal_beside(usage: UsageStore, keys: Path) -> Iterator[Journal | None]:
    """The journal of these keys, whose lease the caller has; None where there is none. JournalBroken, JournalTooNew,
    and StoresDiffer where it does not belong to this usage. From here on no rows come of a writer that is gone."""
    path = journal_path(keys)
    found = peek(path)
    usage.take_over(token_hex(8))
    if found is None:
        yield None
        return
    mine = usage.identity()
    if UNBOUND not in (found.identity, mine) and found.identity != mine:
        raise StoresDiffer(
            f"The journal {path} belongs to {found.identity.installation} in generation {found.identity.generation},"
            f" and the usage rows to {mine.installation} in generation {mine.generation}: put the journal there that"
            " belongs to them"
        )
    journal = Journal(path)
    try:
        yield journal
    finally:
        journal.close()


def rows_waiting(usage: UsageStore, journal: Journal) -> int:
    """How many rows the journal has that are not in the table."""
    records = [(block, rows) for block, rows in journal.blocks() if rows]
    flushed = usage.flushed([block for block, _ in records])
    return sum(rows for block, rows in records if block not in flushed)


def refuse_lacking(keys: Path, rows: int, journal: Journal | None) -> None:
    """JournalBroken where there is no journal and the keys, as far as they can be read, know of more rows than are
    there: what is missing would be forgotten as if it had never been."""
    try:
        place = peek_keys(keys)
    except KeysBroken:
        return
    if journal is None and place is not None and place.journaled and place.rows_total > rows:
        raise JournalBroken(
            f"The journal {journal_path(keys)} is not there, and {place.rows_total - rows} of {place.rows_total}"
            " acknowledged rows are missing, which it may have had. Put it back"
        )
