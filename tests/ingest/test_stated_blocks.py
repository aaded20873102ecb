"""Keys that no longer know which numbers were given up, beside a ledger that knows."""

from __future__ import annotations

from tests.conftest import NOW
from tests.ingest.conftest import House, named

from flowtally.ledger.traffic import periods


def test_what_comes_after_a_rebuild_is_never_inside_a_frozen_statement(house: House) -> None:
    # As after a restore: the statement is of block 8, the rows end at block 1, the number 8 was given up.
    house.send(*named("1"))
    with house.ledger.begin() as tx:
        periods.close_period(tx, "acme", 0, 10, now=20, timezone="UTC", block=8, statement="{}", after=0)
    house.close()
    for left in house.data.glob("keys.db*"):
        left.unlink()
    house.open(rebuild_keys=True)
    house.send(*named("2"))
    assert house.keys.committed().block == NOW + 1 > 8  # the old keys are gone: above all that can have been given
    house.whole()
