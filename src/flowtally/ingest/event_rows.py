"""Events as columns of `usage_events`, made where their request is read; and what the block they go into adds to them.

Nothing is looked up for an `EventRows`, so it can be made on the request's own thread while the committer writes the
block before. What depends on the block (whose a name is, where sources stand) is added by distinct names and sources,
never event by event. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Final, Self

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flowtally.core.events import MAX_SEQUENCE, METERED, number_of
from flowtally.ingest.admission import Reasons, Times
from flowtally.ingest.columns import Columns
from flowtally.ingest.rows import Numbers, column, constant, no_text, record
from flowtally.keys.claims import Digests
from flowtally.keys.values import Advance

Codes = np.ndarray[Any, np.dtype[np.int32]]
Group = tuple[str, Sequence[str]]  # an account, and names of users in it
Names = Mapping[str, Any]  # columns by name
Rows = np.ndarray[Any, np.dtype[np.int64]]

# A table of all pairs of accounts and users is quicker than to sort them, as long as it is not much larger.
TABLE: Final = 65_536
NAMES: Final = ("source", "account", "user", "product")
FEW: Final = 64  # to look at one after the other takes no longer
UNFIT: Final = (UnicodeEncodeError, OverflowError, pa.ArrowInvalid)


class EventRows(msgspec.Struct, eq=False):
    """`fields`: the columns by name, as far as they are known. `groups`: the users in them, by account; `codes` has for
    each row which of their names, in this order, is its. Where requests were put together a name may be there twice."""

    fields: dict[str, Any]
    groups: list[Group]
    codes: Codes
    sequence: Numbers  # 0 where there is none
    first: int = 0  # number, where all are numbered without a hole
    named: bool = False  # whether none is numbered; not told of all

    def __len__(self) -> int:
        return len(self.codes)

    @classmethod
    def of(cls, columns: Columns, times: Times, faults: Reasons, digests: Digests, names: Names | None = None) -> Self:
        """What cannot be a column is at fault and never stored: there is nothing in its place then. `names`: the
        columns of that kind, where they are made."""
        try:
            found = cls._of(columns, times, digests, names or names_of(columns))
        except UNFIT:
            columns = columns.blank(faults)
            return cls._of(columns, times, digests, names_of(columns))
        found.named = columns.sequence.count(None) == len(columns)
        return found

    @classmethod
    def _of(cls, columns: Columns, times: Times, digests: Digests, names: Names) -> Self:
        groups, codes = _groups(names["account"], names["user"])
        sequence, first = numbers_of(columns.sequence)
        fields = {
            **{name: names[name] for name in ("account", "product", "source")},
            "id": column("id", columns.id) if any(columns.id) else no_text(len(columns)),
            "time": column("time", times.copy()),  # recall() may change the events'
            "status": column("status", columns.status),
            "bytes_up": column("bytes_up", columns.bytes_up),
            "bytes_down": column("bytes_down", columns.bytes_down),
            "requests": column("requests", columns.requests),
            "labels": column("labels", columns.labels),
            "digest": column("digest", _of_named(digests, sequence)),
        }
        return cls(fields, groups, codes, sequence, first)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """One after the other, as one."""
        if len(parts) == 1:
            return parts[0]
        fields = {name: _joined([part.fields[name] for part in parts]) for name in parts[0].fields}
        starts = np.cumsum([0, *(sum(len(names) for _, names in part.groups) for part in parts[:-1])])
        codes = [part.codes + np.int32(start) for part, start in zip(parts, starts, strict=True)]
        groups = [group for part in parts for group in part.groups]
        return cls(fields, groups, np.concatenate(codes), np.concatenate([part.sequence for part in parts]))

    def only(self, rows: Sequence[int]) -> Self:
        """These rows, in this order."""
        if len(rows) == len(self):
            return self
        at: Rows = np.array(rows, dtype=np.int64)
        fields = {name: _compact(values.take(pa.array(at))) for name, values in self.fields.items()}
        used, codes = np.unique(self.codes[at], return_inverse=True)
        return type(self)(fields, self._groups_of(used.tolist()), codes.astype(np.int32), self.sequence[at])

    def groups_of(self, rows: Sequence[int]) -> list[Group]:
        """The users that these rows have."""
        if len(rows) == len(self):
            return self.groups
        return self._groups_of(np.unique(self.codes[np.array(rows, dtype=np.int64)]).tolist())

    def _groups_of(self, codes: Sequence[int]) -> list[Group]:
        names = [(account, [name]) for account, names in self.groups for name in names]
        return [names[code] for code in codes]

    @property
    def times(self) -> Times:
        found: Times = self.fields["time"].to_numpy()
        return found

    def sources(self) -> list[str]:
        """Each of them once."""
        found: list[str] = self.fields["source"].dictionary.to_pylist()
        return found

    def accounts(self) -> list[str]:
        """Each of them once."""
        found: list[str] = self.fields["account"].dictionary.to_pylist()
        return found

    def products(self) -> list[str]:
        """Each of them once."""
        found: list[str] = self.fields["product"].dictionary.to_pylist()
        return found

    def batch(self, ids: Sequence[str], codes: Codes, advances: Mapping[str, Advance]) -> Any:
        """As the store takes them. `ids`: of users, of which `codes` has one for each row; `advances` say, by source,
        where its mark will be."""
        count = len(self)
        return record(
            self.fields
            | {
                "series": constant(METERED, count),
                "user": _user(ids, codes),
                "sequence": self.sequence,
                "kind": constant("use", count),
                "refers_to": constant("", count),
                "key_source": self.fields["source"],
                "mark": self._marks(advances),
                "position": self._positions(advances),
            }
        )

    def _marks(self, advances: Mapping[str, Advance]) -> Numbers:
        source = self.fields["source"]
        of_source = [advances[name].mark if name in advances else 0 for name in source.dictionary.to_pylist()]
        marks: Numbers = np.array(of_source, dtype=np.uint64)[source.indices.to_numpy()]
        marks[self.sequence == 0] = 0
        return marks

    def _positions(self, advances: Mapping[str, Advance]) -> Any:
        # The last stored row of a source carries where the source stands after this block, so that mark and position
        # can be derived together from the rows even where the very last numbers were refused.
        source, texts = self.fields["source"], {}
        for code, name in enumerate(source.dictionary.to_pylist()):
            if name in advances and (position := advances[name].position):
                rows = np.flatnonzero((source.indices.to_numpy() == code) & (self.sequence != 0))
                if len(rows):
                    texts[int(rows[-1])] = position.encode()
        return _few(texts, len(self))


def names_of(columns: Columns) -> Names:
    """The columns that have few texts, each once. Raises one of UNFIT."""
    return {name: column(name, getattr(columns, name)) for name in NAMES}


def coded(ids: Sequence[str]) -> tuple[list[str], Codes]:
    """Each of these once, and which of them each is."""
    places: dict[str, int] = {}
    codes = [places.setdefault(id, len(places)) for id in ids]
    return list(places), np.array(codes, dtype=np.int32)


def numbers_of(asked: Sequence[int | str | None]) -> tuple[Numbers, int]:
    """The numbers, 0 where there is none; and the first of them where they are all there, one after the other, as texts
    without zeros before them, which is by far the usual case. 0 where they are not, or so few that nobody looks."""
    if len(asked) > FEW and isinstance(asked[0], str):
        with suppress(pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
            texts = pa.array(asked, pa.string())
            if not texts.null_count:
                numbers: Numbers = texts.cast(pa.uint64()).to_numpy()
                return numbers, _first_of_run(numbers, pc.sum(pc.binary_length(texts)).as_py())
    if asked.count(None) == len(asked):
        return np.zeros(len(asked), dtype=np.uint64), 0
    return np.array([number_of(one) or 0 for one in asked], dtype=np.uint64), 0


def _first_of_run(numbers: Numbers, chars: int) -> int:
    first, count = int(numbers[0]), len(numbers)
    last = first + count - 1
    if first < 1 or last > MAX_SEQUENCE or not np.array_equal(numbers, np.arange(first, last + 1, dtype=np.uint64)):
        return 0
    # No spelling is shorter than the number's own digits: as many in all means that each is its own.
    digits = count + sum(max(0, last + 1 - max(first, 10**power)) for power in range(1, 19))
    return first if chars == digits else 0


def _groups(account: Any, user: Any) -> tuple[list[Group], Codes]:
    """The distinct pairs of two columns by account, and which of them each row has."""
    if len(account) == 1:
        return [(account.dictionary[0].as_py(), user.dictionary.to_pylist())], np.zeros(1, dtype=np.int32)
    accounts, users = account.dictionary.to_pylist(), user.dictionary.to_pylist()
    width = max(1, len(users))
    combined = account.indices.to_numpy().astype(np.int64) * width + user.indices.to_numpy()
    if len(accounts) * width <= max(TABLE, 4 * len(combined)):
        table = np.zeros(len(accounts) * width, dtype=np.int32)
        table[combined] = 1
        used = np.flatnonzero(table)
        table[used] = np.arange(len(used), dtype=np.int32)
        codes = table[combined]
    else:
        used, inverse = np.unique(combined, return_inverse=True)
        codes = inverse.astype(np.int32)
    names = list(map(users.__getitem__, (used % width).tolist()))
    ends = np.searchsorted(used, np.arange(1, len(accounts) + 1) * width).tolist()
    return [(one, names[start:end]) for one, start, end in zip(accounts, [0, *ends], ends, strict=False)], codes


def _user(ids: Sequence[str], codes: Codes) -> Any:
    """Each id once, whoever bears how many names."""
    distinct = pa.array(ids, pa.string()).dictionary_encode()
    indices = distinct.indices.to_numpy()[codes] if len(codes) else np.zeros(0, dtype=np.int32)
    return pa.DictionaryArray.from_arrays(pa.array(indices, pa.int32()), distinct.dictionary)


def _joined(columns: Sequence[Any]) -> Any:
    """One column, in one piece: several pieces would become several parts."""
    if isinstance(columns[0], pa.DictionaryArray):
        found = pa.chunked_array(columns).unify_dictionaries().combine_chunks()
        return found.chunk(0) if isinstance(found, pa.ChunkedArray) else found
    return pa.concat_arrays(columns)


def _compact(values: Any) -> Any:
    """Without the texts that only other rows had."""
    return values.dictionary_decode().dictionary_encode() if isinstance(values, pa.DictionaryArray) else values


def _few(texts: Mapping[int, bytes], count: int) -> Any:
    """A column of texts, of which only these rows have one."""
    if not texts:
        return no_text(count)
    lengths = np.zeros(count + 1, dtype=np.int32)
    for row, text in texts.items():
        lengths[row + 1] = len(text)
    written = b"".join(texts[row] for row in sorted(texts))
    offsets = np.cumsum(lengths, dtype=np.int32)
    return pa.StringArray.from_buffers(count, pa.py_buffer(offsets), pa.py_buffer(written))


def _of_named(digests: Digests, sequence: Numbers) -> Digests:
    # A numbered event's key is its number; it has no digest.
    if not len(digests):
        return np.zeros(len(sequence), dtype=np.int64)
    values = digests.copy()
    values[sequence != 0] = 0
    return values
