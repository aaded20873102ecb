"""The worker that delivers: messages of the outbox to webhooks, many at a time, each on a thread of its own.

Owns the threads and whose turn it is. A webhook has a few attempts under way, an account some, all accounts together
fewer than there are threads: one server that is slow or dead holds nobody else up, and the operator's own messages
always find a thread. What was delivered and could not be noted is noted before the thread does anything else; where the
server ends in between, it is sent again under the same id.
"""

from __future__ import annotations

import random
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from typing import Final

import msgspec
import structlog

from flowtally.alerts import signing
from flowtally.alerts.schedule import pause_s
from flowtally.alerts.sending import Answer, MessageSender
from flowtally.core.clock import dating
from flowtally.core.errors import FlowtallyError
from flowtally.core.times import HOUR_MS
from flowtally.ledger.database import Ledger
from flowtally.ledger.ids import new_id
from flowtally.ledger.messages import deliveries, outbox, webhooks
from flowtally.ledger.messages.deliveries import DueDelivery
from flowtally.ledger.messages.webhooks import Webhook
from flowtally.ledger.trail import server
from flowtally.ledger.vault import Vault
from flowtally.providers.checks import Checks
from flowtally.providers.connecting import ServerStops
from flowtally.providers.providers import JOIN_S

AT_ONCE: Final = 32
OF_WEBHOOK: Final = 4
OF_ACCOUNT: Final = 8
OF_ACCOUNTS: Final = 24  # of all of them together; the others are the operator's
LOOK_S: Final = 5.0  # the longest that nobody looks what is due
AFTER_FAULT_S: Final = 5.0
TEST_TYPE: Final = "endpoint.test"
WORK: Final = server("webhooks")

log = structlog.get_logger(__name__)


class Tried(msgspec.Struct, frozen=True):
    """What a test came to. `signed`: the exact text that the signature is of."""

    message: str
    signed: str
    answer: Answer


class Deliverer:
    """Built once; `begin` starts the threads."""

    def __init__(
        self,
        ledger: Ledger,
        vault: Vault,
        clock: Callable[[], int],
        sender: Callable[[threading.Event], MessageSender],
        *,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._ledger = ledger
        self._vault = vault
        self._clock = clock
        self._date = dating(clock)
        self._chance = chance
        self._stop = threading.Event()
        self._look = threading.Event()
        self._sender = sender(self._stop)
        self._pool = ThreadPoolExecutor(AT_ONCE, "deliver")
        self._checks = Checks("webhooks")
        self._lock = threading.Lock()
        self._busy: dict[str, DueDelivery] = {}  # by the delivery's id
        self._thread: threading.Thread | None = None
        self._counts: Counter[str] = Counter()
        self._tidied_at = 0

    def begin(self) -> None:
        """Deliver what is due, from now on."""
        self._thread = threading.Thread(target=self._run, name="webhooks", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Leave what is under way: it is sent again by the next start."""
        self._stop.set()
        self._look.set()
        if self._thread is not None:
            self._thread.join(JOIN_S)
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._checks.close()

    def nudge(self) -> None:
        """Something may be due."""
        self._look.set()

    def measures(self) -> dict[str, float]:
        with self._ledger.read() as tx:
            states = webhooks.count_states(tx)
            count, first = deliveries.waiting(tx)
        found = {f"state_{state}": float(number) for state, number in states.items()}
        found |= {f"attempts_{outcome}": float(self._counts[outcome]) for outcome in ("good", "failed")}
        age_s = 0.0 if first is None else max(0.0, (self._clock() - first) / 1000)
        return found | {"waiting": float(count), "oldest": age_s, "under_way": float(len(self._busy))}

    # -- The test ------------------------------------------------------------------------------------------------------

    def begin_test(self, webhook: Webhook) -> Future[Tried]:
        """A message of its own, now, past the queue; nothing is kept of it. TooManyAtOnce, Overloaded; the work may
        raise ServerStops."""
        return self._checks.begin(webhook.account or "", partial(self._test, webhook))

    def _test(self, webhook: Webhook) -> Tried:
        now, message = self._clock(), new_id("msg_")
        body = outbox.body_of(TEST_TYPE, now, {"webhook": webhook.id, "account": webhook.account})
        answer = self._send(webhook, message, body, now)
        return Tried(message, signing.signed_text(message, now // 1000, body), answer)

    # -- The queue -----------------------------------------------------------------------------------------------------

    def deliver_due(self) -> int:
        """Put to work what is due and has room; how many."""
        begun = 0
        while (room := AT_ONCE - len(self._busy)) > 0 and not self._stop.is_set():
            taken = self._take(room)
            if not taken:
                break
            for due in taken:
                self._pool.submit(self._deliver, due)
            begun += len(taken)
        return begun

    def _take(self, room: int) -> list[DueDelivery]:
        with self._lock:
            busy = dict(self._busy)
        full = {hook for hook, count in Counter(one.webhook for one in busy.values()).items() if count >= OF_WEBHOOK}
        with self._ledger.read() as tx:
            due = deliveries.due_deliveries(tx, self._clock(), AT_ONCE, but=busy, not_to=full)
            passed: set[str] = set()
            taken: list[DueDelivery] = []
            while due:
                for one in due:
                    if len(taken) >= room:
                        return self._taken(taken)
                    if has_room({**busy, **{each.id: each for each in taken}}, one):
                        taken.append(one)
                    else:
                        passed.add(one.webhook)
                if taken or len(due) < AT_ONCE:
                    break
                due = deliveries.due_deliveries(tx, self._clock(), AT_ONCE, but=busy, not_to=full | passed)
        return self._taken(taken)

    def _taken(self, taken: list[DueDelivery]) -> list[DueDelivery]:
        with self._lock:
            self._busy |= {one.id: one for one in taken}
        return taken

    def _deliver(self, due: DueDelivery) -> None:
        try:
            self._attempt(due)
        except ServerStops:
            pass
        except Exception:
            log.exception("delivery_failed_inside", webhook=due.webhook, message=due.message)
            self._stop.wait(AFTER_FAULT_S)  # what fails at once must not be tried at once, again and again
        finally:
            with self._lock:
                self._busy.pop(due.id, None)
            self._look.set()

    def _attempt(self, due: DueDelivery) -> None:
        with self._ledger.read() as tx:
            webhook = webhooks.find_webhook(tx, due.webhook)
        if webhook.state != "active":
            return
        came = self._send(webhook, due.message, due.body, self._clock()).attempt
        while not self._noted(due, came):
            if self._stop.wait(AFTER_FAULT_S):
                return

    def _noted(self, due: DueDelivery, came: deliveries.Attempt) -> bool:
        """Whether what came of it is kept."""
        wait_s = pause_s(due.attempts + 1, hold_s=came.hold_s, chance=self._chance())
        try:
            with self._ledger.begin(WORK) as tx:
                now = self._date()
                next_at = None if wait_s is None else now + int(wait_s * 1000)
                state = deliveries.end_attempt(tx, due, came, next_at=next_at, now=now)
        except FlowtallyError as error:
            log.warning("webhooks_wait", error=error.detail)
            return False
        self._counts["good" if came.good else "failed"] += 1
        said = {"webhook": due.webhook, "message": due.message, "status": came.status, "duration_ms": came.duration_ms}
        if came.good:
            log.info("message_delivered", **said)
        else:
            log.warning("delivery_failed", **said, detail=came.detail, state=state)
        return True

    def _send(self, webhook: Webhook, message: str, body: str, now: int) -> Answer:
        keys = [self._vault.reveal(one) for one in webhooks.secrets_of(webhook, now)]
        headers: Mapping[str, str] = signing.headers_of(message, now // 1000, body, keys)
        return self._sender.send(webhook.url, headers, body.encode(), whole=webhook.account is None)

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                self._tidy()
                self.deliver_due()
                wait_s = self._until_next()
            except FlowtallyError as error:  # the ledger is away
                log.warning("webhooks_wait", error=error.detail)
                wait_s = AFTER_FAULT_S
            except Exception:
                log.exception("webhooks_failed")
                wait_s = AFTER_FAULT_S
            self._look.wait(wait_s)
            self._look.clear()

    def _until_next(self) -> float:
        """What is due and waits for room is looked at when a thread is free."""
        now = self._clock()
        with self._ledger.read() as tx:
            at = deliveries.next_due(tx, now)
        return LOOK_S if at is None else min(LOOK_S, max(0.0, (at - now) / 1000))

    def _tidy(self) -> None:
        """Once an hour: forget what is over and old."""
        now = self._clock()
        if now - self._tidied_at < HOUR_MS:
            return
        self._tidied_at = now
        with self._ledger.read() as tx:
            wanted = webhooks.has_ended_secrets(tx, now) or outbox.has_old(tx, now)
        if wanted:
            with self._ledger.begin(WORK) as tx:
                webhooks.forget_ended_secrets(tx, now)
                outbox.forget_old(tx, now)


def has_room(busy: Mapping[str, DueDelivery], one: DueDelivery) -> bool:
    """Whether one more may be under way beside these.

    >>> has_room({}, DueDelivery("dlv_1", "whk_1", None, "msg_1", "{}", 0))
    True
    """
    if len(busy) >= AT_ONCE or sum(each.webhook == one.webhook for each in busy.values()) >= OF_WEBHOOK:
        return False
    if one.account is None:
        return True
    of_accounts = [each.account for each in busy.values() if each.account is not None]
    return len(of_accounts) < OF_ACCOUNTS and of_accounts.count(one.account) < OF_ACCOUNT
