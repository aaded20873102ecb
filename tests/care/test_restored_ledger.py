"""A backup's ledger is a moment later than its usage: what it says of blocks that are not there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from flowtally.ingest.recovery import give_up_stated_blocks
from flowtally.keys.store import Keys
from flowtally.keys.values import Moved
from flowtally.ledger.database import Ledger
from flowtally.ledger.people import accounts
from flowtally.ledger.traffic import periods


@pytest.fixture
def keys(tmp_path: Path) -> Iterator[Keys]:
    opened = Keys(tmp_path / "keys.db")
    with opened.begin():
        opened.move(Moved(5, 10, 1))
    yield opened
    opened.close()


def close(ledger: Ledger, block: int) -> None:
    with ledger.begin() as tx:
        accounts.create_account(tx, "acme", now=1)
        periods.close_period(tx, "acme", 0, 10, now=20, timezone="UTC", block=block, statement="{}", after=0)


def test_a_block_that_only_a_statement_knows_is_never_used_again(keys: Keys, app_ledger: Ledger) -> None:
    close(app_ledger, block=8)
    give_up_stated_blocks(keys, app_ledger)
    assert keys.committed().skipped == 8


def test_a_block_that_is_there_is_not_given_up(keys: Keys, app_ledger: Ledger) -> None:
    close(app_ledger, block=5)
    give_up_stated_blocks(keys, app_ledger)
    assert keys.committed().skipped == 0
