"""Areas: where IPFoxy sells static proxies, over our stock. Which type a kind is, and the number of an area (pure).

Their clients read the number of an area as a whole number. Ours is made of what the area is, and so nothing has to
keep it. Two areas with one number are told apart by nobody: neither is sold then.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

import msgspec

from flowtally.ledger.inventory.stock import StockArea, StockItem

IP_TYPES: Final = {"datacenter": "STATIC_DATACENTER", "isp": "STATIC_ISP", "isp-pro": "STATIC_ISP_PRO"}
LARGEST: Final = 2**31 - 1  # that every client can read


def area_of(item: StockItem) -> StockArea:
    return StockArea(item.kind, item.place, ":" in item.address)


def number_of(area: StockArea) -> int:
    said = msgspec.json.encode((area.kind, area.place, area.ipv6))
    return int.from_bytes(blake2b(said, digest_size=8).digest()) % LARGEST + 1


def region_of(area: StockArea) -> str:
    """What the stock says of where it is in its country."""
    place = area.place
    return ", ".join(one for one in (place.region, place.city, place.state) if one)


def version_of(area: StockArea) -> str:
    return "IPv6" if area.ipv6 else "IPv4"


def by_number(areas: Iterable[StockArea]) -> dict[int, StockArea]:
    """Without those that share their number."""
    numbered = [(number_of(one), one) for one in areas]
    times = Counter(number for number, _ in numbered)
    return {number: one for number, one in numbered if times[number] == 1}
