"""What a configuration says about its logs."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from flowtally.agents.formats.declared import Declared
from flowtally.core.errors import ConfigError

Include = Callable[[str], list[str]]  # the texts of the files that a pattern names


class Formats(msgspec.Struct, frozen=True):
    """`named` formats, and `logs`: where a log is written to, and by which of them."""

    named: dict[str, Declared] = {}
    logs: list[tuple[str, str]] = []

    def add(self, name: str, declared: Declared) -> None:
        """ConfigError where the name is there with another format: nobody could say which of them is meant."""
        if self.named.setdefault(name, declared) != declared:
            raise ConfigError(f"the configuration has two formats of the name {name!r}")
