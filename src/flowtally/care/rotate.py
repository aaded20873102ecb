"""Another key for the secrets that the ledger keeps encrypted, of an installation that does not run.

Owns the order: the file has the new key beside the old one before anything is sealed with it, all secrets are sealed
anew in one transaction, and only after its commit the old key is forgotten. Killed anywhere in between, everything
opens, and the same command goes on.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import msgspec

from flowtally.config import Config
from flowtally.core.clock import now_ms
from flowtally.core.errors import ConfigError
from flowtally.host.lease import me
from flowtally.ledger import vault
from flowtally.ledger.database import Ledger
from flowtally.ledger.sealed import any_sealed, reseal
from flowtally.ledger.trail import note, server
from flowtally.start import Clock, key_file, leases


class Rotated(msgspec.Struct, frozen=True):
    """How many secrets have the new key; whether this went on with a rotation that was cut short."""

    secrets: int
    went_on: bool


def rotate_key(config: Config, clock: Clock = now_ms) -> Rotated:
    """`clock` dates what is recorded of it. WriterBusy while a server runs; ConfigError where there is no ledger, or
    the key file is not its own. A failure leaves what opens everything."""
    path = key_file(config)
    with leases(config) as taken, held_ledger(config, "rotating the key") as ledger:
        ledger.use_clock(clock)
        with ledger.begin_start(server("rotate-key")) as tx:
            went_on = vault.Vault.open(path, any_sealed(tx)).rotating
            for lease in taken:
                lease.keep()
            secrets = reseal(tx, vault.begin_rotation(path))
            note(tx, "key_file.rotate", after={"secrets": secrets})
        vault.finish_rotation(path)
    return Rotated(secrets, went_on)


@contextmanager
def held_ledger(config: Config, doing: str) -> Iterator[Ledger]:
    """The ledger of an installation that does not run, under its lease. ConfigError where there is none."""
    ledger = Ledger.reach(config.ledger_url)
    try:
        if ledger.absent:
            raise ConfigError(f"There is no ledger at {ledger.file}: nothing was ever started there")
        with ledger.held(f"{me()}, {doing}"):
            yield ledger
    finally:
        ledger.close()
