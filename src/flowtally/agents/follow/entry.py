"""`[[log]]` of the configuration, as values: which files, how their lines are written, whose use they are. The latter
two also of other entries."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from flowtally.agents.format_from import format_from
from flowtally.agents.formats import BESIDE, Declared
from flowtally.agents.mapping import Mapping
from flowtally.core.choices import choice
from flowtally.core.errors import ConfigError
from flowtally.core.words import RefuseOrAllow

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class ReadEntry(Declared, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """What entries share whose lines are read: fields as the options of `flowtally import` of the same name."""

    name: Name
    account: str = ""
    user_from: str = "user"
    pattern: str = ""
    product: str = ""
    skip_status: tuple[int, ...] = ()

    @property
    def declared(self) -> Declared:
        return Declared(**{name: getattr(self, name) for name in Declared.__struct_fields__})

    @property
    def mapping(self) -> Mapping:
        return Mapping(**{name: getattr(self, name) for name in Mapping.__struct_fields__})


class LogEntry(ReadEntry, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """`path`: the file that is written, or several, or globs. `rotated`: globs of what rotation leaves; not given:
    files beside it called as logrotate calls them. `format_from` is the configuration of the server that writes it,
    FILE or FILE#NAME, read once. `linger`: seconds of quiet after which a file that was rotated is taken for finished.
    `overlap`: what becomes of a file whose lines stand in another source already. The rest is as the options of
    `flowtally import` of the same name."""

    path: str | tuple[str, ...]
    rotated: tuple[str, ...] | None = None
    format_from: str = ""
    linger: Annotated[int, Meta(ge=1, le=86_400)] = 60
    overlap: Annotated[
        RefuseOrAllow,
        choice(
            "A file whose lines stand in another source already.",
            {"refuse": "nothing of it is sent", "allow": "it is sent, and counts again"},
        ),
    ] = "refuse"

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    def resolved(self) -> LogEntry:
        """With the format that `format_from` says in its place. Raises ConfigError."""
        if not self.format_from:
            return self
        said = {name: getattr(self, name) for name in Declared.__struct_fields__}
        if any(text for name, text in said.items() if name not in BESIDE):
            raise ConfigError("format-from says the format, and so does another field")
        found = format_from(self.format_from, self.paths[0])
        formats = {name: getattr(found, name) for name in said if name not in BESIDE}
        return msgspec.structs.replace(self, format_from="", **formats)
