"""Services: everything the handlers stand on, built once by `server.py` and handed in."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, ParamSpec, Protocol, TypeAlias, TypeVar

import msgspec

from flowtally.alerts.deliverer import Deliverer
from flowtally.answers.balances import PresentBalances
from flowtally.answers.moment import Moments
from flowtally.care.care import Care
from flowtally.config import Config
from flowtally.core.clock import SteadyClock
from flowtally.core.corrections import Correction
from flowtally.core.events import UsageEvent
from flowtally.core.reported import UseSaid
from flowtally.core.words import Logins
from flowtally.ingest.report_plan import ReportAnswer
from flowtally.keys.store import Keys
from flowtally.ledger.database import Ledger
from flowtally.ledger.pages import ListPage
from flowtally.ledger.people.credentials import Credential
from flowtally.ledger.vault import Vault
from flowtally.protocol import (
    CorrectionsAnswer,
    CounterAnswer,
    EventAnswer,
    EventsAnswer,
    HeldAnswer,
    HeldEvent,
    HeldFilter,
    OverlapsAnswer,
    OverlapsRequest,
    ReadingsAnswer,
    SourceAnswer,
    SourceDetail,
)
from flowtally.providers.providers import Providers
from flowtally.providers.shadowing import Shadowing
from flowtally.samples.store import Samples
from flowtally.usage.flusher import Flusher
from flowtally.usage.store import UsageStore
from flowtally.web.auth import Doorkeeper, Whitelisted, whitelisted
from flowtally.web.capacity.body_budget import BodyBudget
from flowtally.web.capacity.connection_limits import ConnectionLimits
from flowtally.web.capacity.cost import Cost
from flowtally.web.capacity.exports import Exports
from flowtally.web.capacity.failed_attempts import FailedAttempts
from flowtally.web.capacity.lanes import Lanes
from flowtally.web.capacity.request_slots import RequestSlots
from flowtally.web.capacity.shares import INSTALLATION, Shares
from flowtally.web.capacity.throttle import Throttle
from flowtally.web.capacity.weights import SMALL, Weight, Weights
from flowtally.web.forwarded import caller_of, is_passed_on
from flowtally.web.metrics import Metrics
from flowtally.web.request_lines import RequestLines
from flowtally.web.waiting import Waiters

P = ParamSpec("P")
T = TypeVar("T")
InThread: TypeAlias = Callable[
    [Callable[[], Any]], Awaitable[Any]
]  # does work in a thread, when it is the caller's turn

NOBODY: Final = "/"  # no account's id: whose turn it is where the server asks for itself


class EventsDoor(Protocol):
    """What the API asks of ingest; `flowtally.ingest.door.Ingest` is it."""

    async def take(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        *,
        atomic: bool,
        receipts_all: bool,
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
        headers: Sequence[tuple[str, str]] = (),
        logins: Logins | None = None,
    ) -> EventsAnswer: ...

    async def record(self, sender: str, events: Sequence[UsageEvent]) -> EventsAnswer: ...

    async def report(self, account: str, series: str, said: UseSaid) -> ReportAnswer: ...

    async def correct(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        record: Callable[[Sequence[Correction]], None],
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
    ) -> CorrectionsAnswer: ...

    async def meter(
        self,
        body: bytes,
        content_type: str,
        content_encoding: str | None,
        credential: Credential,
        made: Callable[[int], None] = lambda size: None,
        in_thread: InThread = asyncio.to_thread,
    ) -> ReadingsAnswer: ...

    def source(self, name: str, credential: Credential) -> SourceAnswer: ...

    def sources(
        self, credential: Credential, sender: str | None, cursor: str | None, limit: int
    ) -> ListPage[SourceDetail]: ...

    def counters(
        self, source: str, prefix: str, credential: Credential, cursor: str | None, limit: int
    ) -> ListPage[CounterAnswer]: ...

    def hand_over(self, source: str, sender: str) -> SourceDetail: ...

    def overlaps(self, asked: OverlapsRequest, credential: Credential) -> OverlapsAnswer: ...

    def event(self, source: str, id: str, credential: Credential) -> EventAnswer: ...

    def forget_names(self, account: str) -> None: ...

    def gave(self, account: str) -> None: ...

    def look_again(self, account: str) -> None: ...

    def held(
        self, asked: HeldFilter, credential: Credential, cursor: str | None, limit: int
    ) -> ListPage[HeldEvent]: ...

    async def retry_held(self, asked: HeldFilter) -> HeldAnswer: ...

    async def drop_held(self, asked: HeldFilter, reason: str, credential: Credential) -> HeldAnswer: ...

    def tag_held(self, account: str, names: Sequence[str], user_id: str) -> None: ...

    def forget_held(self, user_ids: Sequence[str]) -> int: ...

    def forget_held_of(self, accounts: Sequence[str]) -> int: ...

    @property
    def flusher(self) -> Flusher | None: ...

    def between_blocks(self, work: Callable[[Keys], T]) -> T: ...

    def ready(self) -> tuple[bool, str]: ...

    def metrics(self) -> Mapping[str, float]: ...

    def close(self) -> None: ...


class Services(msgspec.Struct, frozen=True):
    """Stores and doors of one server. `clock` gives whole milliseconds since 1970 UTC; `moments` what an answer is
    of."""

    config: Config
    clock: SteadyClock
    usage: UsageStore
    ledger: Ledger
    ingest: EventsDoor
    doorkeeper: Doorkeeper
    vault: Vault
    metrics: Metrics
    lanes: Lanes
    auth_pool: ThreadPoolExecutor  # of its own: however long readers keep `lanes`, writers get in
    bodies: BodyBudget
    care: Care
    providers: Providers
    shadowing: Shadowing
    deliverer: Deliverer
    failed_attempts: FailedAttempts
    moments: Moments
    balances: PresentBalances
    request_slots: RequestSlots
    connection_limits: ConnectionLimits
    shares: Shares
    weights: Weights
    exports: Exports
    samples: Samples
    endpoint_lists: Throttle | None
    waiting: Waiters
    request_lines: RequestLines = RequestLines()

    async def in_thread(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Databases are asked in worker threads, a bounded number at a time; the event loop never waits for one. For
        what nobody's credential asks: `answered` is for the others."""
        return await self.lanes.run(NOBODY, lambda: work(*args, **kwargs))

    async def answered(
        self,
        credential: Credential,
        operation: str,
        work: Callable[[], T],
        weight: Weight = SMALL,
        *,
        streamed: bool = False,
    ) -> T:
        """What an operation gives that the credential asked for, in a worker thread, when it is its account's turn. The
        time it takes is taken off the account's budget, and remembered for the next question like it."""
        account = credential.account or INSTALLATION

        def timed() -> T:
            cost = Cost(self.lanes, waits=weight.waits)
            try:
                return work()
            finally:
                self.shares.charge(account, cost.seconds())
                self.weights.took(account, operation, weight, cost.busy())

        large = self.weights.is_large(account, operation, weight)
        return await self.lanes.run(account, timed, large=large, streamed=streamed)

    async def read(self, credential: Credential, work: Callable[[], T]) -> T:
        """What is made of a body that the credential sent, in the threads for that, when it is its account's turn."""
        return await self.lanes.read.run(credential.account or credential.id, work)

    async def who(self, header: str | None, scope: Mapping[str, Any]) -> Credential:
        """The credential behind an Authorization header of the request of this ASGI scope."""
        caller = functools.partial(_held_against, scope, self.config)
        known = self.doorkeeper.remembered(header, caller)
        if known is not None:
            return known
        look_up = self.doorkeeper.look_up
        return await asyncio.get_running_loop().run_in_executor(self.auth_pool, look_up, header, caller)

    async def who_is_whitelisted(self, account: str, scope: Mapping[str, Any]) -> Whitelisted:
        """Who asks without a token for this account: known by the address alone. Unauthenticated, Overloaded."""
        address = _held_against(scope, self.config)
        with self.request_slots.take_unknown(address):
            look_up = functools.partial(whitelisted, self.ledger, account, address)
            return await asyncio.get_running_loop().run_in_executor(self.auth_pool, look_up)


def address_of(scope: Mapping[str, Any], config: Config) -> str:
    """Of whoever asks, as our own proxies tell it; empty where nobody knows."""
    return caller_of(_peer(scope), scope["headers"], config.proxies, config.forwarded_header)


def _held_against(scope: Mapping[str, Any], config: Config) -> str:
    """What a credential's own addresses are held against. A proxy of this machine that is not trusted speaks for
    everybody, and its own address must not let them in."""
    return "" if is_passed_on(_peer(scope), scope["headers"], config.proxies) else address_of(scope, config)


def _peer(scope: Mapping[str, Any]) -> str:
    return scope["client"][0] if scope["client"] else ""
