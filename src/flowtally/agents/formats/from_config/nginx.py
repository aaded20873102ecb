"""nginx.conf: `log_format NAME [escape=...] '...' ...;`, `access_log PATH [NAME] ...;`, with includes and comments."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from flowtally.agents.formats.declared import Declared
from flowtally.agents.formats.from_config.found import Formats, Include

_TOKEN: Final = re.compile(
    r"""\s+|\#[^\n]*|(?P<end>[;{}])|(?P<word>'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|(?:[^\s;{}\\]|\\.|\$\{\w+\}|(?<!\s)[{}])+)""",
    re.DOTALL,
)
_KNOWN: Final = ("log_format", "access_log", "http", "server", "events", "stream", "worker_processes", "listen")


def read(text: str, include: Include) -> Formats | None:
    directives = list(_directives(text, include))
    if not any(words[0] in _KNOWN for words in directives):
        return None
    made = Formats()
    for words in directives:
        if words[0] == "log_format" and len(words) > 2:
            made.add(words[1], Declared(nginx_log_format=" ".join(words[2:])))
    for words in directives:
        if words[0] == "access_log" and len(words) > 1 and words[1] != "off":
            name = words[2] if len(words) > 2 and "=" not in words[2] else "combined"
            made.logs.append((_plain(words[1]), name))
            if name == "combined":
                made.add(name, Declared(format="combined"))
    return made


def _directives(text: str, include: Include, depth: int = 0) -> Iterator[list[str]]:
    """Each directive with its arguments, these with their quotes."""
    words: list[str] = []
    place = 0
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            return
        place = match.end()
        if match["word"]:
            words.append(match["word"])
        elif match["end"]:
            if words[:1] == ["include"] and len(words) > 1 and depth < 16:
                for included in include(_plain(words[1])):
                    yield from _directives(included, include, depth + 1)
            elif words:
                yield words
            words = []


def _plain(word: str) -> str:
    return word[1:-1] if word[:1] in ("'", '"') else word
