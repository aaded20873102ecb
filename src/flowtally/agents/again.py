"""A log read again with other options: only the lines that could not be read before count now.

The source of the log keeps its options (they stand in its position), and the lines it could not read are the same for
ever: who reads the log with the same options finds them again. So a second numbered source, `SOURCE:again`, takes from
the same log exactly the lines that the first one's options cannot read; a third (`SOURCE:again:again`) those that both
cannot. No state is kept anywhere else, and any of them goes on in a log that grows.

Before the first line is taken, the log is read once with the options of the sources before: where these do not give
exactly as many events as the source has, this version reads lines otherwise than the one that imported them, which of
them count already is not known, and nothing is read again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from flowtally.agents.formats import Declared, Format, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.position import CannotResume, Position, is_of, options_of, position_of
from flowtally.agents.reader import LogChanged, LogFile
from flowtally.agents.reading import Line, LineReading, Unreadable
from flowtally.protocol import SourceAnswer

SUFFIX: Final = ":again"
MOST_LEVELS: Final = 5


class Level(msgspec.Struct, frozen=True):
    """A source that read the log before, and how it reads it."""

    source: str
    position: Position
    declared: Declared
    mapping: Mapping


class SecondReading:
    """Reads what none of the earlier ones could: what they could is left out, as None."""

    def __init__(self, levels: Sequence[Level], declared: Declared, mapping: Mapping) -> None:
        self.formats: list[Format] = []
        self._earlier = [self._mapper(level.declared, level.mapping) for level in levels]
        self._last = self._mapper(declared, mapping)

    def _mapper(self, declared: Declared, mapping: Mapping) -> Mapper:
        self.formats.append(format_of(declared))
        return Mapper(mapping, self.formats[-1])

    def read(self, line: bytes) -> Line:
        """All of them read every line: a format may remember what lines before said."""
        reads = [mapper.read(line) for mapper in self._earlier]
        read = self._last.read(line)
        return read if all(isinstance(one, Unreadable) for one in reads) else None


def levels_of(ask: Callable[[str], SourceAnswer | None], source: str, options: str) -> tuple[list[Level], str]:
    """Who read this log before, and the source that reads on with these options, an old one or a new one. Raises
    CannotResume."""
    levels: list[Level] = []
    name = source
    while (answer := ask(name)) is not None:
        position = position_of(name, answer.sequence, answer.position, options)
        if is_of(position, options):
            break
        if len(levels) == MOST_LEVELS:
            raise CannotResume(f"{source}: the log was read {MOST_LEVELS} times with other options, which is enough")
        levels.append(_level(name, position))
        name += SUFFIX
    if not levels:
        reason = "nothing of it was imported yet" if answer is None else "it is imported with these very options"
        raise CannotResume(f"{source}: {reason}: leave --again out")
    return levels, name


def _level(name: str, position: Position) -> Level:
    options = options_of(position.mapping)
    if options is None:
        raise CannotResume(
            f"{name}: the options it was imported with are not known any more ({position.mapping[:80]}): run that "
            "import to its end with its own options first; where they were too long to be kept, only another --source "
            "reads on"
        )
    return Level(name, position, *options)


def check_levels(log: LogFile, levels: Sequence[Level]) -> None:
    """Read the log as the earlier ones did: is it the same, and do they find what they have? Raises CannotResume,
    LogChanged. The log then stands anywhere."""
    readings = [SecondReading(levels[:at], level.declared, level.mapping) for at, level in enumerate(levels)]
    for reading in readings:
        for one in reading.formats:
            if one.remember is not None:
                one.remember(())
    counts = [0] * len(levels)
    same = [False] * len(levels)
    end = max(level.position.offset for level in levels)
    log.start_at(0, Position().check)
    for line in log.lines(finished=True):
        for at, level in enumerate(levels):
            if line.end <= level.position.offset and line.text is not None:
                counts[at] += isinstance(readings[at].read(line.text), LineReading)
            if line.end == level.position.offset:
                same[at] = log.check() == level.position.check
        if line.end >= end:
            break
    for level, count, is_same in zip(levels, counts, same, strict=True):
        if not is_same:
            raise LogChanged(f"{log.name} differs before byte {level.position.offset} from what {level.source} read")
        if count != level.position.sequence:
            raise CannotResume(
                f"{level.source} has {level.position.sequence} events of this log, and this version reads {count} with "
                "the options of that import: which lines count already is not known"
            )
