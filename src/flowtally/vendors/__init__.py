"""The vendors: what we answer in each one's wire format, at its own paths, and how each one itself is asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from flowtally.providers.puller import Puller
from flowtally.providers.shadow import Shadow
from flowtally.vendors.base import Dialect
from flowtally.vendors.bytesflows import BYTESFLOWS
from flowtally.vendors.bytesflows.pull import PULLER as BYTESFLOWS_PULLER
from flowtally.vendors.bytesflows.shadow import SHADOW as BYTESFLOWS_SHADOW
from flowtally.vendors.ipfoxy import IPFOXY
from flowtally.vendors.ipfoxy.pull import PULLER as IPFOXY_PULLER
from flowtally.vendors.ipfoxy.shadow import SHADOW as IPFOXY_SHADOW
from flowtally.vendors.thordata import THORDATA
from flowtally.vendors.thordata.pull import PULLER as THORDATA_PULLER
from flowtally.vendors.thordata.shadow import SHADOW as THORDATA_SHADOW
from flowtally.vendors.whitepages import WHITEPAGES
from flowtally.vendors.whitepages.pull import PULLER as WHITEPAGES_PULLER
from flowtally.vendors.whitepages.shadow import SHADOW as WHITEPAGES_SHADOW

VENDORS: Final[tuple[Dialect, ...]] = (THORDATA, BYTESFLOWS, IPFOXY, WHITEPAGES)
PULLERS: Final[Mapping[str, Puller]] = {
    one.vendor: one for one in (THORDATA_PULLER, BYTESFLOWS_PULLER, IPFOXY_PULLER, WHITEPAGES_PULLER)
}
SHADOWS: Final[Mapping[str, Shadow]] = {
    one.vendor: one for one in (THORDATA_SHADOW, BYTESFLOWS_SHADOW, IPFOXY_SHADOW, WHITEPAGES_SHADOW)
}
