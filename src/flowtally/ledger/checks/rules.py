"""Does the ledger keep its own rules? Every constraint asked anew of every row (`schema`), and what no constraint can
say.

A database enforces its constraints when rows are written by us; a file that was edited, copied while it was written or
restored by hand may break them all the same. Owns the questions; reads only, one moment.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import msgspec
from sqlalchemy import (
    ColumnElement,
    Connection,
    and_,
    func,
    not_,
    or_,
    select,
    text,
)

from flowtally.core.errors import Unprocessable
from flowtally.ledger.checks import gateways, leases, places, schema, trail, wallet
from flowtally.ledger.checks.fault import LISTED, PAGE, Fault, Rule
from flowtally.ledger.erasing import erased_accounts
from flowtally.ledger.idempotency import SECRET_FIELDS
from flowtally.ledger.people.addresses import canonical
from flowtally.ledger.tables import (
    accounts,
    allocation_returns,
    allocations,
    check_ins,
    credentials,
    erasures,
    grants,
    idempotency,
    managed_users,
    metadata,
    pools,
    user_names,
    users,
    voucher_ends,
    vouchers,
    whitelist,
)
from flowtally.ledger.traffic import check_ins as check_ins_of
from flowtally.ledger.traffic import vouchers as vouchers_of
from flowtally.ledger.traffic.grants import MAX_GRANTED

CHUNK: Final = 500


def faults(tx: Connection) -> Iterator[Fault]:
    """Everything that is wrong, rule by rule; nothing where all is well."""
    yield from _file(tx)
    yield from schema.faults(tx)
    for rule in RULES:
        yield from rule(tx)


def unknown_subjects(tx: Connection, named: list[tuple[str, str]]) -> list[tuple[str, str]]:
    """Of these (account, user id) of usage rows those the ledger does not know; the empty id is the account itself."""
    found: list[tuple[str, str]] = []
    for start in range(0, len(named), CHUNK):
        chunk = named[start : start + CHUNK]
        wanted = {account for account, _ in chunk}
        known = set(tx.execute(select(accounts.c.id).where(accounts.c.id.in_(wanted))).scalars())
        ids = {user for _, user in chunk if user}
        owners = {row[0]: row[1] for row in tx.execute(select(users.c.id, users.c.account).where(users.c.id.in_(ids)))}
        found += [one for one in chunk if one[0] not in known or (one[1] and owners.get(one[1]) != one[0])]
    return found


def count_rows(tx: Connection) -> int:
    """Of all tables together."""
    return sum(
        int(tx.execute(select(func.count()).select_from(table)).scalar_one()) for table in metadata.sorted_tables
    )


def count_accounts(tx: Connection) -> int:
    return int(tx.execute(select(func.count()).select_from(accounts)).scalar_one())


def _file(tx: Connection) -> Iterator[Fault]:
    if tx.dialect.name == "sqlite":
        for (said,) in tx.execute(text(f"PRAGMA integrity_check({LISTED})")).all():
            if said != "ok":
                yield Fault("file", "ledger", f"SQLite says: {said}")


def _granted(tx: Connection) -> Iterator[Fault]:
    """All grants of an account in a pool fit 64 bits, whoever adds them up."""
    last: tuple[str, str] | None = None
    total = 0
    query = select(grants.c.account, grants.c.pool, grants.c.amount).order_by(grants.c.account, grants.c.pool)
    for account, pool, amount in tx.execute(query.execution_options(yield_per=PAGE)):
        total = amount + (total if last == (account, pool) else 0)  # added here: a sum in SQL may overflow
        if total > MAX_GRANTED and total - amount <= MAX_GRANTED:
            yield Fault("granted", f"account {account!r}", f"grants of pool {pool!r} add up to more than {MAX_GRANTED}")
        last = (account, pool)


def _pools_of_grants(tx: Connection) -> Iterator[Fault]:
    """Nothing could ever be paid from a grant in a pool that charges nothing."""
    query = select(grants.c.id, grants.c.pool).join(pools, pools.c.name == grants.c.pool)
    for grant, pool in tx.execute(query.where(pools.c.charge == "nothing").limit(LISTED)):
        yield Fault("grant", f"grant {grant}", f"is in pool {pool!r}, which charges nothing")


def _returned(tx: Connection) -> Iterator[Fault]:
    """No more is taken back of an allocation than was allocated."""
    mine = allocation_returns.c.allocation_id == allocations.c.id
    back = func.sum(allocation_returns.c.amount)
    query = select(allocations.c.id, allocations.c.amount, back).join(allocation_returns, mine)
    query = query.group_by(allocations.c.id, allocations.c.amount).having(back > allocations.c.amount)
    for allocation, amount, returned in tx.execute(query.limit(LISTED)):
        told = f"{int(returned)} were taken back of the {amount} that were allocated"
        yield Fault("returned", f"allocation {allocation}", told)


def _vouchers(tx: Connection) -> Iterator[Fault]:
    """A used voucher became the grant it says: to whoever redeemed it, of its pool and amount, from then on. A revoked
    one has none, so its draw is returned; and nothing ends before it was created."""
    end, given = voucher_ends.c, grants.c
    whole = and_(
        given.account == end.redeemed_by,
        given.pool == vouchers.c.pool,
        given.amount == vouchers.c.amount,
        given.source == vouchers_of.SOURCE,
        given.reference == vouchers.c.id,
        _begins_at(end.ended_at),
        func.coalesce(given.expires_at, 0) == end.ended_at + vouchers.c.duration_s * 1000,
    )
    query = select(vouchers.c.id).join(voucher_ends, end.voucher_id == vouchers.c.id)
    query = query.outerjoin(grants, given.id == end.grant_id)
    for (voucher,) in tx.execute(query.where(end.grant_id.is_not(None), not_(whole)).limit(LISTED)):
        yield Fault("voucher", f"voucher {voucher}", "was used, and the grant it became is another than it says")
    for (voucher,) in tx.execute(query.where(end.ended_at < vouchers.c.created_at).limit(LISTED)):
        yield Fault("voucher", f"voucher {voucher}", "ended before it was created")


def _begins_at(made_at: ColumnElement[int]) -> ColumnElement[bool]:
    """A grant begins with the second that it was made in; those of older programs in their very millisecond."""
    return or_(grants.c.starts_at == made_at, grants.c.starts_at == made_at - made_at % 1000)


def _check_ins(tx: Connection) -> Iterator[Fault]:
    """A check-in gave the grant it says; an account's days and instants go forward together."""
    said = and_(
        grants.c.account == check_ins.c.account,
        grants.c.source == check_ins_of.SOURCE,
        grants.c.reference == check_ins.c.day,
        _begins_at(check_ins.c.checked_in_at),
    )
    query = select(check_ins.c.account, check_ins.c.day).join(grants, grants.c.id == check_ins.c.grant_id)
    for account, day in tx.execute(query.where(not_(said)).limit(LISTED)):
        yield Fault("check_in", f"account {account!r}, {day}", "gave another grant than it says")
    days = (check_ins.c.account, check_ins.c.day, check_ins.c.checked_in_at)
    last: tuple[str, int] | None = None
    ordered = select(*days).order_by(*days[:2]).execution_options(yield_per=PAGE)
    for account, day, at in tx.execute(ordered):
        if last is not None and last[0] == account and at <= last[1]:
            yield Fault("check_in", f"account {account!r}, {day}", "came before the check-in of the day before")
        last = (account, at)


def _names(tx: Connection) -> Iterator[Fault]:
    """At any instant a name of an account has one bearer. A user may bear several: a new one holds for the past.

    They are gone through in order of time: comparing each bearer with each takes for ever where there were many."""
    names = user_names.c
    query = select(names.account, names.name, names.user_id, names.valid_from, names.valid_to)
    last, bearers, found = ("", ""), dict[str, float](), 0
    for account, name, user_id, valid_from, valid_to in tx.execute(
        query.order_by(names.account, names.name, names.valid_from).execution_options(yield_per=PAGE)
    ):
        ends = math.inf if valid_to is None else valid_to
        still = {} if last != (account, name) else {one: end for one, end in bearers.items() if end > valid_from}
        if still.keys() - {user_id} and found < LISTED:
            found += 1
            yield Fault("name", f"account {account!r}, user {name!r}", "belongs to two users at once")
        last, bearers = (account, name), still | {user_id: max(ends, still.get(user_id, 0))}


def _answers(tx: Connection) -> Iterator[Fault]:
    """Remembered answers can be given again, and hold no secret."""
    query = select(idempotency.c.account, idempotency.c.key, idempotency.c.response, idempotency.c.status)
    for account, key, response, status in tx.execute(query.execution_options(yield_per=PAGE)):
        where = f"idempotency key {key!r} of {account or 'the installation'}"
        try:
            kept = msgspec.json.decode(response.encode())
        except (msgspec.DecodeError, UnicodeError):
            yield Fault("answer", where, "the remembered answer is no JSON")
            continue
        if not isinstance(kept, dict) or not 200 <= status < 300:
            yield Fault("answer", where, f"the remembered answer is no success with an object (status {status})")
        elif secrets := sorted(SECRET_FIELDS & kept.keys()):
            yield Fault("secret", where, f"the remembered answer holds {', '.join(secrets)}")


def _erased(tx: Connection) -> Iterator[Fault]:
    """A user that was erased is deleted and bears no name."""
    named = select(user_names.c.user_id).join(erasures, erasures.c.user_id == user_names.c.user_id)
    live = select(erasures.c.user_id).outerjoin(managed_users, managed_users.c.user_id == erasures.c.user_id)
    live = live.where(or_(managed_users.c.status.is_(None), managed_users.c.status != "deleted"))
    for query, said in ((named, "was erased and has a name"), (live, "was erased and is not deleted")):
        for (user_id,) in tx.execute(query.distinct().limit(LISTED)):
            yield Fault("erased", f"user {user_id!r}", said)


def _erased_accounts(tx: Connection) -> Iterator[Fault]:
    """An account that was erased is closed, its credentials are revoked, and no table has a text of it."""
    last = ""
    while page := erased_accounts.finished(tx, last, PAGE):
        for account in page:
            for table in erased_accounts.texts_left(tx, account):
                yield Fault("erased", f"account {account!r}", f"was erased, and {table} still has texts of it")
        last = page[-1]
    erased = accounts.c.erased_at.is_not(None)
    for (account,) in tx.execute(select(accounts.c.id).where(erased, accounts.c.status != "closed").limit(LISTED)):
        yield Fault("erased", f"account {account!r}", "was erased and is not closed")
    live = select(credentials.c.id).join(accounts, accounts.c.id == credentials.c.account)
    for (credential,) in tx.execute(live.where(erased, credentials.c.revoked_at.is_(None)).limit(LISTED)):
        yield Fault("erased", f"credential {credential}", "is of an account that was erased, and is not revoked")


def _whitelisted(tx: Connection) -> Iterator[Fault]:
    """An address is spelt in its one way, else it could be there twice; users that are deleted have none."""
    query = select(whitelist.c.id, whitelist.c.address).order_by(whitelist.c.id)
    for entry, address in tx.execute(query.execution_options(yield_per=PAGE)):
        try:
            spelt = canonical(address)
        except Unprocessable:
            spelt = ""
        if spelt != address:
            yield Fault("address", f"whitelist {entry}", f"{address!r} is not how an address is written")
    gone = select(whitelist.c.id).join(managed_users, managed_users.c.user_id == whitelist.c.user_id)
    for (entry,) in tx.execute(gone.where(managed_users.c.status == "deleted").limit(LISTED)):
        yield Fault("address", f"whitelist {entry}", "is of a user that was deleted")


RULES: Final[tuple[Rule, ...]] = (
    _granted,
    _pools_of_grants,
    _returned,
    _vouchers,
    _check_ins,
    _names,
    _answers,
    _erased,
    _erased_accounts,
    *wallet.RULES,
    *leases.RULES,
    *trail.RULES,
    *places.RULES,
    *gateways.RULES,
    _whitelisted,
)
