"""The vault: secrets that are shown or used again, encrypted with a key that is not in the ledger.

Some vendors' APIs show a proxy user's password or a voucher's code again, and a provider is asked with its secrets, so
a hash will not do (every other secret is hashed, see `credentials`). Owns the key file: made at the first start,
readable by its owner alone, never logged, part of every backup; and what it holds while a key is replaced
(`care.rotate` does that). Fernet (https://github.com/fernet/spec): AES-128-CBC with HMAC-SHA256, so a damaged secret is
an error rather than another secret.

The file has a line for each key: `seal` for new secrets, `open` for those still sealed with one before it, `digest` for
what is found again by a digest and so outlives every other key. A file of one bare key, as earlier versions made it, is
that key for both.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Final, NamedTuple, Self

from cryptography.fernet import Fernet, InvalidToken, MultiFernet

from flowtally.core.errors import ConfigError
from flowtally.ledger.texts import check_text

KEY_FILE: Final = "passwords.key"  # in the data directory
MAX_PASSWORD_CHARS: Final = 256
MAX_SECRET_CHARS: Final = 4_096


class VaultKeys(NamedTuple):
    """What a key file holds."""

    seal: bytes
    digest: bytes
    old: tuple[bytes, ...] = ()


class Vault:
    """Seals and opens passwords and codes."""

    def __init__(self, keys: VaultKeys) -> None:
        self._fernet = MultiFernet([Fernet(key) for key in (keys.seal, *keys.old)])
        self._digest = keys.digest
        self.rotating = bool(keys.old)

    @classmethod
    def open(cls, path: Path, sealed: str | None) -> Self:
        """The vault whose keys are in this file, made where nothing was sealed yet. `sealed`: any secret of the
        ledger. ConfigError when the file is missing though it is needed, cannot be used, or has another key."""
        try:
            if not path.exists() and sealed is None:
                _make(path)
            vault = cls(_parse(path.read_bytes()))
            if sealed is not None:
                vault.reveal(sealed)
        except FileNotFoundError:
            detail = "is missing and the ledger holds secrets sealed with it: put it back from a backup"
            raise ConfigError(f"{str(path)!r} {detail}") from None
        except OSError as error:
            raise ConfigError(f"{str(path)!r} cannot be used: {error.strerror}") from error
        except InvalidToken:
            detail = "is not the key the secrets in the ledger were sealed with: put back the one that belongs to it"
            raise ConfigError(f"{str(path)!r} {detail}") from None
        except ValueError:  # its text may hold the key
            raise ConfigError(f"{str(path)!r} holds no key: put it back from a backup") from None
        return vault

    def seal(self, password: str) -> str:
        """The password as it may be kept; Unprocessable for one that is empty, too long or not printable."""
        return self.seal_secret("password", password, most=MAX_PASSWORD_CHARS)

    def seal_secret(self, field: str, secret: str, *, most: int = MAX_SECRET_CHARS) -> str:
        """The same of a secret that is called something else, and may be a long token."""
        return self._fernet.encrypt(check_text(field, secret, least=1, most=most).encode()).decode()

    def renew(self, sealed: str) -> str:
        """The same secret, sealed with the present key. ConfigError where it cannot be opened."""
        try:
            return self._fernet.rotate(sealed).decode()
        except InvalidToken:
            raise ConfigError("A secret in the ledger was sealed with a key that the key file does not hold") from None

    def blind(self, digest: str) -> str:
        """The digest of a request whose body holds a password, as it may be kept: without the key nobody can try
        passwords against it."""
        return hmac.new(self._digest, digest.encode(), sha256).hexdigest()

    def fingerprint(self, secret: str) -> str:
        """What a secret that is kept encrypted is found by again: nobody can try secrets against it without the key."""
        return hmac.new(self._digest, b"fingerprint\0" + secret.encode(), sha256).hexdigest()

    def reveal(self, sealed: str) -> str:
        """The password that was sealed."""
        return self._fernet.decrypt(sealed.encode()).decode()


def begin_rotation(path: Path) -> Vault:
    """A vault that seals with a new key and opens what older ones sealed, in the file before this returns. One that was
    begun and not finished is gone on with: its new key stays."""
    keys = _parse(path.read_bytes())
    if not keys.old:
        keys = VaultKeys(Fernet.generate_key(), keys.digest, (keys.seal,))
        _write(path, keys, os.replace)
    return Vault(keys)


def finish_rotation(path: Path) -> None:
    """Forget the older keys, once nothing is sealed with them."""
    _write(path, _parse(path.read_bytes())._replace(old=()), os.replace)


def _parse(text: bytes) -> VaultKeys:
    """ValueError where there is no key of a kind that must be there."""
    if len(lines := [line.split() for line in text.splitlines() if line.strip()]) == 1 and len(lines[0]) == 1:
        Fernet(key := lines[0][0])
        return VaultKeys(key, key)
    found: dict[bytes, list[bytes]] = {b"seal": [], b"open": [], b"digest": []}
    for kind, key in lines:  # ValueError for other lines than of two words
        found.get(kind, []).append(key)
    [seal], [digest] = found[b"seal"], found[b"digest"]
    return VaultKeys(seal, digest, tuple(found[b"open"]))


def _make(path: Path) -> None:
    """New keys, there wholly or not at all: a start that is killed in between leaves no half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):  # another start was faster: its keys are the keys
        _write(path, VaultKeys(Fernet.generate_key(), Fernet.generate_key()), os.link)


def _write(path: Path, keys: VaultKeys, put: Callable[[Path, Path], None]) -> None:
    """The file, put in its place when it is on the disk."""
    lines = [(b"seal", keys.seal), *((b"open", key) for key in keys.old), (b"digest", keys.digest)]
    descriptor, made = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # 0600 from the first moment
    new = Path(made)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(b"".join(kind + b" " + key + b"\n" for kind, key in lines))
            file.flush()
            os.fsync(file.fileno())
        put(new, path)
    finally:
        new.unlink(missing_ok=True)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
