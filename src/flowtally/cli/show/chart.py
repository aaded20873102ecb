"""Bars made of text: pure, whole numbers in, lines out, never wider than asked.

Eighth blocks give a bar eight times the resolution of its columns; `#` where the output cannot show them. Widths are
cells of a screen (`cells`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from flowtally.cli.show.cells import cells, left, right, shorten

BLOCKS: Final = "▏▎▍▌▋▊▉█"
MIN_BAR: Final = 8  # narrower bars tell nothing: then only the figures are printed
FAIR_BAR: Final = 16  # what a label that has to be cut leaves
MIN_LABEL: Final = 12  # a name is not cut further for the sake of the bars
GAUGE: Final = 20  # cells of a bar that shows how much is left


class Bar(msgspec.Struct, frozen=True):
    """One line of a chart: what it is called, its quantity, and the figures printed behind the bar."""

    label: str
    value: int
    figures: tuple[str, ...]


def bar(value: int, full: int, width: int, *, unicode: bool = True) -> str:
    """`value` of `full` as a bar of at most `width` columns. Anything above zero shows at least a sliver."""
    if value <= 0 or full <= 0 or width <= 0:
        return ""
    if not unicode:
        return "#" * max(1, min(width, value * width // full))
    eighths = max(1, min(width * 8, value * width * 8 // full))
    whole, rest = divmod(eighths, 8)
    return "█" * whole + (BLOCKS[rest - 1] if rest else "")


def chart(bars: Sequence[Bar], width: int, *, unicode: bool = True, whole: bool = False) -> list[str]:
    """The bars as lines of at most `width` cells, labels and figures aligned, all drawn against the largest value.

    A label that would take the bars their room loses its middle, alone; `whole` (for a pipe): it stands out instead,
    and its own line is longer. Where there is no room for a useful bar even so, the bars are left out.
    """
    if not bars:
        return []
    columns = max(len(one.figures) for one in bars)
    figure_widths = [max(cells(one.figures[i]) if i < len(one.figures) else 0 for one in bars) for i in range(columns)]
    room = width - sum(figure_widths) - 2 * columns
    longest = max(cells(one.label) for one in bars)
    label_width = longest if longest <= room - 2 - MIN_BAR else max(room - 2 - FAIR_BAR, MIN_LABEL)
    bar_width = room - 2 - label_width
    if bar_width < MIN_BAR:
        label_width = min(longest, max(room, 1))
    full = max(one.value for one in bars)
    lines = []
    for one in bars:
        line = left(one.label if whole else shorten(one.label, label_width), label_width)
        if bar_width >= MIN_BAR:
            line += "  " + bar(one.value, full, bar_width, unicode=unicode).ljust(bar_width)
        line += "".join("  " + right(text, figure_widths[i]) for i, text in enumerate(one.figures))
        lines.append(line.rstrip())
    return lines


def gauge(part: int, whole: int, width: int, *, unicode: bool = True) -> str:
    """How much of `whole` is `part`, as a bar on a track: `[████    ]`."""
    return "[" + bar(min(part, whole), whole, width, unicode=unicode).ljust(width) + "]"
