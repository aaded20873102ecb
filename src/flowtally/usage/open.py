"""Which usage store a URL means."""

from __future__ import annotations

from flowtally.core.refusal import refusing
from flowtally.usage.store import UsageStore


def open_usage(url: str, memory_bytes: int | None = None) -> UsageStore:
    """`memory://` (forgets), `chdb:///directory` (in this process) or `clickhouse://host/database`. BrokenParts names
    what keeps it from opening. `memory_bytes`: what the engine may take, None: its own default.

    The engine is imported only here and only when asked for: after a mere `import chdb` a forked child hangs.
    """
    if url.startswith("memory:"):
        from flowtally.usage.memory import MemoryStore  # noqa: PLC0415

        return MemoryStore()
    from flowtally.usage.clickhouse import ClickHouseStore  # noqa: PLC0415
    from flowtally.usage.engine import MEMORY_BYTES, Engine  # noqa: PLC0415

    with refusing():
        return ClickHouseStore(Engine(url, memory_bytes=memory_bytes or MEMORY_BYTES))
