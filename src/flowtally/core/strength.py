"""Whether a secret that a person chose can be guessed: how much of it says something new.

Counts characters that neither repeat what stood before, nor go on as a row (`abcd`, `4321`), nor belong to a word that
everybody writes into a placeholder. No dictionary and no probability: whoever takes words of a language should take
many, or have a machine draw the secret, which always passes.
"""

from __future__ import annotations

from typing import Final

MIN_CHARS: Final = 32
MIN_NEW: Final = 20  # of them; drawn at random, 32 digits of hexadecimal have 24 and more
MIN_DIFFERENT: Final = 8
REPEAT: Final = 3  # as long as what stood before: no chance any more
PLACEHOLDERS: Final = (
    *("password", "passwort", "passw0rd", "secret", "token", "change", "changeme", "please", "default", "example"),
    *("admin", "administrator", "root", "flowtally", "test", "demo", "sample", "dummy", "letmein", "welcome", "insert"),
    *("replace", "your", "here", "this", "with", "value", "string", "bearer", "qwerty", "qwertz", "asdf", "zxcv"),
    *("long", "enough", "chosen", "operator", "super", "not", "the", "key", "production", "local", "dev", "todo"),
    *("foo", "bar", "master", "login", "access", "user", "api", "strong", "random", "must", "only", "for", "and"),
)


def weakness(secret: str) -> str | None:
    """What is wrong with it, in words that do not show it; None for one that nobody guesses."""
    if len(secret) < MIN_CHARS:
        return f"it has {len(secret)} characters, at least {MIN_CHARS} are needed"
    new, different = new_characters(secret), len(set(secret))
    if new < MIN_NEW or different < MIN_DIFFERENT:
        return (
            f"of its {len(secret)} characters only {new} are more than repetition, rows or common words (at least "
            f"{MIN_NEW}), and {different} differ (at least {MIN_DIFFERENT})"
        )
    return None


def new_characters(secret: str) -> int:
    """How many characters say something new, read from the left."""
    text = secret.lower()
    new = at = 0
    while at < len(text):
        known = max(_repeated(text, at), _row(text, at), _word(text, at))
        new, at = (new, at + known) if known else (new + 1, at + 1)
    return new


def _repeated(text: str, at: int) -> int:
    """How long what begins here has stood before; 0 where that is too short to mean anything."""
    length = 0
    while at + length < len(text) and text[at : at + length + 1] in text[: at + length]:
        length += 1
    return length if length >= REPEAT else 0


def _row(text: str, at: int) -> int:
    """How long a row of neighbours (or of one character) goes on from here, but for its first."""
    if at == 0 or at + 1 >= len(text):
        return 0
    step = ord(text[at]) - ord(text[at - 1])
    length = 0
    while at + length < len(text) and ord(text[at + length]) - ord(text[at + length - 1]) == step:
        length += 1
    return length if abs(step) <= 1 and length >= REPEAT - 1 else 0


def _word(text: str, at: int) -> int:
    return max((len(word) for word in PLACEHOLDERS if text.startswith(word, at)), default=0)
