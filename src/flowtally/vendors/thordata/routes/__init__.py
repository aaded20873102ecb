"""Thordata's routes, by subject."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.vendors.base import Route
from flowtally.vendors.thordata.routes import (
    account,
    cdk,
    earlier,
    earlier_isp,
    extract,
    leased,
    locations,
    money,
    servers,
    usage,
    users,
    whitelist,
)

ROUTES: Final[Sequence[Route]] = (
    *account.ROUTES,
    *money.ROUTES,
    *users.ROUTES,
    *usage.ROUTES,
    *whitelist.ROUTES,
    *cdk.ROUTES,
    *extract.ROUTES,
    *earlier.ROUTES,
    *locations.ROUTES,
    *leased.ROUTES,
    *servers.ROUTES,
    *earlier_isp.ROUTES,
)
