"""What a request would be told of damage ends a start, a restore or a rebuild: nobody is there to be answered.

Owns which Damage it then is. Leaves the finding to the stores.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from flowtally.core import sqlite_faults
from flowtally.core.errors import BrokenParts, Damage, KeysBroken, LedgerBroken, StoreDamaged


@contextmanager
def refusing() -> Iterator[None]:
    """Raises the Damage that a StoreDamaged is, with the same words: they name the part or the file."""
    try:
        yield
    except StoreDamaged as error:
        raise damage_of(error) from error


def damage_of(error: StoreDamaged) -> Damage:
    if "part" in error.extra:
        return BrokenParts(error.detail)
    if isinstance(error.__cause__, sqlite_faults.DatabaseError):  # the keys are asked without a layer between
        return KeysBroken(error.detail)
    return LedgerBroken(error.detail)
