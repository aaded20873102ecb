"""The events of a block as columns: every later step asks for whole columns, which is what makes it fast."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import chain
from typing import Any, Final, Generic, Self, TypeVar, overload

from flowtally.core.events import UsageEvent

FIELDS: Final = UsageEvent.__struct_fields__
T = TypeVar("T")


class _Column(Generic[T]):
    """One list of Columns. Made when it is asked for, and the same from then on."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, columns: Columns, owner: type) -> list[T]:
        made: list[T] = columns.make(self._name)
        columns.__dict__[self._name] = made  # which is found before this
        return made


class Columns:
    """One list per field of UsageEvent, all of the same length. `make` gives those that nobody has asked for yet."""

    source = _Column[str]()
    account = _Column[str]()
    id = _Column[str]()
    sequence = _Column[int | str | None]()
    position = _Column[str | None]()
    time = _Column[str | None]()
    user = _Column[str]()
    product = _Column[str]()
    bytes_up = _Column[int]()
    bytes_down = _Column[int]()
    requests = _Column[int]()
    status = _Column[int]()
    labels = _Column[dict[str, str] | None]()

    def __init__(self, count: int, make: Callable[[str], list[Any]]) -> None:
        self._count = count
        self.make = make

    @classmethod
    def of(cls, events: Sequence[UsageEvent]) -> Self:
        made: dict[str, list[Any]] = {
            "source": [event.source for event in events],
            "account": [event.account for event in events],
            "id": [event.id for event in events],
            "sequence": [event.sequence for event in events],
            "position": [event.position for event in events],
            "time": [event.time for event in events],
            "user": [event.user for event in events],
            "product": [event.product for event in events],
            "bytes_up": [event.bytes_up for event in events],
            "bytes_down": [event.bytes_down for event in events],
            "requests": [event.requests for event in events],
            "status": [event.status for event in events],
            "labels": [event.labels for event in events],
        }
        return cls(len(events), made.__getitem__)

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        def make(name: str) -> list[Any]:
            return list(chain.from_iterable(getattr(part, name) for part in parts))

        return cls(sum(map(len, parts)), make)

    def __len__(self) -> int:
        return self._count

    def with_users(self, users: list[str]) -> Self:
        """The same, with these users."""
        return type(self)(self._count, lambda name: users if name == "user" else self.make(name))

    def anew(self) -> Self:
        """The same, of which no list is made yet."""
        return type(self)(self._count, self.make)

    def all(self) -> tuple[list[Any], ...]:
        """In the order of UsageEvent's fields."""
        return tuple(getattr(self, name) for name in FIELDS)

    def only(self, rows: Sequence[int]) -> Self:
        """The columns of these rows, in this order."""
        if len(rows) == len(self):
            return self
        return type(self)(len(rows), lambda name: [getattr(self, name)[row] for row in rows])

    def blank(self, rows: Collection[int]) -> Self:
        """The same with nothing in these rows."""
        nothing = UsageEvent("", "")

        def make(name: str) -> list[Any]:
            kept = [*getattr(self, name)]
            for row in rows:
                kept[row] = getattr(nothing, name)
            return kept

        return type(self)(len(self), make)


class SentEvents(Sequence[UsageEvent]):
    """Events that are kept as columns, which are theirs alone: each is made when it is asked for."""

    def __init__(self, columns: Columns) -> None:
        self.columns = columns

    def __len__(self) -> int:
        return len(self.columns)

    @overload
    def __getitem__(self, at: int) -> UsageEvent: ...
    @overload
    def __getitem__(self, at: slice) -> list[UsageEvent]: ...
    def __getitem__(self, at: int | slice) -> UsageEvent | list[UsageEvent]:
        columns = self.columns.all()
        if isinstance(at, slice):
            return [UsageEvent(*values) for values in zip(*(column[at] for column in columns), strict=True)]
        return UsageEvent(*(column[at] for column in columns))

    def __iter__(self) -> Iterator[UsageEvent]:
        return (UsageEvent(*values) for values in zip(*self.columns.all(), strict=True))
