"""What a reconciliation is made of: both sides' figures by user and span, and what is known about how they came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

Table = Mapping[str, Sequence[int]]  # by name, a whole number for each span: bytes or requests


class BothSides(msgspec.Struct, frozen=True):
    """Both sides over the spans between `edges`, as the vendor cuts them.

    measured, billed: By the names of each side. Who is left out has nothing.
    told: Which spans the vendor told; the others say nothing about anybody. None: all.
    still: Which spans stand still; the others may move: no share, no calendar is estimated from them. None: all.
    step: The smallest difference between two of the vendor's figures; 1 and less: they are exact.
    figures: How many of its figures were added up for one sub-user in one span.
    arrived: Of `measured`: what came in after the vendor was asked.
    moved: Of `billed`: what the vendor lately added to its figures (below zero: took from them), and may go on with.
    corrected_measured, corrected_billed: What each side corrected since the instant that is looked back to.
    """

    edges: Sequence[int]
    measured: Table
    billed: Table
    told: Sequence[bool] | None = None
    still: Sequence[bool] | None = None
    step: int = 1
    figures: int = 1
    arrived: Table = {}
    moved: Table = {}
    corrected_measured: Table = {}
    corrected_billed: Table = {}

    @property
    def spans(self) -> int:
        return len(self.edges) - 1

    @property
    def all_told(self) -> tuple[bool, ...]:
        return tuple(self.told) if self.told is not None else (True,) * self.spans

    @property
    def settled(self) -> tuple[bool, ...]:
        return tuple(self.still) if self.still is not None else (True,) * self.spans

    @property
    def steady(self) -> tuple[bool, ...]:
        """Which spans are told and stand still."""
        return tuple(told and stands for told, stands in zip(self.all_told, self.settled, strict=True))


class Tolerances(msgspec.Struct, frozen=True):
    """How much may be left over: the larger of an amount and of so many thousandths of the larger side.

    span_amount: Of a span, and of a user in a span, in bytes or requests.
    span_per_mille: The same in thousandths.
    whole_amount: Of a user or everything over the whole range, in bytes or requests.
    whole_per_mille: The same in thousandths.
    """

    span_amount: int = 0
    span_per_mille: int = 0
    whole_amount: int = 0
    whole_per_mille: int = 0
