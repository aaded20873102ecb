"""IPFoxy: sub-accounts, what they have and what they used."""

from flowtally.vendors.ipfoxy.dialect import IPFOXY

__all__ = ["IPFOXY"]
