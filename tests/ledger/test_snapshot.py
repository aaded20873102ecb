"""Copies of SQLite files."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from flowtally.ledger.snapshot import Snapshot


def test_a_copy_is_its_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0o022)
    try:
        db = sqlite3.connect(tmp_path / "ledger.db", isolation_level=None)
        db.execute("CREATE TABLE passwords (sealed TEXT)")
        snapshot = Snapshot(tmp_path / "ledger.db")
        snapshot.copy_to(tmp_path / "copy.db")
        snapshot.close()
        db.close()
    finally:
        os.umask(before)
    assert (tmp_path / "copy.db").stat().st_mode & 0o777 == 0o600
