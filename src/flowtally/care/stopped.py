"""How the last process ended, from the keys database of an installation that is not asked."""

from __future__ import annotations

from pathlib import Path

from flowtally.care.doctor import Check
from flowtally.core.errors import KeysBroken
from flowtally.keys.checks import read_place


def stop_check(keys: Path) -> tuple[Check, int | None]:
    """The verdict, and when the last block was received."""
    if not keys.exists():
        return Check("last stop", "ok", "nothing was stored here yet"), None
    try:
        place = read_place(keys)
    except KeysBroken as error:
        return Check("last stop", "fail", str(error), "Put keys.db back, or `flowtally rebuild-keys`."), None
    seen = f"start {place.epoch}, block {place.block}, {place.rows_total:,} events"
    if not place.clean:
        return Check("last stop", "ok", f"{seen}; running, or not stopped cleanly"), place.received_at
    return Check("last stop", "ok", f"{seen}; stopped cleanly"), place.received_at
