"""Who may import whom: the contract of pyproject.toml holds, and libraries stay in their homes."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Any

import grimp
import pytest

from flowtally.cli.installed import SERVER

ROOT = Path(__file__).parent.parent

# library -> the only places that may import it directly. One home each, so that a library can be left again.
HOMES = {
    "sqlalchemy": ("flowtally.ledger", "flowtally.keys"),
    "alembic": ("flowtally.ledger",),
    "psycopg": ("flowtally.ledger", "flowtally.keys"),
    "sqlite3": (
        *("flowtally.ledger", "flowtally.keys", "flowtally.usage.journal", "flowtally.samples"),
        "flowtally.core.sqlite_faults",
    ),
    "clickhouse_connect": ("flowtally.usage",),
    "chdb": ("flowtally.usage",),
    "pyarrow": (
        *("flowtally.usage", "flowtally.ingest", "flowtally.answers.arrow", "flowtally.answers.export"),
        "flowtally.host.heap",  # which memory it takes
    ),
    "litestar": ("flowtally.web", "flowtally.api", "flowtally.server", "flowtally.vendors.serving"),
    "granian": ("flowtally.server", "flowtally.cli.serve"),
    "cryptography": ("flowtally.ledger.vault",),
    "multipart": ("flowtally.vendors.reading",),
    "pycountry": ("flowtally.ledger.inventory.iso",),
    # servers like ours, programs beside the agent, and vendors
    "httpx": ("flowtally.client", "flowtally.agents.counters", "flowtally.providers.asking", "flowtally.alerts"),
    "httpcore": ("flowtally.providers.asking", "flowtally.providers.connecting", "flowtally.alerts.sending"),
    "stamina": ("flowtally.client",),
    "typer": ("flowtally.cli",),
    "rich": ("flowtally.cli",),
    "platformdirs": ("flowtally.config",),
}

# Asked for, and imported by nobody here: zoneinfo reads the one, clickhouse-connect loads the other.
NOT_IMPORTED = {"tzdata", "chdb"}

# `usage/engine.py` looks whether TMPDIR, the system's own variable, is set.
MAY_READ = {"config.py", "usage/engine.py"}


@pytest.fixture(scope="module")
def imports() -> grimp.ImportGraph:
    return grimp.build_graph("flowtally", include_external_packages=True, cache_dir=None)


def at_home(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(home + ".") or module.startswith(home + "_") for home in homes)


def test_imports_point_down() -> None:
    program = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([program, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_page_shows_the_order_of_the_contract() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    [layers] = [one["layers"] for one in contracts if one.get("containers") == ["flowtally"]]
    page = (ROOT / "docs/architecture.md").read_text()
    shown = re.search(r"contracts of their own:\n\n```text\n(.*?)\n```", page, re.DOTALL)
    assert shown is not None
    assert shown[1].splitlines() == layers


@pytest.mark.parametrize("library", HOMES)
def test_a_library_stays_in_its_home(imports: grimp.ImportGraph, library: str) -> None:
    importers = imports.find_modules_that_directly_import(library) if library in imports.modules else set()
    strays = [module for module in importers if not at_home(module, HOMES[library])]
    assert not strays, f"{library} lives in {HOMES[library]}; ask there for what you need"


def told() -> Any:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


def libraries(requirements: list[str]) -> set[str]:
    """The names under which they are imported, which are those of the distributions."""
    return {re.split(r"[\[><=]", one)[0].replace("-", "_") for one in requirements}


def test_what_is_imported_is_asked_for_and_what_is_asked_for_is_imported(imports: grimp.ImportGraph) -> None:
    project = told()["project"]
    outside = {one for one in imports.modules if not one.startswith("flowtally")} - sys.stdlib_module_names
    asked = libraries([*project["dependencies"], *project["optional-dependencies"]["server"]])
    assert (outside - asked, asked - outside) == (set(), NOT_IMPORTED)


def test_the_contract_keeps_every_library_of_the_server_from_agents_and_client() -> None:
    [contract] = [
        one
        for one in told()["tool"]["importlinter"]["contracts"]
        if "flowtally.client" in one.get("source_modules", ())
    ]
    assert libraries(told()["project"]["optional-dependencies"]["server"]) <= set(contract["forbidden_modules"])


def test_the_command_line_knows_what_the_server_asks_for() -> None:
    assert set(SERVER) == libraries(told()["project"]["optional-dependencies"]["server"])


def test_nothing_but_config_and_the_command_line_reads_the_environment() -> None:
    """A setting that is read where it is used cannot be documented, tested or handed in."""
    readers = {
        path.relative_to(ROOT / "src/flowtally").as_posix()
        for path in (ROOT / "src/flowtally").rglob("*.py")
        if "environ" in path.read_text() or "getenv" in path.read_text()
    }
    assert {one for one in readers - MAY_READ if not one.startswith("cli/")} == set()


@pytest.mark.parametrize("module", ["flowtally.client", "flowtally.cli.app", "flowtally.agents"])
def test_what_only_asks_does_not_load_the_engine(module: str) -> None:
    """The engine costs a second and 280 MB, and a process that imported it must not fork (decision 0001)."""
    code = f"import sys, {module}; sys.exit(', '.join(m for m in {SERVER} if m in sys.modules) or None)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert (done.returncode, done.stderr) == (0, ""), "these were loaded"


def test_no_module_imports_itself_over_others(imports: grimp.ImportGraph) -> None:
    """Also where it happens inside a function or for types alone: a circle has no floor, so nobody finds its bottom."""
    ours = {one for one in imports.modules if one.startswith("flowtally")}
    below = {one: imports.find_modules_directly_imported_by(one) & ours for one in ours}
    TopologicalSorter(below).prepare()  # CycleError names the circle
