"""Credentials: who may ask, and within which scope.

A credential is an `id` (its public name), a `token` (the bearer secret) and a `key` (a second secret that some vendors'
APIs ask for). Secrets are 256 random bits, shown once; only their SHA-256 is kept. A slow password hash would add
nothing: it makes guessing dear, and nobody guesses 256 bits; it would only make every request dear. The one secret
that may be weaker is a token the operator chose (`import_token`), hence its minimum length.
"""

from __future__ import annotations

import hmac
import secrets
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, insert, select, update

from flowtally.errors import Conflict, NotFound, Unprocessable
from flowtally.ledger import senders, trail
from flowtally.ledger.accounts import read_account, read_open_account
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, Page, read_page
from flowtally.ledger.tables import credentials
from flowtally.ledger.texts import check_text
from flowtally.protocol import Scope
from flowtally.texts import may_be_known

MIN_IMPORTED_CHARS: Final = 20
MAX_IMPORTED_CHARS: Final = 1024
_PREFIX: Final[dict[Scope, str]] = {
    "ingest": "ft_ing_",
    "account": "ft_acc_",
    "manage": "ft_man_",
    "admin": "ft_adm_",
}
_KEY_PREFIX: Final = "ft_key_"


class Credential(msgspec.Struct, frozen=True):
    """`account`: always for scopes account and manage, never for admin; an `ingest` one with it may only write its
    events. `sender`: whose the sources are that it writes; None where it writes no events."""

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: int
    revoked_at: int | None = None
    sender: str | None = None

    @property
    def keys_of(self) -> str:
        """Whose keys of idempotency it uses: its account's, or '' for those of the installation."""
        return self.account or ""


_COLUMNS = [credentials.c[field] for field in Credential.__struct_fields__]
SENDING: Final[frozenset[Scope]] = frozenset({"ingest", "admin"})


def issue(
    tx: Connection, scope: Scope, account: str | None, name: str, now: int, *, sender: str | None = None
) -> tuple[Credential, str, str]:
    """A new credential with its token and key, which are nowhere else from now on. `sender`: whose sources it goes on
    with; without one it gets a sender of its own, where it may write events.

    Unprocessable when scope, account and sender do not go together, UnknownAccount, NotFound (the sender), Conflict for
    a closed account.
    """
    token, key = (prefix + secrets.token_urlsafe(32) for prefix in (_PREFIX[scope], _KEY_PREFIX))
    credential = _insert(tx, scope, account, name, now, token_hash=_hash(token), key_hash=_hash(key), sender=sender)
    return credential, token, key


def import_token(tx: Connection, token: str, *, name: str, now: int, scope: Scope = "admin") -> Credential:
    """The credential of a token the operator chose (FLOWTALLY_ADMIN_TOKEN), made when it is new. It has no key.

    `name` is a slot: a new token revokes the one imported under this name before and goes on with its sources, so that
    changing the setting is enough to lock out a leaked token. Unprocessable for a token too short, long or not
    printable ASCII; Conflict when it was revoked or is known by another scope or name.
    """
    _check_imported(token)
    known = _find_by_token(tx, token)
    if known is not None:
        if known.revoked_at is not None:
            raise Conflict(f"this token was revoked (credential {known.id!r}) and cannot be used again")
        if (known.scope, known.name) != (scope, name):
            raise Conflict(f"this token is that of credential {known.id!r} (scope {known.scope}) and cannot be used so")
        return known
    slot = (credentials.c.name == name) & credentials.c.key_hash.is_(None) & credentials.c.revoked_at.is_(None)
    sender = tx.execute(select(credentials.c.sender).where(slot, credentials.c.scope == scope).limit(1)).scalar()
    for gone in list(tx.execute(select(credentials.c.id).where(slot)).scalars()):
        revoke(tx, gone, now)
    return _insert(tx, scope, None, name, now, token_hash=_hash(token), key_hash=None, sender=sender)


def authenticate(tx: Connection, token: str) -> Credential | None:
    """Whose token this is; None when it is nobody's or was revoked."""
    credential = _find_by_token(tx, token)
    return None if credential is None or credential.revoked_at is not None else credential


def key_matches(tx: Connection, credential_id: str, key: str) -> bool:
    """Whether this is the credential's second secret. An imported token has none: nothing matches."""
    kept = tx.execute(select(credentials.c.key_hash).where(credentials.c.id == credential_id)).scalar_one_or_none()
    return kept is not None and hmac.compare_digest(kept, _hash(key))


def revoke(tx: Connection, credential_id: str, now: int, *, account: str | None = None) -> Credential:
    """Refuse this credential from now on. A second time changes nothing and returns the first record.
    `account` restricts to that account's credentials. NotFound."""
    credential = read_credential(tx, credential_id, account=account)
    if credential.revoked_at is not None:
        return credential
    tx.execute(update(credentials).where(credentials.c.id == credential_id).values(revoked_at=now))
    gone = msgspec.structs.replace(credential, revoked_at=now)
    was, now_is = trail.facts(credential), trail.facts(gone)
    trail.note(tx, "credential.revoke", account=gone.account, subject=gone.id, before=was, after=now_is)
    return gone


def read_credential(tx: Connection, credential_id: str, *, account: str | None = None) -> Credential:
    """The credential, revoked or not; NotFound, also when it is not of `account` (None: any)."""
    row = None
    if may_be_known(credential_id):
        row = tx.execute(_credentials_of(account).where(credentials.c.id == credential_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no credential {credential_id!r}", credential=credential_id)
    return Credential(*row)


def list_credentials(
    tx: Connection, account: str | None = None, after: str | None = None, limit: int = DEFAULT_LIMIT
) -> Page[Credential]:
    """Credentials in order of id, revoked ones included; of one account if given (UnknownAccount)."""
    if account is not None:
        read_account(tx, account)
    return read_page(
        tx, "credentials", _credentials_of(account), credentials.c.id, Credential, (account,), after=after, limit=limit
    )


def has_admin(tx: Connection) -> bool:
    """Whether anybody can administer; if not, the start issues a first admin credential."""
    query = select(credentials.c.id).where(credentials.c.scope == "admin", credentials.c.revoked_at.is_(None))
    return tx.execute(query.limit(1)).first() is not None


def _insert(
    tx: Connection,
    scope: Scope,
    account: str | None,
    name: str,
    now: int,
    *,
    token_hash: str,
    key_hash: str | None,
    sender: str | None = None,
) -> Credential:
    if (scope == "admin" and account is not None) or (scope in ("account", "manage") and account is None):
        raise Unprocessable(f"scope {scope} {'takes no' if account else 'needs an'} account", field="account")
    if account is not None:
        read_open_account(tx, account)
    check_text("name", name)
    sender = _sender(tx, scope, account, name, now, sender)
    credential = Credential(new_id("crd_"), scope, account, name, now, sender=sender)
    hashes = {"token_hash": token_hash, "key_hash": key_hash}
    tx.execute(insert(credentials).values(msgspec.structs.asdict(credential) | hashes))
    trail.note(tx, "credential.issue", account=account, subject=credential.id, after=trail.facts(credential))
    return credential


def _sender(tx: Connection, scope: Scope, account: str | None, name: str, now: int, wanted: str | None) -> str | None:
    if wanted is None:
        return senders.create_sender(tx, account, name, now).id if scope in SENDING else None
    if scope not in SENDING:
        raise Unprocessable(f"scope {scope} writes no events, so it takes no sender", field="sender")
    return senders.require_sender(tx, wanted, account).id


def _find_by_token(tx: Connection, token: str) -> Credential | None:
    """Found by hash over an index. How long that takes tells about hashes only, of which no secret follows."""
    wanted = _hash(token)
    row = tx.execute(select(*_COLUMNS, credentials.c.token_hash).where(credentials.c.token_hash == wanted)).first()
    if row is None or not hmac.compare_digest(row.token_hash, wanted):
        return None
    return Credential(*row[:-1])


def _credentials_of(account: str | None) -> Select[Any]:
    query = select(*_COLUMNS)
    return query if account is None else query.where(credentials.c.account == account)


def _check_imported(token: str) -> None:
    if not MIN_IMPORTED_CHARS <= len(token) <= MAX_IMPORTED_CHARS:
        allowed = f"{MIN_IMPORTED_CHARS} to {MAX_IMPORTED_CHARS}"
        raise Unprocessable(f"a token of {len(token)} characters; {allowed} are allowed", field="token")
    if not (token.isascii() and token.isprintable() and " " not in token):
        raise Unprocessable("a token must be printable ASCII without spaces, to fit a header", field="token")


def _hash(secret: str) -> str:
    return sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()
