"""What moved whose past, in the order of commits."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.answers.changes import BEGINNING, KIND, Place, make_changes
from flowtally.core.cursors import Walk
from flowtally.core.edges import Instant
from flowtally.core.errors import BadRange, CursorGone, RowsCompacted, UnknownAccount
from flowtally.ledger.installation import read_installation
from flowtally.ledger.pages import DEFAULT_LIMIT, MAX_LIMIT
from flowtally.ledger.people import accounts
from flowtally.protocol import Change, ChangesAnswer
from flowtally.web import auth
from flowtally.web.call import Call
from flowtally.web.operation import operation


class ChangesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    since: Annotated[
        str,
        Meta(
            description="`next` of an earlier answer, as it is and for the same `account`, or an instant (RFC 3339): "
            "all that was received from it on. Default: from the beginning. After a restore a `next` from before it is "
            "refused (410 `cursor_gone`): begin again from an instant.",
            examples=["2026-03-14T00:00:00Z"],
        ),
    ] = BEGINNING
    account: Annotated[
        str | None, Meta(description="Only this account. An account credential sees its own only.", examples=["acme"])
    ] = None
    late_before: Annotated[
        Instant | None,
        Meta(
            description="Use dated before this instant counts as `late`. Default: the instant `since` stands for; "
            "further pages keep that of the first.",
            examples=["2026-03-14T00:00:00Z"],
        ),
    ] = None
    limit: Annotated[int, Meta(description="How many changes an answer has at most.", ge=1, le=MAX_LIMIT)] = (
        DEFAULT_LIMIT
    )


@operation(
    "GET",
    "/v1/changes",
    may="changes:read",
    narrows=True,
    summary="What changed since",
    query=ChangesQuery,
    answer=ChangesAnswer,
    errors=(BadRange, UnknownAccount, RowsCompacted, CursorGone),
    example=ChangesAnswer(
        "2026-03-14T00:00:00Z",
        [
            Change(
                block=4711,
                received_at="2026-03-14T08:00:00Z",
                series="metered",
                account="acme",
                use=120,
                late=20,
                corrections=0,
                adjustments=0,
                earliest="2026-03-01T12:00:00Z",
                latest="2026-03-14T07:59:59Z",
                bytes_up=1200,
                bytes_down=50_000,
                bytes=51_200,
                requests=120,
                flags={"restarted": 1},
            )
        ],
        Walk(KIND, "", (None,)).cursor(Place(4711)),
        False,
    ),
)
def read_changes(call: Call, query: ChangesQuery) -> ChangesAnswer:
    """One item per commit and account, in the order of commits: what kinds of rows came, from when to when they are
    dated, and what they add. Corrections, adjustments and `late` use are what moved the past. To follow, ask again with
    `since` = `next`: at once while there are `more`, else now and then."""
    account = query.account or call.credential.account
    if account is not None:
        auth.require_account(call.credential, account)
        accounts.read_account(call.tx, account)
    return make_changes(
        call.services.usage,
        query.since,
        generation=read_installation(call.tx).generation,
        account=account,
        late_before=query.late_before,
        limit=query.limit,
    )
