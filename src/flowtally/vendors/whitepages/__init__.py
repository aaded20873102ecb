"""Whitepages: daily request counts."""

from __future__ import annotations

from flowtally.vendors.whitepages.routes import WHITEPAGES

__all__ = ["WHITEPAGES"]
