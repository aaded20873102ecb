"""`flowtally agent`: recipes are printed, and a configuration is meant where no command is."""

from __future__ import annotations

from pathlib import Path

from tests.cli.fake import Program

from flowtally.agents.recipes import RECIPES, shown
from flowtally.agents.recipes.systemd import UNIT


def test_the_command_prints_them(flowtally: Program) -> None:
    listed = flowtally("agent", "recipe", "--list")
    assert all(name in listed.out for name in (*RECIPES, "systemd"))
    assert flowtally("agent", "recipe", "squid").out == shown(RECIPES["squid"])
    assert flowtally("agent", "recipe", "systemd").out == UNIT
    unknown = flowtally("agent", "recipe", "isa")
    assert unknown.code == 2
    assert "no recipe for 'isa'" in unknown.err


def test_a_configuration_is_meant_where_no_command_is(flowtally: Program, tmp_path: Path) -> None:
    missing = flowtally("agent", str(tmp_path / "none.toml"), "--once")
    assert missing.code == 2
    assert "none.toml" in missing.err
