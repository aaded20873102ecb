"""How wide text is on a screen: in cells, not in characters.

A Chinese, Japanese or Korean character and an emoji take two cells, a combining mark none, and what is joined to one
picture is one. The widths are Rich's (the Unicode tables), which is what terminals go by. Text is cut between whole
characters as people see them, never within one. What may be shown at all is `output`'s.
"""

from __future__ import annotations

from itertools import takewhile

from rich.cells import cell_len, split_graphemes

from flowtally.core.texts import ELLIPSIS


def cells(text: str) -> int:
    """How many cells the text takes."""
    return cell_len(text)


def left(text: str, width: int) -> str:
    """`text` with blanks after it, up to `width` cells."""
    return text + " " * (width - cells(text))


def right(text: str, width: int) -> str:
    """`text` with blanks before it."""
    return " " * (width - cells(text)) + text


def cut(text: str, width: int) -> str:
    """`text`, its end left out where it takes more than `width` cells: an ellipsis stands there."""
    return text if cells(text) <= width else _begin(text, width - 1) + ELLIPSIS


def shorten(text: str, width: int) -> str:
    """`text`, its middle left out where it takes more than `width` cells: names often differ at their ends."""
    if cells(text) <= width:
        return text
    before = width // 2
    after = _end(text, width - 1 - before)
    return _begin(text, before) + ELLIPSIS + after


def _begin(text: str, width: int) -> str:
    """As much of its beginning as fits."""
    spans, _ = split_graphemes(text)
    ends = _fitting([(end, size) for _, end, size in spans], width)
    return text[: ends[-1]] if ends else ""


def _end(text: str, width: int) -> str:
    spans, _ = split_graphemes(text)
    starts = _fitting([(start, size) for start, _, size in reversed(spans)], width)
    return text[starts[-1] :] if starts else ""


def _fitting(places: list[tuple[int, int]], width: int) -> list[int]:
    """Of places with the cells up to each from the one before: those within `width`."""
    taken = 0
    reached = []
    for place, size in places:
        taken += size
        reached.append((place, taken))
    return [place for place, _ in takewhile(lambda one: one[1] <= width, reached)]
