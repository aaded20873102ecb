"""The vault: proxy users' passwords and vouchers' codes, encrypted with a key that is not in the ledger.

Some vendors' APIs show a proxy user's password or a voucher's code again, so a hash will not do (every other secret is
hashed, see `credentials`). Owns the key file: made at the first start, readable by its owner alone, never logged, part
of every backup. Fernet (https://github.com/fernet/spec): AES-128-CBC with HMAC-SHA256, so a damaged secret is an error
rather than another secret.
"""

from __future__ import annotations

import hmac
import os
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Final, Self

from cryptography.fernet import Fernet, InvalidToken

from flowtally.errors import ConfigError
from flowtally.ledger.texts import check_text

KEY_FILE: Final = "passwords.key"  # in the data directory
MAX_PASSWORD_CHARS: Final = 256


class Vault:
    """Seals and opens passwords and codes."""

    def __init__(self, key: bytes) -> None:
        self._fernet = Fernet(key)
        self._key = key

    @classmethod
    def open(cls, path: Path, sealed: str | None) -> Self:
        """The vault whose key is in this file, made where nothing was sealed yet. `sealed`: any secret of the
        ledger. ConfigError when the file is missing though it is needed, cannot be used, or has another key."""
        try:
            if not path.exists() and sealed is None:
                _make(path)
            vault = cls(path.read_bytes())
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
        return self._fernet.encrypt(
            check_text("password", password, least=1, most=MAX_PASSWORD_CHARS).encode()
        ).decode()

    def blind(self, digest: str) -> str:
        """The digest of a request whose body holds a password, as it may be kept: without the key nobody can try
        passwords against it."""
        return hmac.new(self._key, digest.encode(), sha256).hexdigest()

    def fingerprint(self, secret: str) -> str:
        """What a secret that is kept encrypted is found by again: nobody can try secrets against it without the key."""
        return hmac.new(self._key, b"fingerprint\0" + secret.encode(), sha256).hexdigest()

    def reveal(self, sealed: str) -> str:
        """The password that was sealed."""
        return self._fernet.decrypt(sealed.encode()).decode()


def _make(path: Path) -> None:
    """A new key, there wholly or not at all: a start that is killed in between leaves no half a key."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, made = tempfile.mkstemp(prefix=path.name, dir=path.parent)  # 0600 from the first moment
    new = Path(made)
    with os.fdopen(descriptor, "wb") as file:
        file.write(Fernet.generate_key())
        file.flush()
        os.fsync(file.fileno())
    try:
        os.link(new, path)  # fails where another start was faster: its key is the key
    except FileExistsError:
        pass
    finally:
        new.unlink()
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
