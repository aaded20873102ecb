"""`flowtally stock`: the addresses and servers that can be leased, and who had which one when."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.once import Once, given_once
from flowtally.cli.show.inventory import address_of, place_of, size_of
from flowtally.cli.show.output import Json, document, facts, note, table, when
from flowtally.cli.stock_file import read_lines
from flowtally.client import ApiError, calls
from flowtally.core.words import StockState
from flowtally.protocol import StockAnswer, StockChange, StockImportRequest, StockRequest

commands = typer.Typer(name="stock", help="Stock: addresses and servers that can be leased.", cls=CommandGroup)

COLUMNS: Final = ("stock", "kind", "address", "user", "place", "size", "status", "free")
HELD: Final = ("account", "from", "until", "status", "lease")
ADD: Final = """\
\b
Examples:
  flowtally stock add isp 192.0.2.10 --port 8080 --user user123 --password secret --country US --city newyork
  flowtally stock add unlimited gate-1.example.com --cpu-cores 8 --memory-mib 16384 --bandwidth-mbps 200
"""
IMPORT: Final = """\
\b
Examples:
  flowtally stock import addresses.csv
  flowtally stock import servers.json --once delivery-2026-03
\b
The first line of a CSV file names its columns: kind, address, port, username, password, name, country, state, city,
region, cpu_cores, memory_mib, bandwidth_mbps. Only kind and address are needed. A JSON file is a list of objects with
these members.
"""
LIST: Final = """\
\b
Examples:
  flowtally stock list --kind isp --status free
  flowtally stock list --address 192.0.2.10
"""

STOCK: Final = "stk_0199f2c47b3a7c11a1f0b2c3d4e5f610"
Entry = Annotated[str, typer.Argument(metavar="STOCK", help="The entry's id, from `flowtally stock list`.")]
User = Annotated[str | None, typer.Option("--user", help="What its holder logs in with.")]
Password = Annotated[str | None, typer.Option("--password", help="What its holder logs in with. It is encrypted.")]
Host = Annotated[str | None, typer.Option("--name", help="The name of its host.")]
Country = Annotated[str | None, typer.Option("--country", help="Its country, such as US.")]
State = Annotated[str | None, typer.Option("--state", help="The part of the country.")]
City = Annotated[str | None, typer.Option("--city", help="Its city.")]
Region = Annotated[str | None, typer.Option("--region", help="The name of the place where it stands.")]
Cores = Annotated[int | None, typer.Option("--cpu-cores", min=1, help="How many CPUs a server has.")]
Memory = Annotated[int | None, typer.Option("--memory-mib", min=1, help="How much memory it has, in MiB.")]
Bandwidth = Annotated[int | None, typer.Option("--bandwidth-mbps", min=1, help="How fast it is, in Mbit/s.")]


@commands.command("add", epilog=ADD)
def add(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="Such as isp, datacenter or unlimited.")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An IP address or a host name.")],
    port: Annotated[int | None, typer.Option("--port", min=1, max=65_535, help="Where it listens.")] = None,
    user: User = None,
    password: Password = None,
    name: Host = None,
    country: Country = None,
    state: State = None,
    city: City = None,
    region: Region = None,
    cpu_cores: Cores = None,
    memory_mib: Memory = None,
    bandwidth_mbps: Bandwidth = None,
    once: Once = None,
    json: Json = False,
) -> None:
    """Put an address or a server into stock."""
    request = StockRequest(
        kind=kind,
        address=address,
        port=port,
        username=user or "",
        password=password,
        name=name or "",
        country=country or "",
        state=state or "",
        city=city or "",
        region=region or "",
        cpu_cores=cpu_cores,
        memory_mib=memory_mib,
        bandwidth_mbps=bandwidth_mbps,
    )
    with ask.client() as client:
        _show(given_once(client, calls.add_stock(request, once=once)), json)


@commands.command("import", epilog=IMPORT)
def import_file(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A CSV or JSON file.")],
    once: Once = None,
    json: Json = False,
) -> None:
    """Put everything in a file into stock, or nothing: the lines that cannot be taken are told."""
    request = StockImportRequest(read_lines(file))
    with ask.client() as client:
        try:
            made = given_once(client, calls.import_stock(request, once=once))
        except ApiError as error:
            if error.code == "lines_refused":
                _tell_faults(error)
            raise
    if json:
        document(made)
        return
    facts({"put into stock": str(made.count)})


@commands.command("list", epilog=LIST)
def list_all(
    kind: Annotated[str | None, typer.Option("--kind", help="Only stock of this kind.")] = None,
    address: Annotated[str | None, typer.Option("--address", help="Only this address, retired entries too.")] = None,
    country: Annotated[str | None, typer.Option("--country", help="Only stock of this country.")] = None,
    status: Annotated[StockState | None, typer.Option("--status", help="Only stock of this status.")] = None,
    json: Json = False,
) -> None:
    """List what is in stock, retired entries included."""
    with ask.client() as client:
        found = list(client.stock(kind=kind, address=address, country=country, status=status))
    if json:
        document(found)
        return
    table(COLUMNS, [_row(one) for one in found])


@commands.command("show", epilog=example(f"flowtally stock show {STOCK}"))
def show(stock: Entry, json: Json = False) -> None:
    """Show one entry, and who had it when."""
    with ask.client() as client:
        one, holders = client.stock_entry(stock), list(client.holders(stock))
    if json:
        document({"stock": one, "holders": holders})
        return
    _show(one, json)
    table(HELD, [(h.account, when(h.starts_at), when(h.until) if h.until else "", h.status, h.lease) for h in holders])


@commands.command("change", epilog=example(f"flowtally stock change {STOCK} --password new"))
def change(
    stock: Entry,
    user: User = None,
    password: Password = None,
    name: Host = None,
    country: Country = None,
    state: State = None,
    city: City = None,
    region: Region = None,
    cpu_cores: Cores = None,
    memory_mib: Memory = None,
    bandwidth_mbps: Bandwidth = None,
    json: Json = False,
) -> None:
    """Change an entry. Its kind, address and port stay: another address is another entry."""
    given = {"username": user, "password": password, "name": name, "country": country, "state": state, "city": city}
    sizes = {"cpu_cores": cpu_cores, "memory_mib": memory_mib, "bandwidth_mbps": bandwidth_mbps}
    asked = {key: value for key, value in {**given, "region": region, **sizes}.items() if value is not None}
    with ask.client() as client:
        _show(client.change_stock(stock, StockChange(**asked)), json)  # type: ignore[arg-type]


@commands.command("retire", epilog=example(f"flowtally stock retire {STOCK}"))
def retire(stock: Entry, json: Json = False) -> None:
    """Lease it to nobody any more. Who has it keeps it to the end of the lease."""
    with ask.client() as client:
        _show(client.retire_stock(stock), json)


def _tell_faults(error: ApiError) -> None:
    faults = error.problem.get("faults")
    for one in faults if isinstance(faults, list) else []:
        note(f"line {one.get('line')}: {one.get('detail')}")


def _row(one: StockAnswer) -> tuple[str, ...]:
    free = when(one.free_at) if one.free_at else ""
    return one.id, one.kind, address_of(one), one.username, place_of(one), size_of(one), one.status, free


def _show(one: StockAnswer, json: bool) -> None:
    if json:
        document(one)
        return
    facts(dict(zip(COLUMNS, _row(one), strict=True)))
