"""Where libraries of the server are missing: a command that needs them says so, and has touched nothing."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.cli.fake import Program

from flowtally.cli import installed
from flowtally.cli.installed import SERVER, ServerNotInstalled, need_server


def test_nothing_is_missing_where_the_tests_run() -> None:
    need_server()


@pytest.mark.parametrize("library", SERVER)
def test_one_library_that_is_missing_is_enough(monkeypatch: pytest.MonkeyPatch, library: str) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name == library else name)
    with pytest.raises(ServerNotInstalled, match=f"libraries here: {library}$"):
        need_server()


def test_half_a_server_does_not_begin_its_work(
    flowtally: Program, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(installed, "find_spec", lambda name: None if name in {"chdb", "xxhash"} else name)
    ran = flowtally("serve", "--data", str(tmp_path / "data"), "--port", "0")
    assert ran.code == 1
    assert ran.err.startswith(
        "error: this command needs the server, which lacks some of its libraries here: chdb, xxhash "
        "(server_not_installed). To install: "
    )
    assert not (tmp_path / "data").exists()
