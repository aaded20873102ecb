"""Voucher codes: what they look like, and how the ledger keeps them without anybody reading them there.

16 characters of 62 are 95 bits, so nobody guesses one. A code is found by a keyed digest and shown again to its issuer
from an encrypted copy; without the key, which is not in the ledger, neither gives it away.
"""

from __future__ import annotations

import re
import secrets
import string
from typing import Final

import msgspec

from flowtally.ledger.vault import Vault

CODE_CHARS: Final = 16
_ALPHABET: Final = string.ascii_letters + string.digits
_CODE: Final = re.compile(rf"[A-Za-z0-9]{{{CODE_CHARS}}}")


class Code(msgspec.Struct, frozen=True):
    """A code as it may be kept."""

    digest: str
    sealed: str


def new_codes(vault: Vault, count: int) -> list[Code]:
    """Fresh random codes."""
    return [keep_code(vault, "".join(secrets.choice(_ALPHABET) for _ in range(CODE_CHARS))) for _ in range(count)]


def keep_code(vault: Vault, code: str) -> Code:
    return Code(vault.fingerprint(code), vault.seal(code))


def digest_of(vault: Vault, code: str) -> str | None:
    """What the code would be found by; None for a text that no code can be. Case matters."""
    return vault.fingerprint(code) if _CODE.fullmatch(code) else None
