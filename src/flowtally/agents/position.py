"""Where an import stands, kept by the server as the source's opaque position: the importer has no state of its own.

Invariants: numbers are given to events, not lines; `sequence` is the number of the last event of the lines before
`offset`. So a mark beyond `sequence` (a batch stored in part: the server could hold no more) only means that some
events are sent again and answered as duplicates; every event inside a batch says where the batch begins. `check` is the
digest of up to 4 KiB before `offset`: a rewritten log is refused instead of drifting.
"""

from __future__ import annotations

import json
from typing import Final

import msgspec

from flowtally.agents.formats.declared import Declared
from flowtally.agents.lines import digest
from flowtally.agents.mapping import Mapping
from flowtally.events import MAX_POSITION_CHARS
from flowtally.texts import is_text

VERSION: Final = 1
INSIDE: Final = "import-inside"
# Options that may differ between two runs over one source: they move no number and change no one's account or user.
HARMLESS: Final = ("product",)
EARLIER_FORMATS: Final = ("squid", "combined", "cloudevents")  # that were a part of the name of a source


class Position(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """JSON text of less than 4096 characters. `mapping` is the options' own text, or its digest where that is long."""

    offset: int = 0
    lines: int = 0
    sequence: int = 0
    check: str = digest(b"")
    mapping: str = ""
    version: int = VERSION


class CannotResume(Exception):
    """The source stands where this import cannot go on; the message says why and what to do."""


def mapping_text(declared: Declared, mapping: Mapping) -> str:
    """The options that decide what the lines of a source become, in one canonical text."""
    options = {**msgspec.to_builtins(declared), **msgspec.to_builtins(mapping)}
    for name in HARMLESS:
        options.pop(name, None)
    text = msgspec.json.encode(options, order="sorted").decode()
    return text if len(text.encode()) <= MAX_POSITION_CHARS // 4 else digest(text.encode())


def encoded(position: Position) -> str:
    """As JSON whose characters may all be kept: an option may be a pattern with others in it."""
    text = msgspec.json.encode(position).decode()
    return text if is_text(text) else json.dumps(msgspec.to_builtins(position))


def inside(begins: Position) -> str:
    """What every event of a batch carries but its last: where the batch begins. Short, for it is sent as often as there
    are events; of the options only the digest."""
    place = f"{begins.offset} {begins.lines} {begins.sequence} {begins.check}"
    return f"{INSIDE} {begins.version} {place} {_short(begins.mapping)}"


def decoded(source: str, mark: int | None, text: str | None, mapping: str, *, any_options: bool = False) -> Position:
    """The position to go on from; raises CannotResume for a source this import must not continue. `any_options`: a
    source may go on with other options than before, where none of its batches was stored in part: what is left of one
    has the numbers that the old options gave."""
    if mark is None:
        raise CannotResume(
            f"{source} is a source of named events; an import needs a numbered one: choose another --source"
        )
    if mark == 0 and text is None:
        return Position(mapping=mapping)
    position = _read(text or "", mapping)
    if position is None:
        raise CannotResume(f"{source} was not written by an import (its position is not ours): choose another --source")
    if position.version != VERSION or position.sequence > mark:
        raise CannotResume(f"{source}: position at event {position.sequence} does not fit the mark {mark}")
    if position.mapping != mapping and any_options and position.sequence < mark:
        raise CannotResume(
            f"{source}: its last batch was stored in part, with other options: {position.mapping}; now: {mapping}. "
            "Run it once with those"
        )
    if position.mapping != mapping and not any_options:
        raise CannotResume(
            f"{source} was imported with other options: {position.mapping}; now: {mapping}. "
            "Use the same, or choose another --source to count the log again"
        )
    return position


def _read(text: str, mapping: str) -> Position | None:
    """A position of either form; None where it is not ours."""
    try:
        if text.startswith(INSIDE):
            _, version, offset, lines, sequence, check, options = text.split(" ")
            theirs = mapping if options == _short(mapping) else f"those of digest {options}"
            return Position(int(offset), int(lines), int(sequence), check, theirs, int(version))
        return msgspec.json.decode(text, type=Position)
    except (msgspec.DecodeError, ValueError):
        return None


def _short(mapping: str) -> str:
    return digest(mapping.encode())[:16]


def source_name(head: bytes) -> str:
    """The default source of a log file: what its first line says.

    Not its name, path, compression or format: a copied, renamed, rotated or compressed log is still the same log and
    must not be counted twice, whatever options it is read with, and a growing one keeps its first line. Two logs that
    begin with the same line need --source.
    """
    return f"import:{digest(head)}"


def earlier_names(first_line: bytes, format_name: str) -> list[str]:
    """What earlier versions called this log's source, with the format in it; this format's first."""
    names = sorted(EARLIER_FORMATS, key=lambda name: name != format_name)
    return [f"import:{name}:{digest(first_line)}" for name in names]
