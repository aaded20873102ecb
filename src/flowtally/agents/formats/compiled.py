"""A format string compiled once into an exact reader: literal text and fields in, one regular expression out. Pure.

Which dialect of format strings it was is not known here: `squid`, `nginx` ... cut their strings into pieces. A field
that counts is named by the format; nothing is found by its place or shape, and a line of another shape is unreadable.

A value may hold the text that ends it (a user name with blanks between blanks). `certain` says which boundaries follow
from the format alone; within the spans that are left, a line is read where it can be read in one way only (`Loose`).
A line is first tried with every value as narrow as its `pattern`, which is the fast way: no other reading is possible
then (`_narrow_is_all`).
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from functools import lru_cache
from operator import call, itemgetter
from typing import Any, Final, Literal

import msgspec

from flowtally.agents.formats import certain
from flowtally.agents.formats.certain import Span
from flowtally.agents.formats.fits import Fits
from flowtally.agents.formats.loose import Loose
from flowtally.agents.formats.times import BadTime
from flowtally.agents.reading import Line, LineReading, Unreadable, quantity, text_of
from flowtally.core.corrections import QUANTITIES
from flowtally.core.errors import ConfigError

Means = Literal[
    "", "time", "fraction", "bytes_up", "bytes_down", "requests", "status", "client", "user", "url", "account",
    "product", "id",
]  # fmt: skip


class Field(msgspec.Struct, frozen=True, kw_only=True):
    """One directive. `name` as the format string spells it. `pattern` is what its values mostly look like, `full` all
    that they may be; without it, `wide` is one unit of values that may hold more, any number of times. No groups.
    `convert` makes the value of the bytes (None: it is no such value).

    `time` gives ms since 1970 UTC (or raises BadTime, which says why not), `fraction` ms to add to it. Of several
    fields with one meaning the highest `rank` counts, of equal ones the first."""

    name: str
    pattern: bytes = rb"\S+"
    wide: bytes | None = None
    full: bytes | None = None
    means: Means = ""
    convert: Callable[[bytes], Any] | None = None
    rank: int = 0

    @property
    def language(self) -> bytes:
        if self.full is not None:
            return self.full
        return self.pattern if self.wide is None else b"(?:" + self.wide + b")*"

    @property
    def value(self) -> Callable[[bytes], Any]:
        """Of a field that means something: the value of its bytes."""
        return self.convert or _DEFAULTS[self.means]


Piece = bytes | Field


class Compiled:
    """Reads lines of one format. `means` says which field each meaning is read from; `doubtful` are fields beside each
    other whose values may hold what stands between them: where they do, a line may have two readings."""

    def __init__(
        self,
        pieces: Sequence[Piece],
        what: str,
        *,
        needs_time: bool = True,
        hint: Callable[[bytes], str] | None = None,
    ) -> None:
        """`what` names the format in messages; `hint` says more about a line that it does not read. Raises ConfigError
        for a format that no line can be read by."""
        self._what = what
        self._hint = hint
        fields, literals = _apart(pieces)
        chosen = _chosen(fields)
        if needs_time and "time" not in chosen:
            raise ConfigError(f"{what}: it names no instant, so its lines cannot be dated")
        spans = certain.spans([field.language for field in fields], literals)
        _check_apart(fields, literals, spans, what)
        self.means: dict[str, str] = {means: fields[place].name for means, place in chosen.items()}
        self.doubtful = tuple(tuple(field.name for field in fields[one.first : one.last]) for one in spans)
        self._all = fields
        self._fields = [(means, fields[place]) for means, place in chosen.items()]
        self._converts = [field.value for _, field in self._fields]
        self._arranged = _arranged(list(chosen))
        counted = set(chosen.values())
        narrow = _narrow(fields, literals, spans)
        self._begins = _grouped(narrow, literals, counted)
        unsure = _unsure(fields, literals, spans)
        matters = any(counted.intersection(range(span.first, span.last)) for span in unsure)
        self._narrow = None if matters else self._begins
        self._most_bytes = _most_bytes(unsure)
        self._fits = Fits(_spelled(fields, literals, narrow))
        self._full = Loose([field.language for field in fields], literals, spans, counted)

    def read_line(self, line: bytes) -> Line:
        """One line; never raises."""
        quick = len(line) <= self._most_bytes
        match = self._narrow.fullmatch(line) if quick and self._narrow is not None else None
        if match is not None:
            return self._reading(match.groups())
        if not line.strip():
            return None
        found = self._full.read(line)
        if found is None:
            return Unreadable("not_this_format", self._why_not(line))
        if isinstance(found, Span):
            which = " and ".join(field.name for field in self._all[found.first : found.last])
            said = f"can be read as {self._what} in more than one way: {which} may hold what stands between them"
            return Unreadable("ambiguous", said)
        return self._reading(found)

    def _reading(self, raws: Sequence[bytes]) -> LineReading | Unreadable:
        try:
            values = list(map(call, self._converts, raws))
        except BadTime:
            return self._fault(raws)
        if None in values:
            return self._fault(raws)
        at, fraction, *rest = self._arranged((*values, None, 0, 1, ""))
        return LineReading(at + fraction if fraction and at is not None else at, *rest)

    def _fault(self, raws: Sequence[bytes]) -> Unreadable:
        """Which value is none."""
        for (means, field), raw in zip(self._fields, raws, strict=True):
            times = means in ("time", "fraction")
            try:
                if field.value(raw) is None:
                    reason: Literal["bad_time", "bad_size"] = "bad_time" if times else "bad_size"
                    return Unreadable(reason, f"{field.name} is no {means}: {text_of(raw[:60])}")
            except BadTime as error:
                return Unreadable("bad_time", f"{field.name}: {error}")
        raise AssertionError(raws)

    def _why_not(self, line: bytes) -> str:
        said = f"not a line of {self._what}"
        quick = len(line) <= self._most_bytes
        begins = self._begins.match(line) if quick else None
        rest = line[begins.end() :] if begins else b""
        if rest[:1] == b" " and rest.strip():
            count = len(rest.split())
            said += f": {count} more field{'s' * (count > 1)} at its end ({text_of(rest[:40]).strip()})"
        elif rest:
            said += f": more stands at its end ({text_of(rest[:40])})"
        elif quick and (where := self._fits.told(line)):
            said += f": {where}"
        hint = self._hint(line) if self._hint else ""
        return f"{said}{'; ' + hint if hint else ''}"


def _apart(pieces: Sequence[Piece]) -> tuple[list[Field], list[bytes]]:
    """The fields, and the literal text before each and behind the last."""
    fields: list[Field] = []
    literals = [b""]
    for piece in pieces:
        if isinstance(piece, bytes):
            literals[-1] += piece
        else:
            fields.append(piece)
            literals.append(b"")
    return fields, literals


def _chosen(fields: Sequence[Field]) -> dict[str, int]:
    """The place of the field that counts for each meaning, in the order of their places."""
    best: dict[str, int] = {}
    for place, field in enumerate(fields):
        if field.means and (field.means not in best or fields[best[field.means]].rank < field.rank):
            best[field.means] = place
    return dict(sorted(best.items(), key=lambda one: one[1]))


_ORDER: Final = (
    "time", "fraction", "bytes_up", "bytes_down", "requests", "status", "client", "user", "url", "account", "product",
    "id",
)  # fmt: skip


def _arranged(means: Sequence[str]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """Puts values of these meanings, and behind them a missing time, quantity, count of requests and text, into the
    order of a `LineReading`."""
    missing = {"time": 0, "requests": 2, **dict.fromkeys(_ORDER[6:], 3)}
    places = [means.index(one) if one in means else len(means) + missing.get(one, 1) for one in _ORDER]
    return itemgetter(*places)


def _check_apart(fields: Sequence[Field], literals: Sequence[bytes], spans: Sequence[Span], what: str) -> None:
    """Where nothing stands between two fields nobody can say where the first ends."""
    for span in spans:
        for place in range(span.first + 1, span.last):
            if not literals[place]:
                one, next_ = fields[place - 1].name, fields[place].name
                raise ConfigError(f"{what}: nothing stands between {one} and {next_}: two readings are possible")


def _narrow(fields: Sequence[Field], literals: Sequence[bytes], spans: Sequence[Span]) -> list[bytes]:
    """The expression of each field where no value holds what may end it."""
    alphabets = [certain.alphabet(field.language) for field in fields]
    escaped = certain.escaped(alphabets, literals)
    in_spans = {place for span in spans for place in range(span.first, span.last)}
    found = []
    for place, field in enumerate(fields):
        ends = literals[place + 1][:1]
        ends_there = not ends or ends[0] not in alphabets[place].held(escaped=escaped)
        found.append(field.language if ends_there and place not in in_spans else field.pattern)
    return found


def _grouped(narrow: Sequence[bytes], literals: Sequence[bytes], counted: set[int]) -> re.Pattern[bytes]:
    """How a line of the format begins, with a group for each field that counts."""
    parts = [re.escape(literals[0])]
    for place, pattern in enumerate(narrow):
        parts += [b"(" if place in counted else b"(?:", pattern, b")", re.escape(literals[place + 1])]
    return re.compile(b"".join(parts), re.DOTALL)


def _spelled(fields: Sequence[Field], literals: Sequence[bytes], narrow: Sequence[bytes]) -> list[tuple[str, bytes]]:
    """The pieces one after the other: what each is called, and its expression."""
    found = [(f"`{text_of(literals[0])}`", re.escape(literals[0]))]
    for field, pattern, literal in zip(fields, narrow, literals[1:], strict=True):
        found += [(field.name, b"(?:" + pattern + b")"), (f"`{text_of(literal)}`", re.escape(literal))]
    return [(name, expression) for name, expression in found if expression]


def _unsure(fields: Sequence[Field], literals: Sequence[bytes], spans: Sequence[Span]) -> list[Span]:
    """Spans that may have another reading than the narrow one. Where nothing in them counts, it ends where it ends."""
    escaped = certain.escaped([certain.alphabet(field.language) for field in fields], literals)
    return [span for span in spans if not _narrow_is_all(fields, literals, span, escaped=escaped)]


def _most_bytes(unsure: Sequence[Span]) -> int:
    """The longest line that the narrow expressions may be asked about: they try each separating text of such spans with
    each of the others, which takes for ever where a line has thousands of them. Longer ones are read by `Loose`."""
    separators = sum(span.last - span.first - 1 for span in unsure)
    return {0: sys.maxsize, 1: 4096, 2: 1024}.get(separators, 0)


def _narrow_is_all(fields: Sequence[Field], literals: Sequence[bytes], span: Span, *, escaped: bool) -> bool:
    """Whether a narrow reading of a span is its only one: a byte stands in each text between its fields that no narrow
    value holds. All readings have as many of it, so none has one inside of a value, and each value ends at the first.
    """
    between = [set(literal) for literal in literals[span.first + 1 : span.last]]
    narrow = [certain.alphabet(field.pattern).held(escaped=escaped) for field in fields[span.first : span.last]]
    return bool(set[int].intersection(*between) - frozenset[int]().union(*narrow))


@lru_cache(1024)
def _status(raw: bytes) -> int | None:
    number = quantity(raw)
    return number if number is not None and number <= 999 else None


_DEFAULTS: Final[dict[str, Callable[[bytes], Any]]] = {
    **dict.fromkeys(("client", "user", "url", "account", "product", "id"), text_of),
    **dict.fromkeys(QUANTITIES, quantity),
    "status": _status,
}
