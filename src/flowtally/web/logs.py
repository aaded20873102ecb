"""Log lines for people (console) or programs (json), on standard error. Secrets are kept out by not being handed in."""

from __future__ import annotations

import logging
import sys

import structlog

from flowtally.config import Config
from flowtally.web.log_bounds import Bursts, bounded


def set_up_logs(config: Config) -> None:
    """Once per process, by whoever serves; libraries' own log lines from warnings on go the same way."""
    level = getattr(logging, config.log_level.upper())
    stamp = structlog.processors.TimeStamper(fmt="iso", utc=True)
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        stamp,
        structlog.processors.format_exc_info,
        bounded,
    ]
    bursts = Bursts()
    shape = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if config.log_format == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, bursts, shape],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(processor=shape, foreign_pre_chain=shared))
    handler.addFilter(bursts)
    for chatty in ("urllib3", "clickhouse_connect"):  # what they warn of is raised too, and told by whoever asked
        logging.getLogger(chatty).setLevel(logging.ERROR)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
