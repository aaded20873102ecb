"""Tables as lines of text, for screens of any width: pure, texts in, lines out.

Nothing of a table is ever cut, because what it shows is copied. Where it is too wide, columns without a word are left
out, and then the longest cells leave the grid: one of the first column stands on a line of its own above its row, any
other below it with its name. So ids of 36 characters and one long name cost a line, not the table.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from flowtally.cli.show.cells import cells, left, right

GAP: Final = "  "


def aligned(columns: Sequence[str], rows: Sequence[Sequence[str]], figures: frozenset[int]) -> list[str]:
    """Header and rows as one line each: two blanks between columns, `figures` at the right of theirs."""
    table = [columns, *rows]
    widths = [max(cells(row[index]) for row in table) for index in range(len(columns))]
    return [_line(row, widths, figures) for row in table]


def lay_out(
    columns: Sequence[str], rows: Sequence[Sequence[str]], figures: frozenset[int], width: int
) -> tuple[list[str], list[str]]:
    """The lines of the header and those of the rows, within `width` cells where single cells are."""
    lines = aligned(columns, rows, figures)
    if max(map(cells, lines)) <= width:
        return lines[:1], lines[1:]
    kept = [index for index in range(len(columns)) if index == 0 or any(row[index] for row in rows)]
    names, texts = [columns[index] for index in kept], [[row[index] for index in kept] for row in rows]
    return _wrapped(names, texts, frozenset(place for place, index in enumerate(kept) if index in figures), width)


class Grid(msgspec.Struct):
    """What stands in columns: how many cells each has, 0 where all of it stands outside."""

    widths: list[int]
    figures: frozenset[int]
    indent: str = ""

    def total(self) -> int:
        shown = [one for one in self.widths if one]
        return len(self.indent) + sum(shown) + len(GAP) * (len(shown) - 1)

    def line(self, row: Sequence[str]) -> str:
        return (self.indent + _line(row, self.widths, self.figures)).rstrip()


def _wrapped(
    columns: Sequence[str], rows: list[list[str]], figures: frozenset[int], width: int
) -> tuple[list[str], list[str]]:
    grid = _narrowed(columns, rows, figures, width)
    head = [*([] if grid.widths[0] else [columns[0]]), grid.line(columns)]
    return [line for line in head if line], [line for row in rows for line in _row(columns, row, grid, width)]


def _narrowed(columns: Sequence[str], rows: list[list[str]], figures: frozenset[int], width: int) -> Grid:
    """The columns as wide as there is room: again and again the widest one lets its longest cells go."""
    choices = [_choices(name, [row[index] for row in rows]) for index, name in enumerate(columns)]
    grid = Grid([one.pop() for one in choices], figures)
    while grid.total() > width:
        movable = [index for index, size in enumerate(grid.widths) if size and index not in figures]
        if not movable:
            break
        widest = max(movable, key=lambda index: (grid.widths[index], index))
        grid.widths[widest] = choices[widest].pop()
        grid.indent = "" if grid.widths[0] else GAP
    return grid


def _choices(name: str, texts: list[str]) -> list[int]:
    """How wide a column can be, the widest last: nothing, or so that its header and some of its cells fit."""
    return [0, *sorted({max(cells(name), cells(text)) for text in texts if text})]


def _row(columns: Sequence[str], row: list[str], grid: Grid, width: int) -> list[str]:
    """What is too long for the first column, the row itself, and what is too long for others."""
    within = [text if cells(text) <= size else "" for text, size in zip(row, grid.widths, strict=True)]
    lines = [row[0], grid.line(within)] if within[0] != row[0] else [grid.line(within)]
    below = [f"{columns[i]} {text}" for i, text in enumerate(row) if i and within[i] != text]
    return [line for line in (*lines, *_filled(below, width)) if line]


def _filled(pieces: list[str], width: int) -> list[str]:
    """As many pieces a line as fit."""
    lines: list[str] = []
    for piece in pieces:
        if lines and cells(lines[-1]) + len(GAP) + cells(piece) <= width:
            lines[-1] += GAP + piece
        else:
            lines.append(GAP * 2 + piece)
    return lines


def _line(row: Sequence[str], widths: Sequence[int], figures: frozenset[int]) -> str:
    shown = [(text, widths[i], i in figures) for i, text in enumerate(row) if widths[i]]
    return GAP.join(right(text, size) if figure else left(text, size) for text, size, figure in shown).rstrip()
