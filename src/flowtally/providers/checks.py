"""Test calls at vendors and webhooks: so many at a time, on threads of their own, each within its time.

Whoever asks for one waits as long as the vendor takes. So that a slow vendor takes no thread that answers anybody else,
an account has one under way, and all accounts together a few.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final, TypeVar

from flowtally.core.errors import Overloaded, TooManyAtOnce

T = TypeVar("T")

AT_ONCE: Final = 4
CHECK_S: Final = 60  # of all calls of one
AGAIN_S: Final = 10


class Checks:
    """Safe to use from any thread. Threads are made when they are needed."""

    def __init__(self, of: str = "providers") -> None:
        self._of = of
        self._pool = ThreadPoolExecutor(AT_ONCE, f"check {of}")
        self._lock = threading.Lock()
        self._accounts: set[str] = set()

    def begin(self, account: str, work: Callable[[], T]) -> Future[T]:
        """What the work gives, in a thread. TooManyAtOnce, Overloaded. A place is given back when the work ends, also
        where nobody waits for it any more."""
        self._enter(account)
        try:
            begun = self._pool.submit(work)
        except BaseException:
            self._leave(account)
            raise
        begun.add_done_callback(lambda _: self._leave(account))
        return begun

    def _enter(self, account: str) -> None:
        with self._lock:
            if account in self._accounts:
                raise TooManyAtOnce(
                    f"The account {account!r} has a check under way already; one at a time", retry_after_s=AGAIN_S
                )
            if (count := len(self._accounts)) >= AT_ONCE:
                raise Overloaded(
                    f"{count} checks of {self._of} are under way, as many as may be", retry_after_s=AGAIN_S
                )
            self._accounts.add(account)

    def _leave(self, account: str) -> None:
        with self._lock:
            self._accounts.discard(account)

    def close(self) -> None:
        """When what is under way was told to end."""
        self._pool.shutdown(wait=True, cancel_futures=True)
