"""Call and Reply: one request on its way through an operation, and an answer that is not simply JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from flowtally.answers.moment import Moment
from flowtally.core.errors import Unprocessable
from flowtally.core.media import JSON
from flowtally.ledger.database import Tx
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.trail import Actor, note
from flowtally.usage.verbs import UsageReader
from flowtally.web.capacity.weights import LARGE, SMALL, Weight
from flowtally.web.inputs import check_known
from flowtally.web.services import Services
from flowtally.web.transaction import Transaction

T = TypeVar("T")


class Reply(msgspec.Struct, frozen=True):
    """An answer as bytes of a media type other than JSON, or with headers."""

    content: bytes
    media_type: str = JSON
    status: int = 200
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Streaming(msgspec.Struct, frozen=True):
    """An answer too large to be held: `pieces` are made one by one in worker threads, as the reader takes them, after
    the operation's transaction. One that raises breaks the connection off: the reader must not take it for whole."""

    pieces: Iterator[bytes]
    media_type: str
    headers: Mapping[str, str] = msgspec.field(default_factory=dict)


class Call(msgspec.Struct, frozen=True):
    """One request on its way through an operation. `tx` is its ledger transaction; `usage` all use up to one block,
    known before it began; `moment` both together, where the answer tells it, and `now` its instant."""

    services: Services
    credential: Credential
    request_id: str
    now: int
    accept: str
    actor: Actor  # who asks, for the record of what is changed
    head: bool = False  # whether only the head of the answer was asked for
    operation: str = ""
    _tx: Tx | None = None
    _usage: UsageReader | None = None
    _moment: Moment | None = None

    def inside(self, own: Transaction) -> Call:
        """The call within its transaction."""
        return msgspec.structs.replace(self, _tx=own.tx, _usage=own.usage, _moment=own.moment, now=own.now)

    async def answered(self, work: Callable[[], T], weight: Weight = SMALL) -> T:
        """What the work gives, in a worker thread, at the account's turn and cost."""
        return await self.services.answered(self.credential, self.operation, work, weight)

    async def exported(self, work: Callable[[], T]) -> T:
        """The next piece of an answer that is made while it is read: the same, in the threads for that."""
        return await self.services.answered(self.credential, self.operation, work, LARGE, streamed=True)

    @property
    def tx(self) -> Tx:
        assert self._tx is not None, "an asynchronous operation has no transaction"
        return self._tx

    def record(self, action: str, *, subject: str = "", account: str | None = None, **asked: Any) -> None:
        """Record what is about to be done outside of the ledger, before it is; what came of it is in the answer. Call
        it in a thread. Unprocessable where nothing of that name can be: no ledger keeps it."""
        for text in (subject, account or ""):
            check_known("A name", text, Unprocessable)
        with self.services.ledger.begin(self.actor) as tx:
            note(tx, action, account=account, subject=subject, after=asked)

    @property
    def usage(self) -> UsageReader:
        assert self._usage is not None, "an asynchronous operation asks the store itself"
        return self._usage

    @property
    def moment(self) -> Moment:
        assert self._moment is not None, "its query has no `as_of`"
        return self._moment
