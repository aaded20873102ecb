"""How a message is signed: Standard Webhooks 1.0.0, symmetric (https://www.standardwebhooks.com).

Owns secrets and signatures. The id is the same at each attempt, the timestamp is the attempt's own.
"""

from __future__ import annotations

import base64
import hmac
import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

PREFIX: Final = "whsec_"
SECRET_BYTES: Final = 32


def new_secret() -> str:
    """A secret as both sides keep it."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def signed_text(message: str, at_s: int, body: str) -> str:
    """What is signed."""
    return f"{message}.{at_s}.{body}"


def signature(secret: str, signed: str) -> str:
    """By one secret."""
    key = base64.b64decode(secret.removeprefix(PREFIX))
    return "v1," + base64.b64encode(hmac.new(key, signed.encode(), sha256).digest()).decode()


def headers_of(message: str, at_s: int, body: str, keys: Iterable[str]) -> dict[str, str]:
    """What is sent with the body: a signature by each secret that is valid now."""
    signed = signed_text(message, at_s, body)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(at_s),
        "webhook-signature": " ".join(signature(key, signed) for key in keys),
    }
