"""The `idempotency_key` of a write: it stands for one write of the account, over all operations, for good."""

from __future__ import annotations

from typing import Any

import msgspec

from flowtally.ledger.idempotency import request_digest
from flowtally.ledger.used_keys import use_key
from flowtally.vendors.base import DialectCall


def is_new(call: DialectCall, key: str, *request: Any, formerly: tuple[Any, ...] | None = None) -> bool:
    """False where the same was done under this key; IdempotencyMismatch where something else was. `formerly`: what made
    it the same in versions before this one."""
    before = () if formerly is None else (_digest(call, formerly),)
    return use_key(call.tx, call.account, key, _digest(call, request), now=call.now, formerly=before)


def _digest(call: DialectCall, request: tuple[Any, ...]) -> str:
    """What is kept of a request does not let it be guessed: those of earlier versions hold a password."""
    return call.services.vault.blind(request_digest("POST", "ipfoxy", msgspec.json.encode(request)))
