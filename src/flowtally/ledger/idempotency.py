"""Answers already given: the same write with the same Idempotency-Key happens once, however often it is sent.

The door does, in one write transaction: `replay_or_none`, and if None the command and `remember`. Writers take turns
(see `database`), so of two requests at once the second finds the first's answer; the primary key stands behind that.
Kept for ever, by (account, key), whichever of the account's credentials asks; '' stands for those of the installation:
a retry after months, or with a new credential, is still a retry. Errors roll back and are not remembered.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, update
from sqlalchemy.exc import IntegrityError

from flowtally.core.errors import BadRequest, Conflict, IdempotencyMismatch
from flowtally.ledger.ids import erased_name
from flowtally.ledger.tables import idempotency
from flowtally.protocol.words import MAX_KEY_CHARS

SECRET_FIELDS: Final = frozenset({"token", "key", "secret"})  # shown once, hence never kept


class StoredAnswer(msgspec.Struct, frozen=True):
    """What was answered the first time: HTTP status and JSON body, without the secrets it may have shown."""

    status: int
    body: bytes


def check_key(key: str) -> str:
    """The Idempotency-Key, when it is 1 to 255 printable ASCII characters; else BadRequest."""
    if not (1 <= len(key) <= MAX_KEY_CHARS and key.isascii() and key.isprintable()):
        raise BadRequest(f"Idempotency-Key must be 1 to {MAX_KEY_CHARS} printable ASCII characters")
    return key


def request_digest(method: str, path: str, body: bytes) -> str:
    """What makes two requests the same one: method, path (with query) and the bytes of the body."""
    head = msgspec.json.encode((method.upper(), path, len(body)))
    return sha256(head + body).hexdigest()


def replay_or_none(tx: Connection, account: str, key: str, digest: str) -> StoredAnswer | None:
    """The answer given before to this key; None when it is new. IdempotencyMismatch when it was another request."""
    mine = (idempotency.c.account == account) & (idempotency.c.key == check_key(key))
    query = select(idempotency.c.digest, idempotency.c.status, idempotency.c.response)
    row = tx.execute(query.where(mine)).one_or_none()
    if row is None:
        return None
    if row.digest != digest:
        raise IdempotencyMismatch(f"Idempotency-Key {key!r} was used for another request")
    return StoredAnswer(row.status, row.response.encode())


def forget_name(tx: Connection, user_id: str) -> None:
    """Put the id in place of the user's name in every remembered answer, and nothing in place of its addresses. Answers
    that show a name show the id beside it, as `id` and `name` or as `user_id` and `user`; so do the items of a list."""
    query = select(idempotency.c.account, idempotency.c.key, idempotency.c.response)
    found = tx.execute(query.where(idempotency.c.response.contains(user_id, autoescape=True))).all()
    for account, key, response in found:
        kept = msgspec.json.decode(response.encode())
        for one in (kept, *kept.get("items", ())):
            _forget(one, user_id)
        mine = (idempotency.c.account == account) & (idempotency.c.key == key)
        tx.execute(update(idempotency).where(mine).values(response=msgspec.json.encode(kept).decode()))


def _forget(shown: dict[str, Any], user_id: str) -> None:
    if shown.get("id") == user_id and "name" in shown:
        shown["name"] = erased_name(user_id)
    if shown.get("user_id") == user_id and "user" in shown:
        shown["user"] = erased_name(user_id)
        if "address" in shown:
            shown["address"] = ""


def remember(tx: Connection, account: str, key: str, digest: str, *, status: int, answer: Any, now: int) -> None:
    """Keep the answer (a Struct or dict that becomes a JSON object) for the next time this key comes.

    Its secrets are left out here, so that no door can forget to. Conflict when somebody else remembered the key in
    between: the exception undoes the command, and asking again replays the other's answer.
    """
    kept = {name: value for name, value in msgspec.to_builtins(answer).items() if name not in SECRET_FIELDS}
    row = {
        "account": account,
        "key": check_key(key),
        "digest": digest,
        "status": status,
        "response": msgspec.json.encode(kept).decode(),
        "created_at": now,
    }
    try:
        tx.execute(insert(idempotency).values(row))
    except IntegrityError as error:
        raise Conflict(f"Idempotency-Key {key!r} is being used by another request; ask again") from error
