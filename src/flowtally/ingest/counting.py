"""How much a JSON body holds, before objects are made of it: items, and the parts of each. Pure.

A decoder makes some 60 to 200 bytes of an empty array or of a member of an object, which are 3 to 8 bytes of the body.
So both are bounded. Most bodies are too short, or have too few braces and colons, to hold too much: those are counted
and nothing else. The others are read a window at a time, by the characters that make structure.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import numpy as np

from flowtally.core.errors import TooLarge
from flowtally.core.events import UsageEvent

MAX_PARTS: Final = 1_000  # of one item: an event has some 15 members and 16 labels, each a colon and a comma
SHORT: Final = 1 << 16  # bytes: what is made of so few events or labels is bounded by that
FEW_BRACES: Final = 300_000  # an event has up to three: its own, of its labels, of a CloudEvent's data
FEW_COLONS: Final = 1_500_000  # an event has a dozen, two of them in its time
USUAL_COLONS: Final = 32  # of one event, at most: its members, its labels, two in its time
WINDOW: Final = 1 << 19
_PARTS: Final = (b",", b":", b"[", b"{")

Bytes = np.ndarray[Any, np.dtype[np.uint8]]
Flags = np.ndarray[Any, np.dtype[np.bool_]]
Numbers = np.ndarray[Any, np.dtype[np.int64]]


def is_array(body: bytes) -> bool:
    return body[:1] == b"[" or body.lstrip()[:1] == b"["


def check_counts(body: bytes, most: int) -> int:
    """TooLarge where the decoder of events could make too much of it before it fails, or before it is done: more than
    `most` items, or one of too many parts. It stops at the first item that is none, so that braces and colons tell. How
    many colons there are, where these are too many to be left alone."""
    if len(body) <= SHORT:
        return 0
    chars = np.frombuffer(body, dtype=np.uint8)
    braces, colons = np.count_nonzero(chars == ord("{")), np.count_nonzero(chars == ord(":"))
    if braces > FEW_BRACES or colons > FEW_COLONS:
        for _ in _Reading(body, most).windows():
            pass
    return int(colons)


def check_labels(events: Sequence[UsageEvent], colons: int) -> None:
    """TooLarge where one of them has very many labels, of so many colons: what was made of them must not wait with the
    others."""
    if colons > USUAL_COLONS * len(events) + MAX_PARTS:
        for event in events:
            if event.labels and len(event.labels) > MAX_PARTS:
                raise TooLarge(f"An event has {len(event.labels)} labels", limit=MAX_PARTS)


def may_be_long(item: bytes) -> bool:
    """Whether one item may have too many parts: quick, and seldom."""
    return len(item) > MAX_PARTS and sum(map(item.count, _PARTS)) > MAX_PARTS


def check_parts(item: bytes) -> None:
    """TooLarge where one item has too many parts. It is JSON."""
    for _ in _Reading(item, len(item), array=False).windows():
        pass


def items_of(body: bytes, most: int) -> list[tuple[int, int]]:
    """Where each item of an array begins and ends, in bytes. The body is JSON. TooLarge where there are more than
    `most`, or one has too many parts."""
    commas = [at for found in _Reading(body, most, array=True).windows() for at in found.tolist()]
    start, end = body.index(b"[") + 1, body.rindex(b"]")
    if not body[start:end].strip():
        return []
    return list(zip([start, *(comma + 1 for comma in commas)], [*commas, end], strict=True))


def count_names(body: bytes) -> int:
    """How many members all objects of a body have: the colons outside of strings. The body is JSON."""
    return _Reading(body, len(body), array=False).colons()


class _Reading:
    """One look at a body, from its start to its end."""

    def __init__(self, body: bytes, most: int, *, array: bool | None = None) -> None:
        self._body = np.frombuffer(body, dtype=np.uint8)
        self._array = is_array(body) if array is None else array
        self._most = most
        self._quoted = False  # inside of a string
        self._escapes = False  # the last byte was a backslash that escapes
        self._depth = 0
        self._items = 1 if self._array else 0
        self._parts = 0  # of the item it is in

    def windows(self) -> Iterator[Numbers]:
        """The places of what separates items, a window's at a time."""
        for start in range(0, len(self._body), WINDOW):
            yield self._read(self._body[start : start + WINDOW]) + start

    def colons(self) -> int:
        """Outside of strings. Instead of `windows`."""
        windows = (self._body[start : start + WINDOW] for start in range(0, len(self._body), WINDOW))
        return sum(int(np.count_nonzero(self._outside(window) & (window == ord(":")))) for window in windows)

    def _read(self, window: Bytes) -> Numbers:
        places = np.flatnonzero(self._outside(window) & _STRUCTURE[window])
        what = window[places]
        steps = _STEPS[what]
        depths = self._depth + np.cumsum(steps)
        # Items are between the commas of the array, or begin with a brace where they stand one after the other.
        separates = (depths == 1) & ((what == ord(",")) if self._array else (steps == 1))
        numbers = np.cumsum(separates)
        parts = np.bincount(numbers, weights=steps >= 0, minlength=1)
        parts[0] += self._parts
        self._parts = int(parts[-1])
        self._items += int(numbers[-1]) if len(numbers) else 0
        self._depth = int(depths[-1]) if len(depths) else self._depth
        if self._items > self._most:
            raise TooLarge(f"More than {self._most} items in one request", limit=self._most)
        if parts.max() > MAX_PARTS:
            raise TooLarge(f"An item has more than {MAX_PARTS} members and elements", limit=MAX_PARTS)
        found: Numbers = places[separates]
        return found

    def _outside(self, window: Bytes) -> Flags:
        """Which bytes are in no string, quotes not counted."""
        quotes = window == ord('"')
        if self._escapes or (window == ord("\\")).any():
            quotes &= ~self._escaped(window)
        inside = np.logical_xor.accumulate(quotes) ^ self._quoted
        self._quoted = bool(inside[-1])
        outside: Flags = ~inside
        return outside

    def _escaped(self, window: Bytes) -> Flags:
        """Which bytes a backslash stands before that is not escaped itself: those after an odd run of them."""
        slashes = window == ord("\\")
        at = np.arange(len(window))
        other = np.maximum.accumulate(np.where(slashes, -1, at))  # the last byte up to here that is none; -1: none
        run = at - other  # how many of them end here
        before = np.concatenate(([0], run[:-1]))
        whole = np.concatenate(([True], other[:-1] < 0))  # the run began before the window
        odd: Flags = (before + (whole & self._escapes)) % 2 == 1
        self._escapes = bool((run[-1] + (self._escapes if other[-1] < 0 else 0)) % 2)
        return odd


_STRUCTURE: Final = np.zeros(256, dtype=np.bool_)
_STRUCTURE[[ord(char) for char in "[]{},:"]] = True
_STEPS: Final = np.zeros(256, dtype=np.int64)
_STEPS[[ord("["), ord("{")]] = 1
_STEPS[[ord("]"), ord("}")]] = -1
