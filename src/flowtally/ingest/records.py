"""What a record of the journal says besides its rows: all that a block decides, so that the keys follow from it alone.

Owns how it is written. What rows say is not said twice: the keys that named rows claim derive from them. Pure.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from flowtally.keys.key_bytes import key_of
from flowtally.keys.values import Claim, Moved
from flowtally.usage.records import Record


class Decided(msgspec.Struct, frozen=True, array_like=True):
    """`after`: the block before, whatever numbers were given up between them. `names` of the sources that are moved,
    by the number they had then. New members go to the end."""

    after: int
    moved: Moved
    names: tuple[tuple[int, str], ...] = ()


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Decided)


def record_of(after: int, moved: Moved, rows: Any, names: Mapping[int, str]) -> Record:
    """`rows`: as `usage.values.Block` has them, or None. `names`: of the sources that `moved` only mentions."""
    decided = Decided(after, moved, tuple(names.items()))
    return Record(moved.block, moved.received_at, _encoder.encode(decided), rows)


def decided_of(record: Record) -> Decided:
    return _decoder.decode(record.decided)


def moves_anything(moved: Moved) -> bool:
    """Whether there is something to keep: what was sent again moves nothing."""
    others = (moved.advances, moved.refused, moved.held, moved.ended, moved.filled, moved.sources)
    of_counters = (moved.counters, moved.seen, moved.forgotten, moved.due)
    return bool(moved.rows) or any(map(bool, (*others, *of_counters)))


def mentioned(moved: Moved) -> set[int]:
    """Numbers of the sources that are moved and do not say their names."""
    of_numbers = {number for number, _ in (*moved.ended, *moved.filled)}
    others = (moved.refused, moved.held, moved.counters, moved.seen, moved.forgotten, moved.due)
    named = {one.source for one in moved.advances} | {one.no for one in moved.sources}
    return (of_numbers | {one.source for some in others for one in some}) - named


def names_of(decided: Decided) -> dict[int, str]:
    """Every source that the block moves, but those that come into being with it."""
    fresh = {one.no for one in decided.moved.sources}
    moved = {one.source: one.name for one in decided.moved.advances if one.source not in fresh}
    return moved | dict(decided.names)


def renumbered(moved: Moved, numbers: Mapping[int, int]) -> Moved:
    """The same with other numbers of sources: keys that were made anew gave them others."""
    if all(old == new for old, new in numbers.items()):
        return moved

    def each(some: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(replace(one, source=numbers.get(one.source, one.source)) for one in some)

    return replace(
        moved,
        advances=each(moved.advances),
        refused=each(moved.refused),
        held=each(moved.held),
        ended=tuple((numbers.get(no, no), number) for no, number in moved.ended),
        filled=tuple((numbers.get(no, no), number) for no, number in moved.filled),
        counters=each(moved.counters),
        seen=each(moved.seen),
        forgotten=each(moved.forgotten),
        due=each(moved.due),
        sources=tuple(replace(one, no=numbers.get(one.no, one.no)) for one in moved.sources),
    )


def named_rows(rows: Any) -> Iterator[tuple[str, str, int]]:
    """Source, id and digest of every row that claims a key."""
    columns = (rows.column(name).to_pylist() for name in ("sequence", "key_source", "id", "digest"))
    for sequence, source, id, digest in zip(*columns, strict=True):
        if not sequence:
            yield source, id, digest


def claims_of(rows: Any, numbers: Mapping[str, int]) -> list[Claim]:
    """`numbers`: of the sources, by name."""
    return [(numbers[source], key_of(id), digest) for source, id, digest in named_rows(rows)]
