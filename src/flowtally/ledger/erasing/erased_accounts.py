"""Erasing an account: every text of it goes, everything that was counted stays (decision 0102).

Owns what is taken away, and in which order. The transaction that asks revokes the account's credentials and empties its
name; from then on nothing about it can be changed. What may be much (users, grants, records of the audit trail) is
emptied after it, a bounded step at a time, each a transaction that can be done again. What else holds texts of the
account is not the ledger's: `care.erasing` sees to it, and says `finish` when all of it is gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import (
    BigInteger,
    Column,
    ColumnElement,
    Connection,
    Table,
    and_,
    bindparam,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from flowtally.core.errors import Conflict, NotFound
from flowtally.core.texts import may_be_known
from flowtally.ledger import trail
from flowtally.ledger.erasing import erased_audit
from flowtally.ledger.erasing.erased_reconciliations import forget_names, names_borne_by
from flowtally.ledger.installation import this_promise
from flowtally.ledger.inventory.orders import release_all
from flowtally.ledger.messages.webhooks import end_webhooks
from flowtally.ledger.money.wallet import balance_of, shown_balance
from flowtally.ledger.people import names
from flowtally.ledger.people.accounts import Account, read_account
from flowtally.ledger.people.forgotten import without_texts
from flowtally.ledger.providers.connected import end_providers
from flowtally.ledger.tables import (
    accounts,
    audit,
    check_ins,
    credentials,
    deliveries,
    erasures,
    grant_voids,
    grants,
    idempotency,
    managed_users,
    messages,
    past_settings,
    periods,
    provider_balances,
    provider_grants,
    provider_pulls,
    provider_reconciliations,
    provider_sub_users,
    providers,
    purchases,
    senders,
    shadow_differences,
    shadows,
    transfer_entries,
    transfers,
    used_keys,
    user_names,
    users,
    voucher_ends,
    webhooks,
    whitelist,
)

ROWS: Final = 500  # of one step
ANSWERS: Final = 5_000  # looked through in one step
ACTION: Final = "account.erase_texts"
_PENDING: Final = (
    select(accounts.c.id)
    .where(accounts.c.erased_at.is_not(None), accounts.c.erasure_finished_at.is_(None))
    .order_by(accounts.c.erased_at, accounts.c.id)
    .limit(bindparam("most"))
)
Place = Any  # where a step goes on; None: at its beginning, or at its end
Step = Callable[[Connection, str, Place], Place]


class AccountErasure(msgspec.Struct, frozen=True):
    """`finished_at` is None while usage or files may still hold a text of the account."""

    account: str
    asked_at: int
    finished_at: int | None


def erase_account(tx: Connection, account_id: str, *, now: int) -> AccountErasure:
    """Ask for it. A second time has all of it looked at anew, and changes nothing else.

    UnknownAccount; Conflict for an account that is not closed, or whose wallet holds money.
    """
    account = read_account(tx, account_id)
    if account.erased_at is None:
        _check_closed(account)
        _check_paid_out(tx, account_id)
        live = (credentials.c.account == account_id) & credentials.c.revoked_at.is_(None)
        revoked = list(tx.execute(select(credentials.c.id).where(live).order_by(credentials.c.id)).scalars())
        tx.execute(update(credentials).where(live).values(revoked_at=now))
        _end_providers(tx, account_id, now)
        end_webhooks(tx, webhooks.c.account == account_id, at=now)
        release_all(tx, account_id, now=now)
        gone: dict[str, Any] = {"name": "", "erased_at": now, "changed_at": now}
        said = {"again": False, "credentials": trail.ids(revoked)}
    else:
        gone, said = {"erasure_finished_at": None}, {"again": True}
    tx.execute(update(accounts).where(accounts.c.id == account_id).values(gone))
    trail.note(tx, "account.erase", account=account_id, subject=account_id, after=said)
    return read_erasure(tx, account_id)


def _end_providers(tx: Connection, account: str, now: int) -> None:
    """They are asked no more, and what they were asked with is gone."""
    end_providers(tx, providers.c.account == account, at=now)
    tx.execute(update(shadows).where(shadows.c.account == account).values(enabled=0, detail=""))


def _providers_of(account: str) -> Any:
    return select(providers.c.id).where(providers.c.account == account)


def _check_closed(account: Account) -> None:
    if account.status != "closed":
        raise Conflict(
            f"account {account.id!r} is {account.status}: close it first (status closed, for ever), then erase it",
            account=account.id,
        )


def _check_paid_out(tx: Connection, account_id: str) -> None:
    """Afterwards nobody could."""
    if balance := balance_of(tx, account_id):
        raise Conflict(
            f"the wallet of account {account_id!r} holds {shown_balance(tx, account_id)}: pay it out first "
            "(an adjustment below zero)",
            account=account_id,
            balance_micros=balance,
        )


def read_erasure(tx: Connection, account_id: str) -> AccountErasure:
    """UnknownAccount; NotFound for an account that was not erased."""
    asked_at = read_account(tx, account_id).erased_at
    if asked_at is None:
        raise NotFound(f"account {account_id!r} was not erased", account=account_id)
    query = select(accounts.c.erasure_finished_at).where(accounts.c.id == account_id)
    return AccountErasure(account_id, asked_at, tx.execute(query).scalar_one())


def pending(tx: Connection, limit: int) -> list[str]:
    """Accounts whose erasure is not finished, those asked for first."""
    return list(tx.execute(_PENDING, {"most": limit}).scalars())


def erased_among(tx: Connection, some: Iterable[str]) -> set[str]:
    """Those of these accounts whose erasure was asked for."""
    found: set[str] = set()
    for chunk in names.chunks(one for one in set(some) if may_be_known(one)):
        query = select(accounts.c.id).where(accounts.c.id.in_(chunk), accounts.c.erased_at.is_not(None))
        found.update(tx.execute(query).scalars())
    return found


def finished(tx: Connection, after: str, limit: int) -> list[str]:
    """Accounts whose erasure is finished, in order of id, those after this one."""
    query = select(accounts.c.id).where(accounts.c.erasure_finished_at.is_not(None), accounts.c.id > after)
    return list(tx.execute(query.order_by(accounts.c.id).limit(limit)).scalars())


def finish_account(tx: Connection, account_id: str, *, now: int) -> None:
    """Nothing that flowtally keeps holds a text of this account any more."""
    mine = (accounts.c.id == account_id) & accounts.c.erasure_finished_at.is_(None)
    tx.execute(update(accounts).where(mine).values(erasure_finished_at=now))
    trail.note(tx, "account.erase_finish", account=account_id, subject=account_id, after={"finished": True})


def finish_users(tx: Connection, account_id: str, *, now: int) -> bool:
    """The erasures of its users end with its own: some of them; whether there may be more."""
    mine = select(erasures.c.user_id).where(erasures.c.account == account_id, erasures.c.finished_at.is_(None))
    some = list(tx.execute(mine.order_by(erasures.c.user_id).limit(ROWS)).scalars())
    if some:
        tx.execute(update(erasures).where(erasures.c.user_id.in_(some)).values(finished_at=now))
        trail.note(tx, "erasure.finish", account=account_id, after=trail.ids(some))
    return len(some) == ROWS


def reopen(tx: Connection) -> None:
    """All are to be looked at again: beside this ledger stand rows of another moment, as after a restore."""
    opened = tx.execute(
        update(accounts).where(accounts.c.erasure_finished_at.is_not(None)).values(erasure_finished_at=None)
    ).rowcount
    if opened:
        trail.note(tx, "account.erase_reopen", after={"count": opened})


def count_users(tx: Connection, account: str) -> tuple[int, int]:
    """How many of its users are erased, and how many it has."""
    query = select(func.count(erasures.c.user_id), func.count(users.c.id))
    query = query.select_from(users.outerjoin(erasures, erasures.c.user_id == users.c.id))
    done, total = tx.execute(query.where(users.c.account == account)).one()
    return int(done), int(total)


# Steps


class _Text(msgspec.Struct, frozen=True):
    """Columns of a table that hold texts of an account: the key of its rows, and which rows are the account's."""

    table: Table
    key: Column[Any]
    mine: Callable[[str], ColumnElement[bool]]
    columns: tuple[str, ...]

    def with_text(self, account: str) -> ColumnElement[bool]:
        return and_(self.mine(account), or_(*(self.table.c[name] != "" for name in self.columns)))


def _given(account: str) -> ColumnElement[bool]:
    """Grants whose reference somebody chose: those of vouchers, check-ins and purchases have ours, by which they are
    checked."""
    ours = (voucher_ends.c.grant_id, check_ins.c.grant_id, purchases.c.grant_id)
    return and_(grants.c.account == account, *(~exists().where(one == grants.c.id) for one in ours))


def _paid(account: str) -> ColumnElement[bool]:
    mine = select(transfer_entries.c.transfer_id).where(transfer_entries.c.account == account)
    return and_(transfers.c.id.in_(mine), transfers.c.kind != "purchase")


TEXTS: Final = (
    _Text(accounts, accounts.c.id, lambda account: accounts.c.id == account, ("name",)),
    _Text(senders, senders.c.id, lambda account: senders.c.account == account, ("name",)),
    _Text(credentials, credentials.c.id, lambda account: credentials.c.account == account, ("name", "addresses")),
    _Text(grants, grants.c.id, _given, ("reference",)),
    _Text(
        grant_voids,
        grant_voids.c.grant_id,
        lambda account: grant_voids.c.grant_id.in_(select(grants.c.id).where(grants.c.account == account)),
        ("reason",),
    ),
    _Text(transfers, transfers.c.id, _paid, ("reference", "reason")),
    _Text(
        providers,
        providers.c.id,
        lambda account: providers.c.account == account,
        ("address", "settings", "rules", "detail"),
    ),
    _Text(
        webhooks,
        webhooks.c.id,
        lambda account: webhooks.c.account == account,
        ("url", "description", "types", "detail"),
    ),
)


# What providers listed, and how asking them went. Labels of balances have names of sub-users.
SAID: Final = {
    provider_sub_users: "name",
    provider_grants: "id",
    provider_balances: "label",
    provider_pulls: "id",
    provider_reconciliations: "id",
    shadow_differences: "id",
}


def texts_left(tx: Connection, account: str) -> list[str]:
    """The tables that still hold a text of the account."""
    found = [str(one.table.name) for one in TEXTS if _is_there(tx, select(one.key).where(one.with_text(account)))]
    if _is_there(tx, _deliveries_of(account)):
        found.append(str(deliveries.name))
    for table in (user_names, whitelist, used_keys, messages):
        if _is_there(tx, select(table.c.account).where(table.c.account == account)):
            found.append(str(table.name))
    for table in SAID:
        if _is_there(tx, select(table.c.provider).where(table.c.provider.in_(_providers_of(account)))):
            found.append(str(table.name))
    unerased = _unerased(account)
    if _is_there(tx, unerased):
        found.append(str(users.name))
    if _is_there(tx, select(idempotency.c.key).where(idempotency.c.account == account)):
        found.append(str(idempotency.name))
    stated = select(periods.c.statement).where(periods.c.account == account).execution_options(yield_per=10)
    if any(_stated_without(one) != one for one in tx.execute(stated).scalars()):
        found.append(str(periods.name))
    return found


def _stated_without(statement: str) -> str:
    return msgspec.json.encode(without_texts(msgspec.json.decode(statement.encode()))).decode()


def _is_there(tx: Connection, query: Any) -> bool:
    return tx.execute(query.limit(1)).first() is not None


def _unerased(account: str) -> Any:
    gone = select(erasures.c.user_id).where(erasures.c.user_id == users.c.id)
    return select(users.c.id).where(users.c.account == account, ~gone.exists()).order_by(users.c.id)


def _erase_users(tx: Connection, account: str, _place: Place) -> Place:
    """The next users as `erasures.erase_user` does each, but what they have not spent stays where it is: nobody can
    use it, and nothing that was counted moves."""
    some = list(tx.execute(_unerased(account).limit(ROWS)).scalars())
    if not some:
        return None
    now = _asked_at(tx, account)
    m = managed_users.c
    borne = names_borne_by(tx, some)
    tx.execute(delete(user_names).where(user_names.c.user_id.in_(some)))
    forget_names(tx, account, borne)
    tx.execute(delete(whitelist).where(whitelist.c.user_id.in_(some)))
    _keep_settings(tx, some, now)
    gone = {"name": None, "status": "deleted", "password": None, "changed_at": now}
    tx.execute(update(managed_users).where(m.user_id.in_(some), m.status != "deleted").values(gone))
    managed = set(tx.execute(select(m.user_id).where(m.user_id.in_(some))).scalars())
    if seen := [one for one in some if one not in managed]:
        row = gone | {"account": account, "funded": 0}
        tx.execute(insert(managed_users), [row | {"user_id": one} for one in seen])
    tx.execute(insert(erasures), [{"user_id": one, "account": account, "asked_at": now} for one in some])
    trail.note(tx, "account.erase_users", account=account, subject=account, after=trail.ids(some))
    return True


def _keep_settings(tx: Connection, some: Sequence[str], now: int) -> None:
    """As `past.keep_settings`, of those that are not deleted yet."""
    m = managed_users.c
    kept = ("user_id", "promise", "changed_at", "status", "limit_amount", "limit_unit", "limit_window")
    promise = this_promise(tx)
    was = select(
        users.c.id,
        literal(promise, BigInteger),
        literal(now, BigInteger),
        func.coalesce(m.status, "active"),
        m.limit_amount,
        m.limit_unit,
        m.limit_window,
    ).select_from(users.outerjoin(managed_users, m.user_id == users.c.id))
    was = was.where(users.c.id.in_(some), func.coalesce(m.status, "active") != "deleted")
    tx.execute(insert(past_settings).from_select(kept, was))


def _asked_at(tx: Connection, account: str) -> int:
    return int(tx.execute(select(accounts.c.erased_at).where(accounts.c.id == account)).scalar_one())


def _note(tx: Connection, account: str, table: Table, count: int) -> None:
    trail.note(tx, ACTION, account=account, subject=account, after={"of": str(table.name), "count": count})


def _empty_texts(which: _Text) -> Step:
    def step(tx: Connection, account: str, _place: Place) -> Place:
        some = list(tx.execute(select(which.key).where(which.with_text(account)).limit(ROWS)).scalars())
        if not some:
            return None
        values = dict.fromkeys(which.columns, "")
        tx.execute(update(which.table).where(which.key.in_(some)).values(values))
        _note(tx, account, which.table, len(some))
        return True

    return step


def _delete_from(table: Table, key: str) -> Step:
    """Rows that are nothing but texts of the account, or keys that nobody can use again."""

    def step(tx: Connection, account: str, _place: Place) -> Place:
        column = table.c[key]
        mine = table.c.account == account
        some = list(tx.execute(select(column).where(mine).order_by(column).limit(ROWS)).scalars())
        if not some:
            return None
        tx.execute(delete(table).where(mine, column.in_(some)))
        _note(tx, account, table, len(some))
        return True

    return step


def _deliveries_of(account: str) -> Any:
    """Of messages about it, wherever they went, and of all that went to its webhooks."""
    about = select(messages.c.id).where(messages.c.account == account)
    mine = select(webhooks.c.id).where(webhooks.c.account == account)
    return select(deliveries.c.id).where(or_(deliveries.c.message.in_(about), deliveries.c.webhook.in_(mine)))


def _delete_deliveries(tx: Connection, account: str, _place: Place) -> Place:
    some = list(tx.execute(_deliveries_of(account).limit(ROWS)).scalars())
    if not some:
        return None
    tx.execute(delete(deliveries).where(deliveries.c.id.in_(some)))
    _note(tx, account, deliveries, len(some))
    return True


def _delete_said(table: Table, key: str) -> Step:
    def step(tx: Connection, account: str, _place: Place) -> Place:
        column = table.c[key]
        query = select(table.c.provider, column).where(table.c.provider.in_(_providers_of(account)))
        some = tx.execute(query.order_by(table.c.provider, column).limit(ROWS)).all()
        if not some:
            return None
        of = some[0].provider
        mine = [one[1] for one in some if one.provider == of]
        tx.execute(delete(table).where(table.c.provider == of, column.in_(mine)))
        _note(tx, account, table, len(mine))
        return True

    return step


def _empty_answers(tx: Connection, account: str, place: Place) -> Place:
    """Answers to whoever runs flowtally, remembered for an Idempotency-Key: those that name the account lose their
    texts. The account's own are gone: none of its credentials can ask again."""
    needle = msgspec.json.encode(account).decode()
    said = case((idempotency.c.response.contains(needle, autoescape=True), idempotency.c.response))
    mine = idempotency.c.account == ""
    query = select(idempotency.c.key, said).where(mine, idempotency.c.key > (place or ""))
    rows = tx.execute(query.order_by(idempotency.c.key).limit(ANSWERS)).all()
    for key, response in rows:
        if response is not None and (kept := _answer_without(response, account)) != response:
            tx.execute(update(idempotency).where(mine, idempotency.c.key == key).values(response=kept))
    return rows[-1].key if len(rows) == ANSWERS else None


def _answer_without(response: str, account: str) -> str:
    kept = msgspec.json.decode(response.encode())
    if isinstance(items := kept.get("items"), list):
        kept["items"] = [without_texts(one) if _is_about(one, account) else one for one in items]
    if _is_about(kept, account):
        kept = without_texts(kept)
    return msgspec.json.encode(kept).decode()


def _is_about(shown: Any, account: str) -> bool:
    """Answers about things of an account name it beside them; those about itself, as their id with a zone."""
    if not isinstance(shown, dict):
        return False
    return shown.get("account") == account or (shown.get("id") == account and "timezone" in shown)


def _empty_statements(tx: Connection, account: str, place: Place) -> Place:
    """Statements list grants with their references. No figure changes."""
    query = select(periods.c.id, periods.c.statement).where(periods.c.account == account, periods.c.id > (place or ""))
    rows = tx.execute(query.order_by(periods.c.id).limit(10)).all()
    changed = []
    for id, statement in rows:
        if (kept := _stated_without(statement)) != statement:
            tx.execute(update(periods).where(periods.c.id == id).values(statement=kept))
            changed.append(id)
    if changed:
        _note(tx, account, periods, len(changed))
    return rows[-1].id if len(rows) == 10 else None


def _empty_audit(tx: Connection, account: str, place: Place) -> Place:
    """First the records about the account, then those of each of its credentials about anything else."""
    which, after = place or ("", 0)
    mine = audit.c.account == account if which == "" else audit.c.credential == which
    on = erased_audit.take_texts(tx, account, mine, after)
    if on is not None:
        return which, on
    following = select(credentials.c.id).where(credentials.c.account == account, credentials.c.id > which)
    another = tx.execute(following.order_by(credentials.c.id).limit(1)).scalar_one_or_none()
    return None if another is None else (another, 0)


STEPS: Final[tuple[tuple[str, Step], ...]] = (
    ("users", _erase_users),
    ("names", _delete_from(user_names, "name")),
    ("whitelists", _delete_from(whitelist, "id")),
    ("answers", _delete_from(used_keys, "key")),
    ("answers", _delete_from(idempotency, "key")),
    ("answers", _empty_answers),
    *((str(one.table.name), _empty_texts(one)) for one in TEXTS),
    *(("providers", _delete_said(table, key)) for table, key in SAID.items()),
    ("messages", _delete_deliveries),
    ("messages", _delete_from(messages, "id")),
    ("periods", _empty_statements),
    ("audit", _empty_audit),
)
