"""Closing a period of an account, and what came into closed periods afterwards."""

from __future__ import annotations

from flowtally.answers.periods import Closing, plan_closing, show_period
from flowtally.answers.periods import close_period as keep
from flowtally.answers.periods import read_open_period as read_open
from flowtally.answers.periods import read_period as read
from flowtally.api.as_of import EXAMPLE as AS_OF
from flowtally.api.as_of import AsOfQuery, AsOfText
from flowtally.api.grants import EXAMPLE as GRANT
from flowtally.core.errors import (
    AsOfGone,
    BadRange,
    Conflict,
    NotFound,
    NotYet,
    PeriodOverlap,
    RowsCompacted,
    UnknownAccount,
)
from flowtally.funding.user_funds import require_countable
from flowtally.ledger.pages import ListPage
from flowtally.ledger.traffic import periods as ledger
from flowtally.protocol import (
    OpenPeriodAnswer,
    PeriodAdjustment,
    PeriodAdjustments,
    PeriodAnswer,
    PeriodChange,
    PeriodChanges,
    PeriodDetailAnswer,
    PeriodRequest,
    PeriodStatement,
    PoolBalance,
    PoolTotals,
    ProductTotals,
    Totals,
)
from flowtally.web.call import Call
from flowtally.web.lists import PageQuery, show_page
from flowtally.web.operation import Listed, operation

EXAMPLE = PeriodAnswer(
    id="per_0199f2c47b3a7c11a1f0b2c3d4e5f608",
    account="acme",
    number=1,
    start="2026-03-01T00:00:00+01:00",
    end="2026-04-01T00:00:00+02:00",
    timezone="Europe/Berlin",
    block=4711,
    closed_at="2026-04-02T08:00:00Z",
    statement=PeriodStatement(
        products=[ProductTotals("residential", "traffic", 1200, 50_000, 51_200, 1)],
        pools=[PoolTotals("traffic", "bytes", 51_200, 51_200, 1)],
        total=Totals(1200, 50_000, 51_200, 1),
        balance={"traffic": PoolBalance("bytes", 100_000_000_000, 51_200, 99_999_948_800, 0, 0, 0, 0, 0)},
        grants=[GRANT],
        adjustments=[],
    ),
)
LATE = ProductTotals("residential", "traffic", 0, 800, 800, 2)
DETAIL = PeriodDetailAnswer(
    as_of=AS_OF,
    **{name: getattr(EXAMPLE, name) for name in PeriodAnswer.__struct_fields__},
    adjustments=PeriodAdjustments(
        until_block=4800,
        products=[LATE],
        pools=[PoolTotals("traffic", "bytes", 800, 800, 2)],
        total=Totals(0, 800, 800, 2),
        changes=PeriodChanges(
            [
                PeriodChange(
                    block=4790,
                    received_at="2026-04-03T10:00:00Z",
                    start="2026-03-31T00:00:00+02:00",
                    end="2026-04-01T00:00:00+02:00",
                    rows=2,
                    bytes_up=0,
                    bytes_down=800,
                    bytes=800,
                    requests=2,
                )
            ],
            None,
        ),
    ),
)


class PeriodQuery(PageQuery, frozen=True, forbid_unknown_fields=True):
    as_of: AsOfText = None


def plan(call: Call, account: str, body: PeriodRequest) -> Closing:
    return plan_closing(call.tx, call.usage, account, body.start, body.end, call.now, call.moment)


@operation(
    "POST",
    "/v1/accounts/{account}/periods",
    may="periods:write",
    summary="Close a period",
    body=PeriodRequest,
    answer=PeriodAnswer,
    status=201,
    errors=(UnknownAccount, BadRange, Conflict, PeriodOverlap, RowsCompacted),
    prepare=plan,
    body_example={"from": "2026-03-01", "to": "2026-04-01"},
    example=EXAMPLE,
    of_erased=True,
)
def close_period(call: Call, account: str, body: PeriodRequest, prepared: Closing) -> PeriodAnswer:
    """Freezes a statement of a span in the past: use by product and pool, and the balance at its end, as known at the
    block it names. `from` and `to` (excluded) are dates in the account's zone or RFC 3339. Periods of an account do not
    overlap; they need not follow each other.

    `products`, `pools` and `total` are all use of the account, funded users' included. `balance` is the account's own:
    what funded users used is not in it, what was allocated to them is, as `drawn`.

    What arrives later with a time inside still counts at that time. It appears as an adjustment of the open period, and
    the next closing of the account takes it into its own statement. A statement never changes."""
    require_countable(call.usage, account, prepared.starts_at, prepared.ends_at)
    return keep(call.tx, account, prepared, call.now)


@operation(
    "GET",
    "/v1/accounts/{account}/periods",
    may="periods:read",
    summary="List closed periods",
    query=PageQuery,
    answer=Listed(PeriodAnswer),
    errors=(UnknownAccount,),
    example={"items": [EXAMPLE], "next": None},
)
def list_periods(call: Call, account: str, query: PageQuery) -> ListPage[PeriodAnswer]:
    """In the order they were closed, with their statements."""
    return show_page(ledger.list_periods(call.tx, account, query.cursor, query.limit), show_period)


@operation(
    "GET",
    "/v1/accounts/{account}/periods/open",
    may="periods:read",
    summary="Adjustments of the open period",
    query=AsOfQuery,
    answer=OpenPeriodAnswer,
    errors=(NotYet, UnknownAccount, AsOfGone, RowsCompacted),
    example=OpenPeriodAnswer(
        "acme",
        4711,
        4800,
        [PeriodAdjustment(EXAMPLE.id, EXAMPLE.start, EXAMPLE.end, [LATE], Totals(0, 800, 800, 2))],
        Totals(0, 800, 800, 2),
        AS_OF,
    ),
)
def read_open_period(call: Call, account: str, query: AsOfQuery) -> OpenPeriodAnswer:
    """What came into closed periods since the last closing and is in no statement yet, by period and product. The next
    closing takes it up."""
    return read_open(call.tx, call.usage, account, call.now, call.moment)


@operation(
    "GET",
    "/v1/accounts/{account}/periods/{period}",
    may="periods:read",
    summary="Read a closed period",
    query=PeriodQuery,
    answer=PeriodDetailAnswer,
    errors=(NotFound, NotYet, AsOfGone, RowsCompacted),
    example=DETAIL,
)
def read_period(call: Call, account: str, period: str, query: PeriodQuery) -> PeriodDetailAnswer:
    """The frozen statement, and in `adjustments` everything that came into the period since, whoever's statement took
    it up: statement + adjustments = usage now, exactly. `changes` says which blocks brought it to which days; `cursor`
    and `limit` page through these, the sums are always of all. Further pages are of the first one's moment where
    `as_of` gives its token."""
    return read(call.tx, call.usage, account, period, query.cursor, query.limit, call.now, call.moment)
