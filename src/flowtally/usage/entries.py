"""The SQL about single events and the entries that correct them. Pure: from a question to text and bound parameters.

Events are found by the block their key was claimed in, or by their number. Both have a skip index, which leads to young
parts; in old, merged ones it leads nowhere, so these small columns are read first (PREWHERE), and ids only where they
match: at 3 M rows in one part that took 6 ms where the engine's own order took 90. Corrections are
dated as their event, so that the primary key (series, account, time) leads to them, however many rows there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from flowtally.core.events import METERED
from flowtally.usage.queries import REASON, Query
from flowtally.usage.relation import rows
from flowtally.usage.values import CountedUse, EventKey, StoredEvent

CHUNK: Final = 500  # keys in one statement: a server takes a parameter of up to 128 KiB
CHUNK_BYTES: Final = 40_000
EVENT: Final = (
    "toString(series), toString(account), toString(user), toString(product), toString(source), id, sequence,"
    " toUnixTimestamp64Milli(time), status, bytes_up, bytes_down, requests, labels, block,"
    f" toUnixTimestamp64Milli(received_at), {REASON}"
)
ENTRY: Final = (
    "toString(kind), toString(key_source), id, refers_to, bytes_up, bytes_down, requests,"
    f" {REASON}, place, block,"
    " toUnixTimestamp64Milli(received_at)"
)
# What the keys must know of a row: nothing of a compacted one, each number of a run of them.
CLAIM: Final = (
    "toString(key_source), id, toUInt64(sequence - arrayJoin(range(keys))), digest, mark, position,"
    " toUnixTimestamp64Milli(received_at), toString(product)"
)
# As a set from a subquery the times serve the primary key; as an array or inside a function of the column they do not.
TIMES: Final = "(SELECT fromUnixTimestamp64Milli(arrayJoin({times:Array(Int64)}), 'UTC'))"
THEN: Final = f"series IN {{series:Array(String)}} AND account IN {{accounts:Array(String)}} AND time IN {TIMES}"
USE: Final = (
    "toString(account), toString(user), toUnixTimestamp64Milli(time), bytes_up, bytes_down, requests, toInt64(status)"
)
# Not one of those that corrections took to nothing: their sums are the event's own quantities, turned round. A row of
# a correction names its event as `corrections.reference` does. No part of the name is a bare column: the engine would
# look it up in a skip index, which knows nothing of the other parts.
_CORRECTIONS: Final = rows("kind = 'correction'", first=THEN)
STANDING: Final = (
    "(toString(key_source), if(sequence > 0, toString(sequence), id), toString(sequence > 0),"
    " bytes_up, bytes_down, requests) NOT IN"
    " (SELECT JSONExtractString(refers_to, 1), JSONExtractString(refers_to, 2),"
    " toString(JSONType(refers_to, 2) != 'String'), toInt64(-sum(bytes_up)), toInt64(-sum(bytes_down)),"
    f" toInt64(-sum(requests)) FROM {_CORRECTIONS} GROUP BY refers_to)"
)


def events_of(keys: Sequence[EventKey]) -> list[Query]:
    """At most two statements: named events, numbered events. They may find more than was asked for."""
    named = [key for key in keys if not key.sequence]
    numbered = [key for key in keys if key.sequence]
    queries: list[Query] = []
    if named:
        text = _events("block IN {blocks:Array(UInt64)}", "sequence = 0 AND id IN {ids:Array(String)}")
        ids, blocks = sorted({key.id for key in named}), sorted({key.block for key in named})
        queries.append(Query(text, {"sources": _sources(named), "ids": ids, "blocks": blocks}))
    if numbered:
        text = _events("sequence IN {sequences:Array(UInt64)}", "1")
        sequences = sorted({key.sequence for key in numbered})
        queries.append(Query(text, {"sources": _sources(numbered), "sequences": sequences}))
    return queries


def positions(keys: Sequence[EventKey]) -> Query:
    """Source, id, block and position of named rows. It may find more than was asked for."""
    those = "keys > 0 AND sequence = 0 AND key_source IN {sources:Array(String)} AND id IN {ids:Array(String)}"
    wanted = rows(those, first="block IN {blocks:Array(UInt64)}")
    text = f"SELECT toString(key_source), id, block, position FROM {wanted}"
    ids, blocks = sorted({key.id for key in keys}), sorted({key.block for key in keys})
    return Query(text, {"sources": _sources(keys), "ids": ids, "blocks": blocks})


def corrections_of(events: Sequence[StoredEvent]) -> Query:
    """Rows that correct one of these events, in order of commit."""
    wanted = rows(f"{THEN} AND kind = 'correction' AND refers_to IN {{references:Array(String)}}")
    text = f"SELECT {ENTRY} FROM {wanted} ORDER BY block, place"
    return Query(
        text,
        {
            "series": sorted({event.series for event in events}),
            "accounts": sorted({event.account for event in events}),
            "times": sorted({event.time for event in events}),
            "references": sorted({event.reference for event in events}),
        },
    )


def find(source: str, id: str | None, sequence: int | None, block: int | None) -> Query:
    """One event; what is None is not asked for."""
    first = [name for name, value in (("block", block), ("sequence", sequence)) if value is not None]
    prewhere = " AND ".join(f"{name} = {{{name}:UInt64}}" for name in first) or "1"
    and_id = " AND id = {id:String}" if id is not None else ""
    those = f"kind = 'use' AND entries > 0 AND key_source = {{source:String}}{and_id}"
    text = f"SELECT {EVENT} FROM {rows(those, first=prewhere)} LIMIT 1"
    return Query(text, {"source": source, "id": id, "sequence": sequence, "block": block})


def entry(source: str, id: str, block: int) -> Query:
    """One correction or adjustment by its own key: event columns, then entry columns."""
    wanted = rows("kind != 'use' AND key_source = {source:String} AND id = {id:String}", first="block = {block:UInt64}")
    text = f"SELECT {EVENT}, {ENTRY} FROM {wanted} LIMIT 1"
    return Query(text, {"source": source, "id": id, "block": block})


def sources_of(uses: Sequence[CountedUse], without: str, *, standing: bool = False) -> Query:
    """A use, and the sources other than `without` that an event which says it is in; `standing`: that corrections did
    not take to nothing. What is compacted says nothing of single events.

    Times lead to the rows, so they are read first: at 1 M rows that took half as long as the engine's own order."""
    names = CountedUse.__struct_fields__
    columns = zip(*(msgspec.structs.astuple(use) for use in uses), strict=True)
    zipped = ", ".join(f"{{of_{name}:Array({'String' if name in ('account', 'user') else 'Int64'})}}" for name in names)
    wanted = rows("kind = 'use' AND entries > 0 AND keys > 0 AND source != {without:String}", first=THEN)
    text = (
        f"SELECT {USE}, arraySort(groupUniqArray(toString(source))) FROM {wanted}"
        f" WHERE ({USE}) IN (SELECT arrayJoin(arrayZip({zipped}))){f' AND {STANDING}' if standing else ''}"
        " GROUP BY account, user, time, bytes_up, bytes_down, requests, status"
    )
    asked = {
        "series": [METERED],
        "accounts": sorted({use.account for use in uses}),
        "times": sorted({use.time for use in uses}),
        "without": without,
    }
    return Query(text, asked | {f"of_{name}": list(values) for name, values in zip(names, columns, strict=True)})


def chunks(texts: Sequence[str]) -> Iterator[slice]:
    """Slices of what may be asked for in one statement."""
    start = size = 0
    for index, text in enumerate(texts):
        size += len(text.encode("utf-8", "surrogatepass"))
        if index - start >= CHUNK or (size > CHUNK_BYTES and index > start):
            yield slice(start, index)
            start, size = index, len(text.encode("utf-8", "surrogatepass"))
    if start < len(texts):
        yield slice(start, len(texts))


def _events(first: str, then: str) -> str:
    those = f"kind = 'use' AND entries > 0 AND key_source IN {{sources:Array(String)}} AND {then}"
    return f"SELECT {EVENT} FROM {rows(those, first=first)}"


def _sources(keys: Sequence[EventKey]) -> list[str]:
    return sorted({key.source for key in keys})
