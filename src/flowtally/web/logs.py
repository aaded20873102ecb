"""Log lines for people (console) or programs (json), on standard error. Secrets are kept out by not being handed in."""

from __future__ import annotations

import atexit
import logging
import sys
from typing import Any

import structlog
from structlog.typing import Processor

from flowtally.config import Config
from flowtally.web.log_bounds import Bursts, bounded
from flowtally.web.log_output import LogOutput
from flowtally.web.request_lines import QuickRequestLines, RequestLines


def set_up_logs(config: Config) -> RequestLines:
    """Once per process, by whoever serves; libraries' own log lines from warnings on go the same way. How the lines of
    requests are said."""
    level = getattr(logging, config.log_level.upper())
    stream = LogOutput(_standard_error())
    atexit.register(stream.flush)
    shared, shape = steps_of(as_json=config.log_format == "json", colors=stream.isatty())
    bursts = Bursts()
    structlog.configure(
        processors=[*shared, bursts, shape],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(stream),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=shape, foreign_pre_chain=shared))
    handler.addFilter(bursts)
    for chatty in ("urllib3", "clickhouse_connect"):  # what they warn of is raised too, and told by whoever asked
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    return QuickRequestLines([*shared, shape], level, stream.later)


def steps_of(*, as_json: bool, colors: bool) -> tuple[list[Processor], Processor]:
    """What every line goes through, and what it becomes then."""
    shared: list[Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        bounded,
    ]
    if as_json:
        return shared, structlog.processors.JSONRenderer(ensure_ascii=False)
    return shared, structlog.dev.ConsoleRenderer(colors=colors, exception_formatter=structlog.dev.plain_traceback)


class _Lines:
    """What structlog hands finished lines to. Without a lock of its own: the stream may have something to say, too."""

    def __init__(self, stream: LogOutput) -> None:
        self._stream = stream

    def msg(self, line: str) -> None:
        self._stream.write(f"{line}\n")
        self._stream.flush()

    debug = info = warning = error = critical = msg


def _standard_error() -> Any:
    """Where its bytes go, without a buffer of its own; None where there is none."""
    buffer = getattr(sys.stderr, "buffer", None)
    return getattr(buffer, "raw", buffer)
