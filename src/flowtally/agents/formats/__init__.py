"""How logs are written: a declared format becomes an exact reader. A new one is a file here and a line in `FORMATS`.

`declared` has the values, `compiled` makes a reader of the pieces of a server's own format string; each other file is
one kind of format. A format reads lines (`reading.Line`) and knows neither files nor accounts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from flowtally.agents.formats import cloudevents, combined, squid
from flowtally.agents.formats.declared import Declared, Format
from flowtally.agents.reading import Line
from flowtally.errors import ConfigError

FORMATS: Final[dict[str, Callable[[bytes], Line]]] = {
    "squid": squid.read_line,
    "combined": combined.read_line,
    "cloudevents": cloudevents.read_line,
}


def format_of(declared: Declared) -> Format:
    """The format made ready, for one log. ConfigError where it is unknown, of no use, or two are declared."""
    names = [name for name, said in msgspec.structs.asdict(declared).items() if said and name not in BESIDE]
    if len(names) != 1:
        raise ConfigError("say how the lines are written: exactly one of " + ", ".join(_options(Declared)))
    if declared.format not in FORMATS:
        raise ConfigError(f"--format {declared.format!r}: known are {', '.join(FORMATS)}")
    return Format(declared, FORMATS[declared.format])


BESIDE: Final = ("envelope", "time_format", "zone")  # go with any format, and are none


def _options(kind: type[Declared]) -> list[str]:
    fields = msgspec.structs.fields(kind)
    return ["--" + field.encode_name for field in fields if field.name not in BESIDE]


__all__ = ["FORMATS", "Declared", "Format", "format_of"]
