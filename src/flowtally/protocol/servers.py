"""Actions on servers that are leased, and the users that are bound to a lease."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant
from flowtally.core.words import ActionOutcome, ActionState

ACTION_S = 3600  # how long a request stands unless it says otherwise


class ActionRequest(msgspec.Struct, forbid_unknown_fields=True):
    """What is asked of a server.

    what: `restart`, or another word that the operator's machinery knows: 1 to 64 small letters, digits, `_` and `-`.
    expires_in_s: For how many seconds the request stands, at most until the end of the lease.
    """

    what: str = "restart"
    expires_in_s: Annotated[int, Meta(ge=10, le=604_800)] = ACTION_S


class ActionResult(msgspec.Struct, forbid_unknown_fields=True):
    """What became of an action.

    outcome: `done` only if it was.
    detail: What there is to say about it, for people.
    """

    outcome: ActionOutcome
    detail: Annotated[str, Meta(max_length=500)] = ""


class ActionAnswer(msgspec.Struct, frozen=True):
    """What a holder asked of its server, and what became of it.

    lease: The id of the lease.
    server: The id of the server, which is that of the item in stock.
    what: `restart`, or another word.
    status: `requested`: nobody took it yet. `taken`: somebody does it. `done`, `failed`: as whoever did it says.
        `expired`: nobody said in time what became of it, or the lease ended.
    requested_at: When it was asked for.
    expires_at: From then on it is expired, unless it is answered before.
    taken_at: When somebody took it; null before that.
    answered_at: When it was answered; null before that.
    """

    id: str
    account: str
    lease: str
    server: str
    what: str
    status: ActionState
    requested_at: Instant
    expires_at: Instant
    taken_at: Instant | None
    answered_at: Instant | None
    detail: str


class BoundUserAnswer(msgspec.Struct, frozen=True):
    """A user that may use what is leased.

    bound_at: When it was bound.
    """

    user: str
    user_id: str
    bound_at: Instant
