"""`flowtally place`: the countries, states, cities and autonomous systems that products have."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, facts, note, table, when
from flowtally.client import ApiError
from flowtally.core.media import CSV, JSON
from flowtally.core.words import PlaceFormat, PlaceKind
from flowtally.protocol import PlaceCatalogueAnswer

commands = typer.Typer(
    name="place", help="Places: countries, states, cities and autonomous systems of products.", cls=CommandGroup
)

COLUMNS: Final = ("product", "countries", "states", "cities", "asns", "since")
MEDIA: Final = {"csv": CSV, "json": JSON}
IMPORT: Final = """\
\b
Examples:
  flowtally place import cities.csv
  flowtally place import mobile.json --product mobile

\b
Columns: country (needed), country_name, state, state_name, city, city_code, asn, asn_name.
  country,state,city
  US,alabama,Alabaster
"""
LIST: Final = """\
\b
Examples:
  flowtally place list
  flowtally place list residential
  flowtally place list residential --kind city --country US --state alabama
"""


@commands.command("import", epilog=IMPORT)
def import_places(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="CSV with a header, a JSON array, or an object a line.")],
    product: Annotated[str, typer.Option("--product", help="The product that has these places.")] = "residential",
    format: Annotated[
        PlaceFormat | None,
        typer.Option("--format", help="What the file is. Default: by the ending of its name, else CSV."),
    ] = None,
    json: Json = False,
) -> None:
    """Replace all places of a product. Where a line is wrong nothing changes, and each such line is named."""
    form = format or ("json" if file.suffix.lower() in (".json", ".jsonl", ".ndjson") else "csv")
    try:
        body = file.read_bytes()
    except OSError as error:
        raise typer.BadParameter(f"{file} cannot be read: {error.strerror}") from None
    with ask.client() as client:
        try:
            made = client.replace_places(product, body, MEDIA[form])
        except ApiError as error:
            for one in error.problem.get("faults") or ():
                field = f" {one['field']}:" if one["field"] else ""
                note(f"{file.name}:{one['line']}:{field} {one['reason']}")
            raise
    _show(made, json)


@commands.command("list", epilog=LIST)
def list_all(
    product: Annotated[
        str | None, typer.Argument(metavar="PRODUCT", help="The product. Left out: all products that have places.")
    ] = None,
    kind: Annotated[PlaceKind, typer.Option("--kind", help="Which places; asn: autonomous systems.")] = "country",
    country: Annotated[str | None, typer.Option("--country", help="Only those of this country, such as US.")] = None,
    state: Annotated[
        str | None, typer.Option("--state", help="Only cities of this state of the country, such as alabama.")
    ] = None,
    json: Json = False,
) -> None:
    """List the products that have places, or the places of one."""
    with ask.client() as client:
        if product is None:
            catalogues = list(client.place_catalogues())
            if json:
                document(catalogues)
                return
            table(COLUMNS, [_row(one) for one in catalogues], right=frozenset({1, 2, 3, 4}))
            return
        found = list(client.places(product, kind=kind, country=country, state=state))
    if json:
        document(found)
        return
    columns = ("country", "code", "name") if kind != "city" else ("country", "state", "code", "name")
    shown = [(one.country, one.state or "", one.code, one.name) for one in found]
    table(columns, shown if kind == "city" else [(country, code, name) for country, _, code, name in shown])


@commands.command("remove", epilog=example("flowtally place remove mobile"))
def remove(
    product: Annotated[str, typer.Argument(metavar="PRODUCT", help="The product.")],
    json: Json = False,
) -> None:
    """Remove all places of a product."""
    with ask.client() as client:
        _show(client.remove_places(product), json)


def _row(one: PlaceCatalogueAnswer) -> tuple[str, ...]:
    counts = (f"{count:,}" for count in (one.countries, one.states, one.cities, one.asns))
    return one.product, *counts, when(one.replaced_at)


def _show(one: PlaceCatalogueAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one), strict=True)))
