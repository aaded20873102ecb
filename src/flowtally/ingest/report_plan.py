"""What a provider says, planned: what it says under a key becomes the difference to what stands there. Pure.

Owns the rows of a provider's series. What was said last under a key is what its rows add up to, so a figure that is
said again adds nothing, one that is said differently is one row, and one that is not said any more counts for nothing
from then on. Of a statement in bytes the requests under a key stay as they are, and the other way round. What stood
before is told (`usage.figures`), the committer's thread carries the plan out (`report_writer`).
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import blake2b
from typing import Final

import msgspec

from flowtally.core.reported import PROVIDER, FigureSaid, UseSaid
from flowtally.ingest.rows import NewRow, digest_of
from flowtally.usage.values import FigureStretch, Said

OTHERWISE: Final = "said otherwise"
NO_MORE: Final = "not said any more"
_DIGEST_BYTES: Final = 15


class ReportAnswer(msgspec.Struct, frozen=True):
    """What became of the figures of a statement: how many are `new` (never said before, or of those that only grow and
    grew), were said differently before (`changed`), or are as they were (`same`); and how many were said before and are
    not any more (`gone`)."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    same: int = 0


class ReportPlan(msgspec.Struct, frozen=True):
    """The rows of one block, and what is answered."""

    rows: list[NewRow]
    answer: ReportAnswer


def stretch_of(account: str, series: str, said: UseSaid) -> FigureStretch | None:
    """Where figures may stand of which this statement says that they are nothing; None: it says nothing of others."""
    if said.grain == "pull":
        return None
    return FigureStretch(series, account, said.starts_at, said.ends_at, f"{said.grain} ", said.of)


def plan(account: str, series: str, said: UseSaid, before: Sequence[Said]) -> ReportPlan:
    """`said` was checked; `before` has all that stands in its stretch, or under its keys where it has none."""
    planning = _Planning(account, series, said)
    stood = {one.key: one for one in before}
    for figure in said.figures:
        planning.say(figure, stood.pop(figure.key, None))
    if said.grain != "pull":
        for one in stood.values():
            if said.means(one.user, one.product):
                planning.unsay(one)
    counts = planning.counts
    return ReportPlan(planning.rows, ReportAnswer(counts["new"], counts["changed"], counts["gone"], counts["same"]))


def source_of(series: str) -> str:
    """The source of all rows of a series, and who owns it."""
    return PROVIDER + series


def id_of(account: str, key: str, number: int) -> str:
    """Of the row under the key before which there are so many. A digest, for a key holds a name, which an erasure takes
    away, and ids stay (decision 0117)."""
    digest = blake2b(f"{account}\0{key}".encode(), digest_size=_DIGEST_BYTES).hexdigest()
    return f"{digest}#{number}"


class _Planning:
    def __init__(self, account: str, series: str, said: UseSaid) -> None:
        self._account, self._series, self._quantity = account, series, said.quantity
        self._grows = said.grain == "pull"
        self.rows: list[NewRow] = []
        self.counts = dict.fromkeys(("new", "changed", "gone", "same"), 0)

    def say(self, figure: FigureSaid, stood: Said | None) -> None:
        added = figure.amount - (0 if stood is None else self._amount(stood))
        is_new = stood is None or (self._grows and added > 0)
        self.counts["same" if not added else "new" if is_new else "changed"] += 1
        if added:
            self._add(figure, stood, added, "" if is_new else OTHERWISE)

    def unsay(self, stood: Said) -> None:
        if amount := self._amount(stood):
            self.counts["gone"] += 1
            self._add(FigureSaid(stood.key, stood.time, stood.user, stood.product, 0), stood, -amount, NO_MORE)

    def _amount(self, stood: Said) -> int:
        return stood.requests if self._quantity == "requests" else stood.bytes_down

    def _add(self, figure: FigureSaid, stood: Said | None, added: int, reason: str) -> None:
        id = id_of(self._account, figure.key, 0 if stood is None else stood.rows)
        source = source_of(self._series)
        content = (figure.key, figure.time, figure.sub_user, figure.product, self._quantity, added)
        row = NewRow(
            series=self._series,
            account=self._account,
            user=figure.sub_user,
            product=figure.product,
            source=source,
            key_source=source,
            id=id,
            digest=digest_of(b"said\0" + msgspec.json.encode(content)),
            time=figure.time,
            bytes_up=0,
            bytes_down=0 if self._quantity == "requests" else added,
            requests=added if self._quantity == "requests" else 0,
            kind="correction" if reason or added < 0 else "use",
            refers_to=figure.key,
            reason=reason,
            place=len(self.rows) + 1,
        )
        self.rows.append(row)
