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
]
ALL: Final[frozenset[Right]] = frozenset(get_args(Right))

MEANINGS: Final[Mapping[Right, str]] = MappingProxyType(
    {
        "events:write": "send events, as a sender of its own; look up what that sent, or was sent for its account",
        "events:read": "look up single events, and what is held",
        "corrections:write": "correct and void events that its own sender sent",
        "readings:write": "send readings of counters, as a sender of its own",
        "sources:read": "where every source and counter stands, and whose it is",
        "sources:write": "act for any sender: hand sources over, send into, correct and void in sources of others, "
        "make free adjustments, issue credentials that go on with a sender's sources",
        "held:write": "look at held events again, and drop them",
        "senders:read": "list senders",
        "senders:write": "rename senders",
        "usage:read": "what was used, of users too",
        "balance:read": "what is left, of users too, and the explanation of it",
        "export:read": "every single row, as a file",
        "changes:read": "what moved whose past",
        "periods:read": "closed and open periods",
        "periods:write": "close periods",
        "accounts:read": "accounts: name, zone, status",
        "accounts:write": "make accounts, change and suspend them",
        "users:read": "users and their names",
        "users:write": "make, change and delete users",
        "passwords:read": "users' passwords, in clear",
        "erasures:read": "how far an erasure is",
        "erasures:write": "erase users' names for good",
        "allocations:read": "what was passed on to users",
        "allocations:write": "pass traffic on to users, and take it back",
        "whitelist:read": "lists of IP addresses",
        "whitelist:write": "change them",
        "grants:read": "grants",
        "grants:write": "give and void grants",
        "wallet:read": "money: balance and entries",
        "wallet:write": "deposit and adjust money",
        "plans:read": "what can be bought",
        "plans:write": "make and retire plans",
        "purchases:read": "what was bought",
        "purchases:write": "buy, out of the wallet",
        "vouchers:read": "vouchers, with their codes",
        "vouchers:write": "make, revoke and redeem vouchers",
        "check_ins:read": "check-ins",
        "check_ins:write": "check in",
        "pools:read": "pools and products",
        "pools:write": "make pools, and say what is paid from them",
        "credentials:read": "credentials, without their secrets",
        "credentials:write": "issue, change, rotate and revoke credentials that may no more than it may itself",
        "audit:read": "who changed what",
        "metrics:read": "metrics for Prometheus, where the setting `metrics` asks for a key",
        "doctor:read": "what the machine is good for",
        "verify:read": "what the last check found",
        "verify:write": "start a check of everything",
        "backups:read": "the backups there are",
        "backups:write": "start a backup, and remove old ones with it",
        "retention:read": "what is rolled up",
        "retention:write": "roll old rows up",
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
        "metrics:read",
        "doctor:read",
        "verify:read",
        "verify:write",
        "backups:read",
        "backups:write",
        "retention:read",
        "retention:write",
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
