"""Is the server installed, or only what asks one (`pip install flowtally`)?

Owns the sentence for a command that needs the server where its libraries are missing, and the command that installs
them. A command asks before it opens or makes anything: a server that is half there must not begin its work.
"""

from __future__ import annotations

import shlex
import sys
from importlib.util import find_spec
from typing import Final

# What the extra `server` of pyproject.toml asks for, under the names by which it is imported; tests/test_layers.py
# compares the two.
SERVER: Final = (
    *("alembic", "chdb", "clickhouse_connect", "cryptography", "granian", "litestar", "multipart", "numpy"),
    *("platformdirs", "psycopg", "pyarrow", "pycountry", "sqlalchemy", "structlog", "urllib3", "xxhash"),
)


class ServerNotInstalled(Exception):
    """This command is the server, or works on its files, and libraries that it needs are not installed.

    Cause: flowtally was installed without its server, which is what a machine needs that only asks one or sends to one.

    Do: Run the command that the line names: it installs the libraries.
    """

    def __init__(self, missing: list[str]) -> None:
        all_of_it = len(missing) == len(SERVER)
        why = "is not installed here" if all_of_it else f"lacks some of its libraries here: {', '.join(missing)}"
        super().__init__(f"this command needs the server, which {why}")


def need_server() -> None:
    """ServerNotInstalled unless all libraries of the server can be imported. None of them is, here."""
    if missing := [name for name in SERVER if find_spec(name) is None]:
        raise ServerNotInstalled(missing)


def how_to_install() -> str:
    """For the Python that runs this, which need not be the one that `pip` on the path installs for. flowtally is there
    already, so pip looks for its libraries alone."""
    return f"{shlex.quote(sys.executable)} -m pip install 'flowtally[server]'"
