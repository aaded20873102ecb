"""The `flowtally` of `on_path` is, for a shell, the program as it is installed."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from tests.live import Live
from tests.on_path import on_path

NOBODY = Live("http://127.0.0.1:1", "none", "").environment

SCRIPTS = (
    "flowtally --version",
    "flowtally no-such-command; echo $?",
    "umask 027; flowtally account list --json 2>&1 | cat; echo ${PIPESTATUS[0]}",
    "mkdir a; cd a; printf 'x\\n' | flowtally import - --format 'a b' --account x --source s; echo $?",
    "flowtally --help | head -1",
    "FLOWTALLY_URL=ftp://x flowtally account list; echo $?; TZ=Asia/Kathmandu flowtally usage acme --from 1; echo $?",
    "echo '1740000001.1 42 10.0.0.1 TCP_MISS/200 9 GET http://x/ ann HIER_DIRECT/- text/html' >log; "
    "timeout --preserve-status -s INT 3 flowtally import log --format squid --account x 2>/dev/null; echo $?",
)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_shell_sees_what_the_installed_one_does(tmp_path: Path, script: str) -> None:
    def run(environment: dict[str, str], folder: Path) -> tuple[int, str, str]:
        folder.mkdir()
        done = subprocess.run(["bash", "-mc", script], env=environment, cwd=folder, capture_output=True, text=True,
                              check=False, timeout=60)  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    with on_path(NOBODY) as environment:
        assert run(environment, tmp_path / "own") == run(NOBODY, tmp_path / "installed")


def test_it_is_before_the_installed_one_and_gone_with_its_context() -> None:
    def where(environment: dict[str, str]) -> str:
        return subprocess.run(["bash", "-c", "command -v flowtally"], env=environment, capture_output=True, text=True,
                              check=True).stdout.strip()  # fmt: skip

    with on_path(NOBODY) as environment:
        own = where(environment)
        assert own != where(NOBODY)
    assert not Path(own).exists()
    assert where(environment) == where(NOBODY)
