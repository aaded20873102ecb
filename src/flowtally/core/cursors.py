"""Cursors: where a list goes on, and of which list that is the place. Pure.

Owns what a cursor holds besides the place: the generation of the installation, since after a restore the same place may
lie elsewhere, and a digest of everything that was asked for, since in another list it would skip. A cursor is no secret
and no promise: whoever reads one checks the place like any other input. Leaves the encoding to `tokens`.
"""

from __future__ import annotations

import hashlib
from typing import Final, TypeVar

import msgspec

from flowtally.core import tokens
from flowtally.core.errors import BadRequest, CursorGone

SHOWN_CHARS: Final = 80
_DIGEST_BYTES: Final = 8

T = TypeVar("T")


class Walk(msgspec.Struct, frozen=True):
    """One list as it was asked for: its `kind` ("grants", ...), the generation of the installation it is read from, and
    in `asked` all that selects or orders its items (account, filters; not the size of a page). `parameter`: where a
    request says its cursor; `again`: how to begin without one."""

    kind: str
    generation: str
    asked: tuple[str | bool | None, ...] = ()
    parameter: str = "cursor"
    again: str = "Begin again without it"

    def cursor(self, place: object) -> str:
        """The text that goes on after this place."""
        return tokens.encode(self.kind, (self.generation, self._digest, place))

    def place(self, cursor: str, type: type[T]) -> T:
        """Where a cursor of this list goes on. CursorGone where it was made before a restore, else BadRequest."""
        try:
            generation, digest, place = tokens.decode(self.kind, cursor, tuple[str, bytes, msgspec.Raw])
        except ValueError as error:
            raise self._refused(cursor, f"{error}") from None
        if generation != self.generation:
            raise CursorGone(
                f"{self._shown(cursor)} was made before this installation was restored or rebuilt: what it has seen "
                f"need not be what is here. {self.again}",
                parameter=self.parameter,
            )
        if digest != self._digest:
            raise self._refused(cursor, f"is of the list of {self.kind}, but of another account or other parameters")
        try:
            return msgspec.msgpack.decode(place, type=type)
        except msgspec.MsgspecError:
            raise self._refused(cursor, "was not made here") from None

    @property
    def _digest(self) -> bytes:
        return hashlib.blake2s(msgspec.msgpack.encode(self.asked), digest_size=_DIGEST_BYTES).digest()

    def _refused(self, cursor: str, why: str) -> BadRequest:
        return BadRequest(f"{self._shown(cursor)} {why}", parameter=self.parameter)

    def _shown(self, cursor: str) -> str:
        return f"{self.parameter} {cursor[:SHOWN_CHARS]!r}"
