"""Writes that can be repeated safely: the same Idempotency-Key and request of the same account happen once,
whichever of its credentials asks; those of the installation share theirs.

Owns the header. Leaves what is kept to `ledger.idempotency`; key and work share one transaction, so an answer is
remembered exactly when its work is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Final

import msgspec
from litestar import Request

from flowtally.ledger import idempotency
from flowtally.web.call import Call, Reply

HEADER: Final = "Idempotency-Key"
REPLAYED: Final = {"Idempotent-Replayed": "true"}


class Key(msgspec.Struct, frozen=True):
    """The header's text, and what makes two requests the same one."""

    text: str
    digest: str

    @classmethod
    def of(cls, request: Request[Any, Any, Any], body: bytes) -> Key | None:
        """The key of a request that has one; BadRequest if it is not 1 to 255 printable ASCII characters."""
        text = request.headers.get(HEADER)
        if text is None:
            return None
        return cls(idempotency.check_key(text), idempotency.request_digest(request.method, request.scope["path"], body))


class Recall(msgspec.Struct, frozen=True):
    """An answer that shows what is kept elsewhere and is secret: `keep` says what is remembered of it (a JSON object),
    `tell` answers from that again, given the call, what was kept and what the path named."""

    keep: Callable[[Any], Any]
    tell: Callable[..., Any]


def is_known(call: Call, key: Key) -> bool:
    """Whether this request was answered before; IdempotencyMismatch for another one under the same key."""
    return idempotency.replay_or_none(call.tx, call.credential.keys_of, key.text, key.digest) is not None


def once(
    call: Call,
    key: Key,
    status: int,
    work: Callable[[], Any],
    recall: Recall | None = None,
    given: Mapping[str, Any] = MappingProxyType({}),
) -> Any:
    """The work's answer, or the one given before (without its secrets, or told again by `recall`)."""
    before = idempotency.replay_or_none(call.tx, call.credential.keys_of, key.text, key.digest)
    if before is not None:
        body = before.body
        if recall is not None:
            body = msgspec.json.encode(recall.tell(call, msgspec.json.decode(body), **given))
        return Reply(body, status=before.status, headers=REPLAYED)
    made = work()
    kept = made if recall is None else recall.keep(made)
    idempotency.remember(
        call.tx, call.credential.keys_of, key.text, key.digest, status=status, answer=kept, now=call.now
    )
    return made
