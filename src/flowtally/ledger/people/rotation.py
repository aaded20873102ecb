"""Rotation: a credential is replaced by another of the same kind, and both work for a while.

Owns what is taken over and when the old one ends. Leaves to `credentials` what a credential is and how its secrets are
kept, to `auth` who may ask.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from msgspec.structs import replace
from sqlalchemy import Connection, func, select

from flowtally.core.errors import AlreadyRotated, Conflict, LimitReached, Unprocessable
from flowtally.ledger.people.credential_rules import check_end
from flowtally.ledger.people.credentials import Credential, is_imported, make, put, read_credential
from flowtally.ledger.tables import credentials
from flowtally.ledger.texts import check_number

MAX_OVERLAP_S: Final = 366 * 86_400
MAX_UNUSED: Final = 20  # replacements of one credential: so many answers are not lost by chance


LastUsed = Callable[[str, int | None], int | None]  # of a credential, where the ledger says this


def rotate(
    tx: Connection,
    credential_id: str,
    *,
    now: int,
    overlap_s: int,
    expires_at: int | None = None,
    extends: bool = True,
    account: str | None = None,
    last_used: LastUsed = lambda _, written: written,
) -> tuple[Credential, str, str]:
    """A new credential with a token and a key of its own and all else from the old one, which ends after the overlap,
    never later than it would have. The new one ends when the old one would have, unless `expires_at` says otherwise:
    later only where whoever asks `extends` it.

    A second time while the new one is unused replaces that, as it was changed since: its secrets may never have
    arrived. Where that one was revoked, only who `extends` makes another that outlives the old one. AlreadyRotated once
    it is used, LimitReached after MAX_UNUSED. NotFound, Conflict for what has ended, or is a setting; Unprocessable.
    """
    old = read_credential(tx, credential_id, account=account)
    if is_imported(tx, old.id):
        raise Conflict(
            f"the token of credential {old.id!r} is the setting FLOWTALLY_ADMIN_TOKEN: it is rotated by changing that"
        )
    if old.has_ended(now):
        raise Conflict(f"credential {old.id!r} has ended: it cannot be rotated, another can be issued")
    check_number("overlap_s", overlap_s, least=0, most=MAX_OVERLAP_S)
    check_end(expires_at, now)
    before = replacement_of(tx, old.id)
    if before is not None and before.revoked_at is None and _is_in_use(tx, before, last_used):
        raise AlreadyRotated(
            f"credential {old.id!r} was replaced by {before.id!r}, which is used", replaced_by=before.id
        )
    if _replacements(tx, old.id) >= MAX_UNUSED:
        raise LimitReached(f"credential {old.id!r} was rotated {MAX_UNUSED} times: issue another", limit=MAX_UNUSED)
    kind = before if before is not None and before.revoked_at is None else old  # it may have been changed since
    ends = (before if before is not None and extends else kind).expires_at
    if expires_at is not None:
        if ends is not None and expires_at > ends and not extends:
            raise Unprocessable("a credential cannot give itself a longer life", field="expires_at")
        ends = expires_at
    made, token, key = make(tx, replace(kind, created_at=now, expires_at=ends, last_used_at=None, replaces=old.id))
    if before is not None and before.revoked_at is None:
        put(tx, before, "revoke", revoked_at=now)
    over = now + overlap_s * 1000
    put(tx, old, "rotate", expires_at=over if old.expires_at is None else min(over, old.expires_at))
    return made, token, key


def replacement_of(tx: Connection, credential_id: str) -> Credential | None:
    """The latest that it was rotated into, revoked or not: it ends when the old one would have, had it stayed."""
    query = select(credentials.c.id).where(credentials.c.replaces == credential_id)
    found = tx.execute(query.order_by(credentials.c.id.desc()).limit(1)).scalar_one_or_none()
    return None if found is None else read_credential(tx, found)


def _replacements(tx: Connection, credential_id: str) -> int:
    query = select(func.count()).where(credentials.c.replaces == credential_id)
    return int(tx.execute(query).scalar_one())


def _is_in_use(tx: Connection, credential: Credential, last_used: LastUsed) -> bool:
    return (
        last_used(credential.id, credential.last_used_at) is not None or replacement_of(tx, credential.id) is not None
    )
