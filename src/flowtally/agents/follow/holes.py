"""Whether files of a log were removed before anybody read them: the source that the server met last is not among the
files that are there now. What was written meanwhile, if anything was, is lost: told with its time span, at a start.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

from flowtally.agents.follow.counts import LineCounts
from flowtally.agents.follow.dispatcher import Delivery
from flowtally.agents.follow.server import Server
from flowtally.client import ApiError, Client
from flowtally.core.edges import format_if_any
from flowtally.protocol import SourceDetail


class KnownSources:
    """The source of each log (`agent:HOST:NAME`) that began last, as the server says; asked once for all logs."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._job: Delivery[dict[str, SourceDetail]] | None = None
        self._latest: dict[str, SourceDetail] | None = None
        self._again_at = float("-inf")

    def latest(self, now: float) -> dict[str, SourceDetail] | None:
        """None: not known yet."""
        if self._job is not None and self._job.done:
            self._ended(self._job, now)
        if self._latest is None and self._job is None and now >= self._again_at and self._server.may_ask(now):
            self._job = self._server.ask(lambda: _latest(self._server.client), long=True)
        return self._latest

    def _ended(self, job: Delivery[dict[str, SourceDetail]], now: float) -> None:
        self._job = None
        try:
            self._latest = job.result()
            self._server.heard()
        except Exception as error:
            self._server.failed(error, now)
            self._again_at = now + 60
            if isinstance(error, ApiError) and error.status in (403, 404, 405):
                self._latest = {}


class Holes:
    """Of one log. `turn` until it says so."""

    def __init__(self, log: str, server: Server, known: KnownSources, prefix: str, counts: LineCounts) -> None:
        self._log = log
        self._counts = counts
        self._server = server
        self._known = known
        self._prefix = prefix
        self._job: Delivery[str] | None = None
        self._last = ""

    def turn(self, now: float, sources: Collection[str], first_at: int | None) -> bool:
        """Whether all is said. `first_at`: the instant of the first line that is there."""
        if self._job is not None:
            return self._job.done and self._told(self._job, first_at, now)
        latest = self._known.latest(now)
        if latest is None:
            return False
        last = latest.get(self._prefix)
        if last is None or last.source in sources or not last.sequence:
            return True
        if self._server.may_ask(now):
            self._last, number = last.source, last.sequence
            self._job = self._server.ask(lambda: _time_of(self._server.client, last.source, number))
        return False

    def _told(self, job: Delivery[str], first_at: int | None, now: float) -> bool:
        self._job = None
        try:
            since = job.result()
            self._server.heard()
        except Exception as error:
            self._server.failed(error, now)
            return False
        until = format_if_any(first_at) or datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        self._counts.holes += 1
        self._server.event_log.warn(
            "files_missing", log=self._log, source=self._last, since=since, until=until,
            detail="the file that was read last is gone: what came after that, in it and in others, was not read",
        )  # fmt: skip
        return True


def _latest(client: Client) -> dict[str, SourceDetail]:
    return {one.source.rpartition(":")[0]: one for one in client.sources() if one.source.startswith("agent:")}


def _time_of(client: Client, source: str, number: int) -> str:
    """When the last event of it was."""
    try:
        return client.event(source, str(number)).time or "?"
    except ApiError as error:
        if error.status in (403, 404, 410):
            return "?"
        raise
