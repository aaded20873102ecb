"""Places that products have: listed in pages, and replaced as wholes from a file."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Final

import msgspec
from msgspec import Meta

from flowtally.core.edges import format_instant
from flowtally.core.errors import NotFound, Unprocessable, UnsupportedMedia
from flowtally.core.media import CSV, JSON, NDJSON
from flowtally.core.words import PlaceFormat, PlaceKind
from flowtally.ingest.decompress import decompress
from flowtally.ledger.inventory import places
from flowtally.ledger.inventory.catalogue import Catalogue, OfferedPlace, make_catalogue
from flowtally.ledger.inventory.place_files import read_rows
from flowtally.ledger.inventory.places import PlaceCatalogue
from flowtally.ledger.pages import ListPage
from flowtally.protocol import PlaceAnswer, PlaceCatalogueAnswer, PlaceRow
from flowtally.web.bodies import WRITER_ERRORS, AnyRequest, read_body
from flowtally.web.call import Call
from flowtally.web.capacity.weights import WRITE
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation
from flowtally.web.transaction import Transaction, write

ONE: Final = "/v1/places/{product}"
FORMS: Final[dict[str, PlaceFormat]] = {CSV: "csv", JSON: "json", NDJSON: "json"}
EXAMPLE = PlaceCatalogueAnswer("residential", 2, 51, 29_880, 412, "2026-03-01T09:30:00Z")
ALABASTER = PlaceRow("US", state="alabama", city="Alabaster")
COMCAST = PlaceRow("US", asn="AS7922", asn_name="Comcast Cable Communications")


class PlacesQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    kind: Annotated[PlaceKind, Meta(description="Which places; `asn`: autonomous systems.")] = "country"
    country: Annotated[
        str | None, Meta(description="Only those of this country: its code of two letters.", examples=["US"])
    ] = None
    state: Annotated[
        str | None, Meta(description="Only cities of this state of the country: its code.", examples=["alabama"])
    ] = None


@operation(
    "GET",
    "/v1/places",
    may="places:read",
    narrows=True,
    summary="List the products that have places",
    query=PageQuery,
    answer=Listed(PlaceCatalogueAnswer),
    example={"items": [EXAMPLE], "next": None},
)
def list_place_catalogues(call: Call, query: PageQuery) -> ListPage[PlaceCatalogueAnswer]:
    """How many each has, and since when."""
    return show_page(places.list_catalogues(call.tx, query.cursor, query.limit), _show)


@operation(
    "GET",
    ONE,
    may="places:read",
    narrows=True,
    summary="List the places of a product",
    query=PlacesQuery,
    answer=Listed(PlaceAnswer),
    errors=(NotFound,),
    example={"items": [PlaceAnswer("city", "US", "alabama", "alabaster", "Alabaster")], "next": None},
)
def list_places(call: Call, product: str, query: PlacesQuery) -> ListPage[PlaceAnswer]:
    """Its countries, states, cities or autonomous systems, in order of country, state and code. The codes are those
    that gateways and dialects speak of."""
    country = None if query.country is None else query.country.upper()
    found = places.list_places(
        call.tx, product, query.kind, country=country, state=query.state, after=query.cursor, limit=query.limit
    )
    return show_page(found, _show_place)


@operation(
    "PUT",
    ONE,
    may="places:write",
    summary="Replace the places of a product",
    answer=PlaceCatalogueAnswer,
    errors=(*WRITER_ERRORS, Unprocessable),
    raw_body={
        JSON: msgspec.to_builtins([ALABASTER, COMCAST]),
        NDJSON: '{"country":"US","state":"alabama","city":"Alabaster"}\n',
        CSV: "country,state,city\nUS,alabama,Alabaster\n",
    },
    raw_json=list[PlaceRow],
    example=EXAMPLE,
)
async def replace_places(call: Call, request: AnyRequest, product: str) -> PlaceCatalogueAnswer:
    """From a file of rows: CSV with a header, a JSON array, or an object a line; it may be compressed (gzip, zstd).
    The columns of CSV are the members of a row. A row says each place that it names, with the country and the state
    around it. From then on the product has these places and no others.

    All of the file is taken, or nothing: 422 has the first 100 lines that are wrong as `faults` (`line`, `field`,
    `reason`), and how many there are as `wrong`. A name comes from ISO 3166 where the file gives none. The same place
    may be said more than once, by one name. The same file again changes nothing. At most 500,000 places."""
    form = _form(request.headers.get("content-type", ""))
    config = call.services.config
    with call.services.bodies.hold(call.credential.account) as hold:
        raw = await read_body(request, config.max_body_bytes, config, hold)
        encoding = request.headers.get("content-encoding")

        def make() -> Catalogue:
            body = decompress(raw, encoding, config.max_body_bytes, hold.add)
            made = make_catalogue(read_rows(body, form))
            made.reckon()  # now, while nobody waits for the ledger
            return made

        found = await call.services.read(call.credential, make)
        work = partial(_replace, product=product, found=found)
        return await call.answered(lambda: write(call.services, call.actor, work), WRITE)


def _replace(inside: Transaction, product: str, found: Catalogue) -> PlaceCatalogueAnswer:
    return _show(places.replace_places(inside.tx, product, found, now=inside.now))


@operation(
    "DELETE",
    ONE,
    may="places:write",
    summary="Remove the places of a product",
    answer=PlaceCatalogueAnswer,
    errors=(NotFound,),
    example=EXAMPLE,
)
def remove_places(call: Call, product: str) -> PlaceCatalogueAnswer:
    """Answers what it had."""
    return _show(places.remove_places(call.tx, product))


def _form(content_type: str) -> PlaceFormat:
    """UnsupportedMedia for what is no file of places."""
    kind = content_type.partition(";")[0].strip().lower() or JSON
    if kind not in FORMS:
        raise UnsupportedMedia(f"Places are {', '.join(FORMS)}; the body is {kind[:100]!r}.", accepted=list(FORMS))
    return FORMS[kind]


def _show(one: PlaceCatalogue) -> PlaceCatalogueAnswer:
    return PlaceCatalogueAnswer(
        one.product, one.countries, one.states, one.cities, one.asns, format_instant(one.replaced_at)
    )


def _show_place(one: OfferedPlace) -> PlaceAnswer:
    return PlaceAnswer(one.kind, one.country, one.state or None, one.code, one.name)
