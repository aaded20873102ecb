"""squid.conf: `logformat NAME ...`, `access_log MODULE:PLACE [logformat=NAME | NAME] ...`, `log_mime_hdrs`."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from flowtally.agents.formats.declared import Declared
from flowtally.agents.formats.from_config.found import Formats, Include
from flowtally.agents.formats.names import NAMES

_MODULES: Final = re.compile(r"(?:stdio|daemon):")
_HEADERS: Final = " [%>h] [%<h]"  # what log_mime_hdrs puts behind each of Squid's own formats
_OURS: Final = {"squid": "squid", "common": "squid-common", "combined": "squid-combined"}
_OTHERS: Final = {"referrer": "%ts.%03tu %>a %'{Referer}>h %ru", "useragent": '%>a [%tl] "%\'{User-Agent}>h"'}
_DEFAULT: Final = "/var/log/squid/access.log"


def read(text: str, include: Include) -> Formats | None:
    if re.search(r"^\s*(?:log_format|access_log)\s[^;#]*;", text, re.MULTILINE):  # nginx's
        return None
    lines = list(_lines(text, include))
    if not any(re.match(r"(?:logformat|access_log|http_port|acl|http_access|cache_dir)\s", line) for line in lines):
        return None
    made = Formats()
    mime = any(re.fullmatch(r"log_mime_hdrs\s+on", line) for line in lines)
    own = _own(mime=mime)
    for line in lines:
        if match := re.match(r"logformat\s+(\S+)\s+(.*)", line):
            made.add(match[1], Declared(squid_logformat=_unquoted(match[2])))
    for line in lines:
        if match := re.match(r"access_log\s+(\S+)(?:\s+(.*))?", line):
            name = _format_of(match[2] or "", {*made.named, *own})
            if match[1] != "none":
                made.logs.append((_MODULES.sub("", match[1]), name))
    if not any(line.startswith("access_log") for line in lines):
        made.logs.append((_DEFAULT, "squid"))
    for _, name in made.logs:
        if name in own:
            made.add(name, own[name])
    return made


def _own(*, mime: bool) -> dict[str, Declared]:
    own = {name: Declared(squid_logformat=string) for name, string in _OTHERS.items()}
    for name, ours in _OURS.items():
        own[name] = Declared(squid_logformat=NAMES[ours].string + _HEADERS) if mime else Declared(format=ours)
    return own


def _lines(text: str, include: Include, depth: int = 0) -> Iterator[str]:
    """Directives, with those of included files; a backslash at its end joins a line with the next."""
    so_far = ""
    for line in text.splitlines():
        stripped = line.lstrip()
        if not stripped or stripped.startswith("#"):
            continue
        so_far += stripped
        if so_far.endswith("\\"):
            so_far = so_far[:-1]
            continue
        directive, so_far = so_far.rstrip(), ""
        if match := re.match(r"include\s+(.*)", directive):
            if depth < 16:
                for pattern in match[1].split():
                    for included in include(pattern):
                        yield from _lines(included, include, depth + 1)
        else:
            yield directive


def _format_of(rest: str, known: set[str]) -> str:
    """`logformat=NAME` among the options, or a known name in the first place; else what follows are conditions."""
    words = rest.split()
    for word in words:
        if word.startswith("logformat="):
            return word.removeprefix("logformat=")
    return words[0] if words and words[0] in known else "squid"


def _unquoted(string: str) -> str:
    r"""The rest of the line, or what stands between quotes; within them `\` makes the next character itself."""
    if len(string) > 1 and string[0] in "\"'" and string[-1] == string[0]:
        inner = string[1:-1]
        if not re.search(rf"(?<!\\){string[0]}", inner):
            return re.sub(r"\\(.)", r"\1", inner)
    return string
