"""A dialect's own calls as use of the account: one request each, handed to ingest after the answer.

Off unless set. It never delays an answer and never fails one: what cannot be handed over is counted and logged.
"""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
import uuid_utils

from flowtally.core.edges import format_instant
from flowtally.core.events import UsageEvent
from flowtally.ledger.people.credentials import Credential
from flowtally.web.services import Services

PRODUCT: Final = "api"
MOST_WAITING: Final = 1000  # hand-overs under way; above, a call is not counted: it may not pile up where ingest stands

log = structlog.get_logger("flowtally.vendors")


class SelfMeter:
    """Of one dialect of one server: its source is `flowtally:<vendor>`, and so is the sender that owns it. `missed`:
    calls that were not counted."""

    def __init__(self, vendor: str) -> None:
        self._source = f"flowtally:{vendor}"
        self._under_way: set[asyncio.Task[None]] = set()  # the loop itself holds tasks by weak references only
        self.missed = 0

    async def count(self, services: Services, credential: Credential) -> None:
        """Begin to hand one request of the credential's account over, dated now; does not wait for it."""
        if len(self._under_way) >= MOST_WAITING:
            self._miss(f"{len(self._under_way)} wait already")
            return
        task = asyncio.get_running_loop().create_task(self._hand_over(services, credential, services.clock()))
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)

    async def _hand_over(self, services: Services, credential: Credential, now: int) -> None:
        event = UsageEvent(
            source=self._source,
            account=str(credential.account),
            id=str(uuid_utils.uuid7()),
            time=format_instant(now),
            product=PRODUCT,
            requests=1,
        )
        try:
            taken = await services.ingest.record(self._source, [event])
        except Exception as error:  # whatever it is: the caller has his answer and must not hear of it
            self._miss(f"{type(error).__name__}: {error}")
            return
        services.metrics.events(taken)
        if not taken.stored:
            self._miss("; ".join(receipt.detail for receipt in taken.receipts))

    def _miss(self, why: str) -> None:
        self.missed += 1
        log.warning("call_not_metered", source=self._source, missed=self.missed, why=why)
