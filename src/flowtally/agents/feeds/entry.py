"""What entries of the configuration that are no `[[log]]` share with it: how lines are read, and whose use they are."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from flowtally.agents.formats import Declared, format_of
from flowtally.agents.mapping import Mapper, Mapping
from flowtally.agents.position import mapping_text
from flowtally.agents.reader import digest
from flowtally.errors import ConfigError
from flowtally.events import MAX_POSITION_CHARS

Name = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9._-]+$")]


class Entry(Declared, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Fields as the options of `flowtally import` of the same name."""

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

    def mapper(self) -> Mapper:
        """ConfigError for a format that is of no use here."""
        made = format_of(self.declared)
        if made.remember is not None:
            raise ConfigError("this format has its fields named in the log itself: only a [[log]] can be read by it")
        return Mapper(self.mapping, made)

    def options(self, where: str) -> str:
        """What decides how lines are read, and which, for the position."""
        text = f"{mapping_text(self.declared, self.mapping)} {where}".rstrip()
        return text if len(text.encode()) <= MAX_POSITION_CHARS // 4 else digest(text.encode())
