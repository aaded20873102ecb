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
from typing import Final

import pytest
from tests.new_databases import Copying
from tests.temporary import roomy_memory

_numbers: Final = count(1)
_places: Final[list[Path]] = []
_copying: Final[list[Copying]] = []


@pytest.fixture(scope="session")
def chdb_directory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory; the engine is kept open for the whole session, since opening it anew takes a second.

    Each conftest that imports this has a fixture of its own, and still there can only be one directory."""
    if _places:
        yield _places[0]
        return
    with ExitStack() as closing:
        _places.append((roomy_memory(closing) or tmp_path_factory.mktemp("engine")) / "chdb")
        _copying.append(Copying(f"chdb://{_places[0]}"))
        closing.callback(_copying[0].close)
        yield _places[0]


@pytest.fixture
def database_url(chdb_directory: Path) -> str:
    """A database that no other test uses, as a first start leaves it."""
    name = f"test_{next(_numbers)}"
    _copying[0].copy(name)
    return f"chdb://{chdb_directory}?database={name}"


@pytest.fixture
def new_database_url(chdb_directory: Path) -> str:
    """One that is not there yet."""
    return f"chdb://{chdb_directory}?database=test_{next(_numbers)}"
