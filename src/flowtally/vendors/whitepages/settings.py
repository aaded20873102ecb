"""What the Whitepages dialect can be set to."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.vendors import base


class Settings(base.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whitepages counts requests made to its API; the defaults only tell of what was handed to flowtally as events."""

    meter_calls: Annotated[
        bool,
        Meta(description="Count each call of this dialect as one request of the account (product `api`)."),
    ] = False
    requests_per_minute: Annotated[
        int, Meta(description="More calls of one credential are answered 429; 0: any number.", ge=0, le=1_000_000)
    ] = 0
    enforce_quota: Annotated[
        bool,
        Meta(description="Answer `Limit Exceeded` while nothing is left in the account's pool `api`."),
    ] = False
