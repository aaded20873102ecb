"""What is in stock, in the cells of a table: where it is reached, where it stands, how large it is."""

from __future__ import annotations

from flowtally.protocol import LeaseAnswer, LeasePlanAnswer, StockAnswer


def address_of(one: StockAnswer | LeaseAnswer) -> str:
    return one.address if one.port is None else f"{one.address}:{one.port}"


def place_of(one: StockAnswer | LeaseAnswer | LeasePlanAnswer) -> str:
    return "/".join(part for part in (one.country, one.state, one.city, one.region) if part)


def size_of(one: StockAnswer | LeasePlanAnswer) -> str:
    sizes = ((one.cpu_cores, "CPU"), (one.memory_mib, "MiB"), (one.bandwidth_mbps, "Mbit/s"))
    return ", ".join(f"{value} {unit}" for value, unit in sizes if value is not None)
