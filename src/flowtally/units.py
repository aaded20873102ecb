"""Whole numbers of the smallest unit, as people write and read them.

Owns what "100GB" means: SI prefixes are powers of 1000, `i` prefixes powers of 1024, and `b` is always a byte (never a
bit, whatever its case: traffic is sold in bytes). Leaves every limit to the doors. No float is involved on the way.
"""

from __future__ import annotations

import re
from decimal import Decimal
from fractions import Fraction
from typing import Final

_PREFIXES: Final = "kMGTPE"
_AMOUNT: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:([kmgtpe])(i?))?b?", re.ASCII | re.IGNORECASE)
_MONEY: Final = re.compile(r"[+-]?\d+(?:\.\d+)?", re.ASCII)
MICRO_PLACES: Final = 6  # money is counted in millionths of its currency
_MAX_CHARS: Final = 64  # an amount is short; whatever is longer is a mistake or an attack


def parse_amount(text: str) -> int:
    """`"100GB"`, `"1.5 GiB"`, `"250"` or `"10k"` as a whole number; ValueError if it is not exactly one.

    >>> parse_amount("1.5 GiB")
    1610612736
    """
    match = _AMOUNT.fullmatch(text.strip()) if len(text) <= _MAX_CHARS else None
    if match is None:
        if text.strip().startswith("-"):
            raise ValueError(f"{text[:_MAX_CHARS]!r} is below zero: an amount here cannot be negative")
        raise ValueError(f"{text[:_MAX_CHARS]!r} is not an amount such as 250, 100GB or 1.5 GiB")
    number, prefix, binary = match.groups()
    power = 0 if prefix is None else _PREFIXES.lower().index(prefix.lower()) + 1
    unit: int = (1024 if binary else 1000) ** power
    amount = Fraction(number) * unit
    if amount.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number: it would be {number} x {unit}")
    return amount.numerator


def human_bytes(n: int) -> str:
    """`12.34 GB`: at most two decimals, cut off rather than rounded, so what is left never reads as more than it is."""
    sign, size = ("-" if n < 0 else ""), abs(n)
    power = 0
    while power < len(_PREFIXES) and size >= 1000 ** (power + 1):
        power += 1
    if power == 0:
        return f"{sign}{size} B"
    whole, hundredths = divmod(size * 100 // 1000**power, 100)
    decimals = f".{hundredths:02d}".rstrip("0").rstrip(".")
    return f"{sign}{whole:,}{decimals} {_PREFIXES[power - 1]}B"


def human_count(n: int) -> str:
    """`1,234,567`: counts are shown whole."""
    return f"{n:,}"


def parse_money(text: str) -> int:
    """`"12.34"` or `"-0.5"` in whole micro-units; ValueError if it is not exactly so many.

    >>> parse_money("12.34")
    12340000
    """
    given = text.strip()
    if len(given) > _MAX_CHARS or _MONEY.fullmatch(given) is None:
        raise ValueError(f"{text[:_MAX_CHARS]!r} is not an amount of money such as 5, 12.34 or 0.000001")
    amount = Fraction(given) * 10**MICRO_PLACES
    if amount.denominator != 1:
        raise ValueError(f"{text!r} has more than {MICRO_PLACES} decimal places")
    return amount.numerator


def human_money(micros: int, currency: str) -> str:
    """`1,234.50 USD`: exact, with two decimals or as many more as it takes.

    >>> human_money(-1_500, "USD")
    '-0.0015 USD'
    """
    exact = Decimal(micros).scaleb(-MICRO_PLACES)
    whole, _, decimals = f"{exact:,.{MICRO_PLACES}f}".partition(".")
    return f"{whole}.{decimals.rstrip('0').ljust(2, '0')} {currency}"
