"""The way to the server: whom to ask and as whom, from the environment."""

from __future__ import annotations

import os
from typing import Final

from flowtally.client import Client
from flowtally.core.errors import ConfigError
from flowtally.core.texts import MAX_SHOWN_CHARS
from flowtally.protocol.words import DEFAULT_URL

PATIENCE_S: Final[float] = 3  # seconds, unless said otherwise: a person is waiting; an import is given a minute


def client(retry_s: float | None = None) -> Client:
    """A client of the server the environment names; ConfigError says what is missing."""
    token = os.environ.get("FLOWTALLY_TOKEN", "").strip()
    if not token:
        raise ConfigError(
            "FLOWTALLY_TOKEN is not set: `export FLOWTALLY_TOKEN=...` with the token of a key. The first start of the "
            "server prints one; a lost one is replaced with `flowtally key admin --data DIR` on its machine"
        )
    try:
        return Client(url(), token, retry_s=PATIENCE_S if retry_s is None else retry_s)
    except (ValueError, ConfigError) as error:
        raise ConfigError(f"{_which(str(error))}: {error}") from None


def _which(fault: str) -> str:
    """The variable that is at fault. An address is shown unless there may be a password in it, and a token never."""
    if fault.startswith("the token"):
        return "FLOWTALLY_TOKEN"
    return "FLOWTALLY_URL" if "@" in url() else f"FLOWTALLY_URL = {url()[:MAX_SHOWN_CHARS]!r}"


def url() -> str:
    return os.environ.get("FLOWTALLY_URL", "").strip().rstrip("/") or DEFAULT_URL
