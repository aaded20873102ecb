"""What entries of the configuration that are no `[[log]]` share with it: how lines are read, and whose use they are."""

from __future__ import annotations

from flowtally.agents.follow.entry import ReadEntry
from flowtally.agents.formats import format_of
from flowtally.agents.mapping import Mapper
from flowtally.agents.position import mapping_text
from flowtally.agents.reader import digest
from flowtally.core.errors import ConfigError
from flowtally.core.events import MAX_POSITION_CHARS


class FeedEntry(ReadEntry, frozen=True, omit_defaults=True, forbid_unknown_fields=True, rename="kebab", kw_only=True):
    """Nothing is in the log itself, so a format must say all of it."""

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
