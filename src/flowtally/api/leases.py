"""Leases of an account: bought from its wallet or given, renewed, upgraded, released."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.edges import format_if_any, format_instant, parse_if_any
from flowtally.core.errors import (
    AccountSuspended,
    BadRange,
    Conflict,
    InsufficientFunds,
    LeaseEnded,
    NotFound,
    OutOfStock,
    PlanRetired,
    StockHeld,
    StockRetired,
    UnknownAccount,
    Unprocessable,
)
from flowtally.core.leasing import Site
from flowtally.core.words import LeaseState
from flowtally.ledger.inventory import leases, orders, stock
from flowtally.ledger.inventory.leases import LeasedItem, Term
from flowtally.ledger.inventory.orders import Order
from flowtally.ledger.pages import ListPage
from flowtally.protocol import (
    GivenLeaseRequest,
    LeaseAnswer,
    LeaseChange,
    LeaseOrderAnswer,
    LeasePasswordAnswer,
    LeaseRenewal,
    LeaseRequest,
    LeaseTermAnswer,
    LeaseUpgrade,
)
from flowtally.web.auth import require_right
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

ID = "lse_0199f2c47b3a7c11a1f0b2c3d4e5f611"
ORDER = "ord_0199f2c47b3a7c11a1f0b2c3d4e5f612"
TRANSFER = "trf_0199f2c47b3a7c11a1f0b2c3d4e5f613"
EXAMPLE = LeaseAnswer(
    id=ID,
    account="acme",
    stock="stk_0199f2c47b3a7c11a1f0b2c3d4e5f610",
    plan="isp-30",
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
    status="active",
    starts_at="2026-03-02T10:00:00Z",
    ends_at="2026-04-01T10:00:00Z",
    renewable_until="2026-04-04T10:00:00Z",
    released_at=None,
    created_at="2026-03-02T10:00:00Z",
)
BOUGHT = LeaseOrderAnswer(ORDER, "acme", "bought", 3_500_000, "USD", TRANSFER, "2026-03-02T10:00:00Z", [EXAMPLE])
RENEWED = msgspec.structs.replace(
    BOUGHT, what="renewed", leases=[msgspec.structs.replace(EXAMPLE, ends_at="2026-05-01T10:00:00Z")]
)
PAYING = (UnknownAccount, NotFound, AccountSuspended, Conflict, PlanRetired, StockRetired, InsufficientFunds)


class LeasesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    kind: Annotated[str | None, Meta(description="Only leases of stock of this kind.", examples=["isp"])] = None
    status: Annotated[LeaseState | None, Meta(description="Only leases of this status now.")] = None


@operation(
    "POST",
    "/v1/accounts/{account}/leases",
    may="leases:write",
    summary="Lease from stock",
    body=LeaseRequest,
    answer=LeaseOrderAnswer,
    status=201,
    errors=(*PAYING, OutOfStock, StockHeld, Unprocessable),
    body_example={"plan": "isp-30", "count": 1},
    example=BOUGHT,
)
def buy_lease(call: Call, account: str, body: LeaseRequest) -> LeaseOrderAnswer:
    """The price leaves the wallet and the leases begin, in one step: all or none. Each lasts as long as its plan says.
    Send an Idempotency-Key: a repeated request must not buy twice."""
    order = orders.buy_leases(
        call.tx,
        account,
        body.plan,
        now=call.now,
        count=body.count,
        some=body.stock,
        place=Site(body.country, body.state, body.city, body.region),
        grace_ms=_grace_ms(call),
        auto_renew=body.auto_renew,
    )
    return show_order(call, order)


@operation(
    "POST",
    "/v1/accounts/{account}/leases/give",
    may="grants:write",
    summary="Give a lease",
    body=GivenLeaseRequest,
    answer=LeaseOrderAnswer,
    status=201,
    errors=(BadRange, UnknownAccount, NotFound, Conflict, PlanRetired, StockHeld, StockRetired, Unprocessable),
    body_example={"stock": EXAMPLE.stock, "ends_at": "2026-04-01T10:00:00Z"},
    example=msgspec.structs.replace(BOUGHT, what="given", transfer=None),
)
def give_lease(call: Call, account: str, body: GivenLeaseRequest) -> LeaseOrderAnswer:
    """Nobody pays for it. It lasts for as long as its plan says, until `ends_at`, or without an end. `starts_at` may be
    in the past: so you bring in what your customers have already."""
    order = orders.give_lease(
        call.tx,
        account,
        body.stock,
        now=call.now,
        plan_id=body.plan,
        starts_at=parse_if_any(body.starts_at),
        ends_at=parse_if_any(body.ends_at),
        grace_ms=_grace_ms(call),
        auto_renew=body.auto_renew,
    )
    return show_order(call, order)


@operation(
    "GET",
    "/v1/accounts/{account}/leases",
    may="leases:read",
    summary="List leases",
    query=LeasesQuery,
    answer=Listed(LeaseAnswer),
    errors=(UnknownAccount, Unprocessable),
    example={"items": [EXAMPLE], "next": None},
)
def list_leases(call: Call, account: str, query: LeasesQuery) -> ListPage[LeaseAnswer]:
    """In the order they were made, also those that are over."""
    page = leases.list_leases(
        call.tx, account, query.cursor, query.limit, at=call.now, kind=query.kind, state=query.status
    )
    return show_page(page, lambda one: show(one, call.now))


@operation(
    "GET",
    "/v1/accounts/{account}/leases/{lease}",
    may="leases:read",
    summary="Read a lease",
    answer=LeaseAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def read_lease(call: Call, account: str, lease: str) -> LeaseAnswer:
    """With what it is of, also when it is over."""
    return show(leases.read_held(call.tx, account, lease), call.now)


@operation(
    "PATCH",
    "/v1/accounts/{account}/leases/{lease}",
    may="leases:write",
    summary="Change a lease",
    body=LeaseChange,
    answer=LeaseAnswer,
    errors=(UnknownAccount, NotFound, Conflict, LeaseEnded, Unprocessable),
    body_example={"auto_renew": True},
    example=msgspec.structs.replace(EXAMPLE, auto_renew=True),
)
def change_lease(call: Call, account: str, lease: str, body: LeaseChange) -> LeaseAnswer:
    """With `auto_renew` the server renews it within the last hour before its end, by the plan it has, paid from the
    wallet. Where that fails (the wallet holds too little, the plan is no longer sold) it is tried again, at last once
    an hour, until `renewable_until`; the audit trail says `lease.not_renewed` and why."""
    orders.set_auto_renew(call.tx, account, [lease], body.auto_renew, now=call.now)
    return show(leases.read_held(call.tx, account, lease), call.now)


@operation(
    "GET",
    "/v1/accounts/{account}/leases/{lease}/terms",
    may="leases:read",
    summary="List what happened to a lease",
    answer=Listed(LeaseTermAnswer),
    errors=(NotFound,),
    example={
        "items": [
            LeaseTermAnswer(
                1,
                "bought",
                ORDER,
                "isp-30",
                "2026-03-02T10:00:00Z",
                "2026-04-01T10:00:00Z",
                3_500_000,
                "USD",
                TRANSFER,
                "2026-03-02T10:00:00Z",
            )
        ],
        "next": None,
    },
)
def list_lease_terms(call: Call, account: str, lease: str) -> ListPage[LeaseTermAnswer]:
    """All of it, the first term first: how it became what it is, and what was paid for which time."""
    found = leases.terms_of(call.tx, leases.read_held(call.tx, account, lease).lease.id)
    return ListPage([show_term(one) for one in found], None)


@operation(
    "GET",
    "/v1/accounts/{account}/leases/{lease}/password",
    may="passwords:read",
    summary="Read the password of what is leased",
    answer=LeasePasswordAnswer,
    errors=(NotFound, LeaseEnded),
    example=LeasePasswordAnswer("acme", ID, "user123", "correct horse battery staple"),
)
def read_lease_password(call: Call, account: str, lease: str) -> LeasePasswordAnswer:
    """In clear, while the lease lasts. It is in no log. `not_found` when there is none."""
    found = leases.read_held(call.tx, account, lease)
    if found.lease.state(call.now) != "active":
        raise LeaseEnded(f"lease {lease} does not last any more", lease=lease)
    sealed = stock.sealed_password_of(call.tx, found.item.id)
    if sealed is None:
        raise NotFound(f"what lease {lease} is of has no password", lease=lease)
    return LeasePasswordAnswer(account, lease, found.item.username, call.services.vault.reveal(sealed))


@operation(
    "POST",
    "/v1/accounts/{account}/leases/{lease}/renew",
    may="leases:write",
    summary="Renew a lease",
    body=LeaseRenewal,
    answer=LeaseOrderAnswer,
    errors=(*PAYING, LeaseEnded, Unprocessable),
    body_example={"plan": "isp-30"},
    example=RENEWED,
)
def renew_lease(call: Call, account: str, lease: str, body: LeaseRenewal) -> LeaseOrderAnswer:
    """It goes on from its end, not from now; also after the end, until `renewable_until`. Send an Idempotency-Key: a
    repeated request must not renew twice."""
    order = orders.renew_leases(
        call.tx, account, [lease], now=call.now, plan_id=body.plan, paid=_is_paid(call, body.free)
    )
    return show_order(call, order)


@operation(
    "POST",
    "/v1/accounts/{account}/leases/{lease}/upgrade",
    may="leases:write",
    summary="Upgrade a lease",
    body=LeaseUpgrade,
    answer=LeaseOrderAnswer,
    errors=(*PAYING, LeaseEnded, Unprocessable),
    body_example={"plan": "server-16-30"},
    example=msgspec.structs.replace(BOUGHT, what="upgraded", price_micros=20_000_000),
)
def upgrade_lease(call: Call, account: str, lease: str, body: LeaseUpgrade) -> LeaseOrderAnswer:
    """It is larger from now on, and ends when it would have. It costs what the plan costs for the rest of the time
    above what was agreed on for that time before, rounded once. Making the server larger is for your own machinery."""
    order = orders.upgrade_lease(call.tx, account, lease, body.plan, now=call.now, paid=_is_paid(call, body.free))
    return show_order(call, order)


@operation(
    "POST",
    "/v1/accounts/{account}/leases/{lease}/release",
    may="leases:write",
    summary="Release a lease",
    answer=LeaseAnswer,
    errors=(NotFound,),
    example=msgspec.structs.replace(
        EXAMPLE, status="released", renewable_until=None, released_at="2026-03-15T12:00:00Z"
    ),
)
def release_lease(call: Call, account: str, lease: str) -> LeaseAnswer:
    """It ends now, and what it was of is free for others at once. Nothing is paid back. A second time changes nothing
    and answers like the first."""
    orders.release_lease(call.tx, account, lease, now=call.now)
    return show(leases.read_held(call.tx, account, lease), call.now)


@operation(
    "GET",
    "/v1/accounts/{account}/lease-orders/{order}",
    may="leases:read",
    summary="Read an order of leases",
    answer=LeaseOrderAnswer,
    errors=(NotFound,),
    example=BOUGHT,
)
def read_lease_order(call: Call, account: str, order: str) -> LeaseOrderAnswer:
    """What was done at once and paid at once, with the leases as they are now. The `reference` of the wallet's entry is
    the order's id."""
    return show_order(call, orders.read_order(call.tx, account, order))


def show(one: LeasedItem, at: int) -> LeaseAnswer:
    lease, item = one.lease, one.item
    renewable = None if lease.ends_at is None or lease.released_at is not None else lease.kept_until
    return LeaseAnswer(
        id=lease.id,
        account=lease.account,
        stock=item.id,
        plan=lease.plan_id,
        kind=item.kind,
        address=item.address,
        port=item.port,
        username=item.username,
        has_password=item.has_password,
        name=item.name,
        country=item.place.country,
        state=item.place.state,
        city=item.place.city,
        region=item.place.region,
        cpu_cores=lease.size.cpu_cores,
        memory_mib=lease.size.memory_mib,
        bandwidth_mbps=lease.size.bandwidth_mbps,
        status=lease.state(at),
        starts_at=format_instant(lease.starts_at),
        ends_at=format_if_any(lease.ends_at),
        renewable_until=format_if_any(renewable),
        released_at=format_if_any(lease.released_at),
        created_at=format_instant(lease.created_at),
        auto_renew=lease.auto_renew,
    )


def show_order(call: Call, one: Order) -> LeaseOrderAnswer:
    held = {each.lease.id: each for each in leases.held_in_order(call.tx, one.account, one.id)}
    return LeaseOrderAnswer(
        id=one.id,
        account=one.account,
        what=one.what,
        price_micros=one.price,
        currency=one.currency,
        transfer=one.transfer_id,
        created_at=format_instant(one.created_at),
        leases=[show(held[id], call.now) for id in one.leases],
    )


def show_term(one: Term) -> LeaseTermAnswer:
    return LeaseTermAnswer(
        number=one.number,
        what=one.what,
        order=one.order_id,
        plan=one.plan_id,
        starts_at=format_instant(one.starts_at),
        ends_at=format_if_any(one.ends_at),
        price_micros=one.price,
        currency=one.currency,
        transfer=one.transfer_id,
        created_at=format_instant(one.created_at),
    )


def _grace_ms(call: Call) -> int:
    return call.services.config.lease_grace_s * 1000


def _is_paid(call: Call, free: bool) -> bool:
    """Forbidden for who may not let others have something for nothing."""
    if free:
        require_right(call.credential, "grants:write")
    return not free
