"""The dialects: other vendors' wire formats, served at their own paths. One line per vendor."""

from __future__ import annotations

from typing import Final

from flowtally.vendors.base import Dialect
from flowtally.vendors.bytesflows import BYTESFLOWS
from flowtally.vendors.ipfoxy import IPFOXY
from flowtally.vendors.thordata import THORDATA
from flowtally.vendors.whitepages import WHITEPAGES

VENDORS: Final[tuple[Dialect, ...]] = (THORDATA, BYTESFLOWS, IPFOXY, WHITEPAGES)
