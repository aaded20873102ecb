"""How long rows are kept as they came in, and compacting old ones now."""

from __future__ import annotations

from flowtally.care.job import Status
from flowtally.care.retention import CompactedMonth, CompactionRun
from flowtally.core.edges import format_if_any, format_instant
from flowtally.core.errors import Conflict
from flowtally.ledger.trail import note
from flowtally.protocol import RetentionAnswer, RetentionRequest, RolledMonth
from flowtally.web.call import Call
from flowtally.web.operation import operation

BEGUN = RetentionAnswer("running", 400, started_at="2026-03-15T12:00:00Z", step="roll up", done=2, total=9)
DONE = RetentionAnswer(
    "done",
    400,
    rows_kept_since="2025-02-01T00:00:00Z",
    rolled_up_to_block=812,
    started_at="2026-03-15T12:00:00Z",
    ended_at="2026-03-15T12:00:40Z",
    step="put in place",
    dry_run=False,
    months=[RolledMonth("2025-01", 9_000_000, 310_000_000, 41_000_000)],
)


@operation(
    "POST",
    "/v1/retention",
    may="retention:write",
    summary="Compact old rows now",
    status=202,
    body=RetentionRequest,
    answer=RetentionAnswer,
    errors=(Conflict,),
    body_example={"dry_run": True},
    example=BEGUN,
)
def start_retention(call: Call, body: RetentionRequest) -> RetentionAnswer:
    """Months whose rows were all received more than `retain_rows_days` ago (a setting) become rows by quarter hours, as
    the server does once a day by itself. Usage, balances, closed periods and event keys stay exactly as they are; what
    would need the rows is refused from then on (410 `rolled_up`). It cannot be undone. With `dry_run` nothing is done:
    the answer lists what would be. Writers wait for milliseconds. One run at a time: while one runs, this answers with
    that one. Ask `GET /v1/retention` how it is doing."""
    begun = call.services.care.start_retention(dry=body.dry_run)
    if not body.dry_run:
        note(call.tx, "retention.start")
    return _told(call, begun)


@operation(
    "GET",
    "/v1/retention",
    may="retention:read",
    summary="From when on single rows are kept, and the last compaction",
    answer=RetentionAnswer,
    example=DONE,
)
def read_retention(call: Call) -> RetentionAnswer:
    """`rows_kept_since`: rows received from then on are as they came in; null where nothing was compacted. The last run
    is forgotten when the server stops, what it did is not."""
    return _told(call, call.services.care.retention())


def _told(call: Call, status: Status[CompactionRun]) -> RetentionAnswer:
    kept = call.services.care.kept()
    run = status.result
    return RetentionAnswer(
        status.state,
        call.services.config.retain_rows_days,
        rows_kept_since=None if kept is None else format_instant(kept.since),
        rolled_up_to_block=None if kept is None else kept.block,
        started_at=format_if_any(status.started_at),
        ended_at=format_if_any(status.ended_at),
        step=status.step,
        done=status.done,
        total=status.total,
        dry_run=None if run is None else run.dry,
        months=[] if run is None else [_month(one) for one in run.months],
        detail=status.detail,
    )


def _month(one: CompactedMonth) -> RolledMonth:
    return RolledMonth(f"{one.month // 100:04}-{one.month % 100:02}", one.entries, one.bytes, one.bytes_after)
