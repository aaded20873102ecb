"""Samples of servers' gauges in; series of them by periods out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.edges import Instant, format_instant, parse_instant
from flowtally.core.errors import (
    BadRange,
    MalformedBody,
    NotFound,
    StorageFull,
    TooLarge,
    Unavailable,
    UnsupportedMedia,
)
from flowtally.core.samples import (
    MAX_PERIODS,
    MAX_SERIES,
    ServerSample,
    in_units,
    is_series_name,
    is_server_id,
    thousandths,
)
from flowtally.core.times import DAY_S, LAST_INSTANT
from flowtally.core.words import Aggregation
from flowtally.ingest.admission import Reason
from flowtally.ingest.decompress import decompress
from flowtally.ingest.sample_body import decode_samples
from flowtally.ledger.inventory.leases import read_held
from flowtally.protocol import SamplePoint, SampleReceipt, SampleReceipts, SampleSeries, SampleSeriesAnswer
from flowtally.samples.chunks import MAX_IN_CHUNK
from flowtally.samples.periods import summarize
from flowtally.samples.store import Samples
from flowtally.samples.values import Measured, SampleOutcome
from flowtally.web.bodies import AnyRequest, read_body
from flowtally.web.call import Call, Reply
from flowtally.web.operation import operation
from flowtally.web.problems import HELD

SERVER: Final = "stk_0199f2c47b3a7c11a1f0b2c3d4e5f609"
SAMPLE = {"server": SERVER, "name": "cpu", "time": "2026-03-01T12:00:00Z", "value": 12.5}
EXAMPLE = SampleSeriesAnswer(
    server=SERVER,
    start="2026-03-01T12:00:00Z",
    end="2026-03-01T12:10:00Z",
    period_s=300,
    aggregation="mean",
    series=[SampleSeries("cpu", [SamplePoint("2026-03-01T12:00:00Z", 12.5, 5)])],
)
WHY: Final = {
    "time_in_future": "its time is later than the clock allows",
    "too_old": "samples as old as this one are not kept",
    "too_many_series": f"the server has {MAX_SERIES} gauges already",
    "too_many_samples": f"the gauge has {MAX_IN_CHUNK} samples in these six hours already",
    "another_value": "the gauge has another value at this second, which stays",
}


@operation(
    "POST",
    "/v1/samples",
    may="samples:write",
    summary="Send samples of servers' gauges",
    sends=True,
    answer=SampleReceipts,
    errors=(MalformedBody, TooLarge, UnsupportedMedia, StorageFull, Unavailable),
    raw_body={
        "application/json": [SAMPLE, SAMPLE | {"name": "connections", "value": 1842}],
        "application/x-ndjson": f'{{"server":"{SERVER}","name":"cpu","time":"2026-03-01T12:00:00Z","value":12.5}}\n',
    },
    raw_json=list[ServerSample],
    example=SampleReceipts(1, 0, 1, 0, [SampleReceipt(1, "conflict", "another_value", WHY["another_value"], 1800.0)]),
)
async def send_samples(call: Call, request: AnyRequest) -> Reply:
    """What gauges of servers stood at: a sample, an array of at most 10,000, or one a line; bodies may be compressed
    with gzip or zstd. All that is `stored` is on the disk. A gauge has one value a second: the same one sent again is a
    `duplicate`, another one a `conflict`, and the first stays. Samples are kept apart from usage and count for nothing.

    Codes of receipts: `another_value` (conflict), `invalid_sample`, `bad_time`, `time_in_future`, `too_old`,
    `too_many_series`, `too_many_samples` (refused)."""
    config = call.services.config
    hold = request.scope[HELD].enter_context(call.services.bodies.hold(call.credential.account))  # type: ignore[typeddict-item]
    body = await read_body(request, config.max_body_bytes, config, hold)
    kind, encoding = (request.headers.get(name) for name in ("content-type", "content-encoding"))

    def work() -> SampleReceipts:
        given = decode_samples(decompress(body, encoding, config.max_body_bytes, hold.add), kind or "")
        return _kept(call.services.samples, given, call.now)

    done = await call.services.read(call.credential, work)
    return Reply(msgspec.json.encode(done))


def _kept(store: Samples, given: Sequence[tuple[ServerSample, int] | Reason], now: int) -> SampleReceipts:
    good = [one for one in given if not isinstance(one, Reason)]
    measured = [Measured(one.server, one.name, at // 1000, thousandths(one.value)) for one, at in good]
    told = iter(store.add(measured, now // 1000))
    outcomes = [SampleOutcome("refused", one.code) if isinstance(one, Reason) else next(told) for one in given]
    counts = Counter(one.status for one in outcomes)
    receipts = list(_receipts(given, outcomes))
    return SampleReceipts(counts["stored"], counts["duplicate"], counts["conflict"], counts["refused"], receipts)


def _receipts(
    given: Sequence[tuple[ServerSample, int] | Reason], outcomes: Sequence[SampleOutcome]
) -> Iterator[SampleReceipt]:
    for index, (one, became) in enumerate(zip(given, outcomes, strict=True)):
        if became.status in ("conflict", "refused"):
            detail = one.detail if isinstance(one, Reason) else WHY[became.code]
            before = None if became.before is None else in_units(became.before)
            yield SampleReceipt(index, became.status, became.code, detail, before)


class SeriesQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    name: Annotated[
        list[str], Meta(description="Only gauges of these names (repeatable). Default: all of the server.")
    ] = msgspec.field(default_factory=list)
    start: Annotated[
        Instant | None, Meta(description="The first instant, which belongs to it. Default: a day before `to`.")
    ] = msgspec.field(name="from", default=None)
    end: Annotated[Instant | None, Meta(description="The end, which no longer belongs to it. Default: now.")] = (
        msgspec.field(name="to", default=None)
    )
    period_s: Annotated[
        Literal[60, 300, 3600, 86_400],
        Meta(description="The length of a period in seconds. Periods begin at whole multiples of it since 1970 UTC."),
    ] = 300
    aggregation: Annotated[
        Aggregation,
        Meta(
            description="How the samples of a period become one value: their mean (to three decimals), the largest, the"
            " smallest, the last one, or their sum."
        ),
    ] = "mean"


class SamplesQuery(SeriesQuery, frozen=True, forbid_unknown_fields=True, kw_only=True):
    server: Annotated[str, Meta(description="The id of the server.", examples=[SERVER])]


@operation(
    "GET",
    "/v1/samples",
    may="samples:read",
    summary="Read samples of a server by periods",
    query=SamplesQuery,
    answer=SampleSeriesAnswer,
    errors=(BadRange,),
    example=EXAMPLE,
)
def read_samples(call: Call, query: SamplesQuery) -> SampleSeriesAnswer:
    """Samples from `from` up to `to`, put together by periods. A period without samples is left out. What is older than
    the setting `FLOWTALLY_KEEP_SAMPLES_DAYS` is gone. For credentials of no account; a customer asks about the servers
    it leases."""
    return make_series(call, query.server, query)


@operation(
    "GET",
    "/v1/accounts/{account}/leases/{lease}/samples",
    may="samples:read",
    summary="Read samples of a leased server by periods",
    query=SeriesQuery,
    answer=SampleSeriesAnswer,
    errors=(BadRange, NotFound),
    example=EXAMPLE,
)
def read_lease_samples(call: Call, account: str, lease: str, query: SeriesQuery) -> SampleSeriesAnswer:
    """The same of a server that the account leases, or leased: what was measured while the lease lasted."""
    held = read_held(call.tx, account, lease).lease
    bounds = -(-held.starts_at // 1000), -(-min(held.held_until, LAST_INSTANT) // 1000)
    return make_series(call, held.stock_id, query, bounds)


def make_series(
    call: Call, server: str, query: SeriesQuery, bounds: tuple[int, int] | None = None
) -> SampleSeriesAnswer:
    """`bounds`: from when until when, in seconds, something is told."""
    end = -(-(call.now if query.end is None else parse_instant(query.end)) // 1000)
    start = end - DAY_S if query.start is None else -(-parse_instant(query.start) // 1000)
    _check_range(start, end, query.period_s)
    begins, ends = (start, end) if bounds is None else (max(start, bounds[0]), min(end, bounds[1]))
    names = sorted(set(query.name)) or call.services.samples.names(server) if is_server_id(server) else []
    series = [
        _series(call.services.samples, server, name, begins, ends, query) for name in names if is_series_name(name)
    ]
    return SampleSeriesAnswer(
        server=server,
        start=format_instant(start * 1000),
        end=format_instant(end * 1000),
        period_s=query.period_s,
        aggregation=query.aggregation,
        series=series,
    )


def _check_range(start: int, end: int, period_s: int) -> None:
    """BadRange where a series would have more periods than an answer may."""
    if end <= start:
        raise BadRange("`to` is not after `from`")
    if (periods := (end - 1) // period_s - start // period_s + 1) > MAX_PERIODS:
        raise BadRange(f"{periods} periods of {period_s} s; an answer has at most {MAX_PERIODS}", limit=MAX_PERIODS)


def _series(store: Samples, server: str, name: str, start: int, end: int, query: SeriesQuery) -> SampleSeries:
    told = summarize(*store.read(server, name, start, end), query.period_s, query.aggregation)
    points = [SamplePoint(format_instant(one.at * 1000), in_units(one.value), one.samples) for one in told]
    return SampleSeries(name, points)
