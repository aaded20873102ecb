"""How the last process ended and what it left in the journal, from the files of an installation that is not asked."""

from __future__ import annotations

from pathlib import Path

from flowtally.care.doctor import Check
from flowtally.core.errors import JournalBroken, KeysBroken
from flowtally.keys.checks import read_place
from flowtally.keys.values import Committed
from flowtally.usage.journal import Peeked, peek

_PUT_BACK = "Put it back, or restore a backup: without it what came last is lost. No server starts so."


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


def journal_check(journal: Path, keys: Path, *, running: bool) -> Check:
    """Whose the journal is, and what it has. `running`: a server has it, and is not disturbed."""
    if running:
        return Check("journal", "ok", "the running server has it: ask that, without --data")
    try:
        found = peek(journal)
        place = read_place(keys) if keys.exists() else None
    except JournalBroken as error:
        return Check("journal", "fail", str(error), _PUT_BACK)
    except KeysBroken:
        place = None
    if found is None:
        return _without(place)
    return _with(journal, found, place)


def _without(place: Committed | None) -> Check:
    if place is None or not place.epoch:
        return Check("journal", "ok", "nothing was stored here yet")
    if place.clean or not place.journaled:
        return Check("journal", "ok", "there is none; the last stop was clean, so nothing is lacking")
    return Check("journal", "fail", "there is none, and the last stop was not clean", _PUT_BACK)


def _with(journal: Path, found: Peeked, place: Committed | None) -> Check:
    size = sum(one.stat().st_size for one in (journal, journal.with_name(f"{journal.name}-wal")) if one.exists())
    blocks = f"{found.records:,} blocks, {found.first} to {found.last}," if found.records else "no blocks,"
    whose = found.identity.installation or "no installation yet"
    seen = f"{blocks} in {size / 1e6:,.1f} MB, of {whose}"
    owners = {found.identity.installation, place.installation if place is not None else ""} - {""}
    if len(owners) > 1:
        detail = f"The keys belong to {(owners - {whose}).pop()}. Put the journal there that belongs to them."
        return Check("journal", "fail", seen, detail)
    if found.records:
        return Check("journal", "ok", seen, "The next start brings them into the usage table, as far as they are not.")
    return Check("journal", "ok", seen)
