"""Whose figures stand beside whose: the vendor's sub-users and the users that were measured, as lines to compare.

A table says it outright: a name that is in it is met by its pairs alone, and is taken for every other name of the other
side, also for the same one. Names that are not in the table are met by the same name of the other side; else by rules
that rewrite them: a prefix or a suffix taken off, or what the group of a pattern holds. A rule only counts where the
other side has what it makes of the name. Where rules lead to several, none is taken and the name is told as ambiguous:
money is not ascribed by chance. Several names of one side may lead to one of the other; they are one line.

Where one side names nobody at all, the only line is everybody.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import msgspec

from flowtally.core.reconciling.patterns import NamePattern
from flowtally.core.reported import EVERYBODY

Side = Literal["measured", "billed"]
RuleKind = Literal["prefix", "suffix", "pattern"]


class NameRule(msgspec.Struct, frozen=True):
    """How names of one side are rewritten to be those of the other.

    side: Whose names are rewritten.
    kind: What is done: a prefix or a suffix is taken off, or the name is what the group of a pattern holds.
    text: The prefix, the suffix or the pattern.
    """

    side: Side
    kind: RuleKind
    text: str


class NameMapping(msgspec.Struct, frozen=True):
    """`table`: pairs of a vendor's name and a user's; what is in it follows no rule, and no rule leads to it. Rules are
    in no order."""

    table: tuple[tuple[str, str], ...] = ()
    rules: tuple[NameRule, ...] = ()


class UserLine(msgspec.Struct, frozen=True):
    """Names of both sides that are compared as one; ascending. Without names of one side only the other knows them.
    Where a table says that one name means two users, two lines may be called the same."""

    measured: tuple[str, ...]
    billed: tuple[str, ...]

    @property
    def name(self) -> str:
        """What it is called: by our name where there is one."""
        return (self.measured or self.billed)[0]

    @property
    def both(self) -> bool:
        return bool(self.measured) and bool(self.billed)


class Ambiguous(msgspec.Struct, frozen=True):
    """A name that rules lead to several names of the other side: it was left as it is."""

    side: Side
    name: str
    candidates: tuple[str, ...]


class MatchedNames(msgspec.Struct, frozen=True):
    """All names of both sides, each in one line; `everybody`: there is one line, for a side names nobody."""

    lines: tuple[UserLine, ...]
    ambiguous: tuple[Ambiguous, ...] = ()
    everybody: bool = False


def match_names(measured: Iterable[str], billed: Iterable[str], mapping: NameMapping) -> MatchedNames:
    """The lines, in the order of their names. BadPattern where a rule holds no pattern."""
    ours, theirs = frozenset(measured), frozenset(billed)
    if ours <= {EVERYBODY} or theirs <= {EVERYBODY}:
        everybody = UserLine(tuple(sorted(ours)) or (EVERYBODY,), tuple(sorted(theirs)) or (EVERYBODY,))
        return MatchedNames((everybody,), everybody=True)
    groups = _Groups()
    for their, our in mapping.table:
        groups.join(("billed", their), ("measured", our))
    our_free = ours - {our for _, our in mapping.table}
    their_free = theirs - {their for their, _ in mapping.table}
    ambiguous: list[Ambiguous] = []
    sides: tuple[tuple[Side, frozenset[str], Side, frozenset[str]], ...] = (
        ("measured", our_free, "billed", their_free),
        ("billed", their_free, "measured", our_free),
    )
    for side, names, other, others in sides:
        rewrite = _Rewriting(mapping, side)
        for name in sorted(names):
            found = {name} & others or rewrite.all_of(name) & others
            if len(found) == 1:
                groups.join((side, name), (other, min(found)))
            elif found:
                ambiguous.append(Ambiguous(side, name, tuple(sorted(found))))
    return MatchedNames(_lines(groups, ours, theirs), tuple(ambiguous))


def _lines(groups: _Groups, ours: frozenset[str], theirs: frozenset[str]) -> tuple[UserLine, ...]:
    """Of names that are there: a table may tell of others."""
    by_root: dict[tuple[Side, str], tuple[list[str], list[str]]] = {}
    for name in sorted(ours):
        by_root.setdefault(groups.root(("measured", name)), ([], []))[0].append(name)
    for name in sorted(theirs):
        by_root.setdefault(groups.root(("billed", name)), ([], []))[1].append(name)
    lines = [UserLine(tuple(known), tuple(told)) for known, told in by_root.values()]
    return tuple(sorted(lines, key=lambda line: (line.name, line.billed)))


class _Rewriting:
    """The rules for the names of one side."""

    def __init__(self, mapping: NameMapping, side: Side) -> None:
        mine = [rule for rule in mapping.rules if rule.side == side]
        self._affixes = [rule for rule in mine if rule.kind != "pattern"]
        self._patterns = [NamePattern(rule.text) for rule in mine if rule.kind == "pattern"]

    def all_of(self, name: str) -> set[str]:
        """Whatever the rules make of it, but nobody."""
        made = {pattern.find(name) for pattern in self._patterns}
        for rule in self._affixes:
            bare = name.removeprefix(rule.text) if rule.kind == "prefix" else name.removesuffix(rule.text)
            if bare != name:
                made.add(bare)
        return {one for one in made if one} if name != EVERYBODY else set()


class _Groups:
    """Which names belong together (a union-find)."""

    def __init__(self) -> None:
        self._above: dict[tuple[Side, str], tuple[Side, str]] = {}

    def root(self, one: tuple[Side, str]) -> tuple[Side, str]:
        while (above := self._above.get(one, one)) != one:
            one = above
        return one

    def join(self, one: tuple[Side, str], other: tuple[Side, str]) -> None:
        low, high = sorted((self.root(one), self.root(other)))
        self._above[high] = low
