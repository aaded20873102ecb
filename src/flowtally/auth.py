"""Who is asking, and what they may do.

Owns the bearer token's way to a credential, with a short memory so that a busy source does not ask the ledger for
every request, and the rules of scopes. Leaves to `ledger.credentials` what a token is and how it is kept.

* admin: everything. account: reads of its own account. manage: the same, and changes what is the account's own to
  change: users, what they get, what it buys. ingest: writes events, reads its own sources and events.
* Another account answers exactly like one that does not exist: nobody learns which accounts there are.
* A revoke through this process holds from its commit on: the memory is emptied, and an answer that was on its way
  from the ledger meanwhile is not remembered. One process serves an installation, so this is exact; should another
  one change the ledger, the memory is at most `REMEMBERED_MS` behind.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Final

from flowtally.config import MAX_TOKEN_CHARS
from flowtally.errors import Forbidden, Unauthenticated, UnknownAccount
from flowtally.ledger import credentials
from flowtally.ledger.credentials import Credential
from flowtally.ledger.database import Ledger
from flowtally.protocol import Scope

REMEMBERED_MS: Final = 10_000
REMEMBERED: Final = 10_000  # credentials

ADMIN: Final[tuple[Scope, ...]] = ("admin",)
MANAGERS: Final[tuple[Scope, ...]] = ("manage", "admin")
READERS: Final[tuple[Scope, ...]] = ("account", "manage", "admin")
SENDERS: Final[tuple[Scope, ...]] = ("ingest", "admin")
ANYONE: Final[tuple[Scope, ...]] = ("ingest", "account", "manage", "admin")


class Doorkeeper:
    """Turns `Authorization` headers into credentials; safe to use from any thread."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Credential, int]] = {}  # digest of the token -> credential, remembered until
        self._generation = 0  # moves whenever the memory is emptied

    def remembered(self, header: str | None) -> Credential | None:
        """The credential if it was asked for lately: does not wait. Unauthenticated if there is no usable header."""
        held = self._known.get(_digest(bearer_token(header)))
        return held[0] if held is not None and self._clock() < held[1] else None

    def look_up(self, header: str | None) -> Credential:
        """The credential by asking the ledger (call in a thread); Unauthenticated if unknown or revoked."""
        token, generation = bearer_token(header), self._generation
        with self._ledger.read() as tx:
            credential = credentials.authenticate(tx, token)
        if credential is None:
            raise Unauthenticated("The token is unknown or was revoked.")
        with self._lock:
            if generation == self._generation:
                self._remember(_digest(token), credential)
        return credential

    def forget(self) -> None:
        """Call after a commit that changed credentials."""
        with self._lock:
            self._generation += 1
            self._known = {}

    def _remember(self, digest: bytes, credential: Credential) -> None:
        if len(self._known) >= REMEMBERED:
            self._known = {}  # simple, rare, and no worse than a restart
        self._known[digest] = (credential, self._clock() + REMEMBERED_MS)


def bearer_token(header: str | None) -> str:
    """The token of an `Authorization: Bearer` header, else Unauthenticated."""
    if header is None:
        raise Unauthenticated("Send your token as `Authorization: Bearer <token>`.")
    scheme, _, token = header.partition(" ")
    token = token.strip()
    if scheme.lower() != "bearer" or not token or len(token) > MAX_TOKEN_CHARS or not token.isascii():
        raise Unauthenticated("The Authorization header is not `Bearer <token>`.")
    return token


def only_header(sent: Sequence[str]) -> str | None:
    """The `Authorization` header of a request, given once or twice the same. Unauthenticated for two that differ:
    what stands between may have looked at the other one."""
    if len(set(sent)) > 1:
        raise Unauthenticated("There are two Authorization headers, and they differ.")
    return sent[0] if sent else None


def require_scope(credential: Credential, allowed: Collection[Scope]) -> None:
    """Forbidden unless the credential has one of these scopes. Says nothing about what was asked for."""
    if credential.scope not in allowed:
        raise Forbidden(
            f"This needs the scope {' or '.join(allowed)}; the credential {credential.id} has {credential.scope}."
        )


def require_account(credential: Credential, account: str) -> None:
    """UnknownAccount unless the credential may know this account."""
    if credential.scope != "admin" and credential.account != account:
        raise UnknownAccount(f"there is no account {account!r}", account=account)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
