"""The audit trail as it is asked for: the whole of it, and an account's own part."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant, format_instant, parse_if_any
from flowtally.core.errors import BadRange, UnknownAccount
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage
from flowtally.ledger.people.accounts import read_account
from flowtally.ledger.recorded import AuditRecord, Filter, list_records
from flowtally.protocol import AuditAnswer, ChangedBy
from flowtally.web.call import Call
from flowtally.web.lists import Cursor, Limit, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = AuditAnswer(
    number=812,
    at="2026-03-15T12:00:00Z",
    action="credential.revoke",
    account="acme",
    subject="crd_0199f2c47b3a7c11a1f0b2c3d4e5f60d",
    before={"scope": "manage", "name": "shop", "created_at": 1772359200000, "revoked_at": None},
    after={"scope": "manage", "name": "shop", "created_at": 1772359200000, "revoked_at": 1773576000000},
    by="installation",
    credential="crd_0199f2c47b3a7c11a1f0b2c3d4e5f600",
    address="192.0.2.7",
    request_id="0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f60e",
    door="POST /v1/accounts/{account}/credentials/{credential}/revoke",
    digest="5f2c" * 16,
)
OWN = msgspec.structs.replace(EXAMPLE, credential=None, address=None, request_id=None, door=None, digest=None)


class RecordsQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    action: Annotated[str | None, Meta(description="Only records of this action.", examples=["credential.revoke"])] = (
        None
    )
    subject: Annotated[str | None, Meta(description="Only records of what was done to the thing with this id.")] = None
    since: Annotated[Instant | None, Meta(description="Only records from this instant on (RFC 3339).")] = None
    until: Annotated[Instant | None, Meta(description="Only records before this instant (RFC 3339).")] = None
    cursor: Cursor = None
    limit: Limit = DEFAULT_LIMIT


class AuditQuery(RecordsQuery, frozen=True, forbid_unknown_fields=True):
    account: Annotated[str | None, Meta(description="Only records about this account.")] = None
    credential: Annotated[str | None, Meta(description="Only records of what this credential did.")] = None


@operation(
    "GET",
    "/v1/audit",
    may="audit:read",
    summary="Who changed what",
    query=AuditQuery,
    answer=Listed(AuditAnswer),
    errors=(BadRange,),
    example={"items": [EXAMPLE], "next": None},
)
def list_audit(call: Call, query: AuditQuery) -> ListPage[AuditAnswer]:
    """Every change of promises, credentials and settings since this was recorded, in the order they were made; what the
    server did by itself too. Written in the transaction of the change, so there is none without it; never changed.
    Corrections, dropped held events, sources handed over and backups are recorded as they were asked for, before they
    are done. Events are not in it: they have receipts. A refused request is in the log alone. `verify` looks whether it
    is whole."""
    return show_page(
        list_records(call.tx, _filter(query, query.account, query.credential), query.cursor, query.limit), show
    )


@operation(
    "GET",
    "/v1/accounts/{account}/audit",
    may="audit:read",
    summary="Who changed what of an account",
    query=RecordsQuery,
    answer=Listed(AuditAnswer),
    errors=(BadRange, UnknownAccount),
    example={"items": [OWN], "next": None},
)
def list_account_audit(call: Call, account: str, query: RecordsQuery) -> ListPage[AuditAnswer]:
    """What is about the account. Of who did it, credential, address and request are told where the credential is the
    account's own; of others only whose kind they are of (`by`)."""
    read_account(call.tx, account)
    found = list_records(call.tx, _filter(query, account, None), query.cursor, query.limit)
    return show_page(found, show_own)


def show(one: AuditRecord) -> AuditAnswer:
    return AuditAnswer(
        one.number,
        format_instant(one.at),
        one.action,
        one.account,
        one.subject,
        _said(one.before),
        _said(one.after),
        _by(one),
        one.credential or None,
        one.address or None,
        one.request_id or None,
        one.door,
        one.digest,
    )


def show_own(one: AuditRecord) -> AuditAnswer:
    """As the account may see it, which it is about."""
    shown = msgspec.structs.replace(show(one), digest=None)
    if shown.by == "account":
        return shown
    return msgspec.structs.replace(shown, credential=None, address=None, request_id=None, door=None)


def _by(one: AuditRecord) -> ChangedBy:
    if not one.credential:
        return "server"
    if not one.of_account:
        return "installation"
    return "account" if one.of_account == one.account else "another_account"


def _said(text: str) -> dict[str, Any] | None:
    return msgspec.json.decode(text, type=dict[str, Any]) if text else None


def _filter(query: RecordsQuery, account: str | None, credential: str | None) -> Filter:
    since, until = (parse_if_any(one) for one in (query.since, query.until))
    return Filter(account, credential, query.action, query.subject, since, until)
