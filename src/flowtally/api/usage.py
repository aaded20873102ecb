"""Usage of an account over calendar spans, as JSON or CSV."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flowtally import auth
from flowtally.api.call import Call, Reply
from flowtally.api.operation import operation
from flowtally.errors import BadRange, BadRequest, UnknownAccount, UnknownZone
from flowtally.events import METERED
from flowtally.protocol import Bucket, Totals, UsageAnswer
from flowtally.statement import Question, make_statement, to_csv

CSV = "text/csv"


class UsageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[
        str | None,
        Meta(
            description="First instant: a date (its beginning in `tz`) or RFC 3339. Default: 30 calendar days up to "
            "`to`.",
            examples=["2026-03-01"],
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        str | None,
        Meta(
            description="End, excluded: a date or RFC 3339. Default: the end of today.",
            examples=["2026-04-01T00:00:00+02:00"],
        ),
    ] = msgspec.field(name="to", default=None)
    tz: Annotated[
        str | None, Meta(description="IANA time zone. Default: the account's.", examples=["Europe/Berlin"])
    ] = None
    bucket: Annotated[Bucket, Meta(description="Length of the spans, by the zone's calendar; weeks are ISO weeks.")] = (
        "day"
    )
    by: Annotated[
        list[str],
        Meta(
            description="Split by up to eight of `user`, `product`, `status`, `source`, `label:<name>`: commas between "
            "them, or the parameter repeated.",
            examples=[["user"], ["product", "label:country"]],
        ),
    ] = msgspec.field(default_factory=list)
    user: Annotated[
        list[str], Meta(description="Only users of these present names (repeatable; empty: use without a user).")
    ] = msgspec.field(default_factory=list)
    product: Annotated[list[str], Meta(description="Only these products (repeatable).")] = msgspec.field(
        default_factory=list
    )
    series: Annotated[str, Meta(description="Whose figures: `metered` are our own.", max_length=256)] = METERED
    fill: Annotated[
        Literal["zero", "none"],
        Meta(description="`zero`: every span for every group that has a row in the range; `none`: only what was used."),
    ] = "zero"
    format: Annotated[
        Literal["json", "csv"] | None, Meta(description="Default: by the Accept header, else `json`.")
    ] = None


@operation(
    "GET",
    "/v1/accounts/{account}/usage",
    may=auth.READERS,
    summary="Usage by calendar span",
    query=UsageQuery,
    answer=UsageAnswer,
    errors=(BadRequest, BadRange, UnknownZone, UnknownAccount),
    also=(CSV,),
    example=UsageAnswer(
        "acme",
        "2026-03-01T00:00:00+01:00",
        "2026-03-02T00:00:00+01:00",
        "Europe/Berlin",
        "day",
        [
            {
                "start": "2026-03-01T00:00:00+01:00",
                "end": "2026-03-02T00:00:00+01:00",
                "bytes_up": 1200,
                "bytes_down": 50_000,
                "bytes": 51_200,
                "requests": 1,
            }
        ],
        Totals(1200, 50_000, 51_200, 1),
    ),
)
def read_usage(call: Call, account: str, query: UsageQuery) -> UsageAnswer | Reply:
    """One consistent answer whose total is the sum of its rows; at most 100,000 rows, not paged. Spans follow the
    zone's own calendar (a day may have 23 or 25 hours); the first and last are cut to the range. Rows carry what `by`
    named; `user` comes with `user_id`, which never changes. CSV has the rows only, and a leading apostrophe where a
    spreadsheet would take a name for a formula."""
    return answer_usage(call, account, query)


def answer_usage(
    call: Call, account: str, query: UsageQuery, user_ids: tuple[str, ...] | None = None
) -> UsageAnswer | Reply:
    """The statement in the form asked for; `user_ids`: of these users only."""
    by = tuple(name for given in query.by for name in given.split(","))
    question = Question(
        account=account,
        start=query.start,
        end=query.end,
        tz=query.tz,
        bucket=query.bucket,
        by=by,
        users=tuple(query.user) or None,
        user_ids=user_ids,
        products=tuple(query.product) or None,
        series=query.series,
        fill=query.fill,
    )
    answer = make_statement(call.tx, call.house.usage, question, call.now)
    if query.format == "csv" or (query.format is None and prefers_csv(call.accept)):
        headers = {"Content-Disposition": 'attachment; filename="usage.csv"'}
        return Reply(to_csv(answer, by), CSV, headers=headers)
    return answer


def prefers_csv(accept: str) -> bool:
    """Whether CSV is named before JSON (weights are not looked at)."""
    named = [part.partition(";")[0].strip().lower() for part in accept.split(",")]
    return CSV in named and "application/json" not in named[: named.index(CSV)]
