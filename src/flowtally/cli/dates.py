"""Dates as people type them: a date, a month, `yesterday`, turned into what the API takes. One rule for all commands.

The API takes dates of a zone and RFC 3339 instants, because they mean the same tomorrow. Words and months are for the
command line alone. A day begins where it begins in the zone of the question: that of `--tz`, else the account's, which
the server is asked for only when it matters.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, timedelta
from typing import Annotated, Final
from zoneinfo import ZoneInfo

import typer

from flowtally.client import Client
from flowtally.core import clock
from flowtally.core.edges import find_instant, first_instant, format_instant, load_zone, local_date

_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MONTH: Final = re.compile(r"\d{4}-\d\d", re.ASCII)
UTC: Final = "UTC"


def _month(day: date, later: int) -> date:
    months = day.year * 12 + day.month - 1 + later
    return date(months // 12, months % 12 + 1, 1)


WORDS: Final[dict[str, Callable[[date], date]]] = {
    "today": lambda day: day,
    "yesterday": lambda day: day - timedelta(1),
    "tomorrow": lambda day: day + timedelta(1),
    "this-month": lambda day: _month(day, 0),
    "last-month": lambda day: _month(day, -1),
    "next-month": lambda day: _month(day, 1),
}
TAKEN: Final = (
    f"a date (2026-03-01), a month (2026-03, its first day), an instant (2026-03-01T12:00:00Z), or {', '.join(WORDS)}"
)

FROM: Final = "Beginning of the range: a date, a month, a word such as yesterday, or an instant (RFC 3339)."
TO: Final = "End of the range, itself not included: a date, a month, a word such as today, or an instant (RFC 3339)."

At = Annotated[
    str | None,
    typer.Option(
        "--at", help="The instant to show: a date, a word such as yesterday, or an instant (RFC 3339). Default: now."
    ),
]


class Dates:
    """For one question: its zone is that of `tz`, else of `account`, else UTC."""

    def __init__(self, client: Client | None = None, account: str | None = None, tz: str | None = None) -> None:
        self._client, self._account, self._tz = client, account, tz
        self._zone: ZoneInfo | None = None

    def bound(self, text: str | None) -> str | None:
        """One end of a range: a date or an instant. BadParameter says what is taken."""
        if text is None or find_instant(text) is not None:
            return text
        day = self._day(text)
        if day is None:
            raise _not_taken(text)
        return day.isoformat()

    def range(self, start: str | None, end: str | None) -> tuple[str | None, str | None]:
        """Both ends of one. BadParameter where they are the same, as of whoever means a whole month."""
        since, until = self.bound(start), self.bound(end)
        if since is not None and since == until:
            raise typer.BadParameter(f"from {start} to {end} is nothing: the end of a range is not part of it")
        return since, until

    def instant(self, text: str | None) -> str | None:
        """An instant; of a date the first one of that day. BadParameter says what is taken."""
        found = self.known(text)
        if found is not None and find_instant(found) is None:
            raise _not_taken(found)
        return found

    def known(self, text: str | None) -> str | None:
        """The same where it may also be a token of the server's: whatever is no date stays as it is."""
        day = None if text is None else self._day(text)
        return text if day is None else format_instant(first_instant(day, self._in_zone()))

    def _day(self, text: str) -> date | None:
        word = text.strip().lower().replace(" ", "-")
        if word in WORDS:
            return WORDS[word](local_date(clock.now_ms(), self._in_zone()))
        try:
            if _MONTH.fullmatch(text):
                return date.fromisoformat(f"{text}-01")
            return date.fromisoformat(text) if _DATE.fullmatch(text) else None
        except ValueError as error:
            raise typer.BadParameter(f"{text!r} is not in the calendar: {error}") from None

    def _in_zone(self) -> ZoneInfo:
        if self._zone is None:
            self._zone = load_zone(self._tz or self._of_account() or UTC)
        return self._zone

    def _of_account(self) -> str:
        return "" if self._client is None or self._account is None else self._client.account(self._account).timezone


def _not_taken(text: str) -> typer.BadParameter:
    return typer.BadParameter(f"{text!r}: give {TAKEN}")
