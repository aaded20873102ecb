"""Every row of an account, as a file that is written while it is read."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from flowtally import auth
from flowtally.api.as_of import AsOfText
from flowtally.api.call import Call, Streaming
from flowtally.api.media import choose
from flowtally.api.operation import operation
from flowtally.errors import AsOfGone, BadRange, NotAcceptable, NotYet, RolledUp, UnknownAccount
from flowtally.events import METERED
from flowtally.export import Format, plan_export, write_export

CSV = "text/csv"
PARQUET = "application/vnd.apache.parquet"
FORMATS: dict[str, Format] = {PARQUET: "parquet", CSV: "csv"}
ROWS_HEADER = "Flowtally-Rows"
BLOCK_HEADER = "Flowtally-Block"


class ExportQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    start: Annotated[
        str | None,
        Meta(
            description="First instant: a date (its beginning in the account's zone) or RFC 3339. Default: the first "
            "event.",
            examples=["2026-03-01"],
        ),
    ] = msgspec.field(name="from", default=None)
    end: Annotated[
        str | None,
        Meta(description="End, excluded: a date or RFC 3339. Default: the last event.", examples=["2026-04-01"]),
    ] = msgspec.field(name="to", default=None)
    series: Annotated[str, Meta(description="Whose figures: `metered` are our own.", max_length=256)] = METERED
    format: Annotated[
        Literal["parquet", "csv"] | None, Meta(description="Default: by the Accept header, else `parquet`.")
    ] = None
    as_of: AsOfText = None


@operation(
    "GET",
    "/v1/accounts/{account}/export",
    may=auth.READERS,
    summary="Export all rows",
    query=ExportQuery,
    answer=bytes,
    errors=(BadRange, NotYet, UnknownAccount, NotAcceptable, AsOfGone, RolledUp),
    also=(PARQUET, CSV),
)
def export_account(call: Call, account: str, query: ExportQuery) -> Streaming:
    """Events and corrections one by one in order of time, users by their names, as they are in the store at one moment:
    rows up to the block the header `Flowtally-Block` names (the moment's token is in `Flowtally-As-Of`);
    `Flowtally-Rows` says how many (a row that was rolled up
    counts as the `entries` it stands for). Their sums are the
    account's usage of the range, exactly. A transfer that breaks off is not complete: a Parquet file lacks its footer
    then. In CSV labels are a JSON object, and text a spreadsheet would run as a formula has a leading apostrophe."""
    form = query.format or FORMATS[choose(call.accept, tuple(FORMATS))]
    usage, ledger = call.usage, call.house.ledger
    export = plan_export(call.tx, usage, account, query.start, query.end, call.now, query.series, call.moment)
    headers = {
        "Content-Disposition": f'attachment; filename="usage.{form}"',
        ROWS_HEADER: str(export.extent.rows),
        BLOCK_HEADER: str(export.block),
    }
    media_type = PARQUET if form == "parquet" else CSV
    return Streaming(write_export(export, usage, ledger, form), media_type, headers)
