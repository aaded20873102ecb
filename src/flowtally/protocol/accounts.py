"""Accounts, credentials, pools and products."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.rights import Right, Scope


class AccountRequest(msgspec.Struct, forbid_unknown_fields=True):
    """`id` is made when missing; `carry_from` defaults to now; `overage` is fixed at creation."""

    id: str | None = None
    name: str = ""
    timezone: str = "UTC"
    carry_from: str | None = None
    overage: Literal["carry", "forgive"] = "carry"


class AccountChange(msgspec.Struct, forbid_unknown_fields=True):
    """What may change later: nothing that would alter past balances."""

    name: str | None = None
    timezone: str | None = None
    status: Literal["active", "suspended", "closed"] | None = None


class AccountAnswer(msgspec.Struct, frozen=True):
    id: str
    name: str
    timezone: str
    status: str
    carry_from: str
    overage: str
    created_at: str


class CredentialRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """`rights`: those beyond its scope's own; of scope `custom` all it has. `sender`: whose sources a credential that
    writes events goes on with; None: a new one's. `expires_at`: refused from then on (None: never). `addresses`: the IP
    addresses and networks it may come from (none: any)."""

    scope: Scope = "account"
    rights: list[Right] = []
    name: str = ""
    sender: str | None = None
    addresses: list[str] = []
    expires_at: str | None = None


class ConfirmAnswer(msgspec.Struct, frozen=True):
    """`revived_from`: when the backup was made whose credentials are confirmed; null where there was nothing to."""

    revived_from: str | None


class CredentialChange(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """What is given; `addresses` replace those before, an empty list allows any. `expires_at` may come earlier, never
    later."""

    name: str | None = None
    addresses: list[str] | None = None
    expires_at: str | None = None


class RotateRequest(msgspec.Struct, forbid_unknown_fields=True, omit_defaults=True):
    """The old one works for `overlap_s` seconds more, and no longer than it would have. `expires_at`: of the new one;
    without it the end the old one had."""

    overlap_s: int = 86_400
    expires_at: str | None = None


class CredentialAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`rights`: all it has, those of its scope among them. `sender`: whose sources it writes, where it writes events.
    `last_used_at`: to the minute. `replaces`: the credential it was rotated from. `token` and `key` are present only in
    the answer that creates the credential."""

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: str
    revoked_at: str | None
    expires_at: str | None
    last_used_at: str | None
    rights: list[str]
    addresses: list[str]
    sender: str | None = None
    replaces: str | None = None
    token: str | None = None
    key: str | None = None


class SenderChange(msgspec.Struct, forbid_unknown_fields=True):
    name: str


class SenderAnswer(msgspec.Struct, frozen=True):
    """`account`: whose events alone it sends; None: anybody's."""

    id: str
    account: str | None
    name: str
    created_at: str


class PoolRequest(msgspec.Struct, forbid_unknown_fields=True):
    charge: Literal["bytes", "requests", "nothing"]


class PoolAnswer(msgspec.Struct, frozen=True):
    name: str
    charge: Literal["bytes", "requests", "nothing"]
    products: list[str]


class ProductRequest(msgspec.Struct, forbid_unknown_fields=True):
    pool: str


class ProductAnswer(msgspec.Struct, frozen=True):
    product: str
    pool: str
