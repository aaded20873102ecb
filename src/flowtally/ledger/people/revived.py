"""Credentials that a restored backup brings back: those that were revoked since it was made would live again.

Owns the three ways not to let that happen silently. Where the ledger of before is still at hand, what it ended is ended
here too. Or all are revoked, and there is one new one to administer with. Or they live as they were, and `revived_from`
says since when nobody has looked at them, until somebody says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec
from sqlalchemy import Connection, inspect, select, text, update

from flowtally.core.errors import ConfigError
from flowtally.ledger import trail
from flowtally.ledger.database import Ledger, ledger_file
from flowtally.ledger.installation import read_installation
from flowtally.ledger.people import credentials
from flowtally.ledger.people.addresses import within
from flowtally.ledger.people.credentials import Credential, live_credentials
from flowtally.ledger.tables import installation

NAME = "restored"  # of a credential that is made because nobody could administer otherwise


class End(msgspec.Struct, frozen=True):
    """When a credential was revoked, and when it ends; None: neither. `addresses`: where alone it may come from."""

    revoked_at: int | None
    expires_at: int | None
    addresses: str = ""


class Before(msgspec.Struct, frozen=True):
    """What the ledger of before the restore says: of which installation it is, and how its credentials ended."""

    installation: str
    promises: int
    ends: Mapping[str, End]


def look_at(url: str) -> Before:
    """The ledger of before, of whatever version; nothing in it is changed. ConfigError where there is none."""
    file = ledger_file(url)
    if file is not None and not file.exists():
        raise ConfigError(f"There is no ledger {file}, so it cannot be asked which credentials were revoked")
    with Ledger.connected(url) as ledger, ledger.read() as tx:
        if not inspect(tx).has_table("credentials"):
            raise ConfigError(f"{ledger.shown} holds no ledger")
        known = {column["name"] for column in inspect(tx).get_columns("credentials")}
        since_r0012 = "expires_at, addresses" if "expires_at" in known else "NULL, ''"
        rows = tx.execute(text(f"SELECT id, revoked_at, {since_r0012} FROM credentials"))  # noqa: S608 - one of two
        ends = {id: End(*end) for id, *end in rows}
        if not inspect(tx).has_table("installation"):
            return Before("", 0, ends)
        of, promises = tx.execute(text("SELECT id, promises FROM installation")).one()
        return Before(of, promises, ends)


def end_as_before(tx: Connection, before: Before, now: int) -> tuple[int, str | None]:
    """End what was ended there, and bind what was bound to fewer addresses; returns how many ended, and the token of a
    credential that was made because nobody could administer otherwise. ConfigError for the ledger of another
    installation, or one that is older than this."""
    here = read_installation(tx)
    if before.installation and here.id and before.installation != here.id:
        raise ConfigError("The ledger named is of another installation than the backup: its credentials are others")
    if before.promises < here.promises - 1:  # this transaction's own is not counted, a start's may be
        raise ConfigError("The ledger named is older than the backup: it cannot know what was revoked since")
    alive = live_credentials(tx, now)
    known = [(one, end) for one in alive if (end := before.ends.get(one.id)) is not None]
    ending = [(one, end) for one, end in known if end.revoked_at is not None or _sooner(end.expires_at, one.expires_at)]
    gone = {one.id for one, end in ending}
    token = _administrator(tx, [one for one in alive if one.id not in gone], now)
    for one, end in ending:
        if end.revoked_at is not None:
            credentials.revoke(tx, one.id, now)
        else:
            credentials.put(tx, one, "change", expires_at=end.expires_at)
    for one, end in known:
        if end.revoked_at is None and _narrower(end.addresses, one.addresses):
            credentials.put(tx, credentials.read_credential(tx, one.id), "change", addresses=end.addresses)
    return len(ending), token


def revoke_all(tx: Connection, now: int) -> tuple[int, str | None]:
    """Every one; returns how many, and the token of a new one that administers."""
    ending = live_credentials(tx, now)
    token = _administrator(tx, [], now)
    for one in ending:
        credentials.revoke(tx, one.id, now)
    return len(ending), token


def mark(tx: Connection, made_at: int) -> None:
    """They live as they did when the backup was made, and nobody has looked at them since."""
    tx.execute(update(installation).values(revived_from=made_at))


def unconfirmed(tx: Connection) -> int | None:
    """When the backup was made whose credentials nobody has looked at; None where there is none."""
    return tx.execute(select(installation.c.revived_from)).scalar_one() or None


def confirm(tx: Connection, *, now: int) -> int | None:
    """Somebody has looked at them at `now`, and means those that live. Returns when the backup was made, None where
    there was nothing to confirm."""
    since = unconfirmed(tx)
    if since is not None:
        mark(tx, 0)
        trail.note(
            tx, "credentials.confirm", before={"revived_from": since}, after={"live": len(live_credentials(tx, now))}
        )
    return since


def _sooner(end: int | None, than: int | None) -> bool:
    return end is not None and (than is None or end < than)


def _narrower(addresses: str, than: str) -> bool:
    """Whether these leave out some that were allowed; '' are all."""
    inside = not than or all(within(one, than.split()) for one in addresses.split())
    return bool(addresses) and addresses != than and inside


def _administrator(tx: Connection, staying: Iterable[Credential], now: int) -> str | None:
    """The token of a new one, unless one that stays administers without an end."""
    if any(one.scope == "admin" and one.expires_at is None for one in staying):
        return None
    return credentials.issue(tx, "admin", None, NAME, now)[1]
