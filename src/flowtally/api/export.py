"""Every row of an account, as a file that is written while it is read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.answers.export import plan_export, write_export, write_held
from flowtally.api.as_of import AsOfText
from flowtally.core.edges import DateOrInstant
from flowtally.core.errors import (
    AsOfGone,
    BadRange,
    BadRequest,
    NotAcceptable,
    NotFound,
    NotYet,
    Overloaded,
    RowsCompacted,
    TooManyExports,
    UnknownAccount,
)
from flowtally.core.events import METERED
from flowtally.core.media import CSV
from flowtally.core.words import ExportFormat
from flowtally.ledger.pages import MAX_LIMIT
from flowtally.ledger.people import accounts
from flowtally.protocol import HeldEvent, HeldFilter
from flowtally.web.call import Call, Streaming
from flowtally.web.capacity.weights import of_export
from flowtally.web.media import choose
from flowtally.web.operation import operation

PARQUET = "application/vnd.apache.parquet"
FORMATS: dict[str, ExportFormat] = {PARQUET: "parquet", CSV: "csv"}
ROWS_HEADER = "Flowtally-Rows"
BLOCK_HEADER = "Flowtally-Block"


class ExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[
        DateOrInstant | None,
        Meta(
            description="The first instant: a date (its beginning in the account's zone) or RFC 3339. Default: the "
            "first event.",
            examples=["2026-03-01"],
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        DateOrInstant | None,
        Meta(
            description="The end, which no longer belongs to it: a date or RFC 3339. Default: the last event.",
            examples=["2026-04-01"],
        ),
    ] = msgspec.field(name="to", default=None)
    series: Annotated[
        str,
        Meta(
            description="Whose figures: `metered` are those that this server counted, the name of a provider those "
            "that it reports.",
            max_length=256,
        ),
    ] = METERED
    format: Annotated[
        ExportFormat | None,
        Meta(description="The form of the file. Default: by the Accept header, else `parquet`."),
    ] = None
    as_of: AsOfText = None
    held: Annotated[
        bool,
        Meta(
            description="Instead of its rows the account's held events, all of them as they are now: of the kind "
            "`held`, with no `entries`, for they count for nothing yet. Takes no range and no moment."
        ),
    ] = False


@operation(
    "GET",
    "/v1/accounts/{account}/export",
    may="export:read",
    summary="Export all rows",
    weigh=of_export,
    streams=True,
    query=ExportQuery,
    answer=bytes,
    errors=(
        BadRange,
        NotYet,
        UnknownAccount,
        NotFound,
        NotAcceptable,
        AsOfGone,
        RowsCompacted,
        TooManyExports,
        Overloaded,
    ),
    also=(PARQUET, CSV),
)
def export_account(call: Call, account: str, query: ExportQuery) -> Streaming:
    """Events and corrections one by one in order of time, users by their names, as they are in the store at one moment:
    rows up to the block the header `Flowtally-Block` names (the moment's token is in `Flowtally-As-Of`);
    `Flowtally-Rows` says how many (a row that was compacted counts as the `entries` it stands for). Their sums are the
    account's usage of the range, exactly.

    A transfer that breaks off is not complete: a Parquet file lacks its footer then. A credential may have so many
    exports under way (429 `too_many_exports`), and one of which nothing is read for a minute is given up. In CSV labels
    are a JSON object, and text a spreadsheet would run as a formula has a leading apostrophe."""
    form = query.format or FORMATS[choose(call.accept, tuple(FORMATS))]
    if query.held:
        return _held(call, account, query, form)
    usage, ledger = call.usage, call.services.ledger
    export = plan_export(call.tx, usage, account, query.start, query.end, call.now, query.series, call.moment)
    headers = {
        "Content-Disposition": f'attachment; filename="usage.{form}"',
        ROWS_HEADER: str(export.extent.rows),
        BLOCK_HEADER: str(export.block),
    }
    media_type = PARQUET if form == "parquet" else CSV
    return Streaming(write_export(export, usage, ledger, form), media_type, headers)


def _held(call: Call, account: str, query: ExportQuery, form: ExportFormat) -> Streaming:
    if (query.start, query.end, query.as_of) != (None, None, None):
        raise BadRequest("held=true takes no from, to or as_of: all that is held now is given", parameter="held")
    accounts.read_account(call.tx, account)
    headers = {"Content-Disposition": f'attachment; filename="held.{form}"'}
    return Streaming(write_held(_pages(call, account), form), PARQUET if form == "parquet" else CSV, headers)


def _pages(call: Call, account: str) -> Iterator[Sequence[HeldEvent]]:
    cursor: str | None = None
    while True:
        page = call.services.ingest.held(HeldFilter(account=account), call.credential, cursor, MAX_LIMIT)
        yield page.items
        cursor = page.next
        if cursor is None:
            return
