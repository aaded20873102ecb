"""Thordata: balance, usage, proxy users, whitelist and CDKs; every answer is HTTP 200, the code tells."""

from flowtally.vendors.thordata.dialect import THORDATA

__all__ = ["THORDATA"]
