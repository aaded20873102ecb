"""A ClickHouse server for tests: the engine of the wheel behind HTTP, in a process of its own.

There is no ClickHouse server of a usable version to install where the tests run, but its engine is in the wheel (chDB
is ClickHouse in a process). `clickhouse_server` serves it, and says what is real of it. Here is who starts it: one for
all tests of a process, and a database of its own for each that asks.

A conftest or a test takes the fixture by importing it: `from tests.clickhouse import clickhouse_server`.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Final

import pytest
from tests.temporary import roomy_memory

PATIENCE_S: Final = 60
_shared: Final[list[ClickHouse]] = []


class ClickHouse:
    """A server process over a directory of its own. It ends with the process that started it, and then takes its files
    along."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.port = 0
        self._numbers = count(1)
        self.start()

    def start(self) -> None:
        """Again, after `kill`: over the files that are there, at the port it had."""
        command = [sys.executable, "-m", "tests.clickhouse_server", str(self.directory), str(self.port)]
        root = Path(__file__).parents[1]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=root)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    @property
    def pid(self) -> int:
        return self._process.pid

    def new_url(self, port: int = 0) -> str:
        """Of a database that is not there yet; `port`: of what stands before the server."""
        return f"clickhouse://127.0.0.1:{port or self.port}/test_{next(self._numbers)}"

    def kill(self) -> None:
        """Nothing is told to it."""
        self._process.kill()
        self._process.wait(timeout=PATIENCE_S)
        for pipe in (self._process.stdin, self._process.stdout):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="session")
def clickhouse_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClickHouse]:
    """Each conftest that imports this has a fixture of its own, and still there is one server."""
    if _shared:
        yield _shared[0]
        return
    with ExitStack() as closing:
        _shared.append(ClickHouse(roomy_memory(closing) or tmp_path_factory.mktemp("clickhouse")))
        closing.callback(_shared[0].kill)
        yield _shared[0]


@pytest.fixture
def server_url(clickhouse_server: ClickHouse) -> str:
    """A database that no other test uses."""
    return clickhouse_server.new_url()
