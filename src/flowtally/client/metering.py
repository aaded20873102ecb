"""What both meters do alike: write events down, tell refusals, keep the counters, and lose nothing when they end."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from flowtally.client.errors import ApiError, BufferFull, Undelivered
from flowtally.client.event_maker import EventMaker, Use, read_line
from flowtally.client.outbox import Batch, Counts, Limits, Outbox
from flowtally.client.spool import Spool
from flowtally.protocol import EventsAnswer, PlainEvent, Receipt

OnReceipt = Callable[[PlainEvent, Receipt], None]

_log = logging.getLogger("flowtally.client")
MOST_UNPAID: Final = 1000  # warnings of one meter


class Metering:
    """State of a meter, without its thread or task."""

    def __init__(
        self, source: str, limits: Limits | None, spool: str | Path | None, on_receipt: OnReceipt | None
    ) -> None:
        self._maker = EventMaker(source)
        self._limits = limits or Limits()
        self._outbox = Outbox(self._limits)
        self._on_receipt = on_receipt
        self._trouble: ApiError | None = None
        self._unpaid: set[tuple[str, ...]] = set()  # told already
        self._closed = ""  # why nothing is recorded any more
        self._spool = Spool(Path(spool)) if spool is not None else None
        self._leftover: Iterator[Batch] | None = None
        if self._spool is not None and self._spool.size_bytes:
            self._leftover = self._spool.batches(self._limits)

    @property
    def source(self) -> str:
        return self._maker.source

    @property
    def counts(self) -> Counts:
        return self._outbox.counts

    @property
    def trouble(self) -> ApiError | None:
        """Why events wait: the server's last refusal, None since its last receipts."""
        return self._trouble

    def _written(self, use: Use) -> tuple[str, bytes]:
        event = self._maker.event(use)
        return event.id, self._maker.line(event)

    def _full(self) -> BufferFull:
        counts = self._outbox.counts
        error = BufferFull(
            f"{counts.pending} events of source {self.source!r} wait for the server, as many as the buffer holds; "
            f"this one was not recorded"
        )
        error.__cause__ = self._trouble
        return error

    def _take_up_leftover(self) -> None:
        """Before anything new: what an earlier process left, a batch at a time; then its file is emptied."""
        if self._leftover is None or self._outbox.flying or self._spool is None:
            return
        try:
            batch = next(self._leftover, None)
            if batch is not None:
                self._outbox.resume(batch)
                return
            self._spool.clear()
        except OSError:
            _log.exception("the spool %s cannot be read or emptied; what is in it stays", self._spool.path)
        self._leftover = None

    def _tell(self, batch: Batch, answer: EventsAnswer) -> None:
        """Every refusal and conflict, to the caller's function or to the log; its failure changes nothing here. To the
        log, what nothing will pay, once for each account, pool and user."""
        self._warn_of_unpaid(answer)
        if self._on_receipt is None:
            self._warn(answer)
            return
        for event, receipt in batch.notable(answer):
            try:
                self._on_receipt(event, receipt)
            except Exception:
                _log.exception("on_receipt failed for event %s: %s %s", event.id, receipt.status, receipt.code)

    def _warn(self, answer: EventsAnswer) -> None:
        notable = [receipt for receipt in answer.receipts if receipt.status in ("conflict", "refused")]
        alike = Counter((receipt.status, receipt.code, receipt.detail) for receipt in notable)
        for (status, code, detail), count in alike.items():
            first = next(one.id for one in notable if (one.status, one.code, one.detail) == (status, code, detail))
            text = "%d events of source %r will not count, %s %s: %s (first: %s)"
            _log.warning(text, count, self.source, status, code, detail, first)

    def _warn_of_unpaid(self, answer: EventsAnswer) -> None:
        for one in answer.never_paid:
            whose = (one.account, one.user, one.pool, one.before)
            if whose not in self._unpaid and len(self._unpaid) < MOST_UNPAID:
                self._unpaid.add(whose)
                began = "the first grant" if one.began == "grant" else f"the {one.began}"
                text = "%d events of source %r are dated before %s, when %s of %r began: nothing will pay for them"
                _log.warning(text, one.events, self.source, one.before, began, one.account)

    def _settled(self, batch: Batch, answer: EventsAnswer) -> None:
        if self._trouble is not None:
            _log.info("source %r: the server takes events again", self.source)
        self._trouble = None
        self._outbox.settle(batch, answer)

    def _failed(self, batch: Batch, error: ApiError, now_s: float) -> EventsAnswer | None:
        if self._trouble is None or self._trouble.code != error.code:  # once per trouble, not once per attempt
            _log.warning("source %r: events wait, and are tried again: %s", self.source, error)
        self._trouble = error
        return self._outbox.failed(batch, error, now_s)

    def _end(self) -> None:
        """What has no receipt goes to the spool; without one, or if it cannot be written, Undelivered carries it."""
        lines = self._outbox.give_up()
        if self._leftover is not None and self._spool is not None:
            _log.warning("source %r: what is left in %s waits for the next start", self.source, self._spool.path)
        try:
            if lines:
                self._keep(lines)
        finally:
            if self._spool is not None:
                self._spool.close()

    def _keep(self, lines: list[bytes]) -> None:
        cause: Exception | None = self._trouble
        if self._spool is not None:
            try:
                self._spool.append(lines)
            except OSError as error:
                cause = error
            else:
                _log.warning("source %r: %d events wait in %s", self.source, len(lines), self._spool.path)
                return
        why = f": {cause}" if cause is not None else ": there was not enough time"
        detail = f"{len(lines)} events of source {self.source!r} have no receipt{why}"
        raise Undelivered(detail, len(lines), lambda: [read_line(line) for line in lines]) from cause

    def _forget_parent(self, why: str) -> None:
        """In a forked child: what waits is the parent's to send, and so is its spool."""
        self._outbox = Outbox(self._limits)
        self._trouble = None
        self._leftover = None
        if self._spool is not None:
            self._spool.close()
            self._spool = None
        self._closed = why or self._closed


def checked(batch: Batch, answer: EventsAnswer) -> EventsAnswer:
    """An answer that does not count every event once is no answer. ApiError `unexpected_answer`."""
    told = Counter(receipt.status for receipt in answer.receipts if 0 <= receipt.index < len(batch))
    counted = answer.stored + answer.duplicate + answer.conflict + answer.refused
    if counted != len(batch) or told["conflict"] != answer.conflict or told["refused"] != answer.refused:
        raise ApiError("unexpected_answer", 200, f"sent {len(batch)} events, the answer counts {counted}")
    return answer
