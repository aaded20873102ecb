"""`[[log]]` of the configuration, as values: which files, how their lines are written, whose use they are."""

from __future__ import annotations

from typing import Annotated, Literal

from msgspec import Meta

from flowtally.agents.formats import Declared
from flowtally.agents.mapping import Mapping

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class LogEntry(Declared, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """`path`: the file that is written, or several, or globs. `rotated`: globs of what rotation leaves; not given:
    files beside it called as logrotate calls them. `linger`: seconds of quiet after which a file that was rotated is
    taken for finished. `overlap`: what becomes of a file whose lines stand in another source already. The rest is as
    the options of `flowtally import` of the same name."""

    name: Name
    path: str | tuple[str, ...]
    rotated: tuple[str, ...] | None = None
    linger: Annotated[int, Meta(ge=1, le=86_400)] = 60
    overlap: Literal["refuse", "allow"] = "refuse"
    account: str = ""
    user_from: str = "user"
    pattern: str = ""
    product: str = ""
    skip_status: tuple[int, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        return (self.path,) if isinstance(self.path, str) else self.path

    @property
    def declared(self) -> Declared:
        return Declared(**{name: getattr(self, name) for name in Declared.__struct_fields__})

    @property
    def mapping(self) -> Mapping:
        return Mapping(**{name: getattr(self, name) for name in Mapping.__struct_fields__})
