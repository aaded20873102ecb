r"""Apache's configuration: `LogFormat "..." nickname`, `CustomLog PATH "..."|nickname`, `TransferLog`, `Define`.

Directives may be anywhere (`<VirtualHost>`, `<IfModule>`); which of them a server takes is not asked. `${NAME}` is what
`Define` says; of one that nobody defines here (`${APACHE_LOG_DIR}`) a path is known by what follows it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from flowtally.agents.formats.declared import Declared
from flowtally.agents.formats.from_config.found import Formats, Include
from flowtally.agents.formats.names import COMMON
from flowtally.agents.formats.strings import apache_unquoted

_WORD: Final = re.compile(r"\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|(\S+)", re.DOTALL)
_KNOWN: Final = ("logformat", "customlog", "globallog", "transferlog", "serverroot", "documentroot", "loadmodule")
DEFAULT: Final = "(default)"


def read(text: str, include: Include) -> Formats | None:
    directives = list(_directives(text, include))
    if not any(words[0].lower() in _KNOWN for words in directives):
        return None
    if any(words[0].lower() == "logformat" and "%" not in "".join(words[1:2]) for words in directives):  # Squid's
        return None
    made = Formats()
    defined = {words[1]: words[2] for words in directives if words[0].lower() == "define" and len(words) > 2}
    default = Declared(apache_log_format=COMMON)
    for words in directives:
        if words[0].lower() == "logformat" and len(words) > 1:
            declared = Declared(apache_log_format=words[1])
            if len(words) > 2:
                made.add(words[2], declared)
            else:
                default = declared
    for words in directives:
        if words[0].lower() in ("customlog", "globallog", "transferlog") and len(words) > 1:
            _add_log(made, words, defined, default)
    return made


def _add_log(made: Formats, words: list[str], defined: dict[str, str], default: Declared) -> None:
    path = re.sub(r"\$\{(\w+)\}", lambda one: defined.get(one[1], one[0]), words[1])
    said = words[2] if len(words) > 2 and words[0].lower() != "transferlog" else ""
    if not said or said.lower().startswith(("env=", "expr=")):
        name = DEFAULT
        made.add(name, default)
    elif said in made.named:
        name = said
    else:
        name = said  # the string itself, or a nickname that is nowhere
        if "%" in said:
            made.add(name, Declared(apache_log_format=said))
    made.logs.append((path, name))


def _directives(text: str, include: Include, depth: int = 0) -> Iterator[list[str]]:
    """Each directive with its arguments, without their quotes."""
    for line in map(str.strip, re.sub(r"\\\r?\n", "", text).splitlines()):
        if not line or line.startswith("#"):
            continue
        words = [_unquoted(match) for match in _WORD.finditer(line)]
        if words[0].lower() in ("include", "includeoptional") and len(words) > 1 and depth < 16:
            for included in include(words[1]):
                yield from _directives(included, include, depth + 1)
        else:
            yield words


def _unquoted(match: re.Match[str]) -> str:
    if match[3] is not None:
        return match[3]
    return apache_unquoted(match[1]) if match[1] is not None else match[2].replace("\\'", "'")
