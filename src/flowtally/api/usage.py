"""Usage of an account, or of all, over calendar spans, as JSON, CSV or Arrow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.answers.arrow import to_arrow
from flowtally.answers.overall_statement import MAX_TOP, OverallQuestion, make_overall_statement
from flowtally.answers.statement import Question, columns_of, make_statement, to_csv
from flowtally.answers.told_rows import columns_told, show_told
from flowtally.api.as_of import EXAMPLE as AS_OF
from flowtally.api.as_of import AsOfText
from flowtally.core.edges import DateOrInstant
from flowtally.core.errors import (
    AsOfGone,
    BadRange,
    BadRequest,
    NotAcceptable,
    NotFound,
    NotYet,
    RowsCompacted,
    UnknownAccount,
    UnknownUser,
    UnknownZone,
)
from flowtally.core.media import ARROW, CSV, JSON
from flowtally.core.texts import split_names
from flowtally.core.words import Bucket, Fill, Unit
from flowtally.protocol import OverallUsageAnswer, Totals, UsageAnswer
from flowtally.web.call import Call, Reply
from flowtally.web.capacity.weights import of_usage
from flowtally.web.inputs import ANY_TEXT
from flowtally.web.media import choose
from flowtally.web.operation import operation

USAGE_ERRORS: Final = (  # of every question about usage over a calendar
    BadRequest,
    BadRange,
    NotYet,
    UnknownZone,
    UnknownAccount,
    UnknownUser,
    NotFound,
    NotAcceptable,
    AsOfGone,
    RowsCompacted,
)
UsageForm = Literal["json", "csv", "arrow"]
FORMS = {"json": JSON, "csv": CSV, "arrow": ARROW}
SPAN: dict[str, str | int | None] = {"start": "2026-03-01T00:00:00Z", "end": "2026-04-01T00:00:00Z"}
EXAMPLE = UsageAnswer(
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
            "cut": None,
        }
    ],
    Totals(1200, 50_000, 51_200, 1),
    AS_OF,
)


class UsageQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[
        DateOrInstant | None,
        Meta(
            description="The first instant: a date (its beginning in `tz`) or RFC 3339. Default: so that whole buckets "
            "are answered: 96 quarter hours, 48 hours, 30 days (for `total`, too), 12 weeks or 12 months up to `to`.",
            examples=["2026-03-01"],
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        DateOrInstant | None,
        Meta(
            description="The end, which no longer belongs to it: a date or RFC 3339. Default: the end of "
            "the bucket that is running (for `total`: of today).",
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
            description="Split by up to eight of `user`, `product`, `status`, `source`, `series`, `label:<name>`: "
            r"commas between them, or the parameter repeated. In a label's name a comma is written `\,` and a "
            r"backslash `\\`.",
            examples=[["user"], ["product", "label:country"]],
        ),
        ANY_TEXT,
    ] = msgspec.field(default_factory=list)
    user: Annotated[
        list[str],
        Meta(
            description="Only users of these names at the answer's moment, or of these ids (repeatable; empty: use "
            "without a user). In a provider's series: sub-users of these names of the vendor's."
        ),
    ] = msgspec.field(default_factory=list)
    product: Annotated[list[str], Meta(description="Only these products (repeatable).")] = msgspec.field(
        default_factory=list
    )
    series: Annotated[
        list[Annotated[str, Meta(max_length=256)]],
        Meta(
            description="Whose figures: `metered` are those that this server counted, the name of a provider those "
            "that it reports (repeatable, with `by=series`). Default: `metered`.",
            examples=[["metered", "thordata"]],
        ),
    ] = msgspec.field(default_factory=list)
    fill: Annotated[
        Fill,
        Meta(description="`zero`: every span for every group that has a row in the range; `none`: only what was used."),
    ] = "zero"
    as_of: AsOfText = None
    format: Annotated[
        UsageForm | None,
        Meta(description="The form of the answer. Default: by the Accept header, else `json`."),
    ] = None


class OverallUsageQuery(UsageQuery, frozen=True, forbid_unknown_fields=True):
    tz: Annotated[str | None, Meta(description="IANA time zone. Default: UTC.", examples=["Europe/Berlin"])] = None
    by: Annotated[
        list[str],
        Meta(
            description="Split by up to eight of `account`, `user`, `product`, `status`, `source`, `series`, "
            r"`label:<name>`: commas between them, or the parameter repeated. In a label's name a comma is written "
            r"`\,` and a backslash `\\`.",
            examples=[["account"], ["account", "product"]],
        ),
        ANY_TEXT,
    ] = msgspec.field(default_factory=list)
    user: Annotated[
        list[str],
        Meta(
            description="Only users of these names at the answer's moment, in any account, or of these ids "
            "(repeatable; empty: use without a user)."
        ),
    ] = msgspec.field(default_factory=list)
    account: Annotated[list[str], Meta(description="Only these accounts (repeatable).")] = msgspec.field(
        default_factory=list
    )
    top: (
        Annotated[
            int,
            Meta(
                description="Only so many groups, those with the most over the whole range; all others become one row "
                "per span, whose group names are null.",
                ge=1,
                le=MAX_TOP,
            ),
        ]
        | None
    ) = None
    top_by: Annotated[Unit, Meta(description="What `top` counts: bytes or requests.")] = "bytes"


@operation(
    "GET",
    "/v1/accounts/{account}/usage",
    may="usage:read",
    summary="Usage by calendar span",
    weigh=of_usage,
    query=UsageQuery,
    answer=UsageAnswer,
    errors=USAGE_ERRORS,
    also=(CSV, ARROW),
    example=EXAMPLE,
)
def read_usage(call: Call, account: str, query: UsageQuery) -> UsageAnswer | Reply:
    """One consistent answer whose total is the sum of its rows; at most 100,000 rows, not paged. Spans follow the
    zone's own calendar (a day may have 23 or 25 hours). Without `from` and `to` every bucket is whole; the one that is
    running is the last. A range that was asked for is answered to the millisecond: where it cuts the first or the last
    bucket, `cut` of the row says at which end (`start`, `end` or `both`; null where the bucket is whole). Rows carry
    what `by` named; `user` comes with `user_id`, which never changes. CSV has the rows only, and a leading apostrophe
    where a spreadsheet would take a name for a formula. Arrow has typed columns, and the rest of the answer in the
    schema's metadata.

    Several `series` stand side by side with `by=series`; they are never added up. In a provider's series `user` is the
    vendor's own name of its sub-user, and `user_id` is null. `grain` says which stretches it told, in spans of which
    calendar; what it says of a span stands where that begins, and is never spread.

    The answer's `as_of` says of which moment it is, and how far back can be asked; the same question with its token has
    the same answer for ever. CSV has it in the header `Flowtally-As-Of`."""
    return answer_usage(call, account, query)


def answer_usage(
    call: Call, account: str, query: UsageQuery, user_ids: tuple[str, ...] | None = None
) -> UsageAnswer | Reply:
    """The statement in the form asked for; `user_ids`: of these users only."""
    form = form_of(call.accept, query.format)
    by = names_in(query.by)
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
        series=tuple(query.series),
        fill=query.fill,
    )
    answer = make_statement(call.tx, call.usage, question, call.now, call.moment)
    return answer if form == JSON else write(answer, columns_of(by), form)


@operation(
    "GET",
    "/v1/usage",
    may="usage:read",
    summary="Usage of all accounts",
    weigh=of_usage,
    query=OverallUsageQuery,
    answer=OverallUsageAnswer,
    errors=USAGE_ERRORS,
    also=(CSV, ARROW),
    example=OverallUsageAnswer(
        None,
        "2026-03-01T00:00:00Z",
        "2026-04-01T00:00:00Z",
        "UTC",
        "total",
        [
            SPAN
            | {"account": "acme", "bytes_up": 1200, "bytes_down": 50_000, "bytes": 51_200, "requests": 1}
            | {"others": 0, "cut": None},
            SPAN
            | {"account": None, "bytes_up": 10, "bytes_down": 90, "bytes": 100, "requests": 7}
            | {"others": 3, "cut": None},
        ],
        Totals(1210, 50_090, 51_300, 8),
        AS_OF,
    ),
)
def read_overall_usage(call: Call, query: OverallUsageQuery) -> OverallUsageAnswer | Reply:
    """As an account's usage, over all accounts or those named by `account`; days are those of UTC unless `tz` says
    otherwise. With `top` the largest group comes first in every span, and every row says in `others` how many groups
    it sums up: 0 for a group of its own. Whatever is merged, the total is the sum of the rows. `top` ranks at most a
    million sums."""
    form = form_of(call.accept, query.format)
    by = names_in(query.by)
    question = OverallQuestion(
        accounts=tuple(query.account) or None,
        start=query.start,
        end=query.end,
        tz="UTC" if query.tz is None else query.tz,
        bucket=query.bucket,
        by=by,
        users=tuple(query.user) or None,
        products=tuple(query.product) or None,
        series=tuple(query.series),
        fill=query.fill,
        top=query.top,
        top_by=query.top_by,
    )
    answer = make_overall_statement(call.tx, call.usage, question, call.now, call.moment)
    return answer if form == JSON else write(answer, columns_of(by, ranked=query.top is not None), form)


def names_in(values: list[str]) -> tuple[str, ...]:
    return tuple(name for given in values for name in split_names(given))


def form_of(accept: str, asked: UsageForm | None) -> str:
    """The media type of the answer: the parameter, which a link can carry, before the header."""
    return choose(accept, tuple(FORMS.values())) if asked is None else FORMS[asked]


def write(answer: UsageAnswer | OverallUsageAnswer, columns: Sequence[str], form: str) -> Reply:
    """The answer as a file of that media type."""
    answer, columns = show_told(answer), (*columns, *columns_told(answer))
    content, name = (to_csv, "usage.csv") if form == CSV else (to_arrow, "usage.arrows")
    return Reply(content(answer, columns), form, headers={"Content-Disposition": f'attachment; filename="{name}"'})
