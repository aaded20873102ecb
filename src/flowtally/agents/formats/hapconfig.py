"""The log formats of a haproxy.cfg, and one as it is spelled there: words with quotes and backslashes."""

from __future__ import annotations

import re
from typing import Final

from flowtally.agents.formats.declared import Declared
from flowtally.core.errors import ConfigError

_ESCAPED: Final = re.compile(r"\\(x[0-9A-Fa-f]{2}|.)", re.DOTALL)
_QUOTED: Final = re.compile(r"\"(?:[^\"\\]|\\.)*\"|'[^']*'", re.DOTALL)
_WORD: Final = re.compile(r"(?:[^\s\\\"'#]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')+", re.DOTALL)
_PART: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'([^']*)'|((?:[^\\\"']|\\.)+)", re.DOTALL)
_LETTERS: Final = {"n": "\n", "r": "\r", "t": "\t"}
_SECTION: Final = ("defaults", "frontend", "listen", "backend", "global")


def format_text(text: str) -> str:
    """What HAProxy makes of a `log-format`'s word; of a text that is no quoted word only escapes are taken."""
    text = text.strip().removeprefix("log-format ").strip()
    return _word(text) if _QUOTED.fullmatch(text) else _unescaped(text)


def formats_in(text: str) -> dict[str, Declared]:
    """Every log format of a haproxy.cfg, by its section: `frontend web`, `defaults`."""
    found: dict[str, Declared] = {}
    section = ""
    for line in text.replace("\\\n", "").splitlines():
        words = [_word(word) for word in _WORD.findall(_commented(line))]
        if not words:
            continue
        if words[0] in _SECTION:
            section = " ".join(words[:2])
        elif words[0] == "log-format" and len(words) > 1:
            found[section] = Declared(haproxy_log_format=words[1].replace("\\", "\\\\"))
        elif words[0] == "option" and len(words) > 1 and words[1] in ("httplog", "tcplog") and "clf" not in words:
            found.setdefault(section, Declared(format="haproxy" if words[1] == "httplog" else "haproxy-tcp"))
    return found


def _commented(line: str) -> str:
    """The line up to its comment."""
    match = re.match(r"(?:[^\\\"'#]|\\.|\"(?:[^\"\\]|\\.)*\"|'[^']*')*", line)
    return match[0] if match else ""


def _word(text: str) -> str:
    return "".join(
        _unescaped(weak) if weak is not None else strong if strong is not None else _unescaped(bare)
        for weak, strong, bare in (part.groups() for part in _PART.finditer(text))
    )


def _unescaped(text: str) -> str:
    if re.search(r"(?<!\\)\$\{?\w", text):
        raise ConfigError("--haproxy-log-format: it has a variable ($...); write its value")
    return _ESCAPED.sub(lambda one: chr(int(one[1][1:], 16)) if len(one[1]) > 1 else _LETTERS.get(one[1], one[1]), text)
