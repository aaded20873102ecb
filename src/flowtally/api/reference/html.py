"""HTML made of values: whatever is not `Html` yet is escaped. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import Final

LIST: Final = re.compile(r"[*-] ")
INLINE: Final = re.compile(r"`([^`]+)`|\*\*([^*]+)\*\*")
VOID: Final = frozenset({"meta", "br", "link"})

Links = Mapping[str, str]  # what a `word` in backquotes leads to


class Html(str):
    """Text that is HTML already."""

    __slots__ = ()


NOTHING: Final = Html()


def tag(name: str, /, *children: str, **attributes: str) -> Html:
    """An element; `class_` is its class."""
    said = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(value)}"' for key, value in attributes.items())
    if name in VOID:
        return Html(f"<{name}{said}>")
    return Html(f"<{name}{said}>{join(children)}</{name}>")


def join(parts: Iterable[str], between: str = "") -> Html:
    """One after the other, what is no HTML yet escaped."""
    return Html(_escaped(between).join(map(_escaped, parts)))


def link(to: str, *children: str) -> Html:
    return tag("a", *children, href=to)


def code(text: str, links: Links | None = None) -> Html:
    """A word of a program, as a link where it has a place of its own on the page."""
    shown = tag("code", text)
    return link(links[text], shown) if links and text in links else shown


def prose(text: str, links: Links | None = None) -> Html:
    """What people wrote: paragraphs, lists, `code` and **bold**, as in Markdown."""
    lines = [line.strip() for line in text.strip().splitlines()]
    blocks = "\n".join(lines).split("\n\n")
    return join(_block(block, links) for block in blocks if block)


def sentence(text: str, links: Links | None = None) -> Html:
    """The same within a line: no paragraphs."""
    parts, at = [], 0
    joined = " ".join(text.split())
    for found in INLINE.finditer(joined):
        parts += [joined[at : found.start()], code(found[1], links) if found[1] else tag("strong", found[2])]
        at = found.end()
    return join([*parts, joined[at:]])


def _block(block: str, links: Links | None) -> Html:
    items: list[str] = []
    before: list[str] = []
    for line in block.splitlines():
        if LIST.match(line):
            items.append(line[2:])
        elif items:
            items[-1] += f" {line}"
        else:
            before.append(line)
    paragraph = tag("p", sentence(" ".join(before), links)) if before else NOTHING
    return join([paragraph, tag("ul", *(tag("li", sentence(one, links)) for one in items)) if items else NOTHING])


def _escaped(part: str) -> str:
    return part if isinstance(part, Html) else escape(part)
