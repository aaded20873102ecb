"""Every vendor's folder is built alike: who knows one finds their way in all."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.vendors.tongues import every_dialect

import flowtally.vendors
from flowtally.providers.asking import check_base_url
from flowtally.vendors import PULLERS, VENDORS
from flowtally.vendors.base import Dialect, Nothing

VENDOR_DIR = Path(flowtally.vendors.__file__).parent
NAMES = {"__init__", "dialect", "parameters", "settings", "wire", "routes", "samples", "pull", "README"}
MORE = {
    "callers",  # who asks, under the names of each generation of the vendor's API
    "codes",  # what the core says, in the vendor's codes
    "rows",  # which rows a range has, and what time each stands for
    "shadow",  # how a call of ours is asked of the vendor, too, and compared
    "clients",  # the vendor's own clients, and what each reads otherwise than its documents say
    "service",  # the vendor's own API, for `pull`: its questions, and what their answers mean
}
# What a vendor may take of `vendors`: the frame, and what fills and prints figures. Nothing of what serves it.
FRAME = {"base", "figures", "printing", "shortly"}
SERVES = {"flowtally.web", "flowtally.api", "flowtally.cli", "flowtally.config", "flowtally.ingest", "litestar"}


def folder(dialect: Dialect) -> Path:
    return VENDOR_DIR / dialect.name


def test_every_folder_is_a_vendor_that_is_served() -> None:
    found = {path.parent.name for path in VENDOR_DIR.glob("*/__init__.py")}
    assert found == {dialect.name for dialect in VENDORS} == PULLERS.keys()


@every_dialect
def test_a_folder_has_the_same_files_as_all(dialect: Dialect) -> None:
    names = {path.stem for path in folder(dialect).iterdir() if path.name != "__pycache__"}
    assert NAMES <= names <= NAMES | MORE


@every_dialect
def test_its_parts_are_in_the_files_of_their_names(dialect: Dialect) -> None:
    package = f"flowtally.vendors.{dialect.name}"
    assert dialect.settings.__module__ == f"{package}.settings"
    for work in (dialect.identify, dialect.succeed, dialect.fail):
        assert work.__module__ == f"{package}.dialect"
    for route in dialect.routes:
        assert route.work.__module__.startswith(f"{package}.routes")
        assert route.takes is Nothing or route.takes.__module__ == f"{package}.parameters"


@every_dialect
def test_each_vendor_is_asked_too_by_its_own_puller(dialect: Dialect) -> None:
    puller = PULLERS[dialect.name]
    assert (puller.vendor, puller.title) == (dialect.name, dialect.title)
    for work in (puller.check, puller.pull):
        assert work.__module__ == f"flowtally.vendors.{dialect.name}.pull"
    check_base_url(puller.base_url)
    said = [one.name for one in (*puller.secrets, *puller.settings)]
    assert len(said) == len(set(said)), "a setting has a name of its own"
    assert all(not one.choices or one.default in (None, *one.choices) for one in puller.settings)
    assert any(one.default is None for one in puller.secrets), "nobody is let in without a secret"


def test_what_cuts_the_spans_of_a_vendor_stays_as_it_was_said_first() -> None:
    """What stands under the keys of other spans would count beside the new ones."""
    cuts = {(one.vendor, each.name): each.fixed for one in PULLERS.values() for each in one.settings}
    assert {key for key, fixed in cuts.items() if fixed} == {
        ("ipfoxy", "grain"),
        ("thordata", "grain"),
        ("thordata", "timezone"),
    }


@every_dialect
def test_its_init_says_what_it_is_and_has_its_one_name(dialect: Dialect) -> None:
    says, taken, names = ast.parse((folder(dialect) / "__init__.py").read_text()).body
    assert isinstance(says, ast.Expr)
    name = dialect.name.upper()
    assert ast.unparse(taken) == f"from flowtally.vendors.{dialect.name}.dialect import {name}"
    assert ast.unparse(names) == f"__all__ = ['{name}']"


@every_dialect
def test_base_is_all_it_needs_of_what_serves_it(dialect: Dialect) -> None:
    own = f"flowtally.vendors.{dialect.name}"
    for path in folder(dialect).rglob("*.py"):
        for module in imported(path):
            assert is_base_enough(module, own), f"{path}: {module}"


def is_base_enough(module: str, own: str) -> bool:
    """Whether a vendor may take something of this module."""
    if module.startswith("flowtally.vendors.") and not (own and module.startswith(own)):
        return module.removeprefix("flowtally.vendors.") in FRAME
    return not any(f"{module}.".startswith(f"{one}.") for one in SERVES)


def imported(path: Path) -> Iterator[str]:
    """The modules that a file names, also as `from package import module`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (one.name for one in node.names)
        elif isinstance(node, ast.ImportFrom):
            whole = node.module in ("flowtally", "flowtally.vendors")
            yield from (f"{node.module}.{one.name}" for one in node.names) if whole else (str(node.module),)
