"""The small files of a part that its `checksums.txt` does not list: are they what the engine writes?

Owns what may stand in each. `columns.txt` decides which columns a part has, and a misspelt one would read as zeros;
`columns_substreams.txt` says where the columns stand in a compact part. The engine is not asked: the bytes on the disk
are what the next start will believe.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Final
from urllib.parse import quote

FIRST_COLUMNS: Final = 21  # those of the first migration: a part may lack the columns that came later, never these
PROJECTIONS: Final[Mapping[str, int]] = {"buckets": 8, "account_buckets": 7}  # how many columns each has
OF_PROJECTIONS: Final[Mapping[str, str]] = {
    **dict.fromkeys(("series", "account", "product", "user"), "LowCardinality(String)"),
    "intDiv(toUnixTimestamp64Milli(time), 900000)": "Int64",
    **{f"sum(toInt128({name}))": "AggregateFunction(sum, Int128)" for name in ("bytes_up", "bytes_down", "requests")},
}
Columns = Sequence[tuple[str, str]]  # name and type

_CHECKSUMS: Final = b"checksums format version: 4\n"
_CODEC: Final = re.compile(rb"CODEC\((?:NONE|LZ4|LZ4HC\(\d{1,2}\)|ZSTD\(\d{1,2}\))\)")
_SYSTEM_COLUMNS: Final = [b"_block_number", b"_block_offset"]
_COLUMN: Final = re.compile(r"`(.+)` (\S.*)")
_STREAM: Final = re.compile(r"(?:%2Ekeys|%2Evalues)?(?:\.(?:dict_prefix|dict|size|size0|null|sparse\.idx))?")


def faults(place: Path, schema: Columns | None) -> Iterator[tuple[str, str]]:
    """(file, what is wrong) in a part's directory, or a projection's (`schema` None). OSError where one is not
    there."""
    if not (place / "checksums.txt").read_bytes().startswith(_CHECKSUMS):  # CHECK would make it anew where it is gone
        yield "checksums.txt", "it does not begin as it should"
    if not _CODEC.fullmatch((place / "default_compression_codec.txt").read_bytes()):
        yield "default_compression_codec.txt", "it names no codec"
    version = place / "metadata_version.txt"  # only a replicated table counts it; a part that was attached has none
    if version.exists() and version.read_bytes() != b"0":
        yield "metadata_version.txt", "it is not 0"
    moved = place / "invalidated_system_columns.txt"  # of a part that was moved, until it is merged with others
    if moved.exists() and sorted(moved.read_bytes().splitlines()) != _SYSTEM_COLUMNS:
        yield moved.name, "it names other columns than the engine's own two"
    columns = _read_columns((place / "columns.txt").read_bytes())
    fault = "it cannot be read" if columns is None else fault_of_columns(columns, schema, place.stem)
    if columns is None or fault:
        yield "columns.txt", fault
        return
    if not _are_streams((place / "columns_substreams.txt").read_bytes(), columns):
        yield "columns_substreams.txt", "it does not say where the columns stand"


def fault_of_columns(columns: Columns, schema: Columns | None, projection: str = "") -> str:
    """Empty where a part of this table, or a projection of this name, may have these columns."""
    if schema is None:
        strange = [name for name, kind in columns if OF_PROJECTIONS.get(name) != kind]
        lacking = len(columns) != PROJECTIONS.get(projection)
    else:
        strange = [name for name, kind in columns if (name, kind) not in schema]
        lacking = not set(schema[:FIRST_COLUMNS]).issubset(columns)
    if strange:
        return f"{strange[0]!r} is no column of it"
    return "a column is missing" if lacking else ""


def _read_columns(content: bytes) -> Columns | None:
    """Exactly as the engine writes it, or None."""
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        return None
    found = [_COLUMN.fullmatch(line) for line in lines[2:-1]]
    if lines[:2] != ["columns format version: 1", f"{len(found)} columns:"] or lines[-1] or not all(found):
        return None
    return [(one[1], one[2]) for one in found if one]


def _are_streams(content: bytes, columns: Columns) -> bool:
    try:
        lines = content.decode().split("\n")
    except UnicodeDecodeError:
        return False
    if lines[:2] != ["columns substreams version: 1", f"{len(columns)} columns:"] or lines.pop():
        return False
    at = 2
    for name, _ in columns:
        count, _, rest = lines[at].partition(" ") if at < len(lines) else ("", "", "")
        if not count.isdigit() or rest != f"substreams for column `{name}`:":
            return False
        own = lines[at + 1 : at + 1 + int(count)]
        if len(own) != int(count) or not all(_is_stream(line, name) for line in own):
            return False
        at += 1 + len(own)
    return at == len(lines)


def _is_stream(line: str, column: str) -> bool:
    begin = f"\t{quote(column, safe='_')}"
    return line.startswith(begin) and _STREAM.fullmatch(line[len(begin) :]) is not None
