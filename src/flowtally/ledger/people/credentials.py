"""Credentials: who may ask, and within which scope.

A credential is an `id` (its public name), a `token` (the bearer secret) and a `key` (a second secret that some vendors'
APIs ask for). Secrets are 256 random bits (`bearer` says how they are written), shown once; only their SHA-256 is kept.
A slow password hash would add nothing: it makes guessing dear, and nobody guesses 256 bits; it would only make every
request dear. The one secret that may be weaker is a token the operator chose (`import_token`), hence its minimum
length.

What one may be is in `credential_rules`. A credential may end (`expires_at`), may be bound to addresses, and is
replaced by rotating it (`rotation`). Nothing here asks who wants it: that nobody gives more than they have is seen to
by `auth`.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Select, bindparam, insert, select, update

from flowtally.core import bearer, rights
from flowtally.core.errors import Conflict, LastAdmin, NotFound, Unprocessable
from flowtally.core.rights import Right, Scope
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people import senders
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.people.credential_rules import check_account, check_addresses, check_end, check_rights
from flowtally.ledger.tables import credentials
from flowtally.ledger.texts import check_text

MIN_IMPORTED_CHARS: Final = 20
MAX_IMPORTED_CHARS: Final = 1024
_PREFIX: Final[dict[Scope, str]] = {
    "ingest": "ft_ing_",
    "account": "ft_acc_",
    "manage": "ft_man_",
    "admin": "ft_adm_",
    "custom": "ft_cus_",
}
_KEY_PREFIX: Final = "ft_key_"


class Credential(msgspec.Struct, frozen=True):
    """`account`: always for scopes account and manage, never for admin; an `ingest` one with it may only write its
    events. `sender`: whose the sources are that it writes; None where it writes no events. `rights`: those
    beyond its scope's own, with spaces between them; `rights_held` are all. `addresses`: the addresses and networks it
    may come from, with spaces between them; empty: any. `expires_at`: from then on it is refused.
    `last_used_at`: to the minute, and a minute late (`last_used`). `replaces`: the credential it was rotated from."""

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: int
    revoked_at: int | None = None
    sender: str | None = None
    rights: str = ""
    addresses: str = ""
    expires_at: int | None = None
    last_used_at: int | None = None
    replaces: str | None = None

    @property
    def rights_held(self) -> frozenset[str]:
        return rights.held(self.scope, self.rights)

    def may(self, right: Right) -> bool:
        return right in rights.held(self.scope, self.rights)

    def has_ended(self, now: int) -> bool:
        """Whether it is revoked, or its time is over."""
        return self.revoked_at is not None or (self.expires_at is not None and self.expires_at <= now)

    @property
    def keys_of(self) -> str:
        """Whose keys of idempotency it uses: its account's, or '' for those of the installation."""
        return self.account or ""


_COLUMNS = [credentials.c[field] for field in Credential.__struct_fields__]
_NOT_REVOKED: Final = credentials.c.revoked_at.is_(None)
_NEVER_ENDS: Final = credentials.c.expires_at.is_(None)
_OF_TOKEN: Final = select(*_COLUMNS, credentials.c.token_hash).where(credentials.c.token_hash == bindparam("asked"))
_IMPORTED: Final = select(credentials.c.token_hash).where(credentials.c.key_hash.is_(None), _NOT_REVOKED)
_NEW: Final = insert(credentials)


def issue(
    tx: Connection,
    scope: Scope,
    account: str | None,
    name: str,
    now: int,
    *,
    more: Sequence[Right] = (),
    sender: str | None = None,
    addresses: Sequence[str] = (),
    expires_at: int | None = None,
) -> tuple[Credential, str, str]:
    """A new credential with its token and key, which are nowhere else from now on. `more`: rights beyond its scope's
    own. `sender`: whose sources it goes on with; without one it gets a sender of its own, where it may write events.

    Unprocessable when scope, rights, account and sender do not go together, when it would have ended already, and for
    what is no address; UnknownAccount, NotFound (the sender), Conflict for a closed account.
    """
    check_account(scope, account)
    if account is not None:
        read_open_account(tx, account)
    check_text("name", name)
    check_end(expires_at, now)
    has = check_rights(scope, account, more)
    writes_as = _sender(tx, rights.held(scope, has), account, name, now, sender)
    wanted = Credential("", scope, account, name, now, sender=writes_as, rights=has, expires_at=expires_at)
    return make(tx, msgspec.structs.replace(wanted, addresses=check_addresses(addresses)))


def make(tx: Connection, wanted: Credential) -> tuple[Credential, str, str]:
    """It with an id, and with secrets of its own. The caller has checked what it is."""
    token = bearer.make(_PREFIX[wanted.scope], secrets.token_bytes(bearer.BYTES))
    key = bearer.make(_KEY_PREFIX, secrets.token_bytes(bearer.BYTES))
    return _insert(tx, wanted, token_hash=_hash(token), key_hash=_hash(key)), token, key


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
    slot = (credentials.c.name == name) & credentials.c.key_hash.is_(None) & _NOT_REVOKED
    sender = tx.execute(select(credentials.c.sender).where(slot, credentials.c.scope == scope).limit(1)).scalar()
    gone = list(tx.execute(select(credentials.c.id).where(slot)).scalars())
    check_account(scope, None)
    check_text("name", name)
    sender = _sender(tx, rights.held(scope), None, name, now, sender)
    made = _insert(tx, Credential("", scope, None, name, now, sender=sender), token_hash=_hash(token), key_hash=None)
    for one in gone:  # not before: somebody can always administer
        revoke(tx, one, now)
    return made


def imported(tx: Connection) -> frozenset[str]:
    """The SHA-256 (hex) of tokens that an operator chose: those need not look like ours."""
    return frozenset(tx.execute(_IMPORTED).scalars())


def authenticate(tx: Connection, token: str) -> Credential | None:
    """Whose token this is; None when it is nobody's or was revoked. Whether it has expired, and where it may come from,
    is for the caller to see."""
    credential = _find_by_token(tx, token)
    return None if credential is None or credential.revoked_at is not None else credential


def key_matches(tx: Connection, credential_id: str, key: str) -> bool:
    """Whether this is the credential's second secret. An imported token has none: nothing matches."""
    kept = _key_hash(tx, credential_id)
    return kept is not None and hmac.compare_digest(kept, _hash(key))


def revoke(tx: Connection, credential_id: str, now: int, *, account: str | None = None) -> Credential:
    """Refuse this credential from now on. A second time changes nothing and returns the first record.
    `account` restricts to that account's credentials. NotFound, LastAdmin."""
    credential = read_credential(tx, credential_id, account=account)
    if credential.revoked_at is not None:
        return credential
    return put(tx, credential, "revoke", revoked_at=now)


def change_credential(
    tx: Connection,
    credential_id: str,
    *,
    now: int,
    account: str | None = None,
    name: str | None = None,
    addresses: Sequence[str] | None = None,
    expires_at: int | None = None,
) -> Credential:
    """What is given, of one that has not ended. It can end earlier, never later: that would revive who counts on its
    end. NotFound, Conflict, Unprocessable, LastAdmin."""
    credential = read_credential(tx, credential_id, account=account)
    if credential.has_ended(now):
        raise Conflict(f"credential {credential_id!r} has ended: nothing of it can be changed")
    changes: dict[str, Any] = {}
    if name is not None:
        changes["name"] = check_text("name", name)
    if addresses is not None:
        changes["addresses"] = check_addresses(addresses)
    if expires_at is not None:
        check_end(expires_at, now)
        if is_imported(tx, credential_id):
            raise Conflict(f"the token of credential {credential_id!r} is a setting: it ends by changing that")
        if credential.expires_at is not None and expires_at > credential.expires_at:
            raise Unprocessable("it can end earlier, not later: rotate it, or issue another", field="expires_at")
        changes["expires_at"] = expires_at
    return put(tx, credential, "change", **changes)


def put(tx: Connection, credential: Credential, action: str, **changes: Any) -> Credential:
    """It with these changes, which are recorded as this action. LastAdmin where nobody could administer for ever after
    them."""
    changed = msgspec.structs.replace(credential, **changes)
    if changed != credential:
        tx.execute(update(credentials).where(credentials.c.id == credential.id).values(changes))
        did, account = f"credential.{action}", changed.account
        trail.change(tx, did, credential, changed, "last_used_at", account=account, subject=changed.id)
        if _is_steady_admin(credential) and not _is_steady_admin(changed) and not _some_admin(tx, _NEVER_ENDS):
            raise LastAdmin(
                f"credential {credential.id!r} is the last one of scope admin without an end: issue another first, or"
                " rotate it"
            )
    return changed


def note_used(tx: Connection, minutes: Mapping[str, int]) -> None:
    """When each credential was last used; a later instant that is there stays. Nobody changed anything by it, so the
    trail does not hold it."""
    later = (credentials.c.last_used_at.is_(None)) | (credentials.c.last_used_at < bindparam("at"))
    noted = update(credentials).where(credentials.c.id == bindparam("which"), later)
    with trail.unrecorded(tx):
        tx.execute(noted.values(last_used_at=bindparam("at")), [{"which": id, "at": at} for id, at in minutes.items()])


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
) -> ListPage[Credential]:
    """Credentials in order of id, revoked ones included; of one account if given (UnknownAccount)."""
    if account is not None:
        read_account(tx, account)
    return read_page(
        tx, "credentials", _credentials_of(account), credentials.c.id, Credential, (account,), after=after, limit=limit
    )


def has_admin(tx: Connection, at: int = 0) -> bool:
    """Whether anybody can administer `at` this instant; if not, the start issues a first admin credential."""
    return _some_admin(tx, _ends_after(at))


def is_imported(tx: Connection, credential_id: str) -> bool:
    """Whether its token is a setting of the operator's."""
    return _key_hash(tx, credential_id) is None


def live_credentials(tx: Connection, at: int) -> list[Credential]:
    """Those that are let in at this instant, in order of id."""
    query = select(*_COLUMNS).where(_NOT_REVOKED, _ends_after(at))
    return [Credential(*row) for row in tx.execute(query.order_by(credentials.c.id))]


def _insert(tx: Connection, wanted: Credential, *, token_hash: str, key_hash: str | None) -> Credential:
    credential = msgspec.structs.replace(wanted, id=new_id("crd_"))
    hashes = {"token_hash": token_hash, "key_hash": key_hash}
    tx.execute(_NEW, msgspec.structs.asdict(credential) | hashes)
    account = credential.account
    trail.note(tx, "credential.issue", account=account, subject=credential.id, after=trail.facts(credential))
    return credential


def _sender(
    tx: Connection, held: frozenset[str], account: str | None, name: str, now: int, wanted: str | None
) -> str | None:
    sends = not rights.SENDING.isdisjoint(held)
    if wanted is None:
        return senders.create_sender(tx, account, name, now).id if sends else None
    if not sends:
        raise Unprocessable("it may write no events, so it takes no sender", field="sender")
    return senders.require_sender(tx, wanted, account).id


def _is_steady_admin(credential: Credential) -> bool:
    return credential.scope == "admin" and credential.revoked_at is None and credential.expires_at is None


def _some_admin(tx: Connection, lives: ColumnElement[bool]) -> bool:
    query = select(credentials.c.id).where(credentials.c.scope == "admin", _NOT_REVOKED, lives)
    return tx.execute(query.limit(1)).first() is not None


def _ends_after(at: int) -> ColumnElement[bool]:
    return _NEVER_ENDS | (credentials.c.expires_at > at)


def _key_hash(tx: Connection, credential_id: str) -> str | None:
    return tx.execute(select(credentials.c.key_hash).where(credentials.c.id == credential_id)).scalar_one_or_none()


def _find_by_token(tx: Connection, token: str) -> Credential | None:
    """Found by hash over an index. How long that takes tells about hashes only, of which no secret follows."""
    wanted = _hash(token)
    row = tx.execute(_OF_TOKEN, {"asked": wanted}).first()
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
