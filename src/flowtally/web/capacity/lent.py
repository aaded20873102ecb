"""Something lent for a while: a context manager made of its two calls.

One of `contextlib.contextmanager` keeps a generator for it, which costs ten times as much; a request takes several.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class Lent(Generic[T]):
    """`take` gives what the block gets; where it raises, nothing was taken. `give_back` is called at the end."""

    __slots__ = ("_give_back", "_take")

    def __init__(self, take: Callable[[], T], give_back: Callable[[], None]) -> None:
        self._take = take
        self._give_back = give_back

    def __enter__(self) -> T:
        return self._take()

    def __exit__(self, *_: object) -> None:
        self._give_back()
