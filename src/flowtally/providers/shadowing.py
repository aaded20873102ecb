"""The shadows of one server: calls that customers were answered here, asked of the vendors themselves afterwards.

Owns the queue and the thread that empties it. The queue is bounded, in all and of one account: what finds no room is
dropped and counted, and so is what is no longer to be asked when its turn comes. A call is asked once, at the pace of
the pulls with the same secrets; a vendor that fails or refuses is left alone for a while. What came of calls is kept in
the ledger from time to time: a server that is killed loses the last half minute of it.
"""

from __future__ import annotations

import random
import threading
from collections import Counter, deque
from collections.abc import Callable, Mapping
from typing import Any, Final, get_args

import msgspec
import structlog
from msgspec.structs import replace

from flowtally.core.comparing import as_text, compare, hide
from flowtally.core.errors import FlowtallyError
from flowtally.core.texts import printable
from flowtally.core.words import PullOutcome, ShadowOutcome
from flowtally.ledger.database import Ledger
from flowtally.ledger.providers import shadows
from flowtally.ledger.providers.connected import Provider
from flowtally.ledger.providers.shadows import MAX_ANSWER_CHARS, MAX_DETAIL, Shadowed, Switch
from flowtally.ledger.trail import server
from flowtally.providers.asking import VendorClient
from flowtally.providers.connecting import ServerStops
from flowtally.providers.providers import AFTER_FAULT_S, LOOK_S, Providers
from flowtally.providers.puller import AskVendor, ChangedShape, Pace, Puller, VendorAnswer, VendorFault
from flowtally.providers.pulling import lines_of
from flowtally.providers.schedule import pause_s
from flowtally.providers.shadow import Shadow

MOST_WAITING: Final = 100  # calls
MOST_OF_ACCOUNT: Final = 20
MOST_BYTES: Final = 256 * 1024  # of our own answer: what is larger is not compared
MOST_KEPT: Final = 50  # results that wait to be kept
CALL_S: Final = 60  # of one call, the wait for its turn included
KEEP_S: Final = 30
FORGET_S: Final = 3600
WORK: Final = server("shadows")
STATUS, ANSWER = "HTTP status", "answer"

log = structlog.get_logger(__name__)


class AnsweredCall(msgspec.Struct, frozen=True):
    """A call that was answered. `path`: of the dialect; `query`: what the caller asked, without what it showed;
    `status`, `body`: our answer."""

    account: str
    dialect: str
    path: str
    query: tuple[tuple[str, str], ...]
    status: int
    body: bytes
    at: int


class _Rest(msgspec.Struct, frozen=True):
    """A provider that is left alone: until when, after how many failures, and of which state of its settings."""

    until: int
    failures: int
    changed_at: tuple[int, int]


class Shadowing:
    """Built once; `begin` starts the thread. `declared`: by the name of the vendor, which is its dialect's."""

    def __init__(
        self,
        ledger: Ledger,
        providers: Providers,
        clock: Callable[[], int],
        declared: Mapping[str, Shadow],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self.declared = declared
        self._ledger = ledger
        self._providers = providers
        self._clock = clock
        self._chance = chance
        self._lock = threading.Lock()
        self._waiting: deque[AnsweredCall] = deque()
        self._of_account: Counter[str] = Counter()
        self._on: Mapping[tuple[str, str], Switch] = {}
        self._rests: dict[str, _Rest] = {}  # by the provider's id
        self._came: list[Shadowed] = []
        self._counts: Counter[str] = Counter()
        self._looked_at = self._kept_at = self._forgot_at = 0
        self._stop = threading.Event()
        self._look = threading.Event()
        self._thread: threading.Thread | None = None

    # -- Where customers are answered: nothing here waits ------------------------------------------------------------

    def wants(self, account: str, dialect: str, path: str) -> bool:
        """Whether a call of this route, which was answered, is to be asked of the vendor."""
        switch = self._on.get((account, dialect))
        if switch is None or path not in self.declared[dialect].routes:
            return False
        return self._chance() * 100 < switch.share

    def offer(self, call: AnsweredCall) -> None:
        """Put it behind the others, or drop it."""
        with self._lock:
            room = len(self._waiting) < MOST_WAITING and self._of_account[call.account] < MOST_OF_ACCOUNT
            if room and len(call.body) <= MOST_BYTES:
                self._waiting.append(call)
                self._of_account[call.account] += 1
            else:
                self._counts["dropped"] += 1
        self._look.set()

    # -- The thread --------------------------------------------------------------------------------------------------

    def begin(self) -> None:
        self._thread = threading.Thread(target=self._run, name="shadows", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave what is being asked and what waits; keep what came."""
        self._stop.set()
        self._look.set()
        if self._thread is not None:
            self._thread.join()

    def switches_changed(self) -> None:
        """A switch was set, or may have been. Where it cannot be read now, the thread reads it later."""
        try:
            self.read_switches()
        except FlowtallyError as error:
            log.warning("shadows_wait", error=error.detail)

    def read_switches(self) -> None:
        with self._ledger.read() as tx:
            found = shadows.switched_on(tx)
        self._on = {(one.account, one.dialect): one for one in found if one.dialect in self.declared}
        self._looked_at = self._clock()

    def turn(self) -> bool:
        """Ask the call that has waited longest; whether there was one. Raises ServerStops."""
        with self._lock:
            if not self._waiting:
                return False
            call = self._waiting.popleft()
            self._of_account[call.account] -= 1
            if not self._of_account[call.account]:
                del self._of_account[call.account]
        try:
            came = self._ask(call)
        except Exception:
            self._counts["dropped"] += 1
            raise
        if came is None:
            self._counts["dropped"] += 1
        else:
            self._counts[came.outcome] += 1
            self._came.append(came)
        return True

    def keep(self) -> None:
        """What came of calls, into the ledger."""
        if self._came:
            came, self._came = self._came, []
            try:
                with self._ledger.begin(WORK) as tx:
                    shadows.keep_asked(tx, came, now=self._clock())
            except FlowtallyError:  # the ledger is away
                self._came = came[-MOST_KEPT:]
                raise
        self._kept_at = self._clock()

    def measures(self) -> dict[str, float]:
        counted = {outcome: float(self._counts[outcome]) for outcome in (*get_args(ShadowOutcome), "dropped")}
        return {"on": float(len(self._on)), "waiting": float(len(self._waiting))} | counted

    def _run(self) -> None:
        while not self._stop.is_set():
            wait_s: float = 0
            try:
                if not self.turn():
                    wait_s = LOOK_S
                self._look_after()
            except ServerStops:
                break
            except FlowtallyError as error:  # the ledger is away
                log.warning("shadows_wait", error=error.detail)
                wait_s = AFTER_FAULT_S
            except Exception as error:
                # What it says may hold a secret.
                log.error("shadows_failed", kind=type(error).__name__)
                wait_s = AFTER_FAULT_S
            if wait_s and not self._stop.is_set():
                self._look.wait(wait_s)
            self._look.clear()
        try:
            self.keep()
        except FlowtallyError as error:
            log.warning("shadows_not_kept", error=error.detail)

    def _look_after(self) -> None:
        """What is to be done from time to time."""
        now = self._clock()
        if now - self._looked_at >= LOOK_S * 1000:
            self.read_switches()
        if self._came and (len(self._came) >= MOST_KEPT or now - self._kept_at >= KEEP_S * 1000):
            self.keep()
        if now - self._forgot_at >= FORGET_S * 1000:
            self.forget()

    def forget(self) -> None:
        """Differences that are too old."""
        now = self._clock()
        with self._ledger.read() as tx:
            old = shadows.has_old(tx, now)
        if old:
            with self._ledger.begin(WORK) as tx:
                shadows.forget_differences(tx, now=now)
        self._forgot_at = now

    # -- One call ----------------------------------------------------------------------------------------------------

    def _ask(self, call: AnsweredCall) -> Shadowed | None:
        """None where it is not to be asked any more."""
        with self._ledger.read() as tx:
            found = shadows.read_asked(tx, call.account, call.dialect)
        if found is None or (puller := self._providers.pullers.get(call.dialect)) is None:
            return None
        switch, provider = found
        state = (switch.changed_at, provider.changed_at)
        rest = self._rests.get(provider.id)
        if rest is not None and rest.changed_at == state and self._clock() < rest.until:
            return None
        came, wait_s = self._compared(call, provider, puller, 0 if rest is None else rest.failures)
        if wait_s is None:
            self._rests.pop(provider.id, None)
        else:
            failures = 1 if rest is None else rest.failures + 1
            self._rests[provider.id] = _Rest(self._clock() + int(wait_s * 1000), failures, state)
        return came

    def _compared(
        self, call: AnsweredCall, provider: Provider, puller: Puller, failures: int
    ) -> tuple[Shadowed, float | None]:
        """What came of it, and for how long its vendor is to be left alone."""
        came = Shadowed(call.account, call.dialect, provider.id, f"GET {call.path}", call.at, "failed")
        kind: PullOutcome = "late"
        after_s = None
        once = replace(puller, pace=Pace(puller.pace.between_s, ()))
        secrets = self._providers.secrets(provider)
        try:
            with self._providers.line(provider, once, secrets, self._stop, CALL_S) as client:
                status, said = client.asked(lambda ask: self._answer(ask, call, secrets))
                return self._judged(call, came, client, status, said), None
        except ServerStops:
            raise
        except ChangedShape as error:  # it answered, and not as it should: the next call may be another
            return self._failed(came, provider, str(error)), None
        except VendorFault as error:
            kind, why, after_s = error.outcome, error.told, error.after_s
        except Exception as error:
            log.error("shadow_failed_inside", provider=provider.name, kind=type(error).__name__, where=lines_of(error))
            why = f"it failed inside ({type(error).__name__}); the server's log says where"
        wait_s = pause_s(kind, every_s=0, failures=failures, after_s=after_s, chance=self._chance())
        return self._failed(came, provider, why), wait_s

    def _answer(self, ask: AskVendor, call: AnsweredCall, secrets: Mapping[str, str]) -> tuple[int, Any]:
        """The vendor's: its status, and what it says. Raises where it is none to compare."""
        declared = self.declared[call.dialect]
        path = declared.routes[call.path]
        shown = declared.show(path, secrets)
        answer = ask("GET", path, query=[*shown.query, *call.query], headers=shown.headers)
        if (refusal := declared.refusal(answer)) is not None:
            raise refusal
        return answer.status, answer.json()

    def _judged(self, call: AnsweredCall, came: Shadowed, client: VendorClient, status: int, said: Any) -> Shadowed:
        declared = self.declared[call.dialect]
        own = VendorAnswer(call.status, {}, call.body).json()
        ours, theirs = (hide(one, declared.secret, client.scrub) for one in (own, said))
        found = compare(
            {STATUS: call.status, ANSWER: ours},
            {STATUS: status, ANSWER: theirs},
            keys=declared.keys,
            ignored=declared.volatile,
        )
        if not found.count:
            return replace(came, outcome="agreed")
        return replace(
            came,
            outcome="differed",
            question=_text(hide(dict(call.query), declared.secret, client.scrub)),
            ours=_text(ours),
            theirs=_text(theirs),
            fields=tuple(replace(one, place=_place(one.place)) for one in found.fields),
            count=found.count,
        )

    def _failed(self, came: Shadowed, provider: Provider, why: str) -> Shadowed:
        told = printable(why, MAX_DETAIL)
        log.warning("shadow_failed", provider=provider.name, route=came.route, why=told)
        return replace(came, detail=told)


def _text(value: Any) -> str:
    return printable(as_text(value), MAX_ANSWER_CHARS)


def _place(at: str) -> str:
    """Within the answer."""
    return at.removeprefix(f"{ANSWER}.").removeprefix(ANSWER) or "all of it"
