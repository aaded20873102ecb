"""Brings a ledger of any earlier version to the present one, inside the transaction it is given.

Owns the steps in `versions/`, applied in order and never edited once released. Both databases change their schema
within a transaction, so an upgrade is there wholly or not at all.
"""

from __future__ import annotations

from functools import cache

from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from flowtally.core.errors import LedgerTooNew


def is_current(tx: Connection) -> bool:
    """Whether nothing is to be done; LedgerTooNew when a later flowtally has written here."""
    known = _known()
    present = _present(tx)
    unknown = present - set(known)
    if unknown:
        raise LedgerTooNew(
            f"the ledger is at version {', '.join(sorted(unknown))}, which this flowtally does not know: "
            f"it knows up to {known[0]}. Start the version that wrote it, or a later one"
        )
    return present == {known[0]}


def upgrade(tx: Connection, to: str = "head") -> None:
    """Apply the steps that are missing, up to the version `to`. Does not commit. LedgerTooNew when there is no such."""
    config = _config()
    if to != "head" and to not in _known():
        raise LedgerTooNew(
            f"the ledger is of version {to}, which this flowtally does not know: it knows up to "
            f"{_known()[0]}. Use the version that wrote it, or a later one"
        )
    config.attributes["connection"] = tx
    command.upgrade(config, to)


def version(tx: Connection) -> str:
    """The last step that was applied."""
    [head] = _present(tx)
    return head


def _present(tx: Connection) -> set[str]:
    """What Alembic keeps in its table; nothing where there is none. A start asks several times, and Alembic's own
    context takes a millisecond to be made."""
    if not inspect(tx).has_table("alembic_version"):
        return set()
    return {str(one) for one in tx.execute(text("SELECT version_num FROM alembic_version")).scalars()}


@cache
def _known() -> tuple[str, ...]:
    """The versions there are, the newest first. Read once in a process: it means loading the file of every step."""
    return tuple(step.revision for step in ScriptDirectory.from_config(_config()).walk_revisions())


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "flowtally.ledger:migrations")
    return config
