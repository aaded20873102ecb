"""Credentials: who may ask, and within which scope. Secrets are answered once, when they are made."""

from __future__ import annotations

import msgspec

from flowtally import auth
from flowtally.api.call import Call
from flowtally.api.lists import PageQuery, show_page
from flowtally.api.operation import Listed, operation
from flowtally.edges import format_instant
from flowtally.errors import Conflict, NotFound, UnknownAccount, Unprocessable
from flowtally.ledger import credentials
from flowtally.ledger.credentials import Credential
from flowtally.ledger.pages import Page
from flowtally.protocol import CredentialAnswer, CredentialRequest

EXAMPLE = CredentialAnswer("crd_0199f2c47b3a7c11", "account", "acme", "reports", "2026-03-01T09:30:00Z", None)
MADE = CredentialAnswer(
    "crd_0199f2c47b3a7c11",
    "account",
    "acme",
    "reports",
    "2026-03-01T09:30:00Z",
    None,
    token="ft_acc_...",  # noqa: S106
    key="ft_key_...",
)
INGEST = CredentialAnswer(
    "crd_0199f2c47b3a7c12",
    "ingest",
    None,
    "gateway 1",
    "2026-03-01T09:30:00Z",
    None,
    sender="snd_0199f2c47b3a7c13",
    token="ft_ing_...",  # noqa: S106
    key="ft_key_...",
)


@operation(
    "POST",
    "/v1/accounts/{account}/credentials",
    may=auth.ADMIN,
    summary="Issue a credential of an account",
    body=CredentialRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(UnknownAccount, NotFound, Conflict, Unprocessable),
    body_example={"scope": "account", "name": "reports"},
    example=MADE,
)
def issue_of_account(call: Call, account: str, body: CredentialRequest) -> CredentialAnswer:
    """Scope `account` reads this account, scope `manage` also changes its users and what it buys; scope `ingest` writes
    events of this account only, as a sender of its own or as the `sender` that is named, whose sources it goes on with.
    `token` is the bearer secret, `key` a second secret that some dialects ask for: both are answered now and never
    again."""
    return made(*credentials.issue(call.tx, body.scope, account, body.name, call.now, sender=body.sender))


@operation(
    "GET",
    "/v1/accounts/{account}/credentials",
    may=auth.ADMIN,
    summary="List credentials of an account",
    query=PageQuery,
    answer=Listed(CredentialAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_of_account(call: Call, account: str, query: PageQuery) -> Page[CredentialAnswer]:
    """Revoked ones included, secrets never."""
    return show_page(credentials.list_credentials(call.tx, account, query.cursor, query.limit), show)


@operation(
    "POST",
    "/v1/accounts/{account}/credentials/{credential}/revoke",
    may=auth.ADMIN,
    summary="Revoke a credential of an account",
    answer=CredentialAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
    changes_credentials=True,
)
def revoke_of_account(call: Call, account: str, credential: str) -> CredentialAnswer:
    """From the answer on the token is refused. A second revoke changes nothing."""
    return show(credentials.revoke(call.tx, credential, call.now, account=account))


@operation(
    "POST",
    "/v1/credentials",
    may=auth.ADMIN,
    summary="Issue an ingest or admin credential",
    body=CredentialRequest,
    answer=CredentialAnswer,
    status=201,
    errors=(NotFound, Unprocessable),
    body_example={"scope": "ingest", "name": "gateway 1"},
    example=INGEST,
)
def issue(call: Call, body: CredentialRequest) -> CredentialAnswer:
    """Scope `ingest` writes events of any account, scope `admin` does everything. Credentials of one account are
    issued under the account. Its sources are those of its `sender`: one of its own, or the one that is named, which
    must be bound to no account. So a gateway's key is replaced: both work until the old one is revoked."""
    return made(*credentials.issue(call.tx, body.scope, None, body.name, call.now, sender=body.sender))


@operation(
    "GET",
    "/v1/credentials",
    may=auth.ADMIN,
    summary="List all credentials",
    query=PageQuery,
    answer=Listed(CredentialAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_credentials(call: Call, query: PageQuery) -> Page[CredentialAnswer]:
    """Of the installation and of all accounts, revoked ones included, secrets never."""
    return show_page(credentials.list_credentials(call.tx, None, query.cursor, query.limit), show)


@operation(
    "GET",
    "/v1/credentials/{credential}",
    may=auth.ADMIN,
    summary="Read a credential",
    answer=CredentialAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_credential(call: Call, credential: str) -> CredentialAnswer:
    """Without its secrets: they are not kept."""
    return show(credentials.read_credential(call.tx, credential))


@operation(
    "POST",
    "/v1/credentials/{credential}/revoke",
    may=auth.ADMIN,
    summary="Revoke any credential",
    answer=CredentialAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
    changes_credentials=True,
)
def revoke(call: Call, credential: str) -> CredentialAnswer:
    """From the answer on the token is refused, also if it is your own. A second revoke changes nothing."""
    return show(credentials.revoke(call.tx, credential, call.now))


def show(credential: Credential) -> CredentialAnswer:
    return CredentialAnswer(
        credential.id,
        credential.scope,
        credential.account,
        credential.name,
        format_instant(credential.created_at),
        None if credential.revoked_at is None else format_instant(credential.revoked_at),
        sender=credential.sender,
    )


def made(credential: Credential, token: str, key: str) -> CredentialAnswer:
    """The only answer that has the secrets."""
    return msgspec.structs.replace(show(credential), token=token, key=key)
