"""What ingest is told of the configuration: a value of its own, so that who opens it needs no other setting.

Owns what the settings become here: limits by subject, places whose room is looked at, the file of the keys. Leaves
their names, bounds and meaning to `config`.
"""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from flowtally.config import Config
from flowtally.core.errors import ConfigError
from flowtally.ingest.counter_limits import CounterLimits
from flowtally.ingest.holds import HoldLimits
from flowtally.ingest.newcomers import NewLimits
from flowtally.usage.flusher import FlushSettings
from flowtally.usage.place import embedded_directory


class IngestSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`keys`: the file of the event keys. `places`: where there must be `min_free_bytes` of room to store usage."""

    keys: Path
    rebuild_keys: bool
    places: tuple[Path, ...]
    min_free_bytes: int
    max_body_bytes: int
    max_waiting_events: int
    max_waiting_bytes: int
    max_future_ms: int
    create_users: bool
    block_rows: int
    flush: FlushSettings
    hold_limits: HoldLimits
    counter_limits: CounterLimits
    new_limits: NewLimits


def ingest_settings(config: Config) -> IngestSettings:
    """ConfigError where the keys cannot be where it says."""
    return IngestSettings(
        keys=keys_path(config.keys_url),
        rebuild_keys=config.rebuild_keys,
        places=_places(config),
        min_free_bytes=config.min_free_bytes,
        max_body_bytes=config.max_body_bytes,
        max_waiting_events=config.max_waiting_events,
        max_waiting_bytes=config.max_waiting_bytes,
        max_future_ms=config.max_future_s * 1000,
        create_users=config.create_unknown_users,
        block_rows=config.block_rows,
        flush=FlushSettings(
            config.flush_rows, config.flush_after_s, config.max_unflushed_rows, config.max_unflushed_bytes
        ),
        hold_limits=HoldLimits(
            config.max_held_per_source, config.max_held_per_account, config.max_held_events, config.max_held_bytes
        ),
        counter_limits=CounterLimits(
            config.max_counters_per_source, config.max_counters_per_account, config.counter_max_rate
        ),
        new_limits=NewLimits(
            config.max_new_sources_per_request,
            config.max_new_sources_per_hour,
            config.max_new_users_per_request,
            config.max_new_users_per_hour,
        ),
    )


def journal_path(keys: Path) -> Path:
    """The journal lies beside the keys: a rename of one directory takes both."""
    return keys.with_name("journal.db")


def keys_path(url: str) -> Path:
    """The file of `sqlite:///FILE`."""
    parts = urlsplit(url)
    if parts.scheme != "sqlite" or not parts.path.strip("/"):
        raise ConfigError(f"keys_url must be sqlite:///FILE, not {parts.scheme or url!r}")
    return Path("/" + parts.path.lstrip("/"))


def _places(config: Config) -> tuple[Path, ...]:
    """Refusing early keeps room for what a commit needs besides its rows, and for the ledger. Keys and rows may be on
    disks of their own."""
    data, rows = config.data_dir, embedded_directory(config.usage_url)
    stores = [keys_path(config.keys_url).parent, *([] if rows is None else [rows])]
    return (data, *(place for place in stores if not place.resolve().is_relative_to(data.resolve())))
