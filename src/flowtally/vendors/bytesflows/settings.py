"""What the BytesFlows dialect can be set to."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

from flowtally.core.edges import load_zone
from flowtally.core.errors import UnknownZone
from flowtally.vendors import base


class Settings(base.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    timezone: Annotated[
        str, Meta(description="Zone of createTime and expireTime, which show none; BytesFlows' own is not known.")
    ] = "UTC"
    no_expiry: Annotated[
        str,
        Meta(
            description="expireTime of a grant that never expires: a far date that date libraries can still hold.",
            pattern=r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$",
        ),
    ] = "2099-12-31 23:59:59"
    cookie: Annotated[
        str,
        Meta(
            description="Name of a cookie that may carry the token to /api/v1/dashboard/asset instead of the header, "
            "such as `token`. Empty: no cookie is looked at.",
            pattern=r"^[A-Za-z0-9_.-]*$",
        ),
    ] = ""
    requests_per_minute: Annotated[
        int, Meta(description="More of one credential are answered 429; 0: no limit.", ge=0, le=1_000_000)
    ] = 0

    def __post_init__(self) -> None:
        try:
            load_zone(self.timezone)
        except UnknownZone as error:
            raise ValueError(f"timezone: {error.detail}") from None
        datetime.strptime(self.no_expiry, "%Y-%m-%d %H:%M:%S")  # noqa: DTZ007 - it is text about a zone of its own
