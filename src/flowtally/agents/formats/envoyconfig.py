"""The access log formats of an Envoy configuration, by the path of the log: JSON, or YAML in blocks.

Of YAML as much is read as configurations of access logs need: mappings by their indentation, one scalar a line, plain
or in quotes, `|` and `>` blocks, and `{...}` that is JSON. Anchors, tags and other flow collections are not; then say
the format itself (`--envoy-format`). A library would read them all, for one more thing to install at each gateway.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final

from flowtally.agents.formats.declared import Declared

_PAIR: Final = re.compile(
    r"(?P<dash>(?:- +)*)(?P<name>\"[^\"]*\"|'[^']*'|[^\s#\"'{\[][^#:]*?) *:(?: +(?P<value>.*?))? *$"
)
_DOUBLE: Final = re.compile(r'("(?:[^"\\]|\\.)*") *(?:#.*)?$')
_SINGLE: Final = re.compile(r"'((?:[^']|'')*)' *(?:#.*)?$")
_FILE_LOG: Final = "FileAccessLog"
_STDOUT: Final = ("StdoutAccessLog", "StderrAccessLog")

Line = tuple[int, str]  # indentation and the rest


def formats_in(text: str) -> dict[str, Declared]:
    """By path; logs without one are `stdout`. Those without a format of their own have Envoy's default."""
    try:
        tree = json.loads(text)
    except ValueError:
        lines = [(len(line) - len(line.lstrip()), line.strip()) for line in text.splitlines()]
        tree = _block([line for line in lines if line[1] and line[1][0] != "#" and line[1] != "---"])
    found: dict[str, Declared] = {}
    for log in _logs(tree):
        found.setdefault(str(log.get("path") or "stdout"), _declared(log))
    return found


def _logs(tree: Any) -> Iterator[dict[str, Any]]:
    if isinstance(tree, dict):
        kind = str(tree.get("@type", ""))
        if kind.endswith((_FILE_LOG, *_STDOUT)):
            yield tree
        for value in tree.values():
            yield from _logs(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _logs(value)


def _declared(log: dict[str, Any]) -> Declared:
    said = log.get("log_format")
    wanted: Any = log.get("format") or log.get("json_format") or log.get("typed_json_format")
    if isinstance(said, dict):
        source = said.get("text_format_source")
        inline = source.get("inline_string") if isinstance(source, dict) else None
        wanted = inline or said.get("text_format") or said.get("json_format")
    if isinstance(wanted, dict):
        return Declared(envoy_format=json.dumps(wanted, ensure_ascii=False))
    return Declared(envoy_format=wanted) if isinstance(wanted, str) and wanted else Declared(format="envoy")


def _block(lines: list[Line]) -> Any:
    """A mapping, or a list of them; items of a list are one step further in than their dash."""
    members: dict[str, Any] = {}
    items: list[Any] = []
    place = 0
    while place < len(lines):
        indent, text = lines[place]
        end = place + 1
        while end < len(lines) and lines[end][0] > indent:
            end += 1
        if text.startswith("- ") or text == "-":
            inner = [(indent + 2, text[1:].strip()), *lines[place + 1 : end]]
            inner[0] = (min((line[0] for line in inner[1:]), default=indent + 2), inner[0][1])
            items.append(_block([line for line in inner if line[1]]))
        elif match := _PAIR.match(text):
            while end < len(lines) and lines[end][0] == indent and lines[end][1].startswith("-") and not match["value"]:
                end += 1  # a list may stand as far out as its name
                while end < len(lines) and lines[end][0] > indent:
                    end += 1
            members[match["name"].strip("\"'")] = _value(match["value"] or "", lines[place + 1 : end])
        place = end
    return items or members


def _value(text: str, below: list[Line]) -> Any:
    if re.fullmatch(r"[|>][+-]?", text):
        return ("\n" if text[0] == "|" else " ").join(line for _, line in below)
    if not text or text.startswith("#"):
        return _block(below)
    if match := _SINGLE.match(text):
        return match[1].replace("''", "'")
    if match := _DOUBLE.match(text):
        text = match[1]
    elif text[0] not in "{[":
        return re.sub(r" +#.*", "", text)
    try:
        return json.loads(text)
    except ValueError:
        return text.strip('"')
