"""A file of stock, CSV or JSON, as lines of an import: each knows where it stands in the file."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import msgspec
import typer

from flowtally.protocol import StockLine


def read_lines(path: Path) -> list[StockLine]:
    """All lines of the file; a usage error that names the line where one cannot be read."""
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeError) as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    if text.lstrip().startswith(("[", "{")):
        return _of_json(path, text)
    return _of_csv(path, text)


def _of_json(path: Path, text: str) -> list[StockLine]:
    try:
        rows = msgspec.json.decode(text.encode(), type=list[dict[str, Any]])
    except msgspec.DecodeError as error:
        raise typer.BadParameter(f"{path}: {error}") from None
    return [_line(path, number, row) for number, row in enumerate(rows, 1)]


def _of_csv(path: Path, text: str) -> list[StockLine]:
    reader = csv.DictReader(text.splitlines(), skipinitialspace=True)
    known = set(StockLine.__struct_fields__) - {"line"}
    columns = reader.fieldnames or ()
    if unknown := [name for name in columns if name not in known]:
        raise typer.BadParameter(f"{path}: there is no column {unknown[0]!r}; there are {', '.join(sorted(known))}")
    found = []
    for row in reader:
        number = reader.line_num
        if None in row or None in row.values():
            raise typer.BadParameter(f"{path}, line {number}: it has not as many values as there are columns")
        found.append(_line(path, number, {name: value for name, value in row.items() if value != ""}))
    return found


def _line(path: Path, number: int, row: dict[str, Any]) -> StockLine:
    try:
        return msgspec.convert(row | {"line": number}, StockLine, strict=False)
    except msgspec.ValidationError as error:
        raise typer.BadParameter(f"{path}, line {number}: {error}") from None
