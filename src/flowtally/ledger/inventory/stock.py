"""Stock: the addresses and servers that can be leased, each with its place, size and credentials.

Owns what an item is and the rule of addresses: one of an address and port is in stock at a time, whatever its kind, and
an address comes back only when nobody holds it by a lease of an entry before. Who holds an item is `leases`' to say.
Passwords come here encrypted (`vault`).
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType
from sqlalchemy import ColumnElement, Connection, and_, case, false, func, insert, not_, or_, select, update

from flowtally.core.endpoints import address
from flowtally.core.errors import Conflict, LinesRefused, NotFound, StockHeld, StockRetired, Unprocessable
from flowtally.core.leasing import ANY_SIZE, ANYWHERE, KIND, MAX_HOST_CHARS, Site, Size, flat, spelt
from flowtally.core.texts import may_be_known
from flowtally.core.words import StockState
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.tables import leases, stock
from flowtally.ledger.texts import check_number, check_text

MAX_PLACE_CHARS: Final = 128
MAX_SIZE: Final = 2**31 - 1
MAX_LINES: Final = 50_000  # of one import
FAULTS: Final = 100  # told of one import
CHUNK: Final = 500


class StockItem(msgspec.Struct, frozen=True):
    """kind: `isp`, `datacenter`, `unlimited` or any other word of the operator's. address, port: Where it is reached.
    username, has_password: What it is reached with. name: Of its host, where it has one.
    free_at: From when on nobody holds it, nor is it kept for anybody; 0 for one that was never leased.
    """

    id: str
    kind: str
    address: str
    port: int | None
    username: str
    has_password: bool
    name: str
    place: Site
    size: Size
    free_at: int
    created_at: int
    changed_at: int
    retired_at: int | None


class NewStock(msgspec.Struct, frozen=True):
    """What is put into stock. sealed: The password, encrypted. line: Where it stands in what was imported."""

    kind: str
    address: str
    port: int | None = None
    username: str = ""
    sealed: str | None = None
    name: str = ""
    place: Site = ANYWHERE
    size: Size = ANY_SIZE
    line: int = 0


class StockArea(msgspec.Struct, frozen=True):
    """What is in stock of one kind in just this place. ipv6: Whether it is reached at an IPv6 address. free: How many
    of it nobody holds."""

    kind: str
    place: Site
    ipv6: bool
    free: int = 0


class LineFault(msgspec.Struct, frozen=True):
    """What is wrong with one line of an import."""

    line: int
    detail: str


_S = stock.c
_V6: Final = _S.address.contains(":")  # neither IPv4 nor a name of a host has one
COLUMNS: Final = (
    *(_S.id, _S.kind, _S.address, _S.port, _S.username, _S.sealed.is_not(None), _S.name),
    *(_S.country, _S.state, _S.city, _S.region, _S.cpu_cores, _S.memory_mib, _S.bandwidth_mbps),
    *(_S.free_at, _S.created_at, _S.changed_at, _S.retired_at),
)


def make_item(*row: Any) -> StockItem:
    """Of COLUMNS."""
    head, place, size, rest = row[:7], Site(*row[7:11]), Size(*row[11:14]), row[14:]
    id, kind, address, port, username, has_password, name = head
    return StockItem(id, kind, address, port or None, username, bool(has_password), name, place, size, *rest)


def add_item(tx: Connection, new: NewStock, *, now: int) -> StockItem:
    """Put an address or a server into stock. Conflict (it is there already), StockHeld (somebody holds it by an entry
    that was retired), Unprocessable."""
    new = _checked(new)
    _check_free(tx, new, now)
    [made] = _put(tx, [new], now)
    trail.note(tx, "stock.add", subject=made.id, after=_facts(made))
    return made


def import_items(tx: Connection, some: Sequence[NewStock], *, now: int) -> list[str]:
    """Put all of these into stock, or none: their ids, in the same order. LinesRefused tells what is wrong, by line;
    Unprocessable for too many."""
    if not 1 <= len(some) <= MAX_LINES:
        raise Unprocessable(f"{len(some)} lines were sent; 1 to {MAX_LINES} are allowed")
    faults: list[LineFault] = []
    good: list[NewStock] = []
    for one in some:
        try:
            good.append(_checked(one))
        except Unprocessable as error:
            faults.append(LineFault(one.line, error.detail))
    seen: dict[tuple[str, int], int] = {}
    taken, held = _endpoints_taken(tx, good, now)
    for one in good:
        where = (one.address, one.port or 0)
        if where in seen:
            faults.append(LineFault(one.line, f"{shown(one)} is in line {seen[where]}, too"))
        elif where in taken:
            faults.append(LineFault(one.line, f"{shown(one)} is in stock already"))
        elif where in held:
            faults.append(LineFault(one.line, f"{shown(one)} is still held by a lease of an entry that was retired"))
        seen.setdefault(where, one.line)
    if faults:
        faults.sort(key=lambda fault: fault.line)
        raise LinesRefused(
            f"{len(faults)} of {len(some)} lines cannot be taken; nothing was put into stock",
            faults=[msgspec.to_builtins(one) for one in faults[:FAULTS]],
            count=len(faults),
        )
    made = [one.id for one in _put(tx, good, now)]
    trail.note(tx, "stock.import", after=trail.ids(made))
    return made


def change_item(
    tx: Connection,
    item_id: str,
    *,
    now: int,
    username: str | UnsetType = UNSET,
    sealed: str | UnsetType | None = UNSET,
    name: str | UnsetType = UNSET,
    place: Site | UnsetType = UNSET,
    size: Size | UnsetType = UNSET,
) -> StockItem:
    """Change what is given. Kind, address and port stay: another address is another item. A lease keeps the size it
    has. NotFound, StockRetired, Unprocessable."""
    before = read_item(tx, item_id)
    if before.retired_at is not None:
        raise StockRetired(f"{before.id} was retired from stock", stock=before.id)
    given = {"username": username, "name": name, "place": place, "size": size}
    after = msgspec.structs.replace(before, **{field: value for field, value in given.items() if value is not UNSET})
    if sealed is not UNSET:
        after = msgspec.structs.replace(after, has_password=sealed is not None)
    if after == before and sealed in (UNSET, None):
        return before
    _checked(NewStock(after.kind, after.address, after.port, after.username, None, after.name, after.place, after.size))
    after = msgspec.structs.replace(after, changed_at=now)
    row = _row(after) if sealed is UNSET else _row(after) | {"sealed": sealed}
    tx.execute(update(stock).where(_S.id == before.id).values(row))
    password = {} if sealed is UNSET else {"password_set": sealed is not None}
    trail.note(tx, "stock.change", subject=after.id, before=_facts(before), after=_facts(after) | password)
    return after


def retire_item(tx: Connection, item_id: str, *, now: int) -> StockItem:
    """Lease it to nobody any more; who holds it holds it to the end. A second time changes nothing. NotFound."""
    before = read_item(tx, item_id)
    if before.retired_at is not None:
        return before
    tx.execute(update(stock).where(_S.id == before.id).values(retired_at=now, changed_at=now))
    after = msgspec.structs.replace(before, retired_at=now, changed_at=now)
    trail.note(tx, "stock.retire", subject=after.id, before=_facts(before), after=_facts(after))
    return after


def read_item(tx: Connection, item_id: str) -> StockItem:
    """The item, retired or not; NotFound when there is none."""
    row = None
    if may_be_known(item_id):
        row = tx.execute(select(*COLUMNS).where(_S.id == item_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is nothing in stock with the id {item_id!r}", stock=item_id)
    return make_item(*row)


def sealed_password_of(tx: Connection, item_id: str) -> str | None:
    """The encrypted password of the item; None when it has none."""
    return sealed_passwords_of(tx, [item_id]).get(item_id)


def sealed_passwords_of(tx: Connection, some: Sequence[str]) -> dict[str, str | None]:
    """The encrypted passwords of these items; None of one that has none."""
    found: dict[str, str | None] = {}
    for start in range(0, len(some), CHUNK):
        query = select(_S.id, _S.sealed).where(_S.id.in_(some[start : start + CHUNK]))
        found |= {row.id: row.sealed for row in tx.execute(query)}
    return found


def list_items(
    tx: Connection,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    at: int,
    kind: str | None = None,
    address: str | None = None,
    country: str | None = None,
    state: StockState | None = None,
) -> ListPage[StockItem]:
    """Items in order of id; `state` as it is at the instant `at`. Without one also those that are retired."""
    query, asked = select(*COLUMNS), (kind, address, country, state)
    wanted = {_S.kind: kind, _S.address: address and (spelt(address) or address), _S.country: country}
    for column, value in wanted.items():
        if value is not None:
            query = query.where(column == value if may_be_known(value) else false())
    if state is not None:
        query = query.where(_in_state(state, at))
    return read_page(tx, "stock", query, _S.id, make_item, asked, after=after, limit=limit)


def areas_of(tx: Connection, kinds: Collection[str], at: int) -> list[StockArea]:
    """Where there is something of these kinds in stock, and how many of it are free at that instant; in order of kind
    and place."""
    each = select(_S.kind, _S.country, _S.state, _S.city, _S.region, _V6.label("ipv6"), _S.free_at)
    those = each.where(_S.kind.in_(kinds), _S.retired_at.is_(None)).subquery()
    *by, free_at = those.c
    query = select(*by, func.count(case((free_at <= at, 1)))).group_by(*by)
    found = [StockArea(kind, Site(*place), bool(v6), int(free)) for kind, *place, v6, free in tx.execute(query)]
    return sorted(found, key=lambda one: (one.kind, msgspec.structs.astuple(one.place), one.ipv6))


def free_in(tx: Connection, area: StockArea, count: int, at: int) -> list[str]:
    """Ids of so many items of that area that nobody holds, or of all there are; what was free for longest first."""
    place = msgspec.structs.asdict(area.place)
    query = select(_S.id).where(_S.kind == area.kind, _S.retired_at.is_(None), _S.free_at <= at)
    query = query.where(_V6 if area.ipv6 else not_(_V6), *(_S[name] == one for name, one in place.items()))
    return list(tx.execute(query.order_by(_S.free_at, _S.id).limit(count)).scalars())


def sites(tx: Connection, kind: str) -> list[Site]:
    """The places at which something of this kind is in stock, each once, in their order."""
    places = (_S.country, _S.state, _S.city, _S.region)
    query = select(*places).where(_S.kind == check_kind(kind), _S.retired_at.is_(None)).distinct().order_by(*places)
    return [Site(*row) for row in tx.execute(query)]


def state_of(item: StockItem, held: bool, at: int) -> StockState:
    """What an item is then; `held`: somebody does, by a lease."""
    if item.retired_at is not None:
        return "retired"
    if held:
        return "leased"
    return "free" if item.free_at <= at else "kept"


def held_among(tx: Connection, some: Sequence[str], at: int) -> set[str]:
    """Those of these items that somebody holds at that instant."""
    found: set[str] = set()
    for start in range(0, len(some), CHUNK):
        chunk = list(some[start : start + CHUNK])
        query = select(leases.c.stock_id).where(leases.c.stock_id.in_(chunk), holding(at))
        found.update(tx.execute(query).scalars())
    return found


def holding(at: int) -> ColumnElement[bool]:
    """Leases by which something is held at that instant."""
    ends = or_(leases.c.ends_at.is_(None), leases.c.ends_at > at)
    return and_(leases.c.starts_at <= at, ends, or_(leases.c.released_at.is_(None), leases.c.released_at > at))


def check_kind(kind: str) -> str:
    """Unprocessable unless it is a word of small letters, digits, `_` and `-`."""
    if KIND.fullmatch(kind) is None:
        raise Unprocessable(f"kind {kind[:80]!r} is not 1 to 64 small letters, digits, `_` or `-`", field="kind")
    return kind


def check_place(place: Site) -> None:
    for field, value in msgspec.structs.asdict(place).items():
        check_text(field, value, most=MAX_PLACE_CHARS)


def check_size(size: Size) -> None:
    for field, value in msgspec.structs.asdict(size).items():
        if value is not None:
            check_number(field, value, least=1, most=MAX_SIZE)


def shown(new: NewStock | StockItem) -> str:
    """Its address and port, for people."""
    return address(new.address, new.port)


def _checked(new: NewStock) -> NewStock:
    """With its address as it is written; Unprocessable for what cannot be in stock."""
    check_kind(new.kind)
    address = spelt(new.address)
    if address is None:
        raise Unprocessable(f"address {new.address[:80]!r} is no IP address and no host name", field="address")
    if new.port is not None:
        check_number("port", new.port, least=1, most=65_535)
    check_text("username", new.username)
    check_text("name", new.name, most=MAX_HOST_CHARS)
    check_place(new.place)
    check_size(new.size)
    return msgspec.structs.replace(new, address=address)


def _in_state(state: StockState, at: int) -> ColumnElement[bool]:
    if state == "retired":
        return _S.retired_at.is_not(None)
    held = select(leases.c.id).where(leases.c.stock_id == _S.id, holding(at)).correlate(stock).exists()
    which = {"free": _S.free_at <= at, "leased": held, "kept": and_(_S.free_at > at, ~held)}
    return and_(_S.retired_at.is_(None), which[state])


def _check_free(tx: Connection, new: NewStock, now: int) -> None:
    taken, held = _endpoints_taken(tx, [new], now)
    where = (new.address, new.port or 0)
    if where in taken:
        raise Conflict(f"{shown(new)} is in stock already", stock=taken[where])
    if where in held:
        told = f"{shown(new)} is still held by a lease of {held[where]}, which was retired"
        raise StockHeld(told, stock=held[where])


def _endpoints_taken(
    tx: Connection, some: Sequence[NewStock], now: int
) -> tuple[dict[tuple[str, int], str], dict[tuple[str, int], str]]:
    """Where one of these addresses and ports is in stock, or was and is still held: by which item."""
    addresses = sorted({one.address for one in some if may_be_known(one.address)})
    taken, held = dict[tuple[str, int], str](), dict[tuple[str, int], str]()
    for start in range(0, len(addresses), CHUNK):
        chunk = addresses[start : start + CHUNK]
        query = select(_S.address, _S.port, _S.id, _S.retired_at).where(_S.address.in_(chunk))
        query = query.where(or_(_S.retired_at.is_(None), _S.free_at > now))
        for host, port, id, retired_at in tx.execute(query):
            (held if retired_at is not None else taken)[host, port] = id
    return taken, held


def _put(tx: Connection, some: Sequence[NewStock], now: int) -> list[StockItem]:
    made = [
        StockItem(
            *(new_id("stk_"), one.kind, one.address, one.port, one.username, one.sealed is not None, one.name),
            *(one.place, one.size, 0, now, now, None),
        )
        for one in some
    ]
    rows = [_row(item) | {"sealed": one.sealed} for item, one in zip(made, some, strict=True)]
    tx.execute(insert(stock), rows)
    return made


def _row(item: StockItem) -> dict[str, Any]:
    """All but its password."""
    row = flat(item) | {"port": item.port or 0}
    del row["has_password"]
    return row


def _facts(item: StockItem) -> dict[str, Any]:
    """For the audit trail, which calls an address `endpoint`: it is no address of a person's."""
    return trail.facts(item, "port", "free_at") | {"endpoint": shown(item)}
