"""Brings a ledger of any earlier version to the present one, inside the transaction it is given.

Owns the steps in `versions/`, applied in order and never edited once released. Both databases change their schema
within a transaction, so an upgrade is there wholly or not at all.
"""

from __future__ import annotations

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from flowtally.core.errors import LedgerTooNew


def is_current(tx: Connection) -> bool:
    """Whether nothing is to be done; LedgerTooNew when a later flowtally has written here."""
    script = ScriptDirectory.from_config(_config())
    present = set(MigrationContext.configure(tx).get_current_heads())
    unknown = present - {step.revision for step in script.walk_revisions()}
    if unknown:
        raise LedgerTooNew(
            f"the ledger is at version {', '.join(sorted(unknown))}, which this flowtally does not know: "
            f"it knows up to {script.get_current_head()}. Start the version that wrote it, or a later one"
        )
    return present == set(script.get_heads())


def upgrade(tx: Connection, to: str = "head") -> None:
    """Apply the steps that are missing, up to the version `to`. Does not commit. LedgerTooNew when there is no such."""
    config = _config()
    script = ScriptDirectory.from_config(config)
    if to != "head" and to not in {step.revision for step in script.walk_revisions()}:
        raise LedgerTooNew(
            f"the ledger is of version {to}, which this flowtally does not know: it knows up to "
            f"{script.get_current_head()}. Use the version that wrote it, or a later one"
        )
    config.attributes["connection"] = tx
    command.upgrade(config, to)


def version(tx: Connection) -> str:
    """The last step that was applied."""
    [head] = MigrationContext.configure(tx).get_current_heads()
    return str(head)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", "flowtally.ledger:migrations")
    return config
