"""Where an import stands, kept by the server as the source's opaque position: the importer has no state of its own.

Invariants: numbers are given to events, not lines; `sequence` is the number of the last event of the lines before
`offset`. So a mark beyond `sequence` (a batch stored in part: the server could hold no more) only means that some
events are sent again and answered as duplicates; every event inside a batch says where the batch begins. `check` is the
digest of up to 4 KiB before `offset`: a rewritten log is refused instead of drifting.
"""

from __future__ import annotations

import json
from typing import Any, Final

import msgspec

from flowtally.agents.formats.declared import Declared
from flowtally.agents.lines import digest
from flowtally.agents.mapping import Mapping
from flowtally.core.events import MAX_POSITION_CHARS
from flowtally.core.texts import is_text

VERSION: Final = 2  # 1: the formats read more than they say, by the shape of a line
INSIDE: Final = "import-inside"
# Options that may differ between two runs over one source: they move no number and change no one's account or user.
HARMLESS: Final = ("product",)
_LARGEST: Final = 2**63 - 1
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
    """The source stands where this import cannot go on. The message says why and what to do.

    Cause: The options differ from those of the import before, or the source was filled by something else.

    Do: Use the options of the import before, or choose another `--source`.
    """


def mapping_text(declared: Declared, mapping: Mapping) -> str:
    """The options that decide what the lines of a source become, in one canonical text; its digest where a position
    has no room for it."""
    options = {**msgspec.to_builtins(declared), **msgspec.to_builtins(mapping)}
    for name in HARMLESS:
        options.pop(name, None)
    text = msgspec.json.encode(options, order="sorted").decode()
    largest = Position(_LARGEST, _LARGEST, _LARGEST, mapping=text)
    return text if len(encoded(largest).encode()) < MAX_POSITION_CHARS else digest(text.encode())


def options_of(text: str) -> tuple[Declared, Mapping] | None:
    """The options of a `mapping_text`, but for the harmless ones; None where only its digest is left, or where it is of
    a later version."""
    try:
        options = msgspec.json.decode(text, type=dict[str, Any])
        names = {field.encode_name for field in msgspec.structs.fields(Declared)}
        declared = msgspec.convert({name: value for name, value in options.items() if name in names}, Declared)
        known = {field.encode_name for field in msgspec.structs.fields(Mapping)}
        rest = {name: value for name, value in options.items() if name not in names}
        return (declared, msgspec.convert(rest, Mapping)) if rest.keys() <= known else None
    except (msgspec.DecodeError, msgspec.ValidationError):
        return None


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
    has the numbers that the old options gave. One that an earlier version left may go on with another format."""
    position = position_of(source, mark, text, mapping)
    if is_of(position, mapping):
        return msgspec.structs.replace(position, mapping=mapping)
    if not (any_options or _was_loose(position, mapping)):
        raise CannotResume(
            f"{source} was imported with other options: {position.mapping}; now: {mapping}. Use the same to go on; or "
            "--again to read with these the lines that could not be read with those; or another --source to count the "
            "whole log once more"
        )
    if mark is not None and position.sequence < mark:
        raise CannotResume(
            f"{source}: its last batch was stored in part, with other options: {position.mapping}; now: {mapping}. "
            "Run it once with those"
        )
    return position


def _was_loose(position: Position, mapping: str) -> bool:
    """An earlier version read it by a format that took more lines than it takes now, and only the format differs."""
    before, now = options_of(position.mapping), options_of(mapping)
    return position.version == 1 and before is not None and now is not None and before[1] == now[1]


def is_of(position: Position, mapping: str) -> bool:
    """Whether it was reached with these options."""
    return position.mapping in _spellings(mapping)


def position_of(source: str, mark: int | None, text: str | None, mapping: str = "") -> Position:
    """Where a source stands, whatever its options; `mapping` are those of whoever asks. CannotResume where it is no
    source of an import."""
    if mark is None:
        raise CannotResume(
            f"{source} is a source of named events; an import needs a numbered one: choose another --source"
        )
    if mark == 0 and text is None:
        return Position(mapping=mapping)
    position = _read(text or "", mapping)
    if position is None:
        raise CannotResume(f"{source} was not written by an import (its position is not ours): choose another --source")
    if position.version not in (1, VERSION) or position.sequence > mark:
        raise CannotResume(f"{source}: position at event {position.sequence} does not fit the mark {mark}")
    return position


def _read(text: str, mapping: str) -> Position | None:
    """A position of either form; None where it is not ours."""
    try:
        if text.startswith(INSIDE):
            _, version, offset, lines, sequence, check, options = text.split(" ")
            same = options in map(_short, _spellings(mapping))
            theirs = mapping if same else f"those of digest {options}"
            return Position(int(offset), int(lines), int(sequence), check, theirs, int(version))
        return msgspec.json.decode(text, type=Position)
    except (msgspec.DecodeError, ValueError):
        return None


def _spellings(mapping: str) -> tuple[str, str]:
    """Earlier versions kept no more than the digest of shorter texts, too."""
    return mapping, digest(mapping.encode())


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
