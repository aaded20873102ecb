"""What a large request sent, kept until it is answered: in the columns of its rows, a tenth of events and lists.

By far the usual case is that nobody asks for it again. Who does (receipts of what was there before, what is to be held)
gets it as it was sent. Pure.
"""

from __future__ import annotations

from typing import Any

import pyarrow as pa

from flowtally.ingest.columns import Columns
from flowtally.ingest.event_rows import EventRows


def keep(sent: Columns, rows: EventRows) -> Columns:
    """These columns, of which the rows were made and with nothing wrong in any: each a list only when it is asked for.
    Of what was sent is kept what these rows do not have."""
    times, count = pa.array(sent.time, pa.string()), len(rows)
    lists: dict[str, list[Any]] = {}
    if sent.position.count(None) < count:
        lists["position"] = sent.position
    if sent.labels.count(None) < count and {} in sent.labels:  # as rows these are the same as none
        lists["labels"] = sent.labels
    if not (rows.first or rows.named):
        lists["sequence"] = sent.sequence

    def make(name: str) -> list[Any]:
        if name in lists:
            return [*lists[name]]
        made: list[Any] = times.to_pylist() if name == "time" else _of(rows, name)
        return made

    return Columns(count, make)


def _of(rows: EventRows, name: str) -> list[Any]:
    """A column as it was sent."""
    if name == "position":
        return [None] * len(rows)
    if name == "sequence":
        return list(map(str, range(rows.first, rows.first + len(rows)))) if rows.first else [None] * len(rows)
    if name == "user":
        users = [user for _, users in rows.groups for user in users]
        return list(map(users.__getitem__, rows.codes.tolist()))
    values = rows.fields[name]
    if isinstance(values, pa.DictionaryArray):
        return list(map(values.dictionary.to_pylist().__getitem__, values.indices.to_numpy().tolist()))
    if name == "labels":
        return [dict(one) or None for one in values.to_pylist()]
    found: list[Any] = values.to_pylist() if name == "id" else values.to_numpy().tolist()
    return found
