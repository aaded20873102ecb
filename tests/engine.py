"""One chDB directory for a whole test session, one database per test.

chDB allows one data path per process, so tests that share a process share a directory. A test that needs a path of its
own, or wants to kill the engine, is a subprocess. Import the fixtures into a conftest:
`from tests.engine import chdb_directory, database_url  # noqa: F401`.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import Any, Final

import pytest
from tests.temporary import roomy_memory

_numbers: Final = count(1)
_places: Final[list[Path]] = []


@pytest.fixture(scope="session")
def chdb_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory; the engine is kept open for the whole session, since opening it anew takes a second.

    Each conftest that imports this has a fixture of its own, and still there can only be one directory."""
    if _places:
        yield _places[0]
        return
    from flowtally.usage.engine import Engine

    with ExitStack() as closing:
        _places.append((roomy_memory(closing) or tmp_path_factory.mktemp("engine")) / "chdb")
        kept: Any = Engine(f"chdb://{_places[0]}")
        closing.callback(kept.close)
        yield _places[0]


@pytest.fixture
def database_url(chdb_directory: Path) -> str:
    """A database that no other test uses."""
    return f"chdb://{chdb_directory}?database=test_{next(_numbers)}"
