"""Traffic, money, instants and switches as vendors' answers tell them, and how much of them is brought at a time. Pure.

Beside `reading`, for answers whose figures come in units and with decimals: `used` and `size` make them bytes, exactly.
"""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import Final

from flowtally.core.events import MAX_QUANTITY
from flowtally.core.reported import KIB, MAX_FIGURES, MIB, whole
from flowtally.core.times import END_OF_TIME
from flowtally.providers.puller import Failed
from flowtally.providers.reading import InAnswer

MICROS: Final = 1_000_000
UNITS: Final = {"KB": KIB, "MB": MIB}  # binary, as the vendors' own figures and clients reckon


def used(told: InAnswer, unit: int) -> Decimal:
    """What was used, in units of so many bytes: not below zero."""
    found = _in_bounds(told, unit)
    if found < 0:
        told.wrong("is below zero")
    return found


def size(told: InAnswer, unit: int) -> int:
    """Whole bytes of a number of such units, which may be below zero."""
    return whole(_in_bounds(told, unit), unit)


def step(amounts: Iterable[Decimal], unit: int) -> int:
    """The smallest difference that figures in this unit show, in whole bytes, rounded up: by the decimals they have.

    >>> step([Decimal("5"), Decimal("4719123.98")], KIB), step([Decimal("5")], KIB)
    (11, 1024)
    """
    exponents = (amount.as_tuple().exponent for amount in amounts)
    places = max((-one for one in exponents if isinstance(one, int) and one < 0), default=0)
    return -(-unit // int(10**places))


def micros(told: InAnswer) -> int:
    """Money in millionths."""
    return whole(_in_bounds(told, MICROS), MICROS)


def unit_of(told: InAnswer) -> int:
    """The bytes of `KB` or `MB`."""
    found = UNITS.get(told.text().upper())
    if found is None:
        told.wrong("is no unit of traffic that is known")
    return found


def seconds(told: InAnswer) -> int:
    """Unix seconds as an instant."""
    found = told.whole() * 1000
    if found >= END_OF_TIME:
        told.wrong("is no time in Unix seconds")
    return found


def switch(told: InAnswer) -> bool:
    """True or false, or a text or number that says so."""
    found = {"true": True, "1": True, "false": False, "0": False}.get(str(told.value).lower())
    if found is None:
        told.wrong("is neither true nor false")
    return found


def first_of(told: InAnswer, *names: str) -> InAnswer:
    """The first member of these that is there; ChangedShape for the first name where none is."""
    found = (told.optional(name) for name in names)
    return next((one for one in found if one is not None), None) or told.member(names[0])


def days_at_once(most: int, sub_users: int, figures_a_day: int) -> int:
    """How many days a statement is of, at most `most`: fewer where there are many sub-users with many figures each.
    Failed where not even a day is possible.

    >>> days_at_once(180, 200, 1), days_at_once(180, 200, 24)
    (180, 20)
    """
    possible = MAX_FIGURES // ((sub_users + 1) * figures_a_day)
    if not possible:
        raise Failed(f"{sub_users} sub-users have too many figures a day: bring days, or only the account")
    return min(most, possible)


def _in_bounds(told: InAnswer, unit: int) -> Decimal:
    found = told.decimal()
    if abs(found * unit) > MAX_QUANTITY:
        told.wrong("is beyond every figure")
    return found
