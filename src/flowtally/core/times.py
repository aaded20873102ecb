"""Lengths of time, and the two ends of it. Instants are whole milliseconds since 1970 UTC."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

MINUTE_MS: Final = 60_000
HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
DAY_S: Final = 86_400

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
BEGINNING: Final = 0  # the earliest instant that a store keeps
LAST_INSTANT: Final = 253_402_300_799_999  # of the year 9999, which is as far as dates are written
END_OF_TIME: Final = LAST_INSTANT + 1
MONTH_NAMES: Final = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")  # in logs
