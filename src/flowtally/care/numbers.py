"""Numbered sources: every number up to the mark has one row, one refusal or one hold, and the mark and position of the
rows."""

from __future__ import annotations

from typing import Final

from flowtally.care.finding import Find, spans
from flowtally.care.job import Progress
from flowtally.keys.checks import KeysCheck
from flowtally.keys.values import Source
from flowtally.usage import fingerprint
from flowtally.usage.checks.rows import Numbered, RowsCheck, SourceRows, class_of
from flowtally.usage.fingerprint import NUMBERS

SOURCES: Final = 20_000  # held at a time


class Numbers:
    """One look at all sources, and their rows of blocks up to `block`."""

    def __init__(self, rows: RowsCheck, keys: KeysCheck, block: int, find: Find, say: Progress) -> None:
        self._rows = rows
        self._keys = keys
        self._block = block
        self._find = find
        self._say = say

    def check(self) -> int:
        """How many sources were looked at."""
        count = self._keys.count_sources()
        classes = 1 + count // SOURCES
        seen = 0
        for part in range(classes):
            by_rows = self._rows.sources(self._block, part, classes)
            numbers = self._rows.numbers(self._block, part, classes)
            for source in self._keys.sources():
                if classes == 1 or class_of(source.name, classes) == part:
                    seen += 1
                    self._check_source(source, by_rows.pop(source.name, None), numbers.get(source.name, {}))
                    self._say("numbers", seen, count)
            for name, rows in by_rows.items():
                told = f"has {rows.named + rows.numbered} rows and is not registered"
                self._find("unknown_source", f"source {name!r}", told)
        return seen

    def _check_source(self, source: Source, rows: SourceRows | None, numbers: dict[int, Numbered]) -> None:
        where = f"source {source.name!r}"
        if source.kind != "numbered":
            if rows is not None and rows.numbered:
                told = "is named" if source.kind == "named" else "has counters"
                self._find("source_kind", where, f"{told} and has {rows.numbered} rows with numbers")
            return
        if rows is not None and rows.named:
            self._find("source_kind", where, f"is numbered and has {rows.named} rows without numbers")
        if rows is not None and rows.mark > source.mark:
            self._find("mark_behind", where, f"its mark is {source.mark}; its rows say {rows.mark}")
        if rows is not None and rows.mark == source.mark and rows.position != (source.position or ""):
            detail = f"its position is {source.position!r}; its rows say {rows.position!r}"
            self._find("position", where, detail)
        for span in sorted({*range(source.mark // NUMBERS + 1), *numbers}):
            if not self._is_complete(source, span, numbers.get(span)):
                self._name_numbers(source, span)
            self._say("numbers")

    def _is_complete(self, source: Source, span: int, rows: Numbered | None) -> bool:
        first, last = max(1, span * NUMBERS), min(source.mark, (span + 1) * NUMBERS - 1)
        without = [*self._keys.refused(source.no, first, last), *self._keys.held(source.no, first, last)]
        count, summed = (rows.rows, rows.sum) if rows else (0, 0)
        wanted = max(0, last - first + 1)
        if count + len(without) != wanted:
            return False
        both = (summed + fingerprint.of_some(without)) % 2**64
        return not wanted or both == fingerprint.of_numbers(first, last)

    def _name_numbers(self, source: Source, span: int) -> None:
        """Which numbers of this range are missing, there twice, refused and stored, or beyond the mark."""
        first, last = max(1, span * NUMBERS), min(source.mark, (span + 1) * NUMBERS - 1)
        rows = self._rows.numbers_in(source.name, span, self._block)
        refused = set(self._keys.refused(source.no, first, last))
        held = set(self._keys.held(source.no, first, last))
        missing = [n for n in range(first, last + 1) if n not in rows and n not in refused and n not in held]
        where = f"source {source.name!r}"
        for code, numbers, told in (
            ("missing_number", missing, "up to its mark and with neither a row nor a refusal"),
            ("counted_twice", sorted(n for n, count in rows.items() if count > 1), "with more than one row"),
            ("refused_and_stored", sorted(refused & rows.keys()), "refused, and with a row"),
            ("held_and_stored", sorted(held & rows.keys()), "held, and with a row"),
            ("beyond_mark", sorted(n for n in rows if n > source.mark), f"with a row beyond its mark {source.mark}"),
        ):
            if numbers:
                self._find(code, where, f"{len(numbers)} numbers {told}: {spans(numbers)}")
