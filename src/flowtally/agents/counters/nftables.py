"""nftables: what named counters, or the elements of a set, stand at, as `nft -j` lists them.

`nft` is run on this machine and needs CAP_NET_ADMIN. A reload that deletes the table makes all counters anew: another
handle of the table, or of the counter. Handles begin again when the machine does, so its boot is part of the epoch. Of
an element that is deleted and added again nothing tells; its counter falls, and only that says it. Nothing is ever
reset here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from flowtally.agents.counters.asking import run
from flowtally.agents.counters.settings import Counters
from flowtally.agents.counters.stood import Stood, Unasked, bounded, hidden

NFT: Final = "nft"
BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
TRIES: Final = 3

Json = dict[str, Any]
Run = Callable[[Sequence[str], float], bytes]


class Nftables:
    """One table, or one set of it. `boot` says which start of the machine this is."""

    def __init__(
        self,
        counters: Counters,
        ask: Run = run,
        boot: Callable[[], str] = lambda: BOOT.read_text().strip(),
        nft: str = NFT,
    ) -> None:
        self._counters = counters
        self._ask = ask
        self._boot = boot
        self._nft = nft

    def __call__(self) -> list[Stood]:
        """The table is looked at before and after: a reload in between would pair its counters with the old handle."""
        ours = self._counters
        what = f"set {ours.table} {ours.set}" if ours.set else f"counters table {ours.table}"
        for _ in range(TRIES):
            handle = table_handle(self._listed("tables"), ours.table)
            listed = self._listed(what)
            if handle == table_handle(self._listed("tables"), ours.table):
                epoch = f"{self._boot()}/{handle}"
                return elements(listed, ours.table, epoch) if ours.set else named(listed, ours.table, epoch)
        raise Unasked(f"table {ours.table} was reloaded each time while it was read")

    def _listed(self, what: str) -> list[Json]:
        return objects(self._ask([self._nft, "-j", f"list {what}"], self._counters.timeout_s))


def objects(answer: bytes) -> list[Json]:
    """What stands in the one array of an answer. Unasked where it is none."""
    try:
        found = msgspec.json.decode(answer, type=dict[str, list[Json]])
    except msgspec.DecodeError as error:
        raise Unasked(f"nft answered no JSON that is known: {error}") from None
    return found.get("nftables", [])


def table_handle(listed: list[Json], table: str) -> int:
    for one in listed:
        if isinstance(found := one.get("table"), dict) and f"{found.get('family')} {found.get('name')}" == table:
            return _whole(found, "handle", f"table {table}")
    raise Unasked(f"there is no table {table}")


def named(listed: list[Json], table: str, epoch: str) -> list[Stood]:
    """The named counters of a table. All bytes are in `bytes_up`: which way they count is not theirs to say."""
    found = []
    for one in listed:
        counter = one.get("counter")
        if isinstance(counter, dict) and f"{counter.get('family')} {counter.get('table')}" == table:
            name = str(counter.get("name", ""))
            handle, size = (_whole(counter, field, f"counter {name}") for field in ("handle", "bytes"))
            found.append(Stood(name, hidden(table, name), size, 0, 0, f"{epoch}/{handle}"))
    return bounded(found)


def elements(listed: list[Json], table: str, epoch: str) -> list[Stood]:
    """The elements of a set that count. One is called by its comment, if it has one; it is known by its value."""
    kept = next((one["set"] for one in listed if isinstance(one.get("set"), dict)), None)
    if kept is None:
        raise Unasked(f"nft lists no set of table {table}")
    members = kept.get("elem", [])
    if not isinstance(members, list):
        raise Unasked(f"nft lists the elements of table {table} as no list")
    found = []
    for one in members:
        element = one.get("elem") if isinstance(one, dict) else None
        if isinstance(element, dict) and isinstance(element.get("counter"), dict):
            value = written(element.get("val"))
            name = str(element.get("comment") or value)
            size = _whole(element["counter"], "bytes", f"element {value}")
            found.append(Stood(name, hidden(f"{table}/{kept.get('name')}", value), size, 0, 0, epoch))
    if not found and members:
        raise Unasked(f"the elements of set {kept.get('name')} have no counters; declare the set with `counter`")
    return bounded(found)


def written(value: object) -> str:
    """The value of an element as nft takes it: `10.0.0.1`, `10.0.0.0/8`, `10.0.0.1-10.0.0.9`, `10.0.0.1 . 80`."""
    match value:
        case {"prefix": {"addr": addr, "len": size}}:
            return f"{addr}/{size}"
        case {"range": [first, last]}:
            return f"{written(first)}-{written(last)}"
        case {"concat": [*parts]}:
            return " . ".join(written(part) for part in parts)
        case str() | int():
            return str(value)
    raise Unasked(f"nft lists an element of a kind that is not known: {str(value)[:60]!r}")


def _whole(of: Json, field: str, whose: str) -> int:
    value = of.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Unasked(f"nft says no {field} of {whose}")
    return value
