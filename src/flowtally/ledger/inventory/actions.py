"""Actions: what a holder asks of the server it leases, and what the operator's machinery made of it.

A request has a state, which is what is known: `requested`, `taken` by whoever does it, `done` or `failed` as that one
says, or `expired`, because nobody said anything in time or the lease is over. Nothing is ever done here. An end is an
instant, so nothing has to happen for it. Who was asked about a server before must not touch it for the next holder: an
action ends with its lease.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, and_, case, func, insert, or_, select, update

from flowtally.core.errors import ActionOver, ActionTaken, LeaseEnded, NotFound
from flowtally.core.texts import may_be_known
from flowtally.core.words import ActionOutcome, ActionState
from flowtally.ledger import trail
from flowtally.ledger.ids import new_id
from flowtally.ledger.inventory.leases import StockLease, read_held
from flowtally.ledger.inventory.stock import check_kind
from flowtally.ledger.pages import DEFAULT_LIMIT, ListPage, read_page
from flowtally.ledger.people.accounts import read_active_account
from flowtally.ledger.tables import actions, leases
from flowtally.ledger.texts import check_number, check_text

LEAST_MS: Final = 10_000  # how long a request stands at least, and at most
MOST_MS: Final = 7 * 86_400_000
MAX_DETAIL_CHARS: Final = 500


class ServerAction(msgspec.Struct, frozen=True):
    """what: `restart`, or another word that the operator's machinery knows. over_at: It is expired from then on, unless
    it was answered before. taken_by: The credential of whoever does it. detail: In the words of whoever did it."""

    id: str
    account: str
    lease_id: str
    stock_id: str
    what: str
    requested_at: int
    over_at: int
    taken_at: int | None
    taken_by: str
    answered_at: int | None
    outcome: ActionOutcome | None
    detail: str

    def state(self, at: int) -> ActionState:
        if self.outcome is not None:
            return self.outcome
        if self.over_at <= at:
            return "expired"
        return "requested" if self.taken_at is None else "taken"


_A: Final = actions.c
_OVER: Final = case(
    (and_(leases.c.released_at.is_not(None), leases.c.released_at < _A.expires_at), leases.c.released_at),
    else_=_A.expires_at,
)
COLUMNS: Final = (
    *(_A.id, _A.account, _A.lease_id, _A.stock_id, _A.what, _A.requested_at, _OVER.label("over_at"), _A.taken_at),
    *(_A.taken_by, _A.answered_at, _A.outcome, _A.detail),
)


def request_action(tx: Connection, account: str, lease_id: str, what: str, *, now: int, lasts_ms: int) -> ServerAction:
    """Ask for it. One of the same that is not over yet is answered instead: what is asked for twice happens once.
    UnknownAccount, AccountSuspended, Conflict (closed), NotFound, LeaseEnded, Unprocessable."""
    read_active_account(tx, account)
    lease = read_active_lease(tx, account, lease_id, now)
    check_kind(what)
    check_number("expires_in_s", lasts_ms // 1000, least=LEAST_MS // 1000, most=MOST_MS // 1000)
    same = _select().where(_A.lease_id == lease.id, _A.what == what, _is_open(now))
    if (row := tx.execute(same.order_by(_A.id).limit(1)).first()) is not None:
        return make_action(*row)
    until = now + lasts_ms if lease.ends_at is None else min(now + lasts_ms, lease.ends_at)
    made = ServerAction(
        new_id("act_"), account, lease.id, lease.stock_id, what, now, until, None, "", None, None, ""
    )  # fmt: skip
    row_of = msgspec.structs.asdict(made)
    row_of |= {"expires_at": row_of.pop("over_at"), "outcome": ""}
    tx.execute(insert(actions).values(row_of))
    trail.note(tx, "action.request", account=account, subject=made.id, after=_facts(made))
    return made


def take_action(tx: Connection, action_id: str, *, by: str, now: int) -> ServerAction:
    """It is done by this credential, and by nobody else. A second time changes nothing. NotFound, ActionTaken,
    ActionOver."""
    before = _open(tx, action_id, by, now)
    if before.taken_at is not None:
        return before
    tx.execute(update(actions).where(_A.id == before.id).values(taken_at=now, taken_by=by))
    after = msgspec.structs.replace(before, taken_at=now, taken_by=by)
    trail.note(tx, "action.take", account=after.account, subject=after.id, before=_facts(before), after=_facts(after))
    return after


def answer_action(
    tx: Connection, action_id: str, outcome: ActionOutcome, *, by: str, now: int, detail: str = ""
) -> ServerAction:
    """What became of it. The same again changes nothing. NotFound; ActionTaken, where another one does it; ActionOver,
    where it expired or was answered otherwise; Unprocessable."""
    check_text("detail", detail, most=MAX_DETAIL_CHARS)
    before = read_action(tx, action_id)
    if before.outcome is not None and (before.outcome, before.taken_by) == (outcome, by):
        return before
    before = _open(tx, action_id, by, now)
    taken_at = now if before.taken_at is None else before.taken_at
    said = {"taken_at": taken_at, "taken_by": by, "answered_at": now, "outcome": outcome, "detail": detail}
    tx.execute(update(actions).where(_A.id == before.id).values(said))
    after = msgspec.structs.replace(before, **said)
    trail.note(tx, "action.answer", account=after.account, subject=after.id, before=_facts(before), after=_facts(after))
    return after


def read_action(tx: Connection, action_id: str) -> ServerAction:
    """NotFound when there is none."""
    row = None
    if may_be_known(action_id):
        row = tx.execute(_select().where(_A.id == action_id)).one_or_none()
    if row is None:
        raise NotFound(f"there is no action {action_id!r}", action=action_id)
    return make_action(*row)


def list_actions(
    tx: Connection,
    after: str | None = None,
    limit: int = DEFAULT_LIMIT,
    *,
    at: int,
    state: ActionState | None = None,
    lease: StockLease | None = None,
) -> ListPage[ServerAction]:
    """In the order they were asked for: of everybody, or of one lease; `state` as it is at that instant."""
    query = _select()
    if lease is not None:
        query = query.where(_A.lease_id == lease.id)
    if state is not None:
        query = query.where(_in_state(state, at))
    asked = (None if lease is None else lease.id, state)
    return read_page(tx, "actions", query, _A.id, make_action, asked, after=after, limit=limit)


def count_requested(tx: Connection, at: int) -> int:
    """How many nobody took yet."""
    query = select(func.count()).select_from(actions).join(leases, leases.c.id == _A.lease_id)
    return int(tx.execute(query.where(_in_state("requested", at))).scalar_one())


def read_active_lease(tx: Connection, account: str, lease_id: str, at: int) -> StockLease:
    """The lease of that account, which lasts. NotFound, LeaseEnded."""
    lease = read_held(tx, account, lease_id).lease
    if lease.state(at) != "active":
        raise LeaseEnded(f"lease {lease.id} does not last any more", lease=lease.id)
    return lease


def make_action(*row: Any) -> ServerAction:
    """Of COLUMNS."""
    action = ServerAction(*row)
    return action if action.outcome else msgspec.structs.replace(action, outcome=None)


def _select() -> Any:
    return select(*COLUMNS).join(leases, leases.c.id == _A.lease_id)


def _open(tx: Connection, action_id: str, by: str, now: int) -> ServerAction:
    """One that this credential may still take and answer."""
    found = read_action(tx, action_id)
    state = found.state(now)
    if state not in ("requested", "taken"):
        raise ActionOver(f"action {found.id} is {state} already", action=found.id, status=state)
    if found.taken_at is not None and found.taken_by != by:
        raise ActionTaken(f"action {found.id} was taken by {found.taken_by}", action=found.id)
    return found


def _in_state(state: ActionState, at: int) -> ColumnElement[bool]:
    """As `ServerAction.state`."""
    if state in ("done", "failed"):
        return _A.outcome == state
    if state == "expired":
        return and_(_A.outcome == "", ~_is_open(at))
    return and_(_is_open(at), _A.taken_at.is_(None) if state == "requested" else _A.taken_at.is_not(None))


def _is_open(at: int) -> ColumnElement[bool]:
    """Whether it may still be answered."""
    leased = or_(leases.c.released_at.is_(None), leases.c.released_at > at)
    return and_(_A.outcome == "", _A.expires_at > at, leased)


def _facts(one: ServerAction) -> dict[str, Any]:
    return trail.facts(one, "detail")
