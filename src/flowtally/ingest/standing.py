"""Whether writing works, for whoever asks: what the last try came to, and how long the present one takes.

Owns the answer, not the trying. The committer says what happened and asks when it is time to try by itself: who is not
ready gets no requests, so the next one cannot be waited for. Read from any thread, written by the committer's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Final

from flowtally.core.errors import FlowtallyError, Settling

STUCK_S: Final = 15.0  # a block of the largest size takes a few seconds
TRY_EVERY_S: Final = 1.0
TRY_MOST_S: Final = 60.0
BOUNDS: Final = frozenset({"queue_full", "holds_full"})  # what one request met, and others need not


class WriterState:
    """`now` is a steady clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._began: float | None = None  # the turn under way
        self._wrote = False  # in this turn
        self._cause = ""  # the kind of what a store raised in it, where that has no meaning of its own
        self._fault: str | None = None
        self._tried_at = now()
        self._patience_s = 0.0  # until the next try; a store that passes a try and fails again is believed less quickly

    def why_not(self) -> str | None:
        """Why events cannot be stored now; None where they can, as far as the last try tells."""
        began, fault = self._began, self._fault
        if fault is None and began is not None and self._now() - began > STUCK_S:
            return f"a write has been under way for {self._now() - began:.0f} s"
        return fault

    def begins(self) -> None:
        """A turn at writing; where it ends nothing is under way."""
        self._began, self._wrote, self._cause = self._now(), False, ""

    def ends(self, refusals: Iterable[FlowtallyError], *, in_doubt: bool) -> None:
        """What the turn came to. A refusal that is the request's own fault says nothing about the next one; nor does
        one request that the store refuses where others were stored."""
        self._began = None
        ours = [one for one in refusals if one.status >= FlowtallyError.status and one.code not in BOUNDS]
        if self._wrote and not in_doubt:
            self._fault, self._patience_s = None, 0.0
        elif ours:
            self.fails(ours[-1])

    def wrote(self) -> None:
        """A block with rows was committed."""
        self._wrote = True

    def saw(self, error: Exception) -> None:
        """What a store raised in this turn: its kind is told, for its text may hold anything."""
        self._cause = "" if isinstance(error, FlowtallyError) else type(error).__name__

    def fails(self, error: Exception) -> None:
        """A block, or a try, came to nothing for a reason that the next would meet as well."""
        if self._fault is None:
            self._patience_s = min(TRY_MOST_S, max(TRY_EVERY_S, self._patience_s * 2))
        self._fault = self._told(error)
        self._tried_at = self._now()

    def should_try(self) -> bool:
        """Whether nothing was written lately and it is time to find out why."""
        return self._fault is not None and self._now() - self._tried_at >= self._patience_s

    def heals(self) -> None:
        """A try went well."""
        self._fault = None

    def _told(self, error: Exception) -> str:
        if isinstance(error, Settling):
            return "a write is being settled"
        told = error.detail if isinstance(error, FlowtallyError) else "a store failed"
        return f"{told} ({self._cause})" if self._cause else told
