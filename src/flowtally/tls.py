"""TLS of our own, and when it may be missing.

Owns the look at certificate and key before anything is opened, and the refusal to send tokens over a network in clear.
The handshakes are the HTTP server's. What to put in front instead: docs/deploy.md.
"""

from __future__ import annotations

import shlex
import ssl
import stat
from ipaddress import ip_address
from pathlib import Path
from typing import NamedTuple

import structlog

from flowtally.config import Config
from flowtally.core.errors import ConfigError

log = structlog.get_logger("flowtally.server")


class Tls(NamedTuple):
    """Two PEM files that belong together."""

    cert: Path
    key: Path


def read_tls(config: Config) -> Tls | None:
    """The files of the settings, None where there are none. ConfigError where they cannot be served with, or where
    others can read the key."""
    if not config.tls_cert and not config.tls_key:
        return None
    if not config.tls_cert or not config.tls_key:
        missing = "tls_cert" if config.tls_key else "tls_key"
        raise ConfigError(f"{missing} is not set: TLS needs tls_cert and tls_key")
    found = Tls(Path(config.tls_cert).expanduser().absolute(), Path(config.tls_key).expanduser().absolute())
    for setting, path in (("tls_cert", found.cert), ("tls_key", found.key)):
        _check_readable(setting, path)
    _check_secret(found.key)
    _check_pair(found)
    return found


def check_clear(config: Config, address: str) -> None:
    """ConfigError for an address beyond this machine in clear, unless the settings want it; then the log warns."""
    if is_loopback(address):
        return
    if not config.allow_clear_text:
        raise ConfigError(
            f"host = {config.host!r}: {address} is beyond this machine, and without TLS everybody on the way could "
            "read tokens and change answers. Set tls_cert and tls_key, or listen at 127.0.0.1 with a proxy in front "
            "(docs/deploy.md). Where the network itself is private, set allow_clear_text"
        )
    log.warning(
        "listening_in_clear", address=address, detail="whoever is on the way reads tokens; allow_clear_text is set"
    )


def is_loopback(address: str) -> bool:
    found = ip_address(address.partition("%")[0])
    mapped = getattr(found, "ipv4_mapped", None)
    return bool((mapped or found).is_loopback)


def _check_readable(setting: str, path: Path) -> None:
    try:
        path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{setting} = {str(path)!r} cannot be read: {error.strerror}") from None


def _check_secret(key: Path) -> None:
    """As PostgreSQL has it: readable by its owner alone, or root's and by a group that was let in."""
    found = key.stat()
    mode = stat.S_IMODE(found.st_mode)
    allowed = 0o640 if found.st_uid == 0 else 0o600
    if mode & 0o077 & ~allowed:
        raise ConfigError(
            f"tls_key = {str(key)!r}: others can read it (mode {mode:o}). `chmod {allowed:o} {shlex.quote(str(key))}`"
        )


def _check_pair(files: Tls) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(files.cert, files.key, password=lambda: b"")  # or it would ask at the terminal
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            reason = "the key is not that of the (first) certificate"
        else:
            reason = (
                f"they cannot be used ({error.reason or error}): PEM files, the key without a passphrase, are needed"
            )
        raise ConfigError(f"tls_cert = {str(files.cert)!r}, tls_key = {str(files.key)!r}: {reason}") from None
