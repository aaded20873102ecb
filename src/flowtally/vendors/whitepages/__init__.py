"""Whitepages: daily request counts."""

from flowtally.vendors.whitepages.dialect import WHITEPAGES

__all__ = ["WHITEPAGES"]
