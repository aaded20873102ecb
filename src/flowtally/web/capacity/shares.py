"""What one credential may have in work, and what one account may use up: so that the others are answered, too.

Owns both bounds, for native routes and dialects alike. A credential has at most so many requests in work at a time;
what sends events is counted apart from what reads, so that no dashboard keeps a gateway from storing. So it is for all
credentials of an account together: who holds many does not take the places of the others. An account has a budget in
seconds of the server's work: what its requests took is taken off when they are done, and its share of the machine comes
back as time goes by. Who stands below zero is refused until it does not, and told when that is. Events cost nothing
here: their bound is the committer's queue.

What belongs to the installation (credentials of no account) has a share of its own. Everything is in memory and
bounded: who is forgotten begins with a full budget.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any, Final

import msgspec

from flowtally.config import Config
from flowtally.core.errors import BudgetUsed, RateLimited, TooManyAtOnce
from flowtally.core.tallies import tally
from flowtally.ledger.people.credentials import Credential
from flowtally.web.capacity.cost import processors
from flowtally.web.capacity.lent import Lent

REMEMBERED: Final = 10_000  # accounts
INSTALLATION: Final = ""  # the account of credentials that have none
SOON_S: Final = 1
READS_PART: Final = 4  # of the places for requests in work: those that one account may read from
SENDS_PART: Final = 2  # the same for sending; together they leave some to the others


class Rule(msgspec.Struct, frozen=True):
    """Requests in work of one credential (0: any number); seconds of work per second that come back to an account
    (0: no budget), and how many it can save up; requests in work of one account, whatever credentials it has (0: any
    number)."""

    at_once: int
    sends_at_once: int
    account_rate: float
    installation_rate: float
    saved_s: float
    account_at_once: int = 0
    account_sends_at_once: int = 0

    @classmethod
    def of(cls, config: Config) -> Rule:
        cores = processors()
        return cls(
            config.max_requests_per_credential,
            config.max_sends_per_credential,
            config.account_share_percent * cores / 100,
            config.installation_share_percent * cores / 100,
            config.budget_saved_s,
            max(1, config.max_requests // READS_PART),
            max(1, config.max_requests // SENDS_PART),
        )


class _Budget(msgspec.Struct):
    """What was left at an instant of `clock`."""

    left: float
    at: float


class Shares:
    """Of one server; safe to use from any thread. `clock` gives seconds that only go forward; `refused` is told the
    code of each refusal."""

    def __init__(
        self,
        rule: Rule,
        refused: Callable[[str], None] = lambda code: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rule = rule
        self._refused = refused
        self._clock = clock
        self._lock = threading.Lock()
        self._in_work: Counter[tuple[str, bool]] = Counter()  # by credential, and whether it sends
        self._of_account: Counter[tuple[str, bool]] = Counter()
        self._budgets: dict[str, _Budget] = {}  # by account, the one longest untouched first

    def admit(self, credential: Credential, *, sends: bool = False) -> Lent[None]:
        """Count a request in work to the end of the block. TooManyAtOnce and BudgetUsed, not counted."""
        return Lent(partial(self._admit, credential, sends), partial(self._leave, credential, sends))

    def _admit(self, credential: Credential, sends: bool) -> None:
        try:
            if not sends:
                self.check_budget(credential)
            self._enter(credential, sends)
        except RateLimited as error:
            self._refused(error.code)
            raise

    def check_budget(self, credential: Credential) -> None:
        """BudgetUsed where the credential's account has used more than its share."""
        account = credential.account or INSTALLATION
        rate = self._rate(account)
        with self._lock:
            left = self._left(account, rate)
        if left < 0:
            wait_s = max(SOON_S, int(-left / rate) + 1)
            whose = f"The account {account!r}" if account else "The installation's own credentials"
            raise BudgetUsed(
                f"{whose} used {-left:.1f} s of the server's work more than the share of {rate:g} s a second; again in"
                f" {wait_s} s",
                retry_after_s=wait_s,
            )

    def charge(self, account: str | None, seconds: float) -> None:
        """What a request of the account took, once it is known."""
        account = account or INSTALLATION
        if not (rate := self._rate(account)):
            return
        with self._lock:
            self._budgets[account] = _Budget(self._left(account, rate) - seconds, self._clock())
            if len(self._budgets) > REMEMBERED:
                del self._budgets[next(iter(self._budgets))]

    def measures(self) -> dict[str, Any]:
        """Gauges for /metrics."""
        with self._lock:
            waiting = [(self._rate(account), account) for account in self._budgets]
            below = sum(self._peek(account, rate) < 0 for rate, account in waiting if rate)
            return {"requests_in_work": sum(self._in_work.values()), "accounts": len(self._budgets), "used_up": below}

    def _rate(self, account: str) -> float:
        return self._rule.account_rate if account else self._rule.installation_rate

    def _left(self, account: str, rate: float) -> float:
        """What is left now; the account is the one touched last."""
        left = self._peek(account, rate)
        if (mine := self._budgets.pop(account, None)) is not None:
            self._budgets[account] = mine
        return left

    def _peek(self, account: str, rate: float) -> float:
        mine = self._budgets.get(account)
        if mine is None:
            return self._rule.saved_s
        return min(self._rule.saved_s, mine.left + (self._clock() - mine.at) * rate)

    def _enter(self, credential: Credential, sends: bool) -> None:
        rule, account = self._rule, credential.account
        limit, together = (
            (rule.sends_at_once, rule.account_sends_at_once) if sends else (rule.at_once, rule.account_at_once)
        )
        with self._lock:
            _check(f"The credential {credential.id}", self._in_work[credential.id, sends], limit, sends)
            if account:
                _check(f"The account {account!r}", self._of_account[account, sends], together, sends)
                tally(self._of_account, (account, sends), 1)
            tally(self._in_work, (credential.id, sends), 1)

    def _leave(self, credential: Credential, sends: bool) -> None:
        with self._lock:
            tally(self._in_work, (credential.id, sends), -1)
            if credential.account:
                tally(self._of_account, (credential.account, sends), -1)


def _check(whose: str, mine: int, limit: int, sends: bool) -> None:
    if limit and mine >= limit:
        what = "requests that send events" if sends else "requests"
        raise TooManyAtOnce(
            f"{whose} has {mine} {what} in work already; at most {limit} at a time", retry_after_s=SOON_S
        )
