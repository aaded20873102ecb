"""What the IPFoxy dialect can be set to."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from flowtally.core.choices import choice
from flowtally.vendors import base


class Settings(base.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """IPFoxy publishes some things in two editions, and a limit that is in nobody's way while testing."""

    requests_per_minute: Annotated[
        int,
        Meta(
            description="More calls of one credential in any minute are answered with code 50000; 0: any number. The "
            "vendor's is 60.",
            ge=0,
            le=1_000_000,
        ),
    ] = 0
    mobile_fields: Annotated[
        bool,
        Meta(description="Show mobile traffic beside residential in a sub-account's balance, as since June 2026."),
    ] = True
    regions_product: Annotated[
        str,
        Meta(
            description="The product whose [places](../inventory/places.md) `get-region-list` shows.",
            min_length=1,
            max_length=256,
        ),
    ] = "residential"
    proxy_type: Annotated[
        Literal["socks5", "http", "ssh"],
        choice(
            "Which protocol `proxy-list` says of all proxies: that of your own.",
            {"socks5": "SOCKS5", "http": "HTTP", "ssh": "SSH"},
        ),
    ] = "socks5"
    history_by_hour: Annotated[
        bool,
        Meta(description="What a residential history is of where `is_hour` is not sent: hours (older page) or days."),
    ] = False
    expiration: Annotated[
        Literal["first", "last"],
        choice(
            "Which instant `expire_time` and `ex_time` show while traffic of several ends is left.",
            {"first": "when the first of it ends", "last": "when the last of it ends; never while some never does"},
        ),
    ] = "first"
