"""Credentials: who may ask, and within which scope. Secrets are answered once, when they are made."""

from __future__ import annotations

import functools

import msgspec

from flowtally.core import rights
from flowtally.core.edges import format_if_any, format_instant, parse_if_any
from flowtally.core.errors import (
    AlreadyRotated,
    BadRange,
    Conflict,
    LastAdmin,
    LimitReached,
    NotFound,
    UnknownAccount,
    Unprocessable,
)
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people import credentials, revived, rotation
from flowtally.ledger.people.credentials import Credential
from flowtally.protocol import ConfirmAnswer, CredentialAnswer, CredentialChange, CredentialRequest, RotateRequest
from flowtally.web import auth
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Effect

EXAMPLE = CredentialAnswer(
    id="crd_0199f2c47b3a7c11",
    scope="account",
    account="acme",
    name="reports",
    created_at="2026-03-01T09:30:00Z",
    revoked_at=None,
    expires_at=None,
    last_used_at="2026-03-14T08:15:00Z",
    rights=sorted(rights.PRESETS["account"]),
    addresses=["203.0.113.0/24"],
)
MADE = msgspec.structs.replace(EXAMPLE, last_used_at=None, token="ft_acc_...", key="ft_key_...")  # noqa: S106
INGEST = msgspec.structs.replace(
    MADE,
    id="crd_0199f2c47b3a7c12",
    scope="ingest",
    rights=["events:write"],
    account=None,
    name="gateway 1",
    addresses=[],
    sender="snd_0199f2c47b3a7c13",
    token="ft_ing_...",  # noqa: S106
)
ROTATED = msgspec.structs.replace(INGEST, id="crd_0199f2c47b3a7c13", replaces=INGEST.id)
CHANGE_ERRORS = (NotFound, Conflict, LastAdmin, BadRange, Unprocessable)


@operation(
    "POST",
    "/v1/accounts/{account}/credentials",
    may="credentials:write",
    summary="Issue a credential of an account",
    body=CredentialRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, Conflict, BadRange, Unprocessable),
    body_example={"scope": "account", "name": "reports", "addresses": ["203.0.113.0/24"]},
    example=MADE,
)
def create_account_credential(call: Call, account: str, body: CredentialRequest) -> CredentialAnswer:
    """Scope `account` reads this account, scope `manage` also changes its users and what it buys; scope `ingest` sends
    events of this account only, as a sender of its own or as the `sender` that is named, whose sources it goes on with.
    Scope `custom` has the `rights` that are named; the others have those beyond their own. Nobody gives what they do
    not have themselves (403): rights, account, sender, addresses, life.

    `token` is the bearer secret, `key` a second secret that some dialects ask for: both are answered now and never
    again. From `expires_at` on it is refused (401 `credential_expired`); from another address than its `addresses` it
    is, too (403 `address_not_allowed`)."""
    return _issue(call, account, body)


@operation(
    "GET",
    "/v1/accounts/{account}/credentials",
    may="credentials:read",
    summary="List credentials of an account",
    query=PageQuery,
    answer=Listed(CredentialAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_account_credentials(call: Call, account: str, query: PageQuery) -> ListPage[CredentialAnswer]:
    """Revoked ones included, secrets never."""
    found = credentials.list_credentials(call.tx, account, query.cursor, query.limit)
    return show_page(found, functools.partial(show, call))


@operation(
    "PATCH",
    "/v1/accounts/{account}/credentials/{credential}",
    may="credentials:write",
    summary="Change a credential of an account",
    body=CredentialChange,
    answer=CredentialAnswer,
    errors=CHANGE_ERRORS,
    body_example={"addresses": ["203.0.113.0/24", "2001:db8::/48"]},
    example=EXAMPLE,
    effects=(Effect.CREDENTIALS,),
)
def change_account_credential(call: Call, account: str, credential: str, body: CredentialChange) -> CredentialAnswer:
    """Its name, where it may come from, and an earlier end: what is given. From the answer on it holds."""
    return _change(call, credential, account, body)


@operation(
    "POST",
    "/v1/accounts/{account}/credentials/{credential}/rotate",
    may="credentials:write",
    itself=True,
    summary="Rotate a credential of an account",
    body=RotateRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(*CHANGE_ERRORS, AlreadyRotated, LimitReached),
    body_example={"overlap_s": 3600},
    example=msgspec.structs.replace(MADE, replaces="crd_0199f2c47b3a7c10"),
    effects=(Effect.CREDENTIALS,),
)
def rotate_account_credential(call: Call, account: str, credential: str, body: RotateRequest) -> CredentialAnswer:
    """As `POST /v1/credentials/{credential}/rotate`."""
    return _rotate(call, credential, account, body)


@operation(
    "POST",
    "/v1/accounts/{account}/credentials/{credential}/revoke",
    may="credentials:write",
    summary="Revoke a credential of an account",
    answer=CredentialAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
    effects=(Effect.CREDENTIALS,),
)
def revoke_account_credential(call: Call, account: str, credential: str) -> CredentialAnswer:
    """From the answer on the token is refused. A second revoke changes nothing."""
    return _revoke(call, credential, account)


@operation(
    "GET",
    "/v1/credential",
    may="own",
    narrows=True,
    summary="Read the credential of the request",
    answer=CredentialAnswer,
    example=EXAMPLE,
)
def read_own_credential(call: Call) -> CredentialAnswer:
    """Which one it is, what it may, and when it ends: for a program that rotates its own."""
    return show(call, credentials.read_credential(call.tx, call.credential.id))


@operation(
    "POST",
    "/v1/credentials",
    may="credentials:write",
    summary="Issue a credential of no account",
    body=CredentialRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(NotFound, BadRange, Unprocessable),
    body_example={"scope": "ingest", "name": "gateway 1"},
    example=INGEST,
)
def create_credential(call: Call, body: CredentialRequest) -> CredentialAnswer:
    """Scope `ingest` sends events of any account, scope `admin` does everything, scope `custom` what its `rights` say,
    for every account; the others have these beyond their own. Nobody gives what they do not have themselves (403), and
    `admin` alone gives `admin`. Credentials of one account are issued under the account.

    Its sources are those of its `sender`: one of its own, or the one that is named, which must be bound to no
    account."""
    return _issue(call, None, body)


@operation(
    "GET",
    "/v1/credentials",
    may="credentials:read",
    summary="List all credentials",
    query=PageQuery,
    answer=Listed(CredentialAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_credentials(call: Call, query: PageQuery) -> ListPage[CredentialAnswer]:
    """Of the installation and of all accounts, revoked ones included, secrets never."""
    found = credentials.list_credentials(call.tx, None, query.cursor, query.limit)
    return show_page(found, functools.partial(show, call))


@operation(
    "GET",
    "/v1/credentials/{credential}",
    may="credentials:read",
    summary="Read a credential",
    answer=CredentialAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_credential(call: Call, credential: str) -> CredentialAnswer:
    """Without its secrets: they are not kept. `last_used_at` is told to the minute."""
    return show(call, credentials.read_credential(call.tx, credential))


@operation(
    "PATCH",
    "/v1/credentials/{credential}",
    may="credentials:write",
    summary="Change any credential",
    body=CredentialChange,
    answer=CredentialAnswer,
    errors=CHANGE_ERRORS,
    body_example={"addresses": ["203.0.113.0/24", "2001:db8::/48"]},
    example=EXAMPLE,
    effects=(Effect.CREDENTIALS,),
)
def change_credential(call: Call, credential: str, body: CredentialChange) -> CredentialAnswer:
    """Its name, where it may come from, and an earlier end: what is given. From the answer on it holds. A later end is
    not given to a credential that is there: rotate it, or issue another. Your own cannot be bound to addresses without
    the one you ask from."""
    return _change(call, credential, None, body)


@operation(
    "POST",
    "/v1/credentials/{credential}/rotate",
    may="credentials:write",
    itself=True,
    summary="Rotate a credential",
    body=RotateRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(*CHANGE_ERRORS, AlreadyRotated, LimitReached),
    body_example={"overlap_s": 3600},
    example=ROTATED,
    effects=(Effect.CREDENTIALS,),
)
def rotate_credential(call: Call, credential: str, body: RotateRequest) -> CredentialAnswer:
    """Another takes its place: the same sender, scope, account, addresses and name, with a token and a key of its own,
    shown once. The old one is refused `overlap_s` seconds from now (0: at once), and no later than it would have been.
    The new one ends when the old one would have; `expires_at` may say otherwise, but nobody gives themselves a longer
    life. Every credential may rotate itself, so a gateway needs no administrator for it. Was the answer lost, rotate
    again: an unused replacement is revoked and replaced; once it is used that is refused (409 `already_rotated`). The
    token that is the setting FLOWTALLY_ADMIN_TOKEN is rotated by changing the setting."""
    return _rotate(call, credential, None, body)


@operation(
    "POST",
    "/v1/credentials/confirm",
    may="credentials:write",
    summary="Confirm the credentials of a restored backup",
    answer=ConfirmAnswer,
    example=ConfirmAnswer(revived_from="2026-03-01T09:30:00Z"),
)
def confirm_credentials(call: Call) -> ConfirmAnswer:
    """A restored backup brings its credentials back as they were: those that were revoked since live again. Look at the
    list, revoke them, then confirm: the warnings at each start and of the doctor end. Says when that backup was made;
    null where there was nothing to confirm."""
    return ConfirmAnswer(format_if_any(revived.confirm(call.tx, now=call.now)))


@operation(
    "POST",
    "/v1/credentials/{credential}/revoke",
    may="credentials:write",
    summary="Revoke any credential",
    answer=CredentialAnswer,
    errors=(NotFound, LastAdmin),
    example=EXAMPLE,
    effects=(Effect.CREDENTIALS,),
)
def revoke_credential(call: Call, credential: str) -> CredentialAnswer:
    """From the answer on the token is refused, also if it is your own. A second revoke changes nothing. The last admin
    credential without an end is not revoked (409 `last_admin`): rotate it, with `overlap_s` 0 if it has leaked."""
    return _revoke(call, credential, None)


def show(call: Call, credential: Credential) -> CredentialAnswer:
    used = call.services.doorkeeper.uses.of(credential.id, credential.last_used_at)
    return CredentialAnswer(
        id=credential.id,
        scope=credential.scope,
        account=credential.account,
        name=credential.name,
        created_at=format_instant(credential.created_at),
        revoked_at=format_if_any(credential.revoked_at),
        expires_at=format_if_any(credential.expires_at),
        last_used_at=format_if_any(used),
        rights=sorted(credential.rights_held),
        addresses=credential.addresses.split(),
        replaces=credential.replaces,
        sender=credential.sender,
    )


def _issue(call: Call, account: str | None, body: CredentialRequest) -> CredentialAnswer:
    auth.require_sends_as(call.credential, body.sender)
    made, token, key = credentials.issue(
        call.tx,
        body.scope,
        account,
        body.name,
        call.now,
        more=body.rights,
        sender=body.sender,
        addresses=body.addresses,
        expires_at=parse_if_any(body.expires_at),
    )
    auth.require_gives(call.credential, made)
    return msgspec.structs.replace(show(call, made), token=token, key=key)


def _revoke(call: Call, credential: str, account: str | None) -> CredentialAnswer:
    gone = credentials.revoke(call.tx, credential, call.now, account=account)
    auth.require_holds(call.credential, gone)
    return show(call, gone)


def _change(call: Call, credential: str, account: str | None, body: CredentialChange) -> CredentialAnswer:
    changed = credentials.change_credential(
        call.tx,
        credential,
        now=call.now,
        account=account,
        name=body.name,
        addresses=body.addresses,
        expires_at=parse_if_any(body.expires_at),
    )
    auth.require_holds(call.credential, changed)
    if body.addresses is not None:
        auth.require_gives(call.credential, changed, life=False)
        if credential == call.credential.id:
            auth.require_stays_in(changed, call.actor.address)
    return show(call, changed)


def _rotate(call: Call, credential: str, account: str | None, body: RotateRequest) -> CredentialAnswer:
    itself = credential == call.credential.id
    made, token, key = rotation.rotate(
        call.tx,
        credential,
        now=call.now,
        account=account,
        overlap_s=body.overlap_s,
        expires_at=parse_if_any(body.expires_at),
        extends=not itself,
        last_used=call.services.doorkeeper.uses.of,
    )
    if not itself:
        auth.require_gives(call.credential, made)
        auth.require_sends_as(call.credential, made.sender)
    return msgspec.structs.replace(show(call, made), token=token, key=key)
