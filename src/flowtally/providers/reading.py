"""What stands in a vendor's answer: tolerant of how it is spelled, strict about what it means. Pure.

    for row in told(answer).member("data").member("records").items():
        used = row.member("trafficUsed").whole()

A whole number may come as text or with a fraction of zeros; members that nobody asks for are ignored. What is missing,
null or of another kind is a ChangedShape that names the place, never a zero.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any, Final, NoReturn

import msgspec

from flowtally.core.events import MAX_QUANTITY
from flowtally.core.texts import text_fault
from flowtally.providers.puller import ChangedShape, VendorAnswer

MAX_TEXT: Final = 256
_NUMBER: Final = re.compile(r"[+-]?\d{1,30}(\.\d{1,30})?", re.ASCII)
_SHOWN: Final = 60


class InAnswer(msgspec.Struct, frozen=True):
    """A value in an answer, and where it stands."""

    value: Any
    at: str
    answer: VendorAnswer

    def member(self, name: str) -> InAnswer:
        if not isinstance(self.value, dict):
            self.wrong("is no object")
        if name not in self.value:
            self.wrong(f"has no member {name}")
        return self._part(self.value[name], f"{self.at}.{name}" if self.at else name)

    def optional(self, name: str) -> InAnswer | None:
        """None where it is not there, null, or an empty text."""
        if isinstance(self.value, dict) and self.value.get(name) in (None, ""):
            return None
        return self.member(name)

    def items(self) -> Iterator[InAnswer]:
        if not isinstance(self.value, list):
            self.wrong("is no list")
        for number, value in enumerate(self.value):
            yield self._part(value, f"{self.at}[{number}]")

    def first(self) -> InAnswer:
        """Of a list that must not be empty."""
        return next(self.items(), None) or self.wrong("is empty")

    def decimal(self) -> Decimal:
        """A number, or a text that is one."""
        value = self.value
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            value = Decimal(value.strip())
        if isinstance(value, bool) or not isinstance(value, (int, Decimal)):
            self.wrong("is no number")
        found = Decimal(value)
        if not found.is_finite() or found.adjusted() > 20 or (found and found.adjusted() < -30):
            self.wrong("is beyond every figure")
        return found

    def whole(self, least: int | None = 0) -> int:
        """A whole number, by default none below zero."""
        found = self.decimal()
        if found != found.to_integral_value():
            self.wrong("is no whole number")
        whole = int(found)
        if least is not None and whole < least:
            self.wrong(f"is less than {least}")
        if abs(whole) > MAX_QUANTITY:
            self.wrong("is beyond every figure")
        return whole

    def text(self) -> str:
        """A text, or a whole number as one: names and ids come as either."""
        value = self.value
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str):
            self.wrong("is no text")
        if len(value) > MAX_TEXT:
            self.wrong(f"is longer than {MAX_TEXT} characters")
        if fault := text_fault(value):
            self.wrong(fault)
        return str(value)

    def wrong(self, what: str) -> NoReturn:
        """ChangedShape that says so of this value, and shows the answer."""
        shown = "" if isinstance(self.value, (dict, list)) else f" ({self.answer.shown(str(self.value), _SHOWN)!r})"
        raise ChangedShape(f"{self.at or 'the answer'} {what}{shown}", self.answer.text)

    def _part(self, value: Any, at: str) -> InAnswer:
        return InAnswer(value, at, self.answer)


def told(answer: VendorAnswer) -> InAnswer:
    """All of the answer. ChangedShape where it is no JSON."""
    return InAnswer(answer.json(), "", answer)
