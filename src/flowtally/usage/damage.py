"""A part that is not what was written: which, which file of it, and what the engine said. Pure.

Owns the reading of the engine's words. They are looked at only where its code says that something is damaged, and from
their end, where it adds the place itself: in the middle it may repeat values of the question.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec

SAID_LENGTH: Final = 160
PART_NAME: Final = r"(?:\d{6}|all)_\d+_\d+_\d+(?:_\d+)?"  # PARTITION_FIRST_LAST_LEVEL, and what a mutation adds
# The engine ends with it, whatever was wrong with what it read of a part.
READING: Final = re.compile(r"\(while reading from part /.*\): While executing MergeTree\w*\(", re.DOTALL)
_PATH: Final = re.compile(
    rf"/store/[0-9a-f]{{3}}/[0-9a-f-]{{36}}/(?:detached/)?(?P<part>{PART_NAME})(?:/(?P<file>[\w.%/-]*))?"
)
_NAMED: Final = re.compile(rf"(?<![\w/])(?P<part>{PART_NAME})(?![\w])")
_TOLD: Final = re.compile(rf"\bpart (?P<part>{PART_NAME})(?![\w])")
_PROJECTION: Final = re.compile(r"broken projection `(\w+)`")
_FILE: Final = re.compile(r"(?:[Ff]ile|of file|for file) ([\w%-]+(?:\.[\w%-]+)+)")
_SAID: Final = re.compile(r"DB::\w+: ")
_END: Final = re.compile(r"\. |, Stack|: While|: \(while|: /| \(| before: '|, with error| file /|: , errno")


PART: Final = re.compile(PART_NAME)


class Broken(msgspec.Struct, frozen=True):
    """`file` is empty where the engine did not name one; of a projection it is `NAME.proj/FILE`, or `NAME.proj`."""

    part: str
    file: str
    said: str

    @property
    def in_projection(self) -> bool:
        """Its rows are not touched: the projection can be made anew from them."""
        return self.file.partition("/")[0].endswith(".proj")

    def __str__(self) -> str:
        return f"part {self.part}{', ' if self.file else ''}{self.file}: {self.said}"


def parts_in(text: str) -> list[str]:
    """The parts that a message of ours names, each once."""
    return list(dict.fromkeys(_TOLD.findall(text)))


def read_broken(text: str, part: str = "") -> Broken | None:
    """What an error of the engine says of a part; `part` where the question was about one. None where it names none."""
    places = list(_PATH.finditer(text))
    named = part or (places[-1]["part"] if places else "") or _last(_NAMED, text)
    if not named:
        return None
    files = [found["file"].strip("/") for found in places if found["part"] == named and found["file"]]
    file = next((one for one in reversed(files) if one), "") or _last(_FILE, text)
    projection = _last(_PROJECTION, text)
    if projection and not file.startswith(f"{projection}.proj"):
        file = f"{projection}.proj/{file}".rstrip("/")
    return Broken(named, file, said(text))


def said(text: str) -> str:
    """The heart of what the engine says: its innermost message, without place, trace and advice."""
    found = list(_SAID.finditer(text))
    heart = text[found[-1].end() :] if found else text
    end = _END.search(heart)
    return " ".join(heart[: end.start() if end else None].split())[:SAID_LENGTH] or "it cannot be read"


def _last(pattern: re.Pattern[str], text: str) -> str:
    found = pattern.findall(text)
    return str(found[-1]) if found else ""
