"""`flowtally sample`: what gauges of servers stood at, sent and read by periods."""

from __future__ import annotations

from typing import Annotated, Final

import typer

from flowtally.cli import ask
from flowtally.cli.dates import FROM, TO, Dates
from flowtally.cli.grouped import CommandGroup, example
from flowtally.cli.show.output import Json, document, note, say, table, when
from flowtally.core import clock
from flowtally.core.edges import format_instant
from flowtally.core.units import counted
from flowtally.core.words import Aggregation
from flowtally.protocol import SampleReceipts, ServerSample

commands = typer.Typer(name="sample", help="Samples: what gauges of servers stood at.", cls=CommandGroup)

COLUMNS: Final = ("begins", "gauge", "value", "samples")
ADD: Final = """\
\b
Examples:
  flowtally sample add stk_0199f2c47b3a7c11a1f0b2c3d4e5f609 cpu=12.5 memory=61 connections=1842
  flowtally sample add stk_0199f2c47b3a7c11a1f0b2c3d4e5f609 cpu=12.5 --at 2026-03-01T12:00:00Z
"""
Server = Annotated[str, typer.Argument(metavar="SERVER", help="The id of the server.")]


@commands.command("add", epilog=ADD)
def add(
    server: Server,
    values: Annotated[
        list[str], typer.Argument(metavar="GAUGE=VALUE...", help="What each gauge stands at, such as cpu=12.5.")
    ],
    at: Annotated[
        str | None, typer.Option("--at", help="When it was measured: an instant (RFC 3339). Default: now.")
    ] = None,
    json: Json = False,
) -> None:
    """Send samples of one instant. A sample that is there already counts once."""
    time = at or format_instant(clock.now_ms() // 1000 * 1000)
    samples = [ServerSample(server, name, time, value) for name, value in map(_pair, values)]
    with ask.client() as client:
        done = client.send_samples(samples)
    if json:
        document(done)
    else:
        _tell(done, samples)
    if done.conflict or done.refused:
        raise typer.Exit(1)


def _pair(text: str) -> tuple[str, float]:
    name, _, value = text.partition("=")
    try:
        return name, float(value)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is not GAUGE=VALUE, such as cpu=12.5") from None


def _tell(done: SampleReceipts, samples: list[ServerSample]) -> None:
    say(f"{counted(done.stored, 'sample')} stored, {done.duplicate} there before.")
    for one in done.receipts:
        note(f"{samples[one.index].name}: {one.detail} ({one.code})", style="red")


@commands.command("list", epilog=example("flowtally sample list stk_0199f2c47b3a7c11a1f0b2c3d4e5f609 --name cpu"))
def list_all(
    server: Server,
    names: Annotated[list[str] | None, typer.Option("--name", help="Only this gauge. Repeatable.")] = None,
    start: Annotated[str | None, typer.Option("--from", help=FROM)] = None,
    end: Annotated[str | None, typer.Option("--to", help=TO)] = None,
    period: Annotated[
        int, typer.Option("--period", metavar="SECONDS", help="Seconds of one row: 60, 300, 3600 or 86400.")
    ] = 3600,
    aggregation: Annotated[
        Aggregation, typer.Option("--aggregation", help="How the samples of a row become one value.")
    ] = "mean",
    json: Json = False,
) -> None:
    """Show what gauges of a server stood at, by periods of UTC. By default of the last day."""
    with ask.client() as client:
        dates = Dates(client, None, "UTC")
        found = client.samples(
            server,
            names=names or (),
            start=dates.instant(start),
            end=dates.instant(end),
            period_s=period,
            aggregation=aggregation,
        )
    if json:
        document(found)
        return
    rows = [
        (when(point.start), series.name, f"{point.value:.15g}", str(point.samples))
        for series in found.series
        for point in series.points
    ]
    if rows:
        table(COLUMNS, rows, right=frozenset({2, 3}))
    else:
        say("There are no samples of it in this time.")
