"""Secrets in what is told of a vendor's answers: found however they are spelled there, and taken out. Pure.

Owns how a secret may be spelled, and which members of an answer are passwords. What is told is cut afterwards, never
before: the beginning of a secret is in no list of secrets.
"""

from __future__ import annotations

import html
import re
from collections.abc import Collection, Iterator
from itertools import groupby
from typing import Final

SECRET: Final = "[secret]"  # noqa: S105 - what stands in the place of one
_MIN_SECRET: Final = 4  # characters; what is shorter is none, and hiding it would make texts unreadable
_PASSWORD: Final = re.compile(
    r"""((["'])(?:\w*_)?pass(?:word|wd)\2\s*:\s*)(?:"(?:[^"\\]|\\.)*"?|'(?:[^'\\]|\\.)*'?|[^\s"'{\[,}\]]+)""",
    re.IGNORECASE | re.DOTALL,
)
_CUT: Final = re.compile(r"[%\\&][\w%#\\]{0,20}")  # a character that was cut within
_JSON_SHORT: Final = {"\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}


def hide_passwords(text: str) -> str:
    """The text without the values of its members that are passwords.

    >>> hide_passwords('{"user": "u1", "password": "p')
    '{"user": "u1", "password": "[secret]"'
    """
    return _PASSWORD.sub(rf'\1"{SECRET}"', text)


class Secrets:
    """Those of one provider. Of a Cookie header each value is a secret, too."""

    def __init__(self, values: Collection[str]) -> None:
        found = {part for one in values for part in _parts(one) if len(part) >= _MIN_SECRET}
        self._spelled = [_spelled(one) for one in sorted(found, key=len, reverse=True)]
        self._whole = [re.compile("".join(one)) for one in self._spelled]

    def hide(self, text: str) -> str:
        """The text without them."""
        for one in self._whole:
            text = one.sub(SECRET, text)
        return text

    def hide_cut(self, text: str) -> str:
        """The same of a text that was cut: without the beginning of one at its end, too."""
        hidden = self.hide(text)
        return hidden[: min((_half_at(one, hidden) for one in self._spelled), default=len(hidden))]


def _parts(secret: str) -> Iterator[str]:
    yield secret
    for pair in secret.split(";"):
        yield pair.partition("=")[2].strip().strip('"')


def _spelled(secret: str) -> list[str]:
    """A pattern for each character, as a text, JSON, a URL or a page may have it."""
    found: list[str] = []
    for char, run in groupby(secret):
        count = len(list(run))
        found += [rf"(?:(?i:{_escaped(char)}){{{count}}}|\\{{{count},}})"] if char == "\\" else [_pattern(char)] * count
    return found


def _pattern(char: str) -> str:
    if char.isascii() and char.isalnum():
        return char
    ways = [_escaped(char)]  # the character alone is last: with some of them others begin
    if char in _JSON_SHORT:
        ways.append(rf"\\+{_JSON_SHORT[char]}")
    if char == " ":
        ways.append(r"\+")
    ways += [re.escape(html.escape(char)), rf"\\*{re.escape(char)}"]
    return f"(?i:{'|'.join(ways)})"


def _escaped(char: str) -> str:
    """By its number."""
    in_url = "".join(f"%(?:25)*{byte:02x}" for byte in char.encode("utf-8", "surrogatepass"))
    units = char.encode("utf-16-be", "surrogatepass")
    in_json = "".join(rf"\\+u{high:02x}{low:02x}" for high, low in zip(units[::2], units[1::2], strict=True))
    return f"{in_url}|{in_json}|&#(?:0*{ord(char)}|x0*{ord(char):x});"


def _half_at(spelled: list[str], text: str) -> int:
    """Where the beginning of the secret stands that the end of the text cut off; its length where none does."""
    patterns = [re.compile(one) for one in spelled]
    for start in range(len(text)):
        at = start
        for known, pattern in enumerate(patterns):
            if known >= _MIN_SECRET and (at == len(text) or _CUT.fullmatch(text, at)):
                return start
            if (found := pattern.match(text, at)) is None:
                break
            at = found.end()
    return len(text)
