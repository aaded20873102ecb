"""The log formats by name: a new one is a file with `read_line` and a line here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from flowtally.agents import cloudevents, combined, squid
from flowtally.agents.reading import Line

FORMATS: Final[dict[str, Callable[[bytes], Line]]] = {
    "squid": squid.read_line,
    "combined": combined.read_line,
    "cloudevents": cloudevents.read_line,
}
