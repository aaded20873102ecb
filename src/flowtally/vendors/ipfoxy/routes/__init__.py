"""IPFoxy's routes, by subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.vendors.base import Route
from flowtally.vendors.ipfoxy.routes import accounts, proxies, regions, usage, writes

ROUTES: Final[Sequence[Route]] = (
    *accounts.ROUTES,
    *usage.ROUTES,
    *writes.ROUTES,
    *regions.ROUTES,
    *proxies.ROUTES,
)
