"""Tokens and keys as texts: how one is made, and whether one is whole. Pure: chance comes in as bytes.

    ft_ing_4ZrCDm0mWJ6JcOhHWsGVCmJXKxHSbMjeIBHaTgbiqkn1VdPXA
    kind   256 bits as 43 digits of base 62           check sum: CRC-32 of all before it, 6 digits

The check sum is no secret and guards nothing: it tells a token that was mistyped or cut off from one that is unknown
without a look into the ledger, and lets a scanner for leaked secrets find tokens without false alarms. Tokens of
before it are 43 characters of base64 after the kind; a token that an operator chose need not look like one at all.
"""

from __future__ import annotations

import re
import string
from binascii import crc32
from typing import Final

BYTES: Final = 32  # of chance in each
PATTERN: Final = r"ft_(?:ing|acc|man|adm|cus|key)_[0-9A-Za-z]{49}"  # for scanners; docs/operations.md has it

_KIND: Final = r"ft_(?:ing|acc|man|adm|cus|key)_"
_OURS: Final = re.compile(_KIND)
_SUMMED: Final = re.compile(PATTERN)
_EARLIER: Final = re.compile(_KIND + r"[A-Za-z0-9_-]{43}")
_DIGITS: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase
_BODY: Final = 43  # 62^43 > 2^256
_SUM: Final = 6  # 62^6 > 2^32


def make(kind: str, chance: bytes) -> str:
    """A token or key of this kind (`ft_ing_`); `chance`: BYTES random bytes."""
    assert len(chance) == BYTES, "fewer would be easier to guess, more would not fit"
    text = kind + _base62(int.from_bytes(chance, "big"), _BODY)
    return text + _sum(text)


def is_whole(text: str) -> bool:
    """False for one that was made here and is no longer what it was; true also for what was never made here."""
    if not _OURS.match(text) or _EARLIER.fullmatch(text):
        return True
    return _SUMMED.fullmatch(text) is not None and text[-_SUM:] == _sum(text[:-_SUM])


def _sum(text: str) -> str:
    return _base62(crc32(text.encode("ascii")), _SUM)


def _base62(number: int, digits: int) -> str:
    made = []
    for _ in range(digits):
        number, digit = divmod(number, 62)
        made.append(_DIGITS[digit])
    return "".join(reversed(made))
