"""What happens to leases: given, bought, renewed, upgraded, released; money, lease and end in one transaction.

An order is one of these, of one lease or many: all or none, paid by one transfer. Writers take turns (see `database`),
so an order looks at what is free and takes it, and nobody has it in between. A price is the plan's; an upgrade costs
what the rest of the time is worth more (`core.leasing`). A release gives no money back: whoever wants that adjusts the
wallet, with the order as the reference. What the operator gives has a price, too, which nobody pays.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, insert, or_, select, update

from flowtally.core.edges import format_instant
from flowtally.core.errors import (
    Conflict,
    LeaseEnded,
    NotFound,
    OutOfStock,
    PlanRetired,
    StockHeld,
    StockRetired,
    Unprocessable,
)
from flowtally.core.leasing import ANYWHERE, AgreedPrice, Site, Size, flat, kept_until, upgrade_price
from flowtally.core.texts import may_be_known
from flowtally.core.times import DAY_MS
from flowtally.core.words import LeaseStep
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.inventory import stock as items
from flowtally.ledger.inventory.lease_plans import LeasePlan, read_lease_plan
from flowtally.ledger.inventory.leases import (
    TERM_COLUMNS,
    LeasedItem,
    StockLease,
    Term,
    count_terms,
    make_term,
    read_held,
    terms_of,
)
from flowtally.ledger.inventory.stock import StockItem, make_item, read_item
from flowtally.ledger.money.wallet import Transfer, record
from flowtally.ledger.people.accounts import read_active_account, read_open_account
from flowtally.ledger.tables import lease_terms, leases, stock
from flowtally.ledger.texts import check_instant, check_number

MOST_LEASES: Final = 1_000  # leases of one order
MAX_GRACE_MS: Final = 366 * DAY_MS

_FREE_AT: Final = update(stock).where(stock.c.id == bindparam("row")).values(free_at=bindparam("free"))


class Order(msgspec.Struct, frozen=True):
    """What was done to these leases at once. `price` is of all together; without a transfer nobody paid it."""

    id: str
    account: str
    what: LeaseStep
    price: int
    currency: str
    transfer_id: str | None
    created_at: int
    leases: tuple[str, ...]


class _Change(msgspec.Struct, frozen=True):
    """A lease as it becomes, and the stretch of time that its next term is of."""

    lease: StockLease
    starts_at: int
    ends_at: int | None
    price: int
    number: int


def buy_leases(
    tx: Connection,
    account: str,
    plan_id: str,
    *,
    now: int,
    count: int = 1,
    some: Sequence[str] = (),
    place: Site = ANYWHERE,
    grace_ms: int = 0,
    auto_renew: bool = False,
    order_id: str | None = None,
) -> Order:
    """Lease so many of what the plan is for, or `some` of them by their ids; in one place, if asked. Those that were
    held by nobody for longest come first. `order_id`: what the order is called, where its caller must know it again.

    UnknownAccount, NotFound (plan, item), AccountSuspended, Conflict (closed account), PlanRetired, OutOfStock,
    StockHeld, StockRetired, InsufficientFunds, Unprocessable (an item that the plan is not for).
    """
    read_active_account(tx, account)
    plan = _sold(tx, plan_id)
    found = (
        [_free_item(tx, plan, one, now) for one in _once(some)] if some else _free_items(tx, plan, place, count, now)
    )
    made = [_new_lease(account, item, plan, now, now + plan.days * DAY_MS, now, grace_ms, auto_renew) for item in found]
    changes = [_Change(one, one.starts_at, one.ends_at, plan.price, 1) for one in made]
    return _write(tx, account, "bought", changes, plan.currency, True, now, order_id)


def give_lease(
    tx: Connection,
    account: str,
    item_id: str,
    *,
    now: int,
    plan_id: str | None = None,
    starts_at: int | None = None,
    ends_at: int | None = None,
    grace_ms: int = 0,
    auto_renew: bool = False,
) -> Order:
    """Let the account have the item from now or an earlier instant on, for nothing: for as long as the plan says, until
    `ends_at`, or without an end.

    UnknownAccount, NotFound (item, plan), Conflict (closed account), PlanRetired, StockHeld, StockRetired,
    Unprocessable.
    """
    read_open_account(tx, account)
    item = read_item(tx, item_id)
    _check_in_stock(item)
    plan = None if plan_id is None else _sold(tx, plan_id)
    if plan is not None:
        if ends_at is not None:
            raise Unprocessable("the plan says when it ends: leave ends_at out, or the plan", field="ends_at")
        _check_fits(plan, item, plan.size.over(item.size))
    starts = now if starts_at is None else check_instant("starts_at", starts_at)
    if starts > now:
        raise Unprocessable(f"starts_at is {format_instant(starts)}; a lease begins now or earlier", field="starts_at")
    if plan is not None:
        ends_at = starts + plan.days * DAY_MS
    if ends_at is not None:
        check_instant("ends_at", ends_at, least=starts + 1)
    if auto_renew and plan is None:
        raise Unprocessable("only a lease with a plan can be renewed by itself", field="auto_renew")
    made = _new_lease(account, item, plan, starts, ends_at, now, grace_ms, auto_renew)
    _check_nobody_holds(tx, item, made)
    change = _Change(made, starts, ends_at, 0 if plan is None else plan.price, 1)
    return _write(tx, account, "given", [change], "" if plan is None else plan.currency, False, now)


def renew_leases(
    tx: Connection,
    account: str,
    some: Sequence[str],
    *,
    now: int,
    plan_id: str | None = None,
    plans: Mapping[str, str] = MappingProxyType({}),
    paid: bool = True,
    order_id: str | None = None,
) -> Order:
    """Go on with these leases from their ends, by this plan or the one each has; not `paid`: for nothing. `plans`: for
    which of them it is another one. `order_id`: as for `buy_leases`.

    UnknownAccount, NotFound (lease, plan), AccountSuspended, Conflict (closed account), LeaseEnded, StockRetired,
    PlanRetired, InsufficientFunds, Unprocessable (no plan, or one that is not for it; it would be over by now).
    """
    (read_active_account if paid else read_open_account)(tx, account)
    changes, currency = [], ""
    for one in _once(some):
        held = read_held(tx, account, one)
        lease = held.lease
        ends = _ends(lease, now)
        _check_in_stock(held.item)
        plan = _renewal_plan(tx, held, plans.get(one, plan_id))
        _check_fits(plan, held.item, lease.size)
        until = ends + plan.days * DAY_MS
        if until <= now:
            told = f"lease {lease.id} ended at {format_instant(ends)}: {plan.days} days from there are over by now"
            raise Unprocessable(told, field="plan")
        check_instant("ends_at", until)
        after = replace(lease, ends_at=until, plan_id=plan.id)
        changes.append(_Change(after, ends, until, plan.price, count_terms(tx, lease.id) + 1))
        currency = plan.currency
    return _write(tx, account, "renewed", changes, currency, paid, now, order_id)


def upgrade_lease(tx: Connection, account: str, lease_id: str, plan_id: str, *, now: int, paid: bool = True) -> Order:
    """Make the lease as large as the plan says, for what that costs above what the rest of its time is worth.

    UnknownAccount, NotFound (lease, plan), AccountSuspended, Conflict (closed account; it is no upgrade), LeaseEnded,
    StockRetired, PlanRetired, InsufficientFunds, Unprocessable (the plan is not for it).
    """
    (read_active_account if paid else read_open_account)(tx, account)
    held, plan = read_held(tx, account, lease_id), _sold(tx, plan_id)
    return _write(tx, account, "upgraded", [_upgraded(tx, held, plan, now)], plan.currency, paid, now)


def release_lease(tx: Connection, account: str, lease_id: str, *, now: int) -> StockLease:
    """End it now: from then on it is free for others. Nothing is paid back. A second time changes nothing, nor does it
    when the lease is over. NotFound."""
    lease = read_held(tx, account, lease_id).lease
    if lease.kept_until <= now:
        return lease
    at = max(now, lease.starts_at)
    after = replace(lease, released_at=at, auto_renew=False)
    change = _Change(after, at, at, 0, count_terms(tx, lease.id) + 1)
    _write(tx, account, "released", [change], "", False, now)
    return after


def release_all(tx: Connection, account: str, *, now: int) -> list[str]:
    """End all that the account holds, or could still renew: which these were."""
    over = leases.c.ends_at + leases.c.grace_ms
    live = (leases.c.account == account, leases.c.released_at.is_(None), or_(leases.c.ends_at.is_(None), over > now))
    some = list(tx.execute(select(leases.c.id).where(*live).order_by(leases.c.id)).scalars())
    for one in some:
        release_lease(tx, account, one, now=now)
    return some


def set_auto_renew(tx: Connection, account: str, some: Sequence[str], on: bool, *, now: int) -> list[StockLease]:
    """Whether the server renews these leases before their ends. NotFound, LeaseEnded, Unprocessable (one without a
    plan), and to have them renewed UnknownAccount, Conflict (closed account)."""
    if on:
        read_open_account(tx, account)
    changed = []
    for one in _once(some):
        lease = read_held(tx, account, one).lease
        if on:
            _ends(lease, now)
            if lease.plan_id is None:
                raise Unprocessable(
                    f"lease {lease.id} has no plan to be renewed by: renew it once with one", field="plan"
                )
        after = replace(lease, auto_renew=on)
        changed.append(after)
        if after == lease:
            continue
        tx.execute(update(leases).where(leases.c.id == lease.id).values(auto_renew=int(on)))
        said = {"auto_renew": lease.auto_renew}
        trail.note(tx, "lease.auto_renew", account=account, subject=lease.id, before=said, after={"auto_renew": on})
    return changed


def read_order(tx: Connection, account: str, order_id: str) -> Order:
    """What was done at once, and paid at once; NotFound when the account has no such order."""
    rows: Sequence[Any] = ()
    if may_be_known(order_id + account):
        query = select(*TERM_COLUMNS).join(leases, leases.c.id == lease_terms.c.lease_id)
        query = query.where(lease_terms.c.order_id == order_id, leases.c.account == account)
        rows = tx.execute(query.order_by(lease_terms.c.lease_id)).all()
    if not rows:
        raise NotFound(f"account {account!r} has no order {order_id!r} of leases", order=order_id)
    return _order_of(account, [make_term(*row) for row in rows])


def _order_of(account: str, terms: Sequence[Term]) -> Order:
    first = terms[0]
    price, ids = sum(one.price for one in terms), tuple(one.lease_id for one in terms)
    return Order(first.order_id, account, first.what, price, first.currency, first.transfer_id, first.created_at, ids)


def _once(some: Sequence[str]) -> Sequence[str]:
    check_number("number of leases", len(some), least=1, most=MOST_LEASES)
    if len(set(some)) < len(some):
        raise Unprocessable("the same id is there twice")
    return some


def _sold(tx: Connection, plan_id: str) -> LeasePlan:
    plan = read_lease_plan(tx, plan_id)
    if plan.retired_at is not None:
        raise PlanRetired(f"lease plan {plan.id!r} is no longer sold", plan=plan.id)
    return plan


def _renewal_plan(tx: Connection, held: LeasedItem, plan_id: str | None) -> LeasePlan:
    wanted = held.lease.plan_id if plan_id is None else plan_id
    if wanted is None:
        raise Unprocessable(f"lease {held.lease.id} was given without a plan: say by which it is renewed", field="plan")
    return _sold(tx, wanted)


def _ends(lease: StockLease, now: int) -> int:
    """Where a lease ends that can still be renewed; else LeaseEnded."""
    state = lease.state(now)
    if lease.ends_at is None and state != "released":
        raise LeaseEnded(f"lease {lease.id} has no end", lease=lease.id)
    if lease.ends_at is None or state in ("released", "ended"):
        raise LeaseEnded(f"lease {lease.id} is over since {format_instant(lease.kept_until)}", lease=lease.id)
    return lease.ends_at


def _check_in_stock(item: StockItem) -> None:
    if item.retired_at is not None:
        raise StockRetired(f"{item.id} was retired from stock", stock=item.id)


def _check_fits(plan: LeasePlan, item: StockItem, size: Size) -> None:
    """Whether the plan is for what is of that size then."""
    if plan.kind != item.kind:
        raise Unprocessable(f"plan {plan.id!r} is for {plan.kind!r}, {item.id} is {item.kind!r}", field="plan")
    if not plan.place.holds(item.place):
        raise Unprocessable(f"plan {plan.id!r} is for another place than that of {item.id}", field="plan")
    if not plan.size.holds(size):
        raise Unprocessable(f"plan {plan.id!r} is for another size than that of {item.id}", field="plan")


def _free_item(tx: Connection, plan: LeasePlan, item_id: str, now: int) -> StockItem:
    item = read_item(tx, item_id)
    _check_in_stock(item)
    _check_fits(plan, item, item.size)
    if item.free_at > now:
        raise StockHeld(f"{item.id} is leased, or kept for who leased it last", stock=item.id)
    return item


def _free_items(tx: Connection, plan: LeasePlan, place: Site, count: int, now: int) -> list[StockItem]:
    check_number("count", count, least=1, most=MOST_LEASES)
    items.check_place(place)
    query = select(*items.COLUMNS).where(
        stock.c.kind == plan.kind, stock.c.retired_at.is_(None), stock.c.free_at <= now
    )
    for said in (plan.place, place):
        query = query.where(*(stock.c[name] == one for name, one in msgspec.structs.asdict(said).items() if one))
    wanted = msgspec.structs.asdict(plan.size)
    query = query.where(*(stock.c[name] == one for name, one in wanted.items() if one is not None))
    found = [make_item(*row) for row in tx.execute(query.order_by(stock.c.free_at, stock.c.id).limit(count))]
    if len(found) < count:
        raise OutOfStock(f"{count} were asked for, {len(found)} are free for plan {plan.id!r}", free=len(found))
    return found


def _check_nobody_holds(tx: Connection, item: StockItem, made: StockLease) -> None:
    """Also not by an earlier entry of the same address and port."""
    query = select(leases.c.id, leases.c.ends_at, leases.c.grace_ms, leases.c.released_at)
    query = query.join(stock, stock.c.id == leases.c.stock_id).where(leases.c.starts_at < made.kept_until)
    query = query.where(stock.c.address == item.address, stock.c.port == (item.port or 0))
    for id, ends_at, grace_ms, released_at in tx.execute(query):
        if kept_until(ends_at, grace_ms, released_at) > made.starts_at:
            raise StockHeld(f"{item.id} is held by lease {id} in that time, or kept for its holder", stock=item.id)


def _new_lease(
    account: str,
    item: StockItem,
    plan: LeasePlan | None,
    starts_at: int,
    ends_at: int | None,
    now: int,
    grace_ms: int,
    auto_renew: bool,
) -> StockLease:
    check_number("grace_ms", grace_ms, least=0, most=MAX_GRACE_MS)
    size = item.size if plan is None else plan.size.over(item.size)
    plan_id = None if plan is None else plan.id
    return StockLease(
        new_id("lse_"), account, item.id, plan_id, starts_at, ends_at, grace_ms, auto_renew, None, size, now
    )


def _upgraded(tx: Connection, held: LeasedItem, plan: LeasePlan, at: int) -> _Change:
    lease, item = held.lease, held.item
    ends = _ends(lease, at)
    if at >= ends:
        raise LeaseEnded(f"lease {lease.id} ended at {format_instant(ends)}: renew it first", lease=lease.id)
    _check_in_stock(item)
    size = plan.size.over(lease.size)
    _check_fits(plan, item, size)
    if not size.exceeds(lease.size):
        raise Conflict(f"plan {plan.id!r} is not larger than lease {lease.id} is", lease=lease.id)
    terms = terms_of(tx, lease.id)
    stretches = [AgreedPrice(one.starts_at, one.ends_at, one.price) for one in terms if one.what != "released"]
    price = upgrade_price(at, ends, stretches, price=plan.price, days=plan.days)
    if price < 0:
        told = f"plan {plan.id!r} costs less than what was agreed on for the rest of lease {lease.id}"
        raise Conflict(told, lease=lease.id)
    return _Change(replace(lease, size=size, plan_id=plan.id), at, ends, price, len(terms) + 1)


_DID: Final[dict[LeaseStep, Literal["give", "buy", "renew", "upgrade", "release"]]] = {
    "given": "give",
    "bought": "buy",
    "renewed": "renew",
    "upgraded": "upgrade",
    "released": "release",
}


def _write(
    tx: Connection,
    account: str,
    what: LeaseStep,
    changes: Sequence[_Change],
    currency: str,
    paid: bool,
    now: int,
    order_id: str | None = None,
) -> Order:
    """The leases as they become, a term of each, and the transfer that pays for all of them."""
    order, price = order_id or new_id("ord_"), sum(one.price for one in changes)
    transfer = None
    if paid and price:
        made = Transfer(new_id("trf_"), account, "purchase", -price, currency, order, "", now)
        transfer = record(tx, made).id
    terms = [
        Term(
            *(one.lease.id, one.number, what, order, one.lease.plan_id, one.starts_at, one.ends_at, one.price),
            *(currency, transfer, one.lease.size, now),
        )
        for one in changes
    ]
    if new := [_row(one.lease) for one in changes if one.number == 1]:
        tx.execute(insert(leases), new)
    for one in changes:
        if one.number > 1:
            tx.execute(update(leases).where(leases.c.id == one.lease.id).values(_row(one.lease)))
    tx.execute(insert(lease_terms), [flat(one) for one in terms])
    tx.execute(_FREE_AT, [{"row": one.stock_id, "free": _free_at(tx, one)} for one in (c.lease for c in changes)])
    for change, term in zip(changes, terms, strict=True):
        facts = trail.facts(term, "lease_id", "created_at") | {"stock_id": change.lease.stock_id}
        trail.note(tx, f"lease.{_DID[what]}", account=account, subject=term.lease_id, after=facts)
    return _order_of(account, terms)


def _free_at(tx: Connection, lease: StockLease) -> int:
    """From when on what it is of is free: no lease of it is kept any longer."""
    others = select(leases.c.ends_at, leases.c.grace_ms, leases.c.released_at).where(
        leases.c.stock_id == lease.stock_id, leases.c.id != lease.id
    )
    return max([lease.kept_until, *(kept_until(*row) for row in tx.execute(others))])


def _row(lease: StockLease) -> dict[str, Any]:
    return flat(lease) | {"auto_renew": int(lease.auto_renew)}
