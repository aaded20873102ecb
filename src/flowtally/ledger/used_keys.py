"""Keys an account names its writes by: each key stands for one write of the account, whatever it did, for good.

Some vendors let the caller name every write that costs something, and demand names that are unique over all operations.
They are the account's: whichever of its credentials asks again, it happens once. (`idempotency` is our own header's
memory, with the answer.) Owns no answer: what was answered follows from the request, which is the same.
"""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import Connection, insert, select
from sqlalchemy.exc import IntegrityError

from flowtally.core.errors import Conflict, IdempotencyMismatch
from flowtally.ledger.idempotency import check_key
from flowtally.ledger.tables import used_keys


def use_key(tx: Connection, account: str, key: str, digest: str, *, now: int, formerly: Collection[str] = ()) -> bool:
    """Let the key stand for this request from now on; False when it does already, and there is nothing to do.
    `formerly`: digests that the same request had in earlier versions.

    Call in the transaction of the write: what failed used no key. IdempotencyMismatch when it stands for another
    request, BadRequest for what is no key, Conflict when somebody else used it in between.
    """
    query = select(used_keys.c.digest).where(used_keys.c.account == account, used_keys.c.key == check_key(key))
    before = tx.execute(query).scalar_one_or_none()
    if before is not None and before != digest and before not in formerly:
        raise IdempotencyMismatch(f"The key {key!r} was used for another request", key=key)
    if before is not None:
        return False
    try:
        tx.execute(insert(used_keys).values(account=account, key=key, digest=digest, used_at=now))
    except IntegrityError as error:
        raise Conflict(f"The key {key!r} is being used by another request; ask again") from error
    return True
