"""Accounts, credentials, pools and products."""

from __future__ import annotations

from typing import Annotated, get_args

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant
from flowtally.core.rights import Right, Scope
from flowtally.core.unshown import repr_without
from flowtally.core.words import AccountStatus, Charge, Overage


class AccountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A new account.

    id: The id it shall have; null: one is made.
    timezone: The IANA name of the time zone in which its days and months begin.
    carry_from: Use before this instant that no grant paid is never paid later; default: the second it is made in.
    overage: What becomes of use that no grant pays: `carry` lets the next grant pay it, `forgive` does not. It cannot
        be changed later.
    """

    id: str | None = None
    name: str = ""
    timezone: str = "UTC"
    carry_from: Instant | None = None
    overage: Overage = "carry"


class AccountChange(msgspec.Struct, forbid_unknown_fields=True):
    """What may change later: nothing that would alter past balances. What is null stays.

    timezone: The IANA name of the time zone in which its days and months begin.
    status: `active`, `suspended` or `closed`. No traffic stops by it alone.
    """

    name: str | None = None
    timezone: str | None = None
    status: AccountStatus | None = None


class AccountAnswer(msgspec.Struct, frozen=True):
    """An account: a customer of whoever runs the server.

    id: The account's id.
    timezone: The IANA name of the time zone in which its days and months begin.
    status: `active`, `suspended` or `closed`.
    carry_from: Use before this instant that no grant paid is never paid later.
    overage: What becomes of use that no grant pays: `carry` lets the next grant pay it, `forgive` does not.
    erased_at: When all its texts were erased; null: they were not.
    """

    id: str
    name: str
    timezone: str
    status: AccountStatus
    carry_from: Instant
    overage: Overage
    created_at: Instant
    erased_at: Instant | None = None


class CredentialRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """A new credential.

    scope: A set of rights with a name; `custom`: only those in `rights`.
    rights: Rights beyond those of the scope; with the scope `custom` all it has.
    sender: The sender whose sources a credential that writes events goes on with; null: a new sender.
    addresses: The IP addresses and networks it may be used from; none: any.
    expires_at: It is refused from then on; null: never.
    """

    scope: Scope = "account"
    rights: list[Right] = []
    name: str = ""
    sender: str | None = None
    addresses: list[str] = []
    expires_at: Instant | None = None


class ConfirmAnswer(msgspec.Struct, frozen=True):
    """What was confirmed after a restore.

    revived_from: When the backup was made whose credentials are confirmed; null where there was nothing to confirm.
    """

    revived_from: Instant | None


class CredentialChange(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is given is changed; what is null stays.

    addresses: The IP addresses and networks it may be used from, instead of those before; an empty list allows any.
    expires_at: It is refused from then on. It may come earlier than before, never later.
    """

    name: str | None = None
    addresses: list[str] | None = None
    expires_at: Instant | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """How one credential follows another.

    overlap_s: For how many seconds the old one still works; never longer than it would have.
    expires_at: When the new one ends; null: when the old one would have.
    """

    overlap_s: int = 86_400
    expires_at: Instant | None = None


class CredentialAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """A credential, without its secrets but in the answer that creates it.

    scope: A set of rights with a name; `custom`: those in `rights`.
    account: The account it is of; null: of the installation.
    rights: All rights it has, those of its scope among them.
    addresses: The IP addresses and networks it may be used from; none: any.
    sender: The sender whose sources it writes; null where it writes no events.
    replaces: The id of the credential it was rotated from.
    token: The secret to send as `Authorization: Bearer`; only in the answer that creates it.
    key: The second secret, which some dialects ask for; only in the answer that creates it.
    revoked_at: When it was revoked; null: it was not.
    last_used_at: When it was last used, to the minute; null: never.
    """

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: Instant
    revoked_at: Instant | None
    expires_at: Instant | None
    last_used_at: Instant | None
    rights: list[Annotated[str, Meta(extra_json_schema={"enum": list(get_args(Right))})]]
    addresses: list[str]
    sender: str | None = None
    replaces: str | None = None
    token: str | None = None
    key: str | None = None

    def __repr__(self) -> str:
        return repr_without(self, "token", "key")


class SenderChange(msgspec.Struct, forbid_unknown_fields=True):
    """A new name of a sender."""

    name: str


class SenderAnswer(msgspec.Struct, frozen=True):
    """The owner of sources, whichever credential it has.

    account: The account whose events alone it sends; null: those of any.
    """

    id: str
    account: str | None
    name: str
    created_at: Instant


class PoolRequest(msgspec.Struct, forbid_unknown_fields=True):
    """A pool to make, or the same again."""

    charge: Charge


class PoolAnswer(msgspec.Struct, frozen=True):
    """A pool: products that are paid from the same grants.

    name: The name of the pool.
    products: The products that are mapped to it.
    """

    name: str
    charge: Charge
    products: list[str]


class ProductRequest(msgspec.Struct, forbid_unknown_fields=True):
    """Which pool pays for a product."""

    pool: str


class ProductAnswer(msgspec.Struct, frozen=True):
    """A product, and the pool that pays for it."""

    product: str
    pool: str
