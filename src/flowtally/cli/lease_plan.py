"""`flowtally lease-plan`: for how much stock is leased."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.once import Once, given_once
from flowtally.cli.show.inventory import place_of, size_of
from flowtally.cli.show.output import Json, document, facts, table, when
from flowtally.cli.show.quantities import money
from flowtally.client import calls
from flowtally.core.units import human_money
from flowtally.protocol import LeasePlanAnswer, LeasePlanRequest

commands = typer.Typer(name="lease-plan", help="Lease plans: for how much stock is leased.", cls=CommandGroup)

COLUMNS: Final = ("plan", "name", "kind", "days", "price", "place", "size", "status")
CREATE: Final = """\
\b
Examples:
  flowtally lease-plan create isp 30 3.50 --id isp-30 --country US
  flowtally lease-plan create unlimited 30 199 --id server-8 --cpu-cores 8 --memory-mib 16384 --bandwidth-mbps 200
"""


@commands.command("create", epilog=CREATE)
def create(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="The kind of stock that it is for.")],
    days: Annotated[int, typer.Argument(metavar="DAYS", min=1, help="How many times 24 hours a lease lasts.")],
    price: Annotated[str, typer.Argument(metavar="PRICE", help="Money in the server's currency, such as 3.50.")],
    name: Annotated[str | None, typer.Option("--name", help="A name for people to read.")] = None,
    country: Annotated[str, typer.Option("--country", help="Only stock of this country.")] = "",
    state: Annotated[str, typer.Option("--state", help="Only stock of this part of the country.")] = "",
    city: Annotated[str, typer.Option("--city", help="Only stock of this city.")] = "",
    region: Annotated[str, typer.Option("--region", help="Only stock of this region.")] = "",
    cpu_cores: Annotated[int | None, typer.Option("--cpu-cores", min=1, help="Only servers with so many CPUs.")] = None,
    memory_mib: Annotated[int | None, typer.Option("--memory-mib", min=1, help="Only with so much memory.")] = None,
    bandwidth_mbps: Annotated[int | None, typer.Option("--bandwidth-mbps", min=1, help="Only of that speed.")] = None,
    id: Annotated[str | None, typer.Option("--id", help="The plan's id. Default: a generated one.")] = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Offer stock of a kind for some days. A plan cannot be changed later, only retired."""
    where = (country, state, city, region, cpu_cores, memory_mib, bandwidth_mbps)
    request = LeasePlanRequest(kind, days, money(price), *where, id, name)
    with ask.client() as client:
        _show(given_once(client, calls.create_lease_plan(request, once=once)), json)


@commands.command("list", epilog=example("flowtally lease-plan list --kind isp"))
def list_all(
    kind: Annotated[str | None, typer.Option("--kind", help="Only plans for stock of this kind.")] = None,
    retired: Annotated[bool, typer.Option("--retired", help="Also plans that are no longer sold.")] = False,
    json: Json = False,
) -> None:
    """List all plans to lease by."""
    with ask.client() as client:
        found = list(client.lease_plans(kind=kind, retired=retired))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found], right=frozenset({3, 4}))


@commands.command("retire", epilog=example("flowtally lease-plan retire isp-30"))
def retire(
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="The plan's id, from `flowtally lease-plan list`.")],
    json: Json = False,
) -> None:
    """Stop selling a plan. What was leased stays, and is renewed by another plan."""
    with ask.client() as client:
        _show(client.retire_lease_plan(plan), json)


def _row(one: LeasePlanAnswer) -> tuple[str, ...]:
    status = f"retired {when(one.retired_at)}" if one.retired_at else one.status
    price = human_money(one.price_micros, one.currency)
    return one.id, one.name, one.kind, str(one.days), price, place_of(one), size_of(one), status


def _show(one: LeasePlanAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one), strict=True)))
