"""Do the places that a product has add up to its catalogue, and is each within a place that is there, too?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, and_, exists, select

from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.inventory.catalogue import KINDS, digest_of
from flowtally.ledger.tables import place_catalogues, places


def _whole(tx: Connection) -> Iterator[Fault]:
    """Every catalogue is as it was replaced last: so many places of each kind, none of them another."""
    shown = (places.c.kind, places.c.key, places.c.name)
    for said in tx.execute(select(place_catalogues).order_by(place_catalogues.c.product)).all():
        count: Counter[str] = Counter()

        def rows(product: str = said.product, count: Counter[str] = count) -> Iterator[tuple[str, str, str]]:
            for kind in KINDS:
                query = select(*shown).where(places.c.product == product, places.c.kind == kind).order_by(places.c.key)
                for row in tx.execute(query.execution_options(yield_per=PAGE)):
                    count[row.kind] += 1
                    yield row.kind, row.key, row.name

        digest = digest_of(rows())
        found = tuple(count[kind] for kind in KINDS)
        if found != (said.countries, said.states, said.cities, said.asns):
            told = ", ".join(f"{count[kind]} {kind}" for kind in KINDS)
            yield Fault("places", f"product {said.product!r}", f"has other numbers of places than it was given: {told}")
        elif digest != said.digest:
            yield Fault("places", f"product {said.product!r}", "has other places than it was given")


def _within(tx: Connection) -> Iterator[Fault]:
    """What is in a country, or in a state, is in one that is there."""
    outer = places.alias()

    def strays(kind: str, *more: ColumnElement[bool]) -> Iterator[Any]:
        there = exists().where(outer.c.product == places.c.product, outer.c.kind == kind, *more)
        inner = places.c.state != "" if kind == "state" else places.c.kind != "country"
        query = select(places.c.product, places.c.kind, places.c.key).where(and_(inner, ~there))
        yield from tx.execute(query.order_by(places.c.product).limit(LISTED))

    in_state = outer.c.key == places.c.country + "/" + places.c.state
    found = [*strays("country", outer.c.key == places.c.country), *strays("state", in_state)]
    for one in found:
        yield Fault("places", f"product {one.product!r}, {one.kind} {one.key}", "is in a place that is not there")


RULES: Final[tuple[Rule, ...]] = (_whole, _within)
