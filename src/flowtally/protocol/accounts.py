"""Accounts, credentials, pools and products."""

from __future__ import annotations

from typing import Literal

import msgspec

from flowtally.protocol.words import Scope


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
    """`sender`: whose sources a credential that writes events goes on with; None: a new one's."""

    scope: Scope = "account"
    name: str = ""
    sender: str | None = None


class CredentialAnswer(msgspec.Struct, frozen=True, omit_defaults=True):
    """`sender`: whose sources it writes, where it writes events. `token` and `key` are present only in the answer that
    creates the credential."""

    id: str
    scope: Scope
    account: str | None
    name: str
    created_at: str
    revoked_at: str | None
    sender: str | None = None
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
