"""What an account has left, by pool and grant."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.answers.account_balance import make_balance
from flowtally.api.as_of import EXAMPLE as AS_OF
from flowtally.api.as_of import AsOfText
from flowtally.api.grants import EXAMPLE as GRANT
from flowtally.core.edges import Instant, parse_instant
from flowtally.core.errors import AsOfGone, BadRange, NotYet, RowsCompacted, UnknownAccount
from flowtally.protocol import BalanceAnswer, PoolBalance
from flowtally.web.call import Call
from flowtally.web.operation import operation


class BalanceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: Annotated[
        Instant | None,
        Meta(description="The instant asked about (RFC 3339). Default: now.", examples=["2026-03-15T00:00:00Z"]),
    ] = None
    as_of: AsOfText = None


@operation(
    "GET",
    "/v1/accounts/{account}/balance",
    may="balance:read",
    summary="What an account has left",
    query=BalanceQuery,
    answer=BalanceAnswer,
    errors=(BadRange, NotYet, UnknownAccount, AsOfGone, RowsCompacted),
    example=BalanceAnswer(
        "acme",
        "2026-03-15T00:00:00Z",
        {
            "traffic": PoolBalance(
                unit="bytes",
                granted=100_000_000_000,
                spent=51_200,
                left=99_999_948_800,
                pending=0,
                expired=0,
                voided=0,
                overage=0,
                credit=0,
            )
        },
        [msgspec.structs.replace(GRANT, spent=51_200, left=99_999_948_800, state="active")],
        AS_OF,
    ),
)
def read_balance(call: Call, account: str, query: BalanceQuery) -> BalanceAnswer:
    """granted = spent + left + pending + expired + voided, in bytes or requests by the pool. `at` cuts event time with
    today's knowledge: use that arrived late is in it. In the future it tells what would be there if nothing more
    was used.

    `as_of` is yesterday's knowledge instead: use of blocks up to that moment, grants given and voided by then. The
    answer's `as_of` says of which moment it is."""
    if query.at is None:
        balances = call.services.balances
        return balances.balance(call.tx, call.usage, account, call.now, call.moment, tell_never_paid=True)
    return make_balance(call.tx, call.usage, account, instant_of(call, query), call.moment, tell_never_paid=True)


def instant_of(call: Call, query: BalanceQuery) -> int:
    """The instant asked about. BadRange."""
    return call.now if query.at is None else parse_instant(query.at)
