"""What a vendor told of each row of an answer: for forms that have rows alone, such as a spreadsheet.

Owns the columns `told`, `grain` and `zone`, and that a row of which nothing is known has no figures: in JSON the answer
says beside its rows what was told; a table that is added up says it in the row, or a hole in it looks like a zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, TypeVar

import msgspec

from flowtally.answers.series import SERIES
from flowtally.core.edges import parse_instant
from flowtally.core.reported import Grain, begin_of_span, begins_span
from flowtally.protocol import OverallUsageAnswer, UsageAnswer
from flowtally.protocol.usage import SHOWN_QUANTITIES, ToldStretch

COLUMNS: Final = ("told", "grain", "zone")
Told = Literal["whole", "part", "finer", "none"]

Answer = TypeVar("Answer", bound=UsageAnswer | OverallUsageAnswer)
Row = dict[str, str | int | None]

_NOTHING_TO_SAY: Final[tuple[Row, bool]] = (dict.fromkeys(COLUMNS), False)
_BLANK: Final[Row] = dict.fromkeys(SHOWN_QUANTITIES)


class _Stretch(msgspec.Struct, frozen=True):
    start: int
    end: int
    grain: Grain
    zone: str

    def cuts(self, at: int) -> bool:
        """Whether one of its spans goes on over the instant. A look tells of all that was before it."""
        return self.start < at < self.end and self.grain != "pull" and not begins_span(self.grain, self.zone, at)


def columns_told(answer: Answer) -> tuple[str, ...]:
    """The columns that its rows get: none, where only what was measured is asked for."""
    return COLUMNS if answer.grain else ()


def show_told(answer: Answer) -> Answer:
    """The answer with these columns. What was measured has nothing in them."""
    if not answer.grain:
        return answer
    found: dict[tuple[str, object, object], tuple[Row, bool]] = {}
    stretches = {name: [_read(one) for one in told] for name, told in answer.grain.items()}
    alone = next(iter(stretches)) if len(stretches) == 1 else ""
    rows = []
    for row in answer.rows:
        series = str(row.get(SERIES, alone))
        key = (series, row["start"], row["end"])
        if key not in found:
            start, end = parse_instant(str(row["start"])), parse_instant(str(row["end"]))
            found[key] = _told(stretches[series], start, end) if series in stretches else _NOTHING_TO_SAY
        columns, unknown = found[key]
        # A figure that was told stays, whatever is known of its time.
        blank = _BLANK if unknown and not any(row[name] for name in SHOWN_QUANTITIES) else {}
        rows.append(row | columns | blank)
    return msgspec.structs.replace(answer, rows=rows)


def _told(stretches: Sequence[_Stretch], start: int, end: int) -> tuple[Row, bool]:
    """The columns, and whether nothing is known of the use in these instants by themselves."""
    mine = [one for one in stretches if one.start < end and one.end > start]
    unknown = not mine
    told: Told = "whole"
    if not mine:
        told = "none"
    elif any(one.cuts(start) or one.cuts(end) for one in mine):
        told, unknown = "finer", not any(_begins_within(one, start, end) for one in mine)
    elif sum(min(one.end, end) - max(one.start, start) for one in mine) < end - start:
        told = "part"
    grains, zones = dict.fromkeys(one.grain for one in mine), dict.fromkeys(one.zone for one in mine)
    return {"told": told, "grain": " ".join(grains), "zone": " ".join(zones)}, unknown


def _begins_within(one: _Stretch, start: int, end: int) -> bool:
    """Whether one of its spans begins there, and has its figure in that row."""
    last = min(one.end, end) - 1
    begun = begin_of_span(one.grain, one.zone, last)
    return begun is None or begun >= start


def _read(one: ToldStretch) -> _Stretch:
    return _Stretch(parse_instant(one.start), parse_instant(one.end), one.grain, one.zone)
