"""Quantities in words on the command line: what a person types into whole numbers, and back."""

from __future__ import annotations

from typing import Final

import typer

from flowtally.units import human_bytes, human_count, parse_amount, parse_money

BYTES: Final = "bytes"


def amount(text: str) -> int:
    """`100GB` or `250` as a whole number, or a usage error."""
    try:
        return parse_amount(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def money(text: str) -> int:
    """`12.34` in whole micro-units, or a usage error."""
    try:
        return parse_money(text)
    except ValueError as error:
        raise typer.BadParameter(f"{error}") from None


def human(quantity: int, unit: str | None) -> str:
    """The quantity as shown in its unit; digits alone where the unit is not known."""
    return human_bytes(quantity) if unit == BYTES else human_count(quantity)
