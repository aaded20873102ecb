"""What a check found: how it is said, and how many are listed."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

LISTED: Final = 200  # findings in one answer; all are counted

Find = Callable[[str, str, str], None]  # code, where, detail


class Finding(msgspec.Struct, frozen=True):
    """One difference: `code` is stable, `where` names the thing, `detail` says what differs."""

    check: str
    code: str
    where: str
    detail: str


def spans(numbers: Sequence[int], most: int = 10) -> str:
    """`1-3, 7`: ascending numbers for people, the first few runs of them."""
    runs = list(_runs(numbers))
    told = [str(first) if first == last else f"{first}-{last}" for first, last in runs[:most]]
    return ", ".join(told) + (", ..." if len(runs) > most else "")


def _runs(numbers: Sequence[int]) -> Iterator[tuple[int, int]]:
    first = last = None
    for number in numbers:
        if first is None or last is None:
            first = last = number
        elif number == last + 1:
            last = number
        else:
            yield first, last
            first = last = number
    if first is not None and last is not None:
        yield first, last
