"""What is in stock, in the cells of a table: where it is reached, where it stands, how large it is."""

from __future__ import annotations

from flowtally.core.endpoints import address
from flowtally.protocol import EndpointAnswer, GatewayAnswer, LeaseAnswer, LeasePlanAnswer, StockAnswer


def address_of(one: StockAnswer | LeaseAnswer) -> str:
    return address(one.address, one.port)


def place_of(one: StockAnswer | LeaseAnswer | LeasePlanAnswer) -> str:
    return "/".join(part for part in (one.country, one.state, one.city, one.region) if part)


def session_of(one: GatewayAnswer | EndpointAnswer) -> str:
    return one.session if one.hold_s is None else f"{one.session} {one.hold_s} s"


def exit_of(one: GatewayAnswer | EndpointAnswer) -> str:
    """Where its connections go out."""
    return " ".join(part for part in (one.country, one.state, one.city) if part) or "any"


def size_of(one: StockAnswer | LeasePlanAnswer) -> str:
    sizes = ((one.cpu_cores, "CPU"), (one.memory_mib, "MiB"), (one.bandwidth_mbps, "Mbit/s"))
    return ", ".join(f"{value} {unit}" for value, unit in sizes if value is not None)
