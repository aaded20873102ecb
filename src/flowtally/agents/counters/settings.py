"""Counters: one `[[counters]]` of an agent's configuration, as it is written there.

    [[counters]]
    name = "xray-1"                 # source `agent:<host>:xray-1`
    kind = "xray"                   # v2ray, xray, haproxy, nftables
    address = "127.0.0.1:10085"     # of its API; of HAProxy also a path: /run/haproxy/admin.sock
    account = "acme"                # or a group of `user-from`
    user-from = '(?P<user>.+)@example\\.com'

Owns the shape and what may stand together. Leaves reading the file to who has one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from flowtally.core.choices import choice, wrong_word
from flowtally.core.errors import ConfigError
from flowtally.core.texts import text_fault

Kind = Literal["v2ray", "xray", "haproxy", "nftables"]
NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
FAMILIES: Final = ("ip", "ip6", "inet", "arp", "bridge", "netdev")
# Which of the settings below mean something for which kind.
OF_KIND: Final[Mapping[str, frozenset[str]]] = {
    "v2ray": frozenset({"address"}),
    "xray": frozenset({"address"}),
    "haproxy": frozenset({"address", "table", "lines", "master", "peers"}),
    "nftables": frozenset({"table", "set", "direction"}),
}


class Counters(
    msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab"
):
    """Times in seconds. `source`: given where agents of two hosts read one program, so that they count once.

    `table`: of HAProxy the stick table whose keys are users, else the `lines` of `show stat` are read; of nftables its
    family and name. `master`: the address is HAProxy's master socket, so that old workers are read to their end.
    `peers`: the stick table outlives a reload, because a `peers` section keeps it. `set`: of nftables, the set whose
    elements count, else the named counters are read. `direction`: which way these count where no group `up` or `down`
    of `user-from` says it."""

    name: str
    kind: Annotated[
        Kind,
        choice(
            "Which program is asked.",
            {"v2ray": "V2Ray", "xray": "Xray", "haproxy": "HAProxy", "nftables": "the firewall of Linux"},
        ),
    ]
    address: str = ""
    source: Annotated[str, Meta(max_length=256)] = ""
    interval_s: Annotated[int, Meta(ge=1, le=3600)] = 10
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 5
    account: str = ""
    user_from: str = ""
    product: str = ""
    table: str = ""
    lines: Annotated[
        Literal["frontend", "backend", "server"],
        choice(
            "Which lines of HAProxy's `show stat` are read.",
            {"frontend": "what clients used", "backend": "all servers of a backend together", "server": "each server"},
        ),
    ] = "frontend"
    master: bool = False
    peers: bool = False
    set: str = ""
    direction: Annotated[
        Literal["up", "down"],
        choice(
            "Which way a counter of nftables counts.",
            {"up": "bytes from the user", "down": "bytes to the user"},
        ),
    ] = "down"


def read_counters(table: Mapping[str, Any]) -> Counters:
    """One `[[counters]]` as a TOML reader gives it. ConfigError says what is wrong with it, with its name."""
    shown = repr(str(table.get("name", ""))[:80])
    try:
        made = msgspec.convert(table, Counters)
    except msgspec.ValidationError as error:
        raise ConfigError(f"counters {shown}: {wrong_word(error, Counters)}") from None
    if fault := fault_of(made):
        raise ConfigError(f"counters {shown}: {fault}")
    return made


def fault_of(made: Counters) -> str:
    """Why nothing can be polled so; empty where it can."""
    if not NAME.fullmatch(made.name):
        return "name must be 1 to 64 letters, digits, dots, hyphens or underscores: it becomes part of the source"
    plain = Counters(name=made.name, kind=made.kind)
    for field in sorted(frozenset().union(*OF_KIND.values()) - OF_KIND[made.kind]):
        if getattr(made, field) != getattr(plain, field):
            return f"{field} means nothing for {made.kind}"
    if "address" in OF_KIND[made.kind] and not made.address:
        return "address is missing"
    for field in ("source", "account", "product"):
        if fault := text_fault(getattr(made, field)):
            return f"{field} {fault}"
    return _fault_of_kind(made)


def _fault_of_kind(made: Counters) -> str:
    if made.kind == "haproxy":
        if made.peers and not made.table:
            return "peers is about a stick table; name it as table"
        if made.peers and made.master:
            return "peers keep one table for old and new workers: give the stats socket, without master"
        if made.table and not re.fullmatch(r"[A-Za-z0-9_.:-]+", made.table):
            return f"table {made.table!r} is no name of a stick table"
        return "" if made.address.startswith("/") else address_fault(made.address)
    if made.kind == "nftables":
        family, _, name = made.table.partition(" ")
        if family not in FAMILIES or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", name):
            return f"table {made.table!r} must be a family and a name, such as 'inet filter'"
        if made.set and not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_./-]*", made.set):
            return f"set {made.set!r} is no name of a set"
        return ""
    return address_fault(made.address)


def address_fault(address: str) -> str:
    host, colon, port = address.rpartition(":")
    bare = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    if not colon or not bare or not (port.isascii() and port.isdigit() and 0 < int(port[:6]) < 65_536):
        return f"address {address!r} must be HOST:PORT"
    if not re.fullmatch(r"[A-Za-z0-9._:%-]+", bare) or (":" in bare and bare == host):
        return f"address {address!r}: the host is none; an IPv6 address stands in brackets"
    return ""


def place(address: str) -> tuple[str, int]:
    """Host and port of an address without fault."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)
