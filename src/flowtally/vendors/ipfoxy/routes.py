"""Answering as IPFoxy: its reseller's side, at its own paths."""

from __future__ import annotations

from typing import Final

from flowtally.vendors.base import Dialect
from flowtally.vendors.ipfoxy import accounts, usage, writes
from flowtally.vendors.ipfoxy.declared import ROUTES
from flowtally.vendors.ipfoxy.envelope import FAULTS, ID, TOKEN, envelope, fail, identify, rate, succeed
from flowtally.vendors.ipfoxy.settings import Settings

MODULES: Final = (usage, accounts, writes)  # importing one declares its routes

IPFOXY: Final = Dialect(
    name="ipfoxy",
    title="IPFoxy",
    description="Sub-accounts for resellers: a sub-account is a funded user, residential traffic the pool `traffic`, "
    "mobile traffic the pool `mobile`. The format is that of IPFoxy's open API "
    "(https://github.com/IPFoxy-Proxies/developer-api). An answer is HTTP 200; `code` says whether it is a success.",
    settings=Settings,
    identify=identify,
    succeed=succeed,
    fail=fail,
    routes=ROUTES,
    security={
        "ipfoxy_id": {
            "type": "apiKey",
            "in": "header",
            "name": ID,
            "description": "The id of a credential of an account.",
            "x-holds": "id",
        },
        "ipfoxy_token": {
            "type": "apiKey",
            "in": "header",
            "name": TOKEN,
            "description": "The token of that credential.",
        },
    },
    faults=FAULTS,
    envelope=envelope,
    rate=rate,
)
