"""Stood: what one counter of a program stood at when it was asked. Pure.

Owns the shape that all kinds give, and how counters are named towards the server. Leaves to `naming` whose they are.
"""

from __future__ import annotations

from hashlib import blake2s
from typing import Final

import msgspec

MAX_COUNTERS: Final = 100_000  # of one program: more than the server knows of one source


class Stood(msgspec.Struct, frozen=True):
    """`name` as the program writes it, `counter` as readings call it. `epoch` names its beginning: an instant (RFC
    3339), or any text that is another one after the program has begun anew."""

    name: str
    counter: str
    bytes_up: int
    bytes_down: int
    requests: int = 0
    epoch: str = ""


class Unasked(Exception):
    """The program could not be asked, or said something else than it should. The message says what, on one line."""


def hidden(prefix: str, name: str) -> str:
    """A counter that is a user's: ids of rows are kept for ever, and a user's name can be erased."""
    return f"{prefix}/{blake2s(name.encode('utf-8', 'surrogatepass'), digest_size=12).hexdigest()}"


def bounded(found: list[Stood]) -> list[Stood]:
    """Unasked where there are more than any server takes of one source."""
    if len(found) > MAX_COUNTERS:
        raise Unasked(f"there are {len(found)} counters; at most {MAX_COUNTERS} are read of one program")
    return found
