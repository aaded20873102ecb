"""Recipes can be pasted: the agent takes every entry, its format reads both directions, and what is printed is whole.
That the programs take theirs, and write what is read, is proved with them in `programs`."""

from __future__ import annotations

import subprocess
import tomllib
from pathlib import Path
from shutil import which

import msgspec
import pytest

from flowtally.agents.follow.agent import KINDS
from flowtally.agents.follow.config import parsed
from flowtally.agents.formats import format_of
from flowtally.agents.recipes import RECIPES, Recipe, entry_text, shown
from flowtally.agents.recipes.systemd import UNIT

ROOT = Path(__file__).parents[3]
ALL = pytest.mark.parametrize("recipe", RECIPES.values(), ids=lambda one: one.name)
NAMELESS = {"nginx-stream"}


def configured(recipe: Recipe) -> object:
    variables = {"STATE_DIRECTORY": "/var/lib/flowtally-agent", "FLOWTALLY_TOKEN": "t"}
    text = shown(recipe)
    begins = text.index(f"[[{recipe.table}]]")
    pasted = text[begins:].partition("\n\n")[0]
    return parsed(pasted.encode(), "agent.toml", KINDS, variables).entries[recipe.table][0]


@ALL
def test_the_agent_takes_what_is_printed(recipe: Recipe) -> None:
    entry = configured(recipe)
    assert msgspec.to_builtins(entry)["account"] == "ACCOUNT"


@ALL
def test_its_format_reads_both_directions_a_time_and_a_user(recipe: Recipe) -> None:
    means = format_of(configured(recipe).declared).means  # type: ignore[attr-defined]
    assert {"time", "bytes_up", "bytes_down", "client"} <= set(means)
    assert ("user" in means) == (recipe.name not in NAMELESS)


@ALL
def test_no_format_of_a_recipe_can_be_read_in_two_ways(recipe: Recipe) -> None:
    assert format_of(configured(recipe).declared).doubts == ()  # type: ignore[attr-defined]


@ALL
def test_the_format_is_in_both_parts_as_one_string(recipe: Recipe) -> None:
    formats = [value for name, value in recipe.entry.items() if name.endswith(("logformat", "log-format"))]
    for one in formats:
        assert one in recipe.lines.replace(r"\"", '"')
    assert (
        tomllib.loads(entry_text(recipe))[recipe.table][0].items()
        >= {name: list(value) if isinstance(value, tuple) else value for name, value in recipe.entry.items()}.items()
    )


@ALL
def test_it_says_what_is_counted_and_what_cannot_be(recipe: Recipe) -> None:
    text = shown(recipe)
    assert recipe.counts.endswith(".")
    assert recipe.cannot
    assert text.isascii()
    assert all(len(line) <= 160 for line in text.splitlines())
    assert "copytruncate" not in text


@ALL
@pytest.mark.system
def test_logrotate_takes_its_file(recipe: Recipe, tmp_path: Path) -> None:
    program = which("logrotate", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("logrotate is not installed")
    if not recipe.rotate:
        return
    create = next(line for line in recipe.rotate.splitlines() if line.startswith("    create "))
    file = tmp_path / "logrotate.conf"
    file.write_text(recipe.rotate.replace(create, "    create"))  # its user may not be on this machine
    file.chmod(0o644)
    command = [program, "--debug", "--state", str(tmp_path / "state"), str(file)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "error:" in done.stderr) == (0, False), done.stderr


@pytest.mark.system
def test_systemd_takes_the_unit(tmp_path: Path) -> None:
    program = which("systemd-analyze")
    if program is None:
        pytest.skip("systemd-analyze is not installed")
    unit = tmp_path / "flowtally-agent.service"
    unit.write_text(UNIT.replace("/usr/bin/flowtally", "/bin/true"))
    done = subprocess.run([program, "verify", str(unit)], capture_output=True, text=True, check=False)
    said = [line for line in done.stderr.splitlines() if "flowtally-agent" in line or "Failed" in line]
    assert said == []


def test_the_page_has_the_unit_as_it_is_printed() -> None:
    assert f"```ini\n{UNIT}```\n" in (ROOT / "docs/agent.md").read_text()
