"""Whole numbers of the smallest unit, as people write and read them.

Owns what "100GB" means: SI prefixes are powers of 1000, `i` prefixes powers of 1024, and `b` is always a byte (never a
bit, whatever its case: traffic is sold in bytes). Leaves every limit to the doors. No float is involved on the way.

Three ways to write bytes, for three places: a figure that stands alone is cut (`human_bytes`); figures of one account
book are exact, in one unit (`same_unit`); the rows of a chart are short and add up to its total (`human_parts`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, pairwise
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
        raise ValueError(f"{text[:_MAX_CHARS]!r} is not an amount such as 250, 100GB or 1.5GiB")
    number, prefix, binary = match.groups()
    power = 0 if prefix is None else _PREFIXES.lower().index(prefix.lower()) + 1
    unit: int = (1024 if binary else 1000) ** power
    amount = Fraction(number) * unit
    if amount.denominator != 1:
        raise ValueError(f"{text!r} is not a whole number: it would be {number} x {unit}")
    return amount.numerator


def human_bytes(n: int) -> str:
    """`12.34 GB`: at most two decimals, cut off rather than rounded, so what is left never reads as more than it is."""
    power = _power(n)
    places = min(2, 3 * power)
    size = abs(n) * 10**places // 1000**power
    return _written(-size if n < 0 else size, power, places)


def exact_bytes(n: int) -> str:
    """`1.610612736 GB`: whole, with as many decimals as it takes; in the unit that makes it shortest."""
    return same_unit([n])(n)


def same_unit(figures: Iterable[int], *, aligned: bool = False) -> Callable[[int], str]:
    """How these are written on one screen: all in one unit and whole, so that they add up as they are written. Of the
    units that the largest figure fills it is the one that needs the fewest characters; of two that do, the larger. In a
    column (`aligned`) all have the same number of decimals.

    >>> [same_unit([5_000_000_000, 2_699_923_000])(n) for n in (5_000_000_000, 2_699_923_000)]
    ['5 GB', '2.699923 GB']
    """
    known = list(figures)
    powers = range(_power(max(map(abs, known), default=0)), -1, -1)
    power = min(powers, key=lambda one: sum(len(_whole(n, one).partition(" ")[0]) for n in known))
    if not aligned:
        return lambda n: _whole(n, power)
    spare = 0
    while spare < 3 * power and all(n % 10 ** (spare + 1) == 0 for n in known):
        spare += 1
    return lambda n: _written(n // 10**spare, power, 3 * power - spare, pad=True)


def human_parts(parts: Sequence[int]) -> tuple[list[str], str]:
    """Bytes and their sum, all in one unit and with the same few decimals, so that what is written of the parts adds
    up to what is written of the sum. As in the dialects (law 4), a part is the cut running total at its end less the
    one before it: it is at most one step of the last decimal off. What is not nothing is never written as nothing.

    >>> human_parts([2_300_077_000, 2_699_923_000])
    (['2.3 GB', '2.7 GB'], '5.0 GB')
    """
    total = sum(parts)
    power = _power(max(map(abs, (total, *parts))))
    least = min((abs(n) for n in parts if n), default=1)
    places = min(2, 3 * power)
    while least * 10**places < 1000**power:
        places += 1
    running = [n * 10**places // 1000**power for n in accumulate(parts, initial=0)]
    while places and all(n % 10 == 0 for n in running):
        running, places = [n // 10 for n in running], places - 1
    steps = [after - before for before, after in pairwise(running)]
    return [_written(n, power, places, pad=True) for n in steps], _written(running[-1], power, places, pad=True)


def _power(n: int) -> int:
    """Of 1000: of the largest unit that `n` fills."""
    power = 0
    while power < len(_PREFIXES) and abs(n) >= 1000 ** (power + 1):
        power += 1
    return power


def _whole(n: int, power: int) -> str:
    return _written(n, power, 3 * power)


def _written(steps: int, power: int, places: int, *, pad: bool = False) -> str:
    """So many steps of the last decimal place; zeros at the end only where columns are to be aligned (`pad`), and none
    of nothing."""
    whole, rest = divmod(abs(steps), 10**places)
    decimals = f".{rest:0{places}d}" if places else ""
    unit = f"{_PREFIXES[power - 1]}B" if power else "B"
    return (
        f"{'-' if steps < 0 else ''}{whole:,}{decimals if pad and steps else decimals.rstrip('0').rstrip('.')} {unit}"
    )


def human_count(n: int) -> str:
    """`1,234,567`: counts are shown whole."""
    return f"{n:,}"


def counted(n: int, what: str) -> str:
    """`1 request`, `2,000 requests`: a count with its word.

    >>> counted(1, "request"), counted(2_000, "request")
    ('1 request', '2,000 requests')
    """
    return f"{human_count(n)} {what}{'' if n in (1, -1) else 's'}"


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
