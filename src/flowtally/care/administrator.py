"""A new admin key of an installation that does not run, for who owns its files: the tokens there were are lost.

Owns the order and what is looked at first. Whoever can write the ledger's file could put a key in by hand; here it is
done under the leases of a start, checked, and recorded. What a credential is, is `ledger.people.credentials`'.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from flowtally.care.rotate import held_ledger
from flowtally.config import Config
from flowtally.core.clock import now_ms
from flowtally.core.edges import format_instant
from flowtally.core.unshown import repr_without
from flowtally.ingest import identity
from flowtally.ingest.settings import keys_path
from flowtally.keys.store import peek
from flowtally.ledger.database import Tx
from flowtally.ledger.people import credentials
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import server
from flowtally.start import ADMIN_SLOT, Clock, leases

DOOR = "flowtally key admin"  # what the audit trail says of where it was done


class Admin(msgspec.Struct, frozen=True):
    """A key of scope admin, without its secrets. `set`: its token is the setting FLOWTALLY_ADMIN_TOKEN."""

    id: str
    name: str
    created_at: str
    last_used_at: str | None
    expires_at: str | None
    set: bool


class Issued(msgspec.Struct, frozen=True):
    """The new one with its secrets, which are nowhere else; the admin keys that were revoked, and those that live."""

    id: str
    name: str
    token: str
    key: str
    revoked: list[Admin]
    others: list[Admin]

    def __repr__(self) -> str:
        return repr_without(self, "token", "key")


def issue_admin(
    config: Config, name: str, *, revoke: Sequence[str] = (), revoke_all: bool = False, clock: Clock = now_ms
) -> Issued:
    """A new admin key; `revoke`: ids of keys that end with it, of any scope; `revoke_all`: every other admin key does.
    WriterBusy while a server runs; ConfigError where there is no ledger; NotFound for an id that is none, and Damage
    where ledger and keys do not belong together: then nothing was changed."""
    with leases(config) as taken, held_ledger(config, "making an admin key") as ledger:
        identity.decide(identity.look(ledger, peek(keys_path(config.keys_url))))
        ledger.use_clock(clock)
        with ledger.begin_start(server(DOOR)) as tx:
            for lease in taken:
                lease.keep()
            now = clock()
            before = _admins(tx, now)
            made, token, key = credentials.issue(tx, "admin", None, name, now)
            ending = [*revoke, *(one.id for one in before if revoke_all)]
            gone = [credentials.revoke(tx, id, now) for id in dict.fromkeys(ending)]
            revoked, others = _told(tx, gone), _told(tx, [one for one in _admins(tx, now) if one.id != made.id])
    return Issued(made.id, made.name, token, key, revoked, others)


def _admins(tx: Tx, now: int) -> list[Credential]:
    return [one for one in credentials.live_credentials(tx, now) if one.scope == "admin"]


def _told(tx: Tx, some: Sequence[Credential]) -> list[Admin]:
    return [
        Admin(
            one.id,
            one.name,
            format_instant(one.created_at),
            None if one.last_used_at is None else format_instant(one.last_used_at),
            None if one.expires_at is None else format_instant(one.expires_at),
            one.name == ADMIN_SLOT and credentials.is_imported(tx, one.id),
        )
        for one in some
    ]
