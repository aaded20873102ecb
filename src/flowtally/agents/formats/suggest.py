"""Which known formats the first lines of a log read as, for people to choose one: nothing is read by a suggestion."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from flowtally.agents.formats import ENVELOPES, FORMATS, Declared, format_of
from flowtally.agents.formats.names import told
from flowtally.agents.reading import LineReading, Unreadable

_LAST: Final = {"combinedio": "bytes received and sent (%I %O)", "squid-io": "bytes received (%>st)"}
_SO: Final = "that is how the server writes them"
_ZONE: Final = "UTC"  # of times that say none: which zone it is does not change the format


def suggest(lines: Sequence[bytes]) -> list[str]:
    """The names for `--format` under which every one of these lines can be read; with an envelope where it takes one.
    The last line may be half a line: leave it out."""
    plain = [name for name in FORMATS if _reads(name, lines)]
    return plain or [name for name in _enveloped() if _reads(name, lines)]


def undeclared(lines: Sequence[bytes]) -> str:
    """What to say to who has declared no format: which names would do, and what each of them would mean."""
    names = suggest(lines)
    if not names:
        return (
            "these lines are of no format known by a name: declare how they are written, with the server's own format "
            "string (--squid-logformat, --nginx-log-format, --apache-log-format ...) or with --format-from its "
            "configuration"
        )
    said = [f"--format {name}" + (f" ({told(name)})" if told(name) else "") for name in names]
    which = said[0] if len(said) == 1 else f"which of them it is: {', or '.join(said)}"
    numbers = [f"the last numbers of a line are {last}" for name, last in _LAST.items() if name in names]
    return f"these lines read as {' and as '.join(names)}. If {' and '.join(numbers) or _SO}, say {which}"


def _enveloped() -> Iterator[str]:
    for envelope in ENVELOPES:
        yield from (f"{envelope}:{name}" for name in FORMATS)


def _reads(name: str, lines: Sequence[bytes]) -> bool:
    read_line = format_of(Declared(format=name, zone=_ZONE)).read_line
    found = False
    for line in lines:
        read = read_line(line)
        if isinstance(read, Unreadable):
            return False
        found |= isinstance(read, LineReading)
    return found
