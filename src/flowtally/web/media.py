"""Which form an answer takes: the Accept header (RFC 9110, 12.5.1) against what an operation can answer in."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import msgspec

from flowtally.core.errors import NotAcceptable

MAX_RANGES: Final = 50  # browsers send about ten


class MediaRange(msgspec.Struct, frozen=True):
    """One range of the header: `text/*;q=0.5`. A parameter other than `q` is not looked at."""

    kind: str
    quality: float

    def precision(self, media_type: str) -> int:
        """How closely the range names this media type: 3 exactly, 2 its family, 1 anything, 0 not at all."""
        if self.kind == media_type:
            return 3
        if self.kind == media_type.partition("/")[0] + "/*":
            return 2
        return 1 if self.kind == "*/*" else 0


def choose(accept: str, offered: Sequence[str]) -> str:
    """The media type of `offered` the header likes best; the first one where it says nothing. Of equals the one it
    names most closely, then first, then ours. NotAcceptable where everything is left out."""
    ranges = [one for part in accept.split(",")[:MAX_RANGES] if (one := read_range(part)) is not None]
    if not ranges:
        return offered[0]
    ranked = [(_rank(ranges, kind), -place, kind) for place, kind in enumerate(offered)]
    (quality, _, _), _, best = max(ranked)
    if quality <= 0:
        raise NotAcceptable(f"This is answered as {', '.join(offered)}; accepted is only {accept[:200]!r}.")
    return best


def read_range(part: str) -> MediaRange | None:
    """One element of the header; None for what is none (nothing, or a quality that is no number from 0 to 1)."""
    kind, *parameters = (one.strip().lower() for one in part.split(";"))
    if kind.count("/") != 1:
        return None
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            quality = _quality(value.strip())
            return None if quality is None else MediaRange(kind, quality)
    return MediaRange(kind, 1.0)


def _quality(text: str) -> float | None:
    whole, _, fraction = text.partition(".")
    if whole not in ("0", "1") or not (fraction == "" or (fraction.isascii() and fraction.isdigit())):
        return None
    value = float(f"{whole}.{fraction or 0}")
    return value if value <= 1 else None


def _rank(ranges: Sequence[MediaRange], media_type: str) -> tuple[float, int, int]:
    """(quality, precision, earliness) of the range that names this media type most closely."""
    named = [(one.precision(media_type), -place, one.quality) for place, one in enumerate(ranges)]
    precision, earliness, quality = max(named)
    return (quality, precision, earliness) if precision else (0.0, 0, 0)
