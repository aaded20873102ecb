"""What is known of the ledger at a past moment: which promises count, and what was replaced since.

Owns the rule. A row counts when the promise that wrote it had been counted by then; a clock does not decide it. Two
kinds of question know no number: one of people, who ask by an instant, and one about rows of before they were numbered.
There the row's own instant decides.
"""

from __future__ import annotations

import msgspec
from sqlalchemy import ColumnElement, and_, or_


class Known(msgspec.Struct, frozen=True):
    """Promises up to number `promise`; None: those dated up to `at`."""

    promise: int | None
    at: int

    def has(self, promise: int, at: int) -> bool:
        """Whether what this promise wrote at this instant is known."""
        if self.promise is None:
            return at <= self.at
        return promise <= self.promise and (promise > 0 or at <= self.at)


def is_known(
    known: Known | None, promise: ColumnElement[int], at: ColumnElement[int] | ColumnElement[int | None]
) -> ColumnElement[bool]:
    """The same as a condition. None: everything that is there."""
    if known is None:
        return and_(True)
    if known.promise is None:
        return at <= known.at
    return and_(promise <= known.promise, or_(promise > 0, at <= known.at))
