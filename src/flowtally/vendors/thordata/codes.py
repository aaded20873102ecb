"""What the core says, in Thordata's codes: the first that fits. Pure.

What is wrong inside has the code of an HTTP status, which their client takes for a server's error and no other.
"""

from __future__ import annotations

from typing import Final

from flowtally.core.errors import (
    FlowtallyError,
    Forbidden,
    InsufficientFunds,
    LeaseEnded,
    LimitReached,
    NameTaken,
    NotCovered,
    RateLimited,
    StockRetired,
    Unauthenticated,
    Unavailable,
    UnknownUser,
)
from flowtally.vendors.base import WrongKey
from flowtally.vendors.shortly import with_why
from flowtally.vendors.thordata import wire
from flowtally.vendors.thordata.wire import ThordataError

CODES: Final[tuple[tuple[type[FlowtallyError], int], ...]] = (
    (WrongKey, wire.WRONG_KEY),
    (Unauthenticated, wire.WRONG_TOKEN),
    (Forbidden, wire.WRONG_TOKEN),
    (NameTaken, wire.NAME_TAKEN),
    (LimitReached, wire.TOO_MANY),
    (NotCovered, wire.NO_PACKAGE),
    (InsufficientFunds, wire.NO_MONEY),
    (StockRetired, wire.WITHDRAWN),
    (LeaseEnded, wire.WITHDRAWN),
    (UnknownUser, wire.NO_SUCH_USER),
    (RateLimited, wire.TOO_OFTEN),
    (Unavailable, 503),
)


def as_theirs(error: FlowtallyError) -> ThordataError:
    if isinstance(error, ThordataError):
        return error
    for kind, number in CODES:
        if isinstance(error, kind):
            return ThordataError(number, _said(error, number))
    if error.status >= 500:
        return ThordataError(error.status, "Server error")
    return ThordataError(wire.PARAMETER, _said(error, wire.PARAMETER))


def _said(error: FlowtallyError, number: int) -> str:
    """Their words; where a code stands for many things, which it is."""
    usual = wire.MESSAGES.get(number, "Unavailable, try again later")
    return with_why(usual, error) if number == wire.PARAMETER or isinstance(error, Forbidden) else usual
