"""Wallets: an account's money with the operator, as entries that sum to zero.

Every movement is a transfer with two entries: into the account's wallet and out of one of the operator's books, or the
reverse. `deposits` is what came in from outside, `sales` what was bought, `adjustments` everything put right by hand. A
balance is the sum of a wallet's entries: nothing keeps it, nothing is edited, a mistake is another transfer.

No wallet is ever below zero. Writers take turns (see `database`), so `record` looks at the balance and writes, and
nobody spends the same money in between. Amounts are whole millionths of the installation's one currency.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import Connection, Select, bindparam, func, insert, select

from flowtally.core.errors import ConfigError, Conflict, InsufficientFunds, Unprocessable
from flowtally.core.events import MAX_QUANTITY
from flowtally.core.units import human_money
from flowtally.core.words import TransferKind
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_account, read_open_account
from flowtally.ledger.tables import lease_plans, plans, transfer_entries, transfers
from flowtally.ledger.texts import MAX_REFERENCE_CHARS, check_known, check_money, check_text

MAX_MICROS: Final = MAX_QUANTITY  # one movement, and all that a wallet may hold: 9 thousand million

BOOKS: Final[dict[TransferKind, str]] = {"deposit": "deposits", "adjustment": "adjustments", "purchase": "sales"}
_OTHERS: Final = tuple(
    select(table.c.currency).where(table.c.currency != bindparam("asked")).limit(1)
    for table in (transfers, plans, lease_plans)
)


class Transfer(msgspec.Struct, frozen=True):
    """`amount` as the account sees it, in millionths of `currency`: below zero, it left the wallet.

    `reference` names what it belongs to (a payment, an order), `reason` says why it was put right by hand.
    """

    id: str
    account: str
    kind: TransferKind
    amount: int
    currency: str
    reference: str
    reason: str
    created_at: int


def balance_of(tx: Connection, account: str) -> int:
    """What the account's wallet holds, in millionths of the currency; 0 for one that never had any."""
    mine = select(func.coalesce(func.sum(transfer_entries.c.amount), 0)).where(transfer_entries.c.account == account)
    return int(tx.execute(mine).scalar_one())


def deposit(
    tx: Connection, account: str, amount: int, *, now: int, currency: str, reference: str = "", reason: str = ""
) -> Transfer:
    """Money that came in from outside; `reference` is the payment's own number.

    UnknownAccount, Conflict (closed account, more than a wallet may hold), Unprocessable.
    """
    check_money("amount_micros", amount, currency, least=1, most=MAX_MICROS)
    read_open_account(tx, account)
    return record(tx, _transfer("deposit", account, amount, currency, reference, reason, now))


def adjust(
    tx: Connection, account: str, amount: int, *, now: int, currency: str, reason: str, reference: str = ""
) -> Transfer:
    """Put a wallet right by hand, or pay out of it (below zero), for a `reason`. A closed account can be paid out.

    UnknownAccount, InsufficientFunds, Conflict (more than a wallet may hold), Unprocessable.
    """
    check_money("amount_micros", amount, currency, least=-MAX_MICROS, most=MAX_MICROS)
    if amount == 0:
        raise Unprocessable("amount_micros is 0; an adjustment moves something", field="amount_micros")
    check_text("reason", reason, least=1)
    read_account(tx, account)
    return record(tx, _transfer("adjustment", account, amount, currency, reference, reason, now))


def record(tx: Connection, made: Transfer) -> Transfer:
    """Write a transfer: both entries or none. InsufficientFunds, Conflict (more than a wallet may hold)."""
    balance = balance_of(tx, made.account)
    _check_covered(made, balance)
    row = {column.name: getattr(made, column.name) for column in transfers.c}
    tx.execute(insert(transfers).values(row))
    sides = (("wallet", made.account, made.amount), (BOOKS[made.kind], None, -made.amount))
    names = ("book", "account", "amount")
    tx.execute(
        insert(transfer_entries), [{"transfer_id": made.id, **dict(zip(names, side, strict=True))} for side in sides]
    )
    trail.note(tx, f"wallet.{made.kind}", account=made.account, subject=made.id, after=trail.facts(made))
    return made


def list_entries(
    tx: Connection,
    account: str,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    reference: str | None = None,
) -> ListPage[Transfer]:
    """What moved the account's wallet, in the order it happened; of one reference if asked. UnknownAccount."""
    read_account(tx, account)
    query, order = _entries_of(account), transfer_entries.c.transfer_id
    if reference is not None:
        query = query.where(transfers.c.reference == check_known("reference", reference))
    asked = (account,) if reference is None else (account, reference)
    return read_page(tx, "wallet entries", query, order, Transfer, asked, after=after, limit=limit)


def shown_balance(tx: Connection, account: str) -> str:
    """What the account's wallet holds, as people write money; its entries say in which currency."""
    last = tx.execute(_entries_of(account).limit(1)).one_or_none()
    return human_money(balance_of(tx, account), last.currency if last else "")


def check_currency(tx: Connection, currency: str) -> None:
    """ConfigError when the ledger holds money or prices in another currency: nothing is ever converted."""
    for query in _OTHERS:
        other = tx.execute(query, {"asked": currency}).scalar_one_or_none()
        if other is not None:
            raise ConfigError(f"currency = {currency!r}: the ledger keeps {other}, and money is never converted.")


def _transfer(
    kind: TransferKind, account: str, amount: int, currency: str, reference: str, reason: str, now: int
) -> Transfer:
    check_text("reference", reference, most=MAX_REFERENCE_CHARS)
    check_text("reason", reason)
    return Transfer(new_id("trf_"), account, kind, amount, currency, reference, reason, now)


def _check_covered(made: Transfer, balance: int) -> None:
    held = human_money(balance, made.currency)
    if balance + made.amount < 0:
        raise InsufficientFunds(
            f"account {made.account!r} has {held} in its wallet; {human_money(-made.amount, made.currency)} are needed",
            account=made.account,
            balance_micros=balance,
            price_micros=-made.amount,
            currency=made.currency,
        )
    if balance + made.amount > MAX_MICROS:
        raise Conflict(
            f"account {made.account!r} has {held} in its wallet; {human_money(made.amount, made.currency)} more would "
            f"pass the {human_money(MAX_MICROS, made.currency)} that a wallet may hold",
            account=made.account,
        )


def _entries_of(account: str) -> Select[Any]:
    """Columns in the order of Transfer's fields."""
    words = (transfers.c.currency, transfers.c.reference, transfers.c.reason, transfers.c.created_at)
    query = select(transfers.c.id, transfer_entries.c.account, transfers.c.kind, transfer_entries.c.amount, *words)
    query = query.join(transfers, transfers.c.id == transfer_entries.c.transfer_id)
    return query.where(transfer_entries.c.account == account)
