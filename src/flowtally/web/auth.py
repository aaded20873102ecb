"""Who is asking, and what they may do.

Owns the bearer token's way to a credential, with a short memory so that a busy source does not ask the ledger for
every request, and what may be given to whom. Leaves to `ledger.people.credentials` what a token is and how it is kept.

* A right says what may be asked (`rights`), the account for whom: a credential of an account asks for that one alone,
  one without for any. Scopes are sets of rights under one name.
* Nobody gives more than they have: rights, account, sender, addresses, life. Nor do they change or end a credential
  that may more.
* Another account answers exactly like one that does not exist: nobody learns which accounts there are.
* A revoke through this process holds from its commit on: the memory is emptied, and an answer that was on its way
  from the ledger meanwhile is not remembered. One process serves an installation, so this is exact; should another
  one change the ledger, the memory is at most `REMEMBERED_MS` behind.
* The end of a credential and the addresses it may come from are looked at with every request, remembered or not.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final

from flowtally.config import MAX_TOKEN_CHARS
from flowtally.core import bearer
from flowtally.core.edges import format_instant
from flowtally.core.errors import (
    AddressNotAllowed,
    CredentialExpired,
    Forbidden,
    TokenNotWhole,
    Unauthenticated,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.rights import Right
from flowtally.ledger.database import Ledger, Tx
from flowtally.ledger.people import credentials, whitelist
from flowtally.ledger.people.addresses import canonical, within
from flowtally.ledger.people.credentials import Credential
from flowtally.web.last_used import LastUsed

REMEMBERED_MS: Final = 10_000
REMEMBERED: Final = 10_000  # credentials

Caller = Callable[[], str]  # gives the caller's address; asked only where a credential is bound to some


def _from_nowhere() -> str:
    return ""


class Doorkeeper:
    """Turns `Authorization` headers into credentials; safe to use from any thread. `uses`: when each was used last."""

    def __init__(self, ledger: Ledger, clock: Callable[[], int]) -> None:
        self.uses = LastUsed(ledger)
        self._ledger = ledger
        self._clock = clock
        self._lock = threading.Lock()
        self._known: dict[bytes, tuple[Credential, int]] = {}  # digest of the token -> credential, remembered until
        self._generation = 0  # moves whenever the memory is emptied
        self._chosen = self._read_chosen()

    def remembered(self, header: str | None, caller: Caller = _from_nowhere) -> Credential | None:
        """The credential if it was asked for lately: does not wait. Unauthenticated where the header is no use, or the
        credential has expired; AddressNotAllowed."""
        token, now = bearer_token(header), self._clock()
        digest = _digest(token)
        held = self._known.get(digest)
        if held is not None and now < held[1]:
            return self._let_in(held[0], now, caller)
        if not bearer.is_whole(token) and digest.hex() not in self._chosen:
            raise TokenNotWhole("This is not a whole flowtally token: it was mistyped or cut off.")
        return None

    def look_up(self, header: str | None, caller: Caller = _from_nowhere) -> Credential:
        """The credential by asking the ledger (call in a thread); Unauthenticated if unknown, revoked or expired;
        AddressNotAllowed."""
        token, generation = bearer_token(header), self._generation
        with self._ledger.read() as tx:
            credential = credentials.authenticate(tx, token)
        if credential is None:
            raise Unauthenticated("The token is unknown or was revoked.")
        now = self._clock()
        with self._lock:
            if generation == self._generation:
                self._remember(_digest(token), credential, now)
        return self._let_in(credential, now, caller)

    def forget(self) -> None:
        """Call after a commit that changed credentials."""
        with self._lock:
            self._generation += 1
            self._known = {}

    def begin_anew(self) -> None:
        """Call when another process may have changed the ledger."""
        self._chosen = self._read_chosen()
        self.forget()

    def _let_in(self, credential: Credential, now: int, caller: Caller) -> Credential:
        if credential.expires_at is not None and credential.expires_at <= now:
            raise CredentialExpired(
                f"The credential {credential.id} expired at {format_instant(credential.expires_at)}."
            )
        if credential.addresses:
            require_address(credential, caller())
        self.uses.note(credential, now)
        return credential

    def _remember(self, digest: bytes, credential: Credential, now: int) -> None:
        if len(self._known) >= REMEMBERED:
            self._known = {}  # simple, rare, and no worse than a restart
        self._known[digest] = (credential, now + REMEMBERED_MS)

    def _read_chosen(self) -> frozenset[str]:
        with self._ledger.read() as tx:
            return credentials.imported(tx)


class Whitelisted(Credential, frozen=True):
    """Stands for a caller without a token whose address is on a whitelist of the account. It is kept nowhere, and may
    nothing but ask where to connect to."""

    address: str = ""


def whitelisted(ledger: Ledger, account: str, address: str) -> Whitelisted:
    """Who asks from this address for this account (call in a thread). Unauthenticated where it is on none of its lists,
    alike whether there is such an account."""
    with ledger.read() as tx:
        if not whitelist.lets_in(tx, account, address):
            raise Unauthenticated(
                "Send your token as `Authorization: Bearer <token>`, or ask from an address on the account's whitelist."
            )
    who = f"{address} of {account}"  # so that each is counted by itself
    return Whitelisted(who, "custom", account, "", 0, rights="endpoints:read", address=address)


def require_on_list(tx: Tx, credential: Credential, pool: str) -> None:
    """AddressNotAllowed for a caller that is known by its address alone, and not on the list of this pool."""
    if isinstance(credential, Whitelisted):
        assert credential.account is not None
        if not whitelist.lets_in(tx, credential.account, credential.address, pool=pool):
            detail = f"{credential.address} is not on the whitelist of pool {pool!r}"
            raise AddressNotAllowed(detail, address=credential.address)


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


def require_right(credential: Credential, right: Right) -> None:
    """Forbidden unless the credential has it. Says nothing about what was asked for."""
    if not credential.may(right):
        raise Forbidden(
            f"This needs the right {right}; the credential {credential.id} ({credential.scope}) has it not."
        )


def require_whole(credential: Credential) -> None:
    """Forbidden for a credential of an account."""
    if credential.account is not None:
        raise Forbidden(
            f"This is about the whole installation; the credential {credential.id} is one of account"
            f" {credential.account!r}."
        )


def require_account(credential: Credential, account: str) -> None:
    """UnknownAccount unless the credential may know this account."""
    if credential.account not in (None, account):
        raise UnknownAccount(f"there is no account {account!r}", account=account)


def require_address(credential: Credential, address: str) -> None:
    """AddressNotAllowed unless the credential may come from there. It names the address that was seen, never those that
    would do."""
    if not _may_come(credential.addresses, address):
        shown = address or "an address that nobody knows"
        raise AddressNotAllowed(f"The credential {credential.id} may not be used from {shown}.", address=address)


def require_stays_in(own: Credential, address: str) -> None:
    """Unprocessable where a credential that was just changed by itself could not be used any more from where it is."""
    if own.addresses and not _may_come(own.addresses, address):
        detail = f"the addresses leave out {address or 'the one'} that you ask from: you would lock yourself out"
        raise Unprocessable(detail, field="addresses")


def require_holds(holder: Credential, other: Credential) -> None:
    """Forbidden unless the holder may all that the other may, so that changing or ending it is its to do."""
    if missing := sorted(other.rights_held - holder.rights_held):
        raise Forbidden(
            f"The credential {holder.id} has not all rights of {other.id or 'that one'}: {' '.join(missing)}."
        )
    if other.scope == "admin" and holder.scope != "admin":  # which has the rights of later versions, too
        raise Forbidden(f"The credential {holder.id} has the scope {holder.scope}, not admin.")
    if holder.account is not None and other.account != holder.account:
        raise Forbidden(f"The credential {holder.id} is one of account {holder.account!r}, the other is not.")


def require_gives(giver: Credential, given: Credential, *, life: bool = True) -> None:
    """Forbidden unless this is no more than the giver has itself: rights, account, where it may come from, and (`life`)
    how long."""
    require_holds(giver, given)
    if giver.addresses:
        own = giver.addresses.split()
        if not given.addresses or not all(within(one, own) for one in given.addresses.split()):
            raise Forbidden(
                f"The credential {giver.id} is bound to addresses: what it gives is bound to some of these."
            )
    if life and giver.expires_at is not None and (given.expires_at is None or given.expires_at > giver.expires_at):
        ends = format_instant(giver.expires_at)
        raise Forbidden(f"The credential {giver.id} ends at {ends}: what it gives ends no later.")


def require_sends_as(giver: Credential, sender: str | None) -> None:
    """Forbidden unless the giver may act for this sender, whose sources a credential it gives would go on with."""
    if sender not in (None, giver.sender) and not giver.may("sources:write"):
        raise Forbidden(f"The credential {giver.id} may not act for the sender {sender!r}: it needs sources:write.")


@lru_cache(4096)
def _may_come(addresses: str, address: str) -> bool:
    try:
        own = canonical(address.partition("%")[0])  # after a % is the name of a link of this machine
    except Unprocessable:
        return False
    return within(own, addresses.split(" "))


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
