"""What time it is: the one place that asks the machine. Everything inside is handed an instant, or a clock."""

from __future__ import annotations

import time


def now_ms() -> int:
    """Whole milliseconds since 1970 UTC, by this machine's clock."""
    return time.time_ns() // 1_000_000
