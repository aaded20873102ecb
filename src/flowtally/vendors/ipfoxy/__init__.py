"""IPFoxy: sub-accounts, what they have and what they used."""

from __future__ import annotations

from flowtally.vendors.ipfoxy.routes import IPFOXY

__all__ = ["IPFOXY"]
