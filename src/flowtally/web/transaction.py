"""The one runner under both doors: the ledger transaction of a request, a native operation's or a dialect's.

    begin     what is fixed before the ledger is looked at: the last block, or the moment that was asked for
    clock     the instant of the work: of a write that of its turn, of a question that of its moment
    work      in the transaction, which is committed when it returns and rolled back when it raises
    effects   what the rest of the process hears before the answer, in the order of `Effect`

Owns this order, and what each effect does. Leaves to its callers who asks, what is asked and how it is answered.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from enum import Enum
from typing import Final, TypeVar

import msgspec

from flowtally.answers.moment import Begun, Moment
from flowtally.ledger.database import Tx
from flowtally.ledger.trail import Actor
from flowtally.usage.until_block import UntilBlock
from flowtally.usage.verbs import UsageReader
from flowtally.web.services import Services

T = TypeVar("T")


class Effect(Enum):
    """What a write changes that others of this process remember. They hear of it in this order."""

    CREDENTIALS = "credentials"  # one was made, changed or ended
    NAMES = "names"  # a user's name was given to somebody else, or to nobody
    PROMISES = "promises"  # something of an account was promised or taken back: follows every write of an account
    OPENING = "opening"  # events that wait for the account may count from now on
    PROVIDERS = "providers"  # one is to be asked, maybe at once
    SHADOWS = "shadows"  # a dialect's calls are asked of the vendor, too, or no longer
    ACTIONS = "actions"  # something is asked for that somebody may be waiting for
    WEBHOOKS = "webhooks"  # a message may be due
    ERASURES = "erasures"  # work is left that is finished after the commit; it must meet no names that were forgotten


HEARD: Final[Mapping[Effect, Callable[[Services, str], object]]] = {
    Effect.CREDENTIALS: lambda services, account: services.doorkeeper.forget(),
    Effect.NAMES: lambda services, account: services.ingest.forget_names(account),
    Effect.PROMISES: lambda services, account: services.ingest.gave(account),
    Effect.OPENING: lambda services, account: services.ingest.look_again(account),
    Effect.PROVIDERS: lambda services, account: services.providers.nudge(),
    Effect.SHADOWS: lambda services, account: services.shadowing.switches_changed(),
    Effect.ACTIONS: lambda services, account: services.waiting.wake(),
    Effect.WEBHOOKS: lambda services, account: services.deliverer.nudge(),
    Effect.ERASURES: lambda services, account: services.care.finish_erasures(),
}
OF_NO_ACCOUNT: Final = frozenset(
    {Effect.CREDENTIALS, Effect.WEBHOOKS, Effect.ERASURES}
)  # heard whoever is meant, or nobody


class Transaction(msgspec.Struct, frozen=True):
    """What the work stands in. `usage`: all use up to one block; `now`: the instant of what is written or answered;
    `moment`: that of the answer, where it tells one."""

    tx: Tx
    usage: UsageReader
    now: int
    moment: Moment | None = None


def ask(
    services: Services, work: Callable[[Transaction], T], *, as_of: str | None = None, tells_moment: bool = False
) -> T:
    """The work's answer to a question, of the present or of the moment `as_of`. What `Moments` raises."""
    begun = services.moments.begin(as_of)
    with services.ledger.read() as tx:
        return work(_reading(services, tx, begun, tells_moment=tells_moment))


def write(
    services: Services,
    actor: Actor,
    work: Callable[[Transaction], T],
    *,
    account: str | None = None,
    effects: Collection[Effect] = (),
) -> T:
    """The work's answer after it was committed. The effects follow whatever came of it: the outcome of a commit that
    fails may be unknown, and to forget too much costs a look. `account`: whose it is; `effects`: beside PROMISES.
    Nobody remembers anything of an account whose id is only made here."""
    heard = {*effects, Effect.PROMISES} if account else OF_NO_ACCOUNT.intersection(effects)
    try:
        with services.ledger.begin(actor) as tx:
            return work(_writing(services, tx))
    finally:
        for effect in Effect:
            if effect in heard:
                HEARD[effect](services, account or "")


def _writing(services: Services, tx: Tx) -> Transaction:
    """It may have waited for its turn: its instant and the use it sees are those of its transaction. Nobody else
    promises anything meanwhile, so the ledger is what it was when the last block came."""
    return Transaction(tx, UntilBlock(services.usage, services.usage.published()), services.clock.date())


def _reading(services: Services, tx: Tx, begun: Begun, *, tells_moment: bool) -> Transaction:
    moment = services.moments.hold(tx, begun) if tells_moment else None
    now = services.clock() if moment is None else moment.instant
    return Transaction(tx, UntilBlock(services.usage, begun.commit), now, moment)
