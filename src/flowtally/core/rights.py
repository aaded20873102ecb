"""Rights: what a credential may ask for, and the scopes, which are sets of them under one name. Pure.

Owns the words, what they mean, and who has which. A right is `thing:read` or `thing:write`; every operation needs one.
Which accounts it is good for is another matter (`auth`): a credential of an account has its rights there alone. Leaves
to the operations which right each needs, to `auth` that nobody gives more than they have.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Final, Literal, get_args

Scope = Literal["ingest", "account", "manage", "admin", "custom"]
Right = Literal[
    "events:write",
    "events:read",
    "corrections:write",
    "readings:write",
    "sources:read",
    "sources:write",
    "held:write",
    "senders:read",
    "senders:write",
    "usage:read",
    "balance:read",
    "export:read",
    "changes:read",
    "periods:read",
    "periods:write",
    "accounts:read",
    "accounts:write",
    "users:read",
    "users:write",
    "passwords:read",
    "erasures:read",
    "erasures:write",
    "allocations:read",
    "allocations:write",
    "whitelist:read",
    "whitelist:write",
    "grants:read",
    "grants:write",
    "wallet:read",
    "wallet:write",
    "plans:read",
    "plans:write",
    "purchases:read",
    "purchases:write",
    "vouchers:read",
    "vouchers:write",
    "check_ins:read",
    "check_ins:write",
    "pools:read",
    "pools:write",
    "places:read",
    "places:write",
    "credentials:read",
    "credentials:write",
    "audit:read",
    "metrics:read",
    "doctor:read",
    "verify:read",
    "verify:write",
    "backups:read",
    "backups:write",
    "retention:read",
    "retention:write",
    "providers:read",
    "providers:write",
    "webhooks:read",
    "webhooks:write",
    "samples:read",
    "samples:write",
    "gateways:read",
    "gateways:write",
    "endpoints:read",
    "stock:read",
    "stock:write",
    "leases:read",
    "leases:write",
    "actions:read",
    "actions:write",
    "servers:read",
    "servers:write",
]
ALL: Final[frozenset[Right]] = frozenset(get_args(Right))

MEANINGS: Final[Mapping[Right, str]] = MappingProxyType(
    {
        "events:write": "send events as its own sender; look up events that this sender sent, or that were sent for "
        "its account",
        "events:read": "look up single events and held events",
        "corrections:write": "correct and void the events that its own sender sent",
        "readings:write": "send readings of counters as its own sender",
        "sources:read": "list sources and counters, how far each has come, and who owns it",
        "sources:write": "act for any sender: give sources to another sender; send, correct and void in sources of "
        "others; adjust the use of an account; issue credentials for an existing sender",
        "held:write": "retry held events, and drop them",
        "senders:read": "list senders",
        "senders:write": "rename senders",
        "usage:read": "read what accounts and users used",
        "balance:read": "read what accounts and users have left, and how it came about",
        "export:read": "export every single row as a file",
        "changes:read": "read what changed: new use, late use, corrections and adjustments",
        "periods:read": "read closed periods, and what is in no statement yet",
        "periods:write": "close periods",
        "accounts:read": "read accounts: name, time zone, status",
        "accounts:write": "create accounts, change, suspend and close them",
        "users:read": "read users and their names",
        "users:write": "create, change and delete users",
        "passwords:read": "read users' passwords, in clear text",
        "erasures:read": "read how far an erasure is",
        "erasures:write": "erase users and closed accounts for ever",
        "allocations:read": "read what was allocated to users",
        "allocations:write": "allocate traffic to users, and take it back",
        "whitelist:read": "read whitelists of IP addresses",
        "whitelist:write": "change whitelists of IP addresses",
        "grants:read": "read grants",
        "grants:write": "give and void grants, and give leases for nothing",
        "wallet:read": "read the money of accounts: what wallets hold, and their entries",
        "wallet:write": "deposit money into wallets, and adjust them",
        "plans:read": "read the plans that can be bought",
        "plans:write": "create and retire plans",
        "purchases:read": "read what was bought",
        "purchases:write": "buy plans from the wallet",
        "vouchers:read": "read vouchers, with their codes",
        "vouchers:write": "create, revoke and redeem vouchers",
        "check_ins:read": "read check-ins",
        "check_ins:write": "check in for the daily reward",
        "pools:read": "read pools and products",
        "pools:write": "create pools, and map products to them",
        "places:read": "read which countries, states, cities and autonomous systems products have",
        "places:write": "replace and remove the places of products",
        "credentials:read": "read credentials, without their secrets",
        "credentials:write": "issue, change, rotate and revoke credentials that have no more rights than it has itself",
        "audit:read": "read who changed what",
        "metrics:read": "read metrics for Prometheus, if the setting `FLOWTALLY_METRICS` asks for a key",
        "doctor:read": "read whether the machine is fit, and what the installation holds",
        "verify:read": "read what the last check found",
        "verify:write": "start a check of everything",
        "backups:read": "list the backups",
        "backups:write": "start a backup, and let it remove old ones",
        "retention:read": "read what is compacted",
        "retention:write": "compact old rows",
        "providers:read": "read which accounts at vendors are connected, what these say, and whether it matches what "
        "was measured",
        "providers:write": "connect accounts at vendors, change and remove them, have them asked",
        "webhooks:read": "read where messages go, and what became of each",
        "webhooks:write": "say where messages go: add webhooks, change, test and remove them, send messages again",
        "samples:read": "read samples of servers' gauges",
        "samples:write": "send samples of servers' gauges",
        "gateways:read": "read which hosts and ports are offered",
        "gateways:write": "add and remove the hosts and ports that are offered",
        "endpoints:read": "get lists of endpoints to connect to",
        "stock:read": "read what is in stock, and who leased which of it when",
        "stock:write": "put addresses and servers into stock, change and retire them",
        "leases:read": "read what accounts lease, and what was paid for it",
        "leases:write": "lease from stock with money from the wallet; renew, upgrade and release leases",
        "actions:read": "read what was asked of servers that are leased, and what became of it",
        "actions:write": "ask for actions on servers that are leased, such as a restart",
        "servers:read": "read what holders of all accounts ask of their servers",
        "servers:write": "take these actions, and say what became of them",
    }
)

# What is about no account: a credential of one cannot have these.
INSTALLATION: Final[frozenset[Right]] = frozenset(
    {
        "sources:read",
        "sources:write",
        "held:write",
        "senders:read",
        "senders:write",
        "plans:write",
        "pools:write",
        "places:write",
        "metrics:read",
        "doctor:read",
        "verify:read",
        "verify:write",
        "backups:read",
        "backups:write",
        "retention:read",
        "retention:write",
        "samples:write",
        "gateways:read",
        "gateways:write",
        "stock:read",
        "stock:write",
        "servers:read",
        "servers:write",
    }
)
OF_ACCOUNTS: Final[frozenset[Scope]] = frozenset({"account", "manage"})  # credentials of these have an account
# What a sender is needed for.
SENDING: Final[frozenset[Right]] = frozenset({"events:write", "corrections:write", "readings:write"})

_READS: Final[frozenset[Right]] = frozenset(
    {
        "events:read",
        "usage:read",
        "balance:read",
        "export:read",
        "changes:read",
        "periods:read",
        "accounts:read",
        "users:read",
        "allocations:read",
        "whitelist:read",
        "grants:read",
        "wallet:read",
        "purchases:read",
        "check_ins:read",
        "pools:read",
        "places:read",
        "providers:read",
        "samples:read",
        "endpoints:read",
        "leases:read",
        "actions:read",
    }
)
_MANAGES: Final[frozenset[Right]] = frozenset(
    {
        "users:write",
        "passwords:read",
        "allocations:write",
        "whitelist:write",
        "plans:read",
        "purchases:write",
        "vouchers:read",
        "vouchers:write",
        "check_ins:write",
        "audit:read",
        "providers:write",
        "webhooks:read",
        "webhooks:write",
        "leases:write",
        "actions:write",
    }
)
PRESETS: Final[Mapping[Scope, frozenset[Right]]] = MappingProxyType(
    {
        "ingest": frozenset({"events:write", "readings:write"}),
        "account": _READS,
        "manage": _READS | _MANAGES,
        "admin": ALL,
        "custom": frozenset(),
    }
)


@lru_cache(4096)
def held(scope: Scope, more: str = "") -> frozenset[str]:
    """All rights of a scope and of these beyond it, which have spaces between them."""
    return PRESETS[scope].union(more.split())


def beyond(scope: Scope, wanted: Iterable[str]) -> str:
    """Those that the scope does not have itself, as they are kept: each once, in one order, spaces between them."""
    return " ".join(sorted(set(wanted) - PRESETS[scope]))


def scopes_with(right: str) -> tuple[Scope, ...]:
    """The scopes that have it, the smallest first."""
    return tuple(scope for scope, rights in PRESETS.items() if right in rights)
