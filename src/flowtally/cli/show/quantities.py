"""Quantities in words on the command line: what a person types into whole numbers, and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

import typer

from flowtally.core.units import counted, exact_bytes, human_count, parse_amount, parse_money, same_unit

Write = Callable[[int], str]

BYTES: Final = "bytes"
REQUESTS: Final = "requests"


def amount(text: str, option: str | None = None) -> int:
    """`100GB` or `250` as a whole number, or a usage error, which names the option that it was given with."""
    try:
        return parse_amount(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}", param_hint=option) from None


def money(text: str) -> int:
    """`12.34` in whole micro-units, or a usage error."""
    try:
        return parse_money(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def human(quantity: int, unit: str | None) -> str:
    """An amount that was given, whole, in its unit; digits alone where the unit is not known."""
    return exact_bytes(quantity) if unit == BYTES else human_count(quantity)


def in_words(quantity: int, unit: str | None) -> str:
    """The same in a sentence or without a heading, where digits alone could be anything: `3 requests`."""
    if unit == REQUESTS:
        return counted(quantity, "request")
    return human(quantity, unit)


def in_one_unit(unit: str | None, figures: Iterable[int], *, aligned: bool = False) -> Write:
    """How the figures of one account book are written: whole, so that they add up as they are written."""
    return same_unit(figures, aligned=aligned) if unit == BYTES else human_count
