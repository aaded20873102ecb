"""What the PlainProxy dialect can be set to."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.vendors import base


class Settings(base.Settings, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`FLOWTALLY_PLAINPROXY_TIMEZONE` sets it, as `FLOWTALLY_PLAINPROXY_ENABLED` switches the dialect off."""

    timezone: Annotated[str, Meta(description="Zone whose days are told.")] = "UTC"
