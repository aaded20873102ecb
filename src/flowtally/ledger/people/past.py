"""What an account's zone and a user's settings were before they changed, for answers of a past moment.

Owns two short histories. A row says what held until the promise that replaced it; of several changes in one promise the
first counts. What holds now is with the account and the user.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Table, insert, select

from flowtally.ledger.installation import this_promise
from flowtally.ledger.known import Known
from flowtally.ledger.tables import past_settings, past_zones


def keep_zone(tx: Connection, account: str, timezone: str, now: int) -> None:
    """It is replaced by this promise."""
    _keep(tx, past_zones, {"account": account}, now, timezone=timezone)


def keep_settings(
    tx: Connection,
    user_id: str,
    now: int,
    *,
    status: str,
    limit: tuple[int | None, str | None, str | None],
) -> None:
    """They are replaced by this promise. `limit`: amount, unit and window."""
    amount, unit, window = limit
    settings = {"status": status, "limit_amount": amount, "limit_unit": unit, "limit_window": window}
    _keep(tx, past_settings, {"user_id": user_id}, now, **settings)


def zone_then(tx: Connection, account: str, known: Known) -> str | None:
    """The zone at that moment; None where it is the present one."""
    row = _replaced(tx, past_zones, past_zones.c.account == account, known)
    return None if row is None else str(row.timezone)


def settings_then(tx: Connection, user_id: str, known: Known) -> Any | None:
    """The row of settings at that moment; None where they are the present ones."""
    return _replaced(tx, past_settings, past_settings.c.user_id == user_id, known)


def _keep(tx: Connection, table: Table, whose: dict[str, str], now: int, **before: Any) -> None:
    key = whose | {"promise": this_promise(tx)}
    mine = [table.c[name] == value for name, value in key.items()]
    if tx.execute(select(table.c.promise).where(*mine)).first() is None:
        tx.execute(insert(table).values(**key, changed_at=now, **before))


def _replaced(tx: Connection, table: Table, mine: Any, known: Known) -> Any | None:
    """The first that was replaced after that moment."""
    rows = tx.execute(select(table).where(mine).order_by(table.c.promise))
    return next((row for row in rows if not known.has(row.promise, row.changed_at)), None)
