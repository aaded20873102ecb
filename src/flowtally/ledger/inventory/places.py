"""Places: the countries, states, cities and autonomous systems that each product has.

Owns the catalogues, which are replaced as wholes, and pages of them. What a file of places says is `catalogue`'s.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, delete, false, insert, select
from sqlalchemy.dialects import sqlite

from flowtally.core.errors import BadRequest, NotFound
from flowtally.core.texts import may_be_known
from flowtally.core.words import PlaceKind
from flowtally.ledger import trail
from flowtally.ledger.inventory.catalogue import Catalogue, OfferedPlace
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.tables import place_catalogues, places
from flowtally.ledger.texts import check_id

CHUNK: Final = 10_000
_SHOWN: Final = (places.c.kind, places.c.country, places.c.state, places.c.code, places.c.name)
_AFTER_SLASH: Final = chr(ord("/") + 1)


class PlaceCatalogue(msgspec.Struct, frozen=True):
    """How many places of each kind a product has, since when."""

    product: str
    countries: int
    states: int
    cities: int
    asns: int
    digest: str
    replaced_at: int


def replace_places(tx: Connection, product: str, found: Catalogue, *, now: int) -> PlaceCatalogue:
    """These are all places of the product from now on. The same ones again change nothing. Unprocessable (product)."""
    new = PlaceCatalogue(
        check_id("product", product),
        found.counts["country"],
        found.counts["state"],
        found.counts["city"],
        found.counts["asn"],
        found.digest,
        now,
    )
    old = _find(tx, product)
    if old is not None and old.digest == new.digest:
        return old
    _forget(tx, product)
    tx.execute(insert(place_catalogues).values(msgspec.structs.asdict(new)))
    for start in range(0, len(found.places), CHUNK):
        tx.exec_driver_sql(_insert(tx), [_row(product, one) for one in found.places[start : start + CHUNK]])
    before = None if old is None else trail.facts(old, "product")
    trail.note(tx, "places.replace", subject=product, before=before, after=trail.facts(new, "product"))
    return new


def _insert(tx: Connection) -> str:
    """As the driver takes it: through the library these rows take twice the time, while others wait for their turn."""
    written = str(insert(places).compile(dialect=sqlite.dialect()))
    return written if tx.dialect.name == "sqlite" else written.replace("?", "%s")


def _row(product: str, one: OfferedPlace) -> tuple[str, ...]:
    """In the order of the table."""
    return product, one.kind, one.key, one.country, one.state, one.code, one.name


def remove_places(tx: Connection, product: str) -> PlaceCatalogue:
    """The product has no places any more; what it had. NotFound."""
    old = read_catalogue(tx, product)
    _forget(tx, product)
    trail.note(tx, "places.remove", subject=product, before=trail.facts(old, "product"))
    return old


def _forget(tx: Connection, product: str) -> None:
    tx.execute(delete(places).where(places.c.product == product))
    tx.execute(delete(place_catalogues).where(place_catalogues.c.product == product))


def read_catalogue(tx: Connection, product: str) -> PlaceCatalogue:
    """NotFound where the product has none."""
    found = _find(tx, product)
    if found is None:
        raise NotFound(f"product {product!r} has no places", product=product)
    return found


def list_catalogues(tx: Connection, after: str | None = None, limit: int = DEFAULT_LIMIT) -> ListPage[PlaceCatalogue]:
    """In order of product."""
    order = place_catalogues.c.product
    query = select(*place_catalogues.c)
    return read_page(tx, "place catalogues", query, order, PlaceCatalogue, after=after, limit=limit)


def list_places(
    tx: Connection,
    product: str,
    kind: PlaceKind,
    *,
    country: str | None = None,
    state: str | None = None,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
) -> ListPage[OfferedPlace]:
    """A page of the product's places of this kind, in order of country, state and code. `state`: its code, of cities
    alone and with its country. NotFound where the product has no places, BadRequest."""
    if state is not None and (kind != "city" or country is None):
        raise BadRequest("state is the state of cities: say kind=city and a country beside it", parameter="state")
    read_catalogue(tx, product)
    query = select(*_SHOWN).where(_those(product, kind, country, state))
    asked = (product, kind, country, state)
    return read_page(tx, "places", query, places.c.key, OfferedPlace, asked, after=after, limit=limit)


def find_places(
    tx: Connection, product: str, kind: PlaceKind, country: str | None = None, state: str | None = None, *, most: int
) -> list[OfferedPlace]:
    """The same at once, for wires that have no pages: none where the product has no places. At most `most` and one."""
    query = select(*_SHOWN).where(_those(product, kind, country, state)).order_by(places.c.key)
    return [OfferedPlace(*row) for row in tx.execute(query.limit(most + 1))]


def names_of(found: Iterable[OfferedPlace]) -> dict[str, str]:
    """By code."""
    return {one.code: one.name for one in found}


def _those(product: str, kind: PlaceKind, country: str | None, state: str | None) -> ColumnElement[bool]:
    """One range of the primary key."""
    ours = and_(places.c.product == product, places.c.kind == kind)
    if country is None:
        return ours
    begin = f"{country}/" if state is None else f"{country}/{state}/"
    if not may_be_known(begin):
        return false()
    if kind == "country":
        return and_(ours, places.c.key == country)
    return and_(ours, places.c.key >= begin, places.c.key < begin[:-1] + _AFTER_SLASH)


def _find(tx: Connection, product: str) -> PlaceCatalogue | None:
    if not may_be_known(product):
        return None
    row = tx.execute(select(*place_catalogues.c).where(place_catalogues.c.product == product)).one_or_none()
    return None if row is None else PlaceCatalogue(*row)
