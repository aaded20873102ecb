"""What an account has left, by pool and grant."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally import auth
from flowtally.api.call import Call
from flowtally.api.grants import EXAMPLE as GRANT
from flowtally.api.operation import operation
from flowtally.balance import make_balance
from flowtally.edges import parse_instant
from flowtally.errors import BadRange, NotYet, RolledUp, UnknownAccount
from flowtally.moment import Moment, find_moment
from flowtally.protocol import BalanceAnswer, PoolBalance


class BalanceQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    at: Annotated[
        str | None,
        Meta(description="The instant asked about (RFC 3339). Default: now.", examples=["2026-03-15T00:00:00Z"]),
    ] = None
    as_of: Annotated[
        str | None,
        Meta(
            description="The balance as it stood at a past commit: the number of a block, or an instant of receipt "
            "(RFC 3339). `at` defaults to that instant then.",
            examples=["2026-03-14T00:00:00Z"],
        ),
    ] = None


@operation(
    "GET",
    "/v1/accounts/{account}/balance",
    may=auth.READERS,
    summary="What is left",
    query=BalanceQuery,
    answer=BalanceAnswer,
    errors=(BadRange, NotYet, UnknownAccount, RolledUp),
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
    ),
)
def read_balance(call: Call, account: str, query: BalanceQuery) -> BalanceAnswer:
    """granted = spent + left + pending + expired + voided, in bytes or requests by the pool. `at` cuts event time with
    today's knowledge: use that arrived late is in it. In the future it tells what would be there if nothing more
    was used.

    `as_of` is yesterday's knowledge instead: use of blocks up to that moment, grants given and voided by then. The
    answer's `as_of` says which block and instant it used."""
    at, moment = when_of(call, query)
    return make_balance(call.tx, call.house.usage, account, at, moment)


def when_of(call: Call, query: BalanceQuery) -> tuple[int, Moment | None]:
    """The instant asked about, and as of which past moment. BadRange, NotYet."""
    moment = None if query.as_of is None else find_moment(call.house.usage, query.as_of, call.now)
    default = call.now if moment is None else moment.instant
    return default if query.at is None else parse_instant(query.at), moment
