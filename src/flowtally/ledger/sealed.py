"""All secrets of the ledger that are kept encrypted: which columns they are in, and how they get another key.

Owns the list. What a secret means is its table's; how it is sealed is the vault's.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, bindparam, select, update

from flowtally.ledger.tables import managed_users, provider_secrets, stock, vouchers, webhooks
from flowtally.ledger.vault import Vault

# (the key of a row, its secret)
COLUMNS: Final[tuple[tuple[Column[str], Column[str]], ...]] = (
    (managed_users.c.user_id, managed_users.c.password),
    (vouchers.c.id, vouchers.c.sealed),
    (provider_secrets.c.id, provider_secrets.c.sealed),
    (stock.c.id, stock.c.sealed),
    (webhooks.c.id, webhooks.c.sealed),
    (webhooks.c.id, webhooks.c.old_sealed),
)
PAGE: Final = 1_000
_ANY: Final = tuple(select(secret).where(secret.is_not(None)).limit(1) for _, secret in COLUMNS)


def any_sealed(tx: Connection) -> str | None:
    """One of them: whoever holds the key must be able to open it. None when there is none."""
    for query in _ANY:
        if (found := tx.execute(query).scalar_one_or_none()) is not None:
            return str(found)
    return None


def reseal(tx: Connection, vault: Vault) -> int:
    """Seal each with the vault's present key; how many there are. ConfigError where one cannot be opened."""
    return sum(_reseal(tx, vault, key, secret) for key, secret in COLUMNS)


def _reseal(tx: Connection, vault: Vault, key: Column[str], secret: Column[str]) -> int:
    change = update(secret.table).where(key == bindparam("row")).values({secret.name: bindparam("renewed")})
    count, after = 0, ""
    while page := tx.execute(
        select(key, secret).where(secret.is_not(None), key > after).order_by(key).limit(PAGE)
    ).all():
        tx.execute(change, [{"row": row, "renewed": vault.renew(sealed)} for row, sealed in page])
        count, after = count + len(page), page[-1][0]
    return count
