"""Stock: the addresses and servers that can be leased, set by the operator; and who had which one when."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import UNSET, Meta

from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict, LinesRefused, NotFound, StockHeld, StockRetired, Unprocessable
from flowtally.core.leasing import Site, Size
from flowtally.core.times import END_OF_TIME
from flowtally.core.words import StockState
from flowtally.ledger.inventory import leases
from flowtally.ledger.inventory import stock as items
from flowtally.ledger.inventory.leases import StockLease
from flowtally.ledger.inventory.stock import NewStock, StockItem
from flowtally.ledger.pages import ListPage
from flowtally.protocol import (
    HolderAnswer,
    StockAnswer,
    StockChange,
    StockImportAnswer,
    StockImportRequest,
    StockLine,
    StockRequest,
)
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

ID = "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610"
EXAMPLE = StockAnswer(
    id=ID,
    kind="isp",
    address="192.0.2.10",
    port=8080,
    username="user123",
    has_password=True,
    name="",
    country="US",
    state="newyork",
    city="newyork",
    region="us-east",
    cpu_cores=None,
    memory_mib=None,
    bandwidth_mbps=None,
    status="leased",
    free_at="2026-04-01T10:00:00Z",
    created_at="2026-03-01T09:30:00Z",
    changed_at="2026-03-01T09:30:00Z",
    retired_at=None,
)
BODY = {
    "kind": "isp",
    "address": "192.0.2.10",
    "port": 8080,
    "username": "user123",
    "password": "correct horse battery staple",
    "country": "US",
    "state": "newyork",
    "city": "newyork",
    "region": "us-east",
}
HOLDER = HolderAnswer(
    "acme", "lse_0199f2c47b3a7c11a1f0b2c3d4e5f611", "2026-03-02T10:00:00Z", "2026-04-01T10:00:00Z", "active"
)


def _sealed(call: Call, body: StockImportRequest) -> list[NewStock]:
    """Sealing thousands of passwords takes seconds, in which nobody else may have to wait."""
    return [_new(call, one, number) for number, one in enumerate(body.items, 1)]


def _new(call: Call, body: StockRequest, number: int = 0) -> NewStock:
    line = body.line if isinstance(body, StockLine) else None
    return NewStock(
        kind=body.kind,
        address=body.address,
        port=body.port,
        username=body.username,
        sealed=None if body.password is None else call.services.vault.seal(body.password),
        name=body.name,
        place=Site(body.country, body.state, body.city, body.region),
        size=Size(body.cpu_cores, body.memory_mib, body.bandwidth_mbps),
        line=number if line is None else line,
    )


class StockQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    kind: Annotated[str | None, Meta(description="Only stock of this kind.", examples=["isp"])] = None
    address: Annotated[
        str | None, Meta(description="Only this address, also of entries that were retired.", examples=["192.0.2.10"])
    ] = None
    country: Annotated[str | None, Meta(description="Only stock of this country.", examples=["US"])] = None
    status: Annotated[StockState | None, Meta(description="Only stock of this status now.")] = None


@operation(
    "POST",
    "/v1/stock",
    may="stock:write",
    summary="Put an address or a server into stock",
    body=StockRequest,
    answer=StockAnswer,
    status=201,
    errors=(Conflict, StockHeld, Unprocessable),
    body_example=BODY,
    example=msgspec.structs.replace(EXAMPLE, status="free", free_at=None),
    holds_password=True,
)
def create_stock(call: Call, body: StockRequest) -> StockAnswer:
    """An address and port is in stock once, whatever its kind. The `password` is kept encrypted; who leases it may
    read it."""
    return _shown(call, items.add_item(call.tx, _new(call, body), now=call.now))


@operation(
    "POST",
    "/v1/stock/import",
    may="stock:write",
    summary="Put many into stock at once",
    body=StockImportRequest,
    answer=StockImportAnswer,
    status=201,
    errors=(LinesRefused, Unprocessable),
    body_example={"items": [BODY | {"line": 2}]},
    example=StockImportAnswer(1, [ID]),
    holds_password=True,
    prepare=_sealed,
)
def import_stock(call: Call, body: StockImportRequest, prepared: list[NewStock] | None) -> StockImportAnswer:
    """All lines or none: `faults` tells which cannot be taken and why, by the `line` that each names. 1 to 50,000 lines
    at once."""
    assert prepared is not None, "only who is answered from memory is not prepared"
    ids = items.import_items(call.tx, prepared, now=call.now)
    return StockImportAnswer(len(ids), ids)


@operation(
    "GET",
    "/v1/stock",
    may="stock:read",
    summary="List what is in stock",
    query=StockQuery,
    answer=Listed(StockAnswer),
    errors=(Unprocessable,),
    example={"items": [EXAMPLE], "next": None},
)
def list_stock(call: Call, query: StockQuery) -> ListPage[StockAnswer]:
    """In the order it was put there, retired entries included unless `status` says otherwise."""
    page = items.list_items(
        call.tx,
        query.cursor,
        query.limit,
        at=call.now,
        kind=query.kind,
        address=query.address,
        country=query.country,
        state=query.status,
    )
    held = items.held_among(call.tx, [one.id for one in page.items], call.now)
    return show_page(page, lambda one: show(one, one.id in held, call.now))


@operation(
    "GET",
    "/v1/stock/{stock}",
    may="stock:read",
    summary="Read what is in stock",
    answer=StockAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_stock(call: Call, stock: str) -> StockAnswer:
    """Retired or not."""
    return _shown(call, items.read_item(call.tx, stock))


@operation(
    "PATCH",
    "/v1/stock/{stock}",
    may="stock:write",
    summary="Change what is in stock",
    body=StockChange,
    answer=StockAnswer,
    errors=(NotFound, StockRetired, Unprocessable),
    body_example={"username": "user124", "password": "another correct horse"},
    example=EXAMPLE,
    holds_password=True,
)
def change_stock(call: Call, stock: str, body: StockChange) -> StockAnswer:
    """What is left out stays. Kind, address and port cannot be changed: another address is another entry. A lease keeps
    the size that it has. Give a new password when somebody else leases it: whoever had it before knows the old one."""
    before = items.read_item(call.tx, stock)
    given = {name: value for name, value in msgspec.structs.asdict(body).items() if value is not UNSET}
    site = {name: value for name, value in given.items() if name in Site.__struct_fields__}
    size = {name: value for name, value in given.items() if name in Size.__struct_fields__}
    password = body.password
    changed = items.change_item(
        call.tx,
        stock,
        now=call.now,
        username=body.username,
        sealed=call.services.vault.seal(password) if isinstance(password, str) else password,
        name=body.name,
        place=msgspec.structs.replace(before.place, **site),
        size=msgspec.structs.replace(before.size, **size),
    )
    return _shown(call, changed)


@operation(
    "POST",
    "/v1/stock/{stock}/retire",
    may="stock:write",
    summary="Retire from stock",
    answer=StockAnswer,
    errors=(NotFound,),
    example=msgspec.structs.replace(EXAMPLE, status="retired", retired_at="2026-03-15T12:00:00Z"),
)
def retire_stock(call: Call, stock: str) -> StockAnswer:
    """Nobody can lease it from now on, nor renew or upgrade a lease of it; who has it keeps it to the end. A second
    time changes nothing and answers like the first."""
    return _shown(call, items.retire_item(call.tx, stock, now=call.now))


@operation(
    "GET",
    "/v1/stock/{stock}/leases",
    may="stock:read",
    summary="List who had it, and when",
    query=PageQuery,
    answer=Listed(HolderAnswer),
    errors=(NotFound,),
    example={"items": [HOLDER], "next": None},
)
def list_holders(call: Call, stock: str, query: PageQuery) -> ListPage[HolderAnswer]:
    """In the order the leases were made; nothing is ever forgotten here, nor when an account is erased. To find all
    entries of an address, ask `GET /v1/stock?address=`."""
    page = leases.list_holders(call.tx, stock, query.cursor, query.limit)
    return show_page(page, lambda one: show_holder(one, call.now))


def show(one: StockItem, held: bool, at: int) -> StockAnswer:
    free_at = None if one.free_at in (0, END_OF_TIME) else format_instant(one.free_at)
    return StockAnswer(
        id=one.id,
        kind=one.kind,
        address=one.address,
        port=one.port,
        username=one.username,
        has_password=one.has_password,
        name=one.name,
        **msgspec.structs.asdict(one.place),
        **msgspec.structs.asdict(one.size),
        status=items.state_of(one, held, at),
        free_at=free_at,
        created_at=format_instant(one.created_at),
        changed_at=format_instant(one.changed_at),
        retired_at=format_if_any(one.retired_at),
    )


def show_holder(one: StockLease, at: int) -> HolderAnswer:
    until = one.held_until
    ends = None if until == END_OF_TIME else format_instant(until)
    return HolderAnswer(one.account, one.id, format_instant(one.starts_at), ends, one.state(at))


def _shown(call: Call, one: StockItem) -> StockAnswer:
    return show(one, bool(items.held_among(call.tx, [one.id], call.now)), call.now)
