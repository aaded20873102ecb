"""What `pip install flowtally` gives: wheel and sdist hold what they should, the client works without the server."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from tests.live import Live, live_server
from tests.wheel import ROOT, Alone, Built, build, make_alone, metadata, run
from trove_classifiers import classifiers

SOURCE = ROOT / "src"
KINDS = {
    ".css",
    ".gz",
    ".json",
    ".md",
    ".py",
    ".sql",
    ".typed",
}  # of files that a running flowtally or its reader needs

METERED = """
import asyncio, sys
from flowtally.client import AsyncClient, AsyncMeter, Client, Meter
from flowtally.protocol import AccountRequest

url, token = sys.argv[1:]
with Client(url, token) as client:
    client.create_account(AccountRequest("acme"))
    with Meter(client, "gateway-1") as meter:
        meter.record(account="acme", user="ann", bytes_up=10, bytes_down=100)

async def count():
    async with AsyncClient(url, token) as client, AsyncMeter(client, "gateway-2") as meter:
        meter.record(account="acme", user="bob", bytes_up=20, bytes_down=200)

asyncio.run(count())
"""
LOG = """\
1772366400.120 310 203.0.113.7 TCP_TUNNEL/200 1200 CONNECT shop.example:443 ann HIER_DIRECT/198.51.100.5 -
1772366401.480 120 203.0.113.7 TCP_TUNNEL/200 800 CONNECT news.example:443 bob HIER_DIRECT/198.51.100.6 -
"""
EVERY_MODULE = """
import importlib, pkgutil, flowtally
asking = ("flowtally.agents", "flowtally.cli", "flowtally.client", "flowtally.protocol")
names = [one.name for one in pkgutil.walk_packages(flowtally.__path__, "flowtally.") if one.name.startswith(asking)]
for name in names:
    importlib.import_module(name)
print(len(names))
"""
TYPED = """
from flowtally.client import Client

with Client("http://127.0.0.1:8120", "token") as client:
    reveal_type(client.balance("acme"))
    client.balance(42)
"""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    place = tmp_path_factory.mktemp("dist")
    build(ROOT, place, "sdist", "wheel")
    [wheel], [sdist] = place.glob("*.whl"), place.glob("*.tar.gz")
    return Built(wheel, sdist)


@pytest.fixture(scope="module")
def alone(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Alone:
    return make_alone(built.wheel, tmp_path_factory.mktemp("alone"))


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Any:
    with live_server(tmp_path_factory.mktemp("server") / "data") as live:
        yield live


def package() -> set[str]:
    """The files of the package as they lie in the tree."""
    files = {path.relative_to(SOURCE) for path in (SOURCE / "flowtally").rglob("*") if path.is_file()}
    return {path.as_posix() for path in files if "__pycache__" not in path.parts}


def asked_by(built: Built, extra: str) -> set[str]:
    """The names of what the wheel asks for with an extra."""
    found = [Requirement(one) for one in metadata(built.wheel).requires or []]
    return {canonicalize_name(one.name) for one in found if one.marker and one.marker.evaluate({"extra": extra})}


# -- what is built -----------------------------------------------------------------------------------------------------


def test_the_wheel_holds_the_package_and_its_metadata_alone(built: Built) -> None:
    with ZipFile(built.wheel) as wheel:
        names = set(wheel.namelist())
    about = {name for name in names if ".dist-info/" in name}
    assert names - about == package()
    assert {name.partition(".dist-info/")[2] for name in about} == {
        *("METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE")
    }
    assert {Path(name).suffix for name in names - about} == KINDS


def test_what_a_server_reads_beside_its_code_and_the_types_are_in_the_wheel(built: Built) -> None:
    with ZipFile(built.wheel) as wheel:
        names = wheel.namelist()
        [license] = [wheel.read(name) for name in names if name.endswith("/LICENSE")]
    assert license == (ROOT / "LICENSE").read_bytes()
    assert "flowtally/py.typed" in names
    for needed in ("flowtally/usage/schema/", "flowtally/vendors/thordata/samples/", "flowtally/demo/access.log.gz"):
        assert [name for name in names if name.startswith(needed)], needed


def test_the_source_distribution_builds_the_same_wheel(built: Built, tmp_path: Path) -> None:
    with tarfile.open(built.sdist) as sdist:
        sdist.extractall(tmp_path, filter="data")
    [tree] = tmp_path.iterdir()
    build(tree, tmp_path / "dist", "wheel")
    assert (tmp_path / "dist" / built.wheel.name).read_bytes() == built.wheel.read_bytes()


def test_the_source_distribution_holds_the_tree_and_no_leftovers(built: Built) -> None:
    with tarfile.open(built.sdist) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {"LICENSE", "README.md", "pyproject.toml", "constraints.txt", "tests/test_wheel.py"} <= names
    assert not [
        name for name in names if re.search(r"__pycache__|\.pyc$|(^|/)\.(venv|git|hypothesis|.*_cache)(/|$)", name)
    ]
    assert not [name for name in names - {"PKG-INFO"} if not (ROOT / name).is_file()]


def test_the_metadata_say_what_it_is(built: Built) -> None:
    about = metadata(built.wheel).metadata
    assert (about["Name"], about["License-Expression"], about["Requires-Python"]) == (
        "flowtally",
        "Apache-2.0",
        ">=3.11",
    )
    assert about["Summary"]
    assert about["Keywords"]
    assert about["Description-Content-Type"] == "text/markdown"
    told = about.get_all("Classifier") or []
    assert set(told) <= classifiers
    assert "Typing :: Typed" in told


def test_developers_get_the_server_too(built: Built) -> None:
    assert asked_by(built, "server") < asked_by(built, "dev")


# -- where only the client is installed --------------------------------------------------------------------------------


def test_nothing_of_the_server_is_there(built: Built, alone: Alone) -> None:
    there = {canonicalize_name(one.name.partition("-")[0]) for one in alone.packages.glob("*.dist-info")}
    assert "flowtally" in there
    assert not there & asked_by(built, "server")
    assert alone.run("python", "-c", "import flowtally; print(flowtally.__file__)").startswith(str(alone.place))


def test_all_that_the_wheel_asks_for_is_there(alone: Alone) -> None:
    assert run(alone.pip("check")) == "No broken requirements found.\n"


def test_every_module_of_client_agents_and_command_line_can_be_imported(alone: Alone) -> None:
    """No log format and no poller needs more than the client does."""
    assert int(alone.run("python", "-c", EVERY_MODULE)) > 150


def test_it_meters_imports_a_log_and_asks(alone: Alone, live: Live) -> None:
    told = {"FLOWTALLY_URL": live.url, "FLOWTALLY_TOKEN": live.token}
    log = alone.place / "access.log"
    log.write_text(LOG)
    alone.run("python", "-c", METERED, live.url, live.token)
    imported = json.loads(
        alone.run("flowtally", "import", str(log), "--format", "squid", "--account", "acme", "--json", **told)
    )
    assert imported["stored"] == 2
    words = ("usage", "acme", "--from", "2026-03-01", "--bucket", "total", "--by", "user", "--fill", "none", "--json")
    rows = json.loads(alone.run("flowtally", *words, **told))["rows"]
    assert {row["user"]: row["bytes"] for row in rows} == {"ann": 1_310, "bob": 1_020}


def test_a_copy_of_a_backup_is_checked_where_no_server_is_installed(alone: Alone, live: Live) -> None:
    made = alone.run("flowtally", "backup", "--json", FLOWTALLY_URL=live.url, FLOWTALLY_TOKEN=live.token)
    assert "Every file is as it was written." in alone.run("flowtally", "backup", "--check", json.loads(made)["path"])


@pytest.fixture(scope="module")
def told(alone: Alone) -> list[dict[str, Any]]:
    """Every command of the tree with what it takes, and what came of it where no server is installed or answers."""
    folder = alone.place / "folder"
    folder.mkdir()
    script = ROOT / "tests/wheel_commands.py"
    asked = {"FLOWTALLY_URL": "http://127.0.0.1:9", "FLOWTALLY_TOKEN": "nobody", "SSL_CERT_DIR": str(folder)}
    found: list[dict[str, Any]] = json.loads(alone.run("python", str(script), str(folder), **asked))
    return found


def test_a_command_that_works_on_a_data_directory_says_what_to_install(
    told: list[dict[str, Any]], alone: Alone
) -> None:
    """These are the commands with `--data`: all others ask a server, or nobody."""
    for one in told:
        if "--data" in one["options"]:
            assert one["code"] == 1, one
            assert re.fullmatch(
                r"error: this command needs the server, which is not installed here \(server_not_installed\)\. "
                r"To install: \S+ -m pip install 'flowtally\[server\]'\n",
                one["err"],
            ), one
    assert not list((alone.place / "folder").iterdir())


def test_every_other_command_needs_no_library_of_the_server(told: list[dict[str, Any]]) -> None:
    asking = [one for one in told if "--data" not in one["options"]]
    assert not [one for one in asking if "server_not_installed" in one["err"]]
    assert len([one for one in asking if one["code"] == 4]) > 60  # it came as far as asking


def test_help_lists_every_command_and_names_those_that_need_the_server(
    told: list[dict[str, Any]], alone: Alone
) -> None:
    shown = " ".join(alone.run("flowtally", "--help").split())
    [sentence] = re.findall(r"FLOWTALLY_TOKEN the token of a key (.*?) ask no server", shown)
    named = {name.removesuffix(" --data") for name in re.split(", | and ", sentence)}
    assert named == {one["words"] for one in told if "--data" in one["options"]}
    for one in told:
        assert f" {one['words'].partition(' ')[0]} " in shown
        assert one["help"].startswith(f"Usage: flowtally {one['words']} ")


def test_the_command_that_is_told_asks_for_the_libraries_alone(told: list[dict[str, Any]], alone: Alone) -> None:
    """flowtally is on no index: pip must be content with the one that is installed."""
    [message] = {one["err"] for one in told if one["words"] == "serve"}
    python, *words = shlex.split(message.partition("To install: ")[2])
    assert (python, words[:2]) == (str(alone.python), ["-m", "pip"])
    done = subprocess.run(
        [*alone.pip(*words[2:]), "--no-index", "--dry-run"], capture_output=True, text=True, check=False
    )
    assert "Requirement already satisfied: flowtally[server]" in done.stdout
    assert re.search(r"No matching distribution found for (?!flowtally)", done.stderr)


def test_a_checker_sees_the_types_of_the_installed_client(alone: Alone, tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(TYPED)
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--python-executable", str(alone.python)]
    done = subprocess.run(
        [*command, "program.py"], cwd=tmp_path, env=alone.environment(), capture_output=True, text=True, check=False
    )
    assert 'Revealed type is "flowtally.protocol.balance.BalanceAnswer"' in done.stdout
    assert "Found 1 error in 1 file" in done.stdout
