"""Where the fields of a format string end, whatever is in them: thought out once, from what each field may hold. Pure.

A boundary between two fields is certain where every possible reading of every line has it at the same place. The start
of the line is certain. From a certain boundary on, the first byte that none of the fields up to a literal text may hold
must be that text's: so the boundary there is certain, too; and in the same way backwards from the end. Fields between
two certain boundaries without a certain one inside are a `Span`: only the line can tell, and perhaps not even it.

Where backslashes escape, a quote behind an odd number of them belongs to its field: so a text in quotes, whose own are
escaped, ends at the next bare one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from importlib import import_module
from itertools import pairwise
from typing import Any, Final

import msgspec

# How Python reads patterns: parts of its own that it gives no public names, and whose types are told by nobody.
ops: Any = import_module("re._constants")
parser: Any = import_module("re._parser")

_QUOTE: Final = ord('"')
_BACKSLASH: Final = ord("\\")
_BLANK: Final = ord(" ")
_ALL: Final = frozenset(range(256))


class Alphabet(msgspec.Struct, frozen=True):
    """The bytes that values of a language may hold. `bare`: without quotes that a backslash escapes; `escapes`: a
    backslash never stands alone. `padded`: it begins with blanks and holds no other; then `inner` is the rest's."""

    every: frozenset[int]
    bare: frozenset[int]
    escapes: bool
    inner: frozenset[int] | None
    width: int | None

    def held(self, *, escaped: bool) -> frozenset[int]:
        return self.bare if escaped else self.every


class Span(msgspec.Struct, frozen=True):
    """Fields `first` to `last`, this one not included, whose boundaries the line must tell."""

    first: int
    last: int


def spans(languages: Sequence[bytes], literals: Sequence[bytes]) -> list[Span]:
    """`literals[i]` stands before field i, the last one behind all. Without a span a line has one reading at most."""
    alphabets = [alphabet(language) for language in languages]
    held = [one.held(escaped=escaped(alphabets, literals)) for one in alphabets]
    certain = {0, len(languages)}
    while found := _more(certain, alphabets, held, literals):
        certain |= found
    borders = sorted(certain)
    return [Span(one, other) for one, other in pairwise(borders) if other - one > 1]


def escaped(alphabets: Sequence[Alphabet], literals: Sequence[bytes]) -> bool:
    """Whether in lines of this format a quote behind an odd number of backslashes is never one of the format's own: no
    text of the format holds a backslash, and none that begins with a quote stands behind a value that may end in one.
    """
    return not any(b"\\" in literal for literal in literals) and all(
        one.escapes or (behind[:1] not in (b'"', b"")) or place == len(alphabets)
        for place, (one, behind) in enumerate(zip(alphabets, literals[1:], strict=True), 1)
    )


def _more(
    certain: set[int], alphabets: Sequence[Alphabet], held: Sequence[frozenset[int]], literals: Sequence[bytes]
) -> set[int]:
    """Boundaries that follow from those that are certain. Boundary i stands before field i, behind literal i."""
    count = len(held)
    found: set[int] = set()
    for border in certain:
        if border < count:
            if alphabets[border].width is not None:
                found.add(border + 1)
            inner = alphabets[border].inner
            if inner is not None and set(literals[border + 1]) - inner:
                found.add(border + 1)
            found |= _onwards(held[border:], literals[border + 1 :], border)
        if border and alphabets[border - 1].width is not None:
            found.add(border - 1)
        found |= {border - one for one in _onwards(held[:border][::-1], literals[:border][::-1], 0)}
    return found - certain


def _onwards(held: Sequence[frozenset[int]], behind: Sequence[bytes], start: int) -> set[int]:
    """Boundaries behind a certain one, at which a byte stands that nothing before it holds."""
    found, passed = set(), set[int]()
    for place, (bytes_held, literal) in enumerate(zip(held, behind, strict=False), 1):
        passed |= bytes_held
        if set(literal) - passed:
            found.add(start + place)
        passed |= set(literal)
    return found


@lru_cache(1024)
def alphabet(language: bytes) -> Alphabet:
    tree = parser.parse(language, re.DOTALL)
    every, bare, escapes = _of(tree)
    low, high = tree.getwidth()
    return Alphabet(every, bare, escapes, _inner(tree), low if low == high else None)


def _inner(tree: Any) -> frozenset[int] | None:
    items = list(tree)
    if len(items) < 2 or items[0][0] is not ops.MAX_REPEAT or list(items[0][1][2]) != [(ops.LITERAL, _BLANK)]:
        return None
    rest = tree[1:]
    held = _of(rest)[0]
    return held if _BLANK not in held and rest.getwidth()[0] else None


def _of(tree: Any) -> tuple[frozenset[int], frozenset[int], bool]:
    """All bytes, the bare ones, and whether each backslash escapes what follows it."""
    every, bare, escapes = set[int](), set[int](), True
    behind = False  # a backslash
    for op, argument in tree:
        if op in (ops.AT, ops.ASSERT, ops.ASSERT_NOT):
            continue
        held, its_bare, its_escapes = _of_item(op, argument)
        every |= held
        if behind:
            bare |= its_bare - {_QUOTE}
            behind = False
            continue
        behind = op is ops.LITERAL and argument == _BACKSLASH
        bare |= its_bare
        escapes &= its_escapes
    return frozenset(every), frozenset(bare), escapes and not behind


def _of_item(op: Any, argument: Any) -> tuple[frozenset[int], frozenset[int], bool]:
    if op is ops.LITERAL:
        return frozenset([argument]), frozenset([argument]), True
    if op in (ops.NOT_LITERAL, ops.ANY, ops.IN):
        held = _of_class(op, argument)
        return held, held, _BACKSLASH not in held
    if op is ops.BRANCH:
        parts = [_of(branch) for branch in argument[1]]
    elif op is ops.SUBPATTERN:
        parts = [_of(argument[3])]
    elif op in (ops.MAX_REPEAT, ops.MIN_REPEAT, ops.POSSESSIVE_REPEAT):
        parts = [_of(argument[2])]
    elif op is ops.ATOMIC_GROUP:
        parts = [_of(argument)]
    else:
        return _ALL, _ALL, False
    every = frozenset[int]().union(*(part[0] for part in parts))
    return every, frozenset[int]().union(*(part[1] for part in parts)), all(part[2] for part in parts)


def _of_class(op: Any, argument: Any) -> frozenset[int]:
    if op is ops.ANY:
        return _ALL
    if op is ops.NOT_LITERAL:
        return _ALL - {argument}
    held: set[int] = set()
    for kind, value in argument:
        if kind is ops.LITERAL:
            held.add(value)
        elif kind is ops.RANGE:
            held.update(range(value[0], value[1] + 1))
        elif kind is ops.CATEGORY:
            held.update(_CATEGORIES[value])
    negated = bool(argument) and argument[0][0] is ops.NEGATE
    return _ALL - held if negated else frozenset(held)


def _category(expression: bytes) -> frozenset[int]:
    return frozenset(byte for byte in range(256) if re.fullmatch(expression, bytes([byte])))


_CATEGORIES: Final[dict[Any, frozenset[int]]] = {
    ops.CATEGORY_DIGIT: _category(rb"\d"),
    ops.CATEGORY_NOT_DIGIT: _category(rb"\D"),
    ops.CATEGORY_SPACE: _category(rb"\s"),
    ops.CATEGORY_NOT_SPACE: _category(rb"\S"),
    ops.CATEGORY_WORD: _category(rb"\w"),
    ops.CATEGORY_NOT_WORD: _category(rb"\W"),
}
