"""Keys that no longer know which numbers were given up, beside a ledger that knows."""

from __future__ import annotations

from tests.conftest import NOW
from tests.ingest.conftest import Services, named

from flowtally.ledger.traffic import periods


def test_what_comes_after_a_rebuild_is_never_inside_a_frozen_statement(services: Services) -> None:
    # As after a restore: the statement is of block 8, the rows end at block 1, the number 8 was given up.
    services.send(*named("1"))
    with services.ledger.begin() as tx:
        periods.close_period(tx, "acme", 0, 10, now=20, timezone="UTC", block=8, statement="{}", after=0)
    services.close()
    for left in services.data.glob("keys.db*"):
        left.unlink()
    services.open(rebuild_keys=True)
    services.send(*named("2"))
    assert services.keys.committed().block == NOW + 1 > 8  # the old keys are gone: above all that can have been given
    services.whole()
