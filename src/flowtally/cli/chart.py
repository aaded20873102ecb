"""Bars made of text: pure, whole numbers in, lines out, never wider than asked.

Eighth blocks give a bar eight times the resolution of its columns; `#` where the output cannot show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

BLOCKS: Final = "▏▎▍▌▋▊▉█"
MIN_BAR: Final = 8  # narrower bars tell nothing: then only the figures are printed


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


def chart(bars: Sequence[Bar], width: int, *, unicode: bool = True) -> list[str]:
    """The bars as lines of at most `width` columns, labels and figures aligned, all drawn against the largest value.

    Where there is no room for a useful bar it is left out, and labels are cut before figures are.
    """
    if not bars:
        return []
    columns = max(len(one.figures) for one in bars)
    figure_widths = [max(len(one.figures[i]) if i < len(one.figures) else 0 for one in bars) for i in range(columns)]
    figures_width = sum(figure_widths) + 2 * columns
    label_width = min(max(len(one.label) for one in bars), max(1, width - figures_width))
    bar_width = width - figures_width - label_width - 2
    full = max(one.value for one in bars)
    lines = []
    for one in bars:
        line = fit(one.label, label_width)
        if bar_width >= MIN_BAR:
            line += "  " + bar(one.value, full, bar_width, unicode=unicode).ljust(bar_width)
        line += "".join("  " + text.rjust(figure_widths[i]) for i, text in enumerate(one.figures))
        lines.append(line.rstrip())
    return lines


def gauge(part: int, whole: int, width: int, *, unicode: bool = True) -> str:
    """How much of `whole` is `part`, as a bar on a track: `[████    ]`."""
    return "[" + bar(min(part, whole), whole, width, unicode=unicode).ljust(width) + "]"


def fit(text: str, width: int) -> str:
    """`text` padded, or cut with an ellipsis, to exactly `width` columns."""
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
