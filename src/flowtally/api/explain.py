"""How a balance came about."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.answers.explain import DEFAULT_TOP, MAX_TOP, make_explanation, make_user_explanation
from flowtally.api.as_of import EXAMPLE as AS_OF
from flowtally.api.as_of import AsOfText
from flowtally.api.grants import EXAMPLE as GRANT
from flowtally.core.edges import Instant, parse_instant
from flowtally.core.errors import AsOfGone, BadRange, NotYet, RowsCompacted, UnknownAccount, UnknownUser
from flowtally.protocol import (
    Behind,
    ExplainAnswer,
    GrantExplained,
    Paid,
    PoolBalance,
    PoolExplained,
    SpanExplained,
)
from flowtally.web.call import Call
from flowtally.web.operation import operation


class ExplainQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: Annotated[
        Instant | None,
        Meta(description="The instant asked about (RFC 3339). Default: now.", examples=["2026-03-15T00:00:00Z"]),
    ] = None
    as_of: AsOfText = None
    top: Annotated[
        int, Meta(description="How many rows to show of each of the five largest spans of a pool.", ge=0, le=MAX_TOP)
    ] = DEFAULT_TOP


_ROW = Behind(
    kind="use",
    source="gateway-1",
    id="0199f2c4-7b3a-7c11-a1f0-b2c3d4e5f607",
    corrects=None,
    time="2026-03-01T12:00:00Z",
    received_at="2026-03-01T12:00:01.500Z",
    user="alice",
    user_id="usr_0199f2c47b3a7c11a1f0b2c3d4e5f607",
    product="residential",
    amount=51_200,
    reason="",
    block=12,
)
_SPAN = SpanExplained(
    start="2026-03-01T00:00:00Z",
    end="2026-03-15T00:00:00Z",
    used=51_200,
    events=51_200,
    corrections=0,
    adjustments=0,
    rows=1,
    paid=[Paid("2026-03-01T00:00:00Z", 51_200, grant=GRANT.id)],
    unpaid=[],
    credit=0,
    largest=[_ROW],
)


EXAMPLE = ExplainAnswer(
    "acme",
    "2026-03-15T00:00:00Z",
    12,
    {
        "traffic": PoolExplained(
            balance=PoolBalance(
                unit="bytes",
                granted=100_000_000_000,
                spent=51_200,
                left=99_999_948_800,
                pending=0,
                expired=0,
                voided=0,
                overage=0,
                credit=0,
            ),
            used=51_200,
            drawn=0,
            forgiven=0,
            overage_before_carry=0,
            grants=[
                GrantExplained(
                    msgspec.structs.replace(GRANT, spent=51_200, left=99_999_948_800, state="active"),
                    99_999_948_800,
                    [Paid("2026-03-01T00:00:00Z", 51_200, start=_SPAN.start, end=_SPAN.end)],
                )
            ],
            spans=[_SPAN],
            draws=[],
        )
    },
    as_of=AS_OF,
)


@operation(
    "GET",
    "/v1/accounts/{account}/explain",
    may="balance:read",
    summary="How a balance came about",
    query=ExplainQuery,
    answer=ExplainAnswer,
    errors=(BadRange, NotYet, UnknownAccount, AsOfGone, RowsCompacted),
    example=EXAMPLE,
)
def explain_balance(call: Call, account: str, query: ExplainQuery) -> ExplainAnswer:
    """The balance at `at` taken apart, grant by grant and span by span, adding up to its figures exactly: time is cut
    where a grant starts or ends; what was used between two such instants is split into events, corrections and
    adjustments, and into what each grant paid and what nothing paid. `block` is the last commit that is in it."""
    at = call.now if query.at is None else parse_instant(query.at)
    return make_explanation(call.tx, call.usage, account, at, query.top, call.moment)


@operation(
    "GET",
    "/v1/accounts/{account}/users/{user}/explain",
    may="balance:read",
    summary="How a user's balance came about",
    query=ExplainQuery,
    answer=ExplainAnswer,
    errors=(BadRange, NotYet, UnknownAccount, UnknownUser, AsOfGone, RowsCompacted),
    example=msgspec.structs.replace(EXAMPLE, user=_ROW.user, user_id=_ROW.user_id),
)
def explain_user_balance(call: Call, account: str, user: str, query: ExplainQuery) -> ExplainAnswer:
    """The same of a funded user's own balances, adding up to the figures of its balance. Its grants are what was
    allocated to it, less what was taken back (`source` is `allocation`). The account pays for all other users: they
    have no pools."""
    at = call.now if query.at is None else parse_instant(query.at)
    return make_user_explanation(call.tx, call.usage, account, user, at, query.top, call.moment)
