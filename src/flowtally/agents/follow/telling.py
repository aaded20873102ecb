"""What is told of one log, in which words: each trouble once, until it is over."""

from __future__ import annotations

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.event_log import EventLog, Level
from flowtally.agents.follow.patience import is_foreseen
from flowtally.agents.position import Position
from flowtally.agents.report import Tally
from flowtally.protocol import EventsAnswer

MORE = "counted, not told"
ADVICE = "copytruncate loses what is written between the copy and the cut: use create"


class Telling:
    def __init__(self, log: str, event_log: EventLog, counts: LineCounts) -> None:
        self._log = log
        self._event_log = event_log
        self._counts = counts

    def lines(self, tally: Tally, before: tuple[int, int, dict[str, int]]) -> None:
        """Lines were read; `before` is (lines, skipped, reasons) of the tally as it was."""
        counts = self._counts
        counts.lines += tally.lines - before[0]
        counts.skipped += tally.skipped - before[1]
        for reason, count in tally.reasons.items():
            if new := count - before[2].get(reason, 0):
                counts.unreadable[reason] = counts.unreadable.get(reason, 0) + new
                self._unreadable(tally, reason)

    def _unreadable(self, tally: Tally, reason: str) -> None:
        first = next((one for one in tally.first_unreadable if one.reason == reason), None)
        self._event_log.once(
            ("unreadable", self._log, reason), "unreadable_line", log=self._log, reason=reason,
            line=first and first.line, detail=first and first.detail, text=first and first.excerpt, more=MORE,
        )  # fmt: skip

    def refused(self, answer: EventsAnswer) -> None:
        for receipt in answer.receipts[:100]:
            if receipt.status in ("refused", "conflict"):
                self._event_log.once(
                    ("refused", self._log, receipt.code), "held" if receipt.retriable else "refused", log=self._log,
                    code=receipt.code, detail=receipt.detail, more=MORE,
                )  # fmt: skip
        for one in answer.never_paid:
            self._event_log.once(
                ("never_paid", self._log, one.account, one.pool, one.user), "never_paid", log=self._log,
                account=one.account, pool=one.pool, user=one.user, events=one.events, first=one.first,
                before=one.before, began=one.began, detail="dated before anything that could pay for it began",
                more=MORE,
            )  # fmt: skip

    def options(self, source: str, position: Position, were: str, now: str) -> None:
        self._event_log.once(
            ("options", source), "options_changed", log=self._log, source=source, after_line=position.lines, were=were,
            now=now,
        )  # fmt: skip

    def went_back(self, source: str, from_byte: int, to_byte: int) -> None:
        self._event_log.warn("server_went_back", log=self._log, source=source, from_byte=from_byte, to_byte=to_byte)

    def another_sender(self, source: str) -> None:
        self._event_log.once(
            ("other", source), "another_sender", log=self._log, source=source,
            detail="somebody else sends the lines of this log, too: each counts once",
        )  # fmt: skip

    def failed(self, source: str, event: str, error: Exception) -> None:
        level: Level = "warning" if is_foreseen(error) else "error"
        self._event_log.once(("failed", source), event, log=self._log, source=source, detail=error, level=level)

    def going_on(self, source: str) -> None:
        self._event_log.over(("failed", source), "going_on", log=self._log, source=source)

    def cut(self, path: str, at_byte: int, last: str, error: Exception) -> None:
        """`last`: the instant of the last event that was read of it."""
        self._counts.cuts += 1
        self._event_log.once(
            ("cut", self._log), "log_was_cut", log=self._log, path=path, at_byte=at_byte, read_until=last,
            detail=error, advice=ADVICE,
        )  # fmt: skip

    def no_copy(self, source: str) -> None:
        self._event_log.warn(
            "copy_not_found", log=self._log, source=source,
            detail="the log was cut, and no copy of what it held is there: what was not read by then is lost",
        )  # fmt: skip

    def same_first_line(self, path: str, other: str) -> None:
        self._event_log.once(
            ("same", path), "same_first_line", log=self._log, path=path, other=other,
            detail="two logs that begin alike cannot be told apart: give each a [[log]] of its own",
        )  # fmt: skip

    def half_line(self, path: str, size_bytes: int) -> None:
        self._event_log.once(
            ("half", path), "half_line", log=self._log, path=path, bytes=size_bytes,
            detail="its last line has no newline, and nothing was written for a minute: it waits for the rest",
        )  # fmt: skip

    def trouble(self, kind: str, event: str, path: str, detail: object) -> None:
        """`kind` is what `over` is told when it has passed."""
        self._event_log.once((kind, path), event, log=self._log, path=path, detail=detail)

    def over(self, kind: str, path: str, event: str = "") -> None:
        self._event_log.over((kind, path), event, log=self._log, path=path)
