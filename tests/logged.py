"""What programs tell Python's own log, for the few tests that look at it: the fixture `logged` of conftest.py.

pytest has one such itself, which hears everything three times in each of all tests, and takes a fifth of what pytest
costs a small one (`-p no:logging` in pyproject.toml).
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


class Logged(logging.Handler):
    """All of it, from the level of the loggers on."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []
        self._levels: list[tuple[logging.Logger, int]] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.format(record)  # which sets its message
        self.records.append(record)

    @property
    def text(self) -> str:
        """With traces."""
        return "\n".join(map(self.format, self.records))

    def set_level(self, level: int, name: str) -> None:
        """Of that logger, to the end of the test."""
        logger = logging.getLogger(name)
        self._levels.append((logger, logger.level))
        logger.setLevel(level)

    @contextmanager
    def hearing(self) -> Iterator[Logged]:
        logging.getLogger().addHandler(self)
        try:
            yield self
        finally:
            logging.getLogger().removeHandler(self)
            for logger, level in reversed(self._levels):
                logger.setLevel(level)
