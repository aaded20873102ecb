"""What a credential may be: which account, rights, end and addresses go together. Pure.

Leaves to `auth` who may give what to whom.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from flowtally.core import rights
from flowtally.core.edges import format_instant
from flowtally.core.errors import Unprocessable
from flowtally.core.rights import Right, Scope
from flowtally.ledger.people.addresses import canonical
from flowtally.ledger.texts import check_instant

MAX_ADDRESSES: Final = 64  # of one credential


def check_account(scope: Scope, account: str | None) -> None:
    """Unprocessable when scope and account do not go together."""
    if (scope == "admin" and account is not None) or (scope in rights.OF_ACCOUNTS and account is None):
        raise Unprocessable(f"scope {scope} {'takes no' if account else 'needs an'} account", field="account")


def check_rights(scope: Scope, account: str | None, more: Sequence[Right]) -> str:
    """The rights beyond the scope's own, as they are kept. Unprocessable for none at all, and for those of the
    installation where there is an account."""
    if unknown := sorted(set(more) - rights.ALL):
        raise Unprocessable(f"there is no right {unknown[0]!r}", field="rights")
    if scope == "custom" and not more:
        raise Unprocessable("scope custom has the rights that are named, and none are", field="rights")
    whole = sorted(rights.INSTALLATION.intersection(more))
    if account is not None and whole:
        raise Unprocessable(f"{whole[0]} is about the installation: no credential of an account has it", field="rights")
    return rights.beyond(scope, more)


def check_end(expires_at: int | None, now: int) -> None:
    """Unprocessable where it would be over already."""
    if expires_at is not None and check_instant("expires_at", expires_at) <= now:
        told = f"expires_at is {format_instant(expires_at)}, which is over: it is {format_instant(now)} now"
        raise Unprocessable(told, field="expires_at")


def check_addresses(addresses: Sequence[str]) -> str:
    """As they are kept: each once, in one spelling. Unprocessable."""
    if len(addresses) > MAX_ADDRESSES:
        raise Unprocessable(f"{len(addresses)} addresses; {MAX_ADDRESSES} are allowed", field="addresses")
    return " ".join(dict.fromkeys(canonical(one) for one in addresses))
