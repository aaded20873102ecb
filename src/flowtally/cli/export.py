"""`flowtally export`: every row of an account into a file."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.console import Console
from rich.progress import DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from flowtally.cli import ask
from flowtally.cli.account import Account
from flowtally.cli.dates import FROM, TO, Dates
from flowtally.cli.show.output import AsOf, Json, document, note, plain, printable
from flowtally.client import Client, calls
from flowtally.client.call import ClientCall
from flowtally.core.units import counted, human_bytes
from flowtally.core.words import ExportFormat
from flowtally.host.permissions import create_for_owner

EXAMPLES: Final = """\
\b
Examples:
  flowtally export acme --out acme.parquet
  flowtally export acme --out march.csv --format csv --from 2026-03-01 --to 2026-04-01
"""
STEP_BYTES: Final = 64 * 1024 * 1024  # a line per this many where there is no terminal


def export(
    account: Account,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            help="The file to write. Only you can read it. An old file is replaced when the export is complete.",
        ),
    ],
    format: Annotated[
        ExportFormat | None,
        typer.Option("--format", help="The format of the file. Default: by the ending of its name, else parquet."),
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help=FROM)] = None,
    end: Annotated[str | None, typer.Option("--to", help=TO)] = None,
    as_of: AsOf = None,
    held: Annotated[
        bool, typer.Option("--held", help="Write the events that are held instead (see `flowtally held`).")
    ] = False,
    json: Json = False,
) -> None:
    """Write every event and correction of an account to one file. Their sums are exactly its usage."""
    form: ExportFormat = format or ("csv" if out.suffix.lower() == ".csv" else "parquet")
    part = out.with_name(out.name + ".part")
    with ask.client() as client, client.stream(_wanted(client, account, start, end, form, as_of, held)) as download:
        try:
            size = _save(download.pieces, part, printable(account))
            os.replace(part, out)
        finally:
            part.unlink(missing_ok=True)
    rows, block = (int(download.headers.get(name, "0")) for name in ("flowtally-rows", "flowtally-block"))
    done = {"account": account, "file": str(out), "format": form, "rows": rows, "block": block}
    done["as_of"] = download.headers.get("flowtally-as-of", "")
    if json:
        document(done | {"bytes": size})
        return
    if held:
        note(f"{printable(account)}: held events, {human_bytes(size)}")
        return
    note(f"{printable(account)}: {counted(rows, 'row')} up to block {block}, {human_bytes(size)}")


def _wanted(
    client: Client,
    account: str,
    start: str | None,
    end: str | None,
    format: ExportFormat,
    as_of: str | None,
    held: bool,
) -> ClientCall[bytes]:
    dates = Dates(client, account)
    begin, until = dates.range(start, end)
    return calls.export(account, start=begin, end=until, format=format, as_of=dates.known(as_of), held=held)


def _save(pieces: Iterator[bytes], part: Path, name: str) -> int:
    """Write the pieces as they come and say how far it is; how many bytes they are."""
    size = 0
    with create_for_owner(part) as file:
        for piece in _told(pieces, name):
            size += file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return size


def _told(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The pieces, with progress on stderr: a moving line in a terminal, a line per 64 MiB elsewhere."""
    if plain(sys.stderr):
        yield from _lines(pieces, name)
        return
    columns = (TextColumn("{task.description}", markup=False), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as moving:
        task = moving.add_task(name, total=None)
        for piece in pieces:
            yield piece
            moving.advance(task, len(piece))


def _lines(pieces: Iterator[bytes], name: str) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        yield piece
        if size // STEP_BYTES < (size + len(piece)) // STEP_BYTES:
            note(f"{name} {human_bytes(size + len(piece))}")
        size += len(piece)
