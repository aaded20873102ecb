"""A fork is what a process from nothing is: it prints, ends and is killed as that does, and shares nothing."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests import fork_server
from tests.fork_server import Program
from tests.live import clean_environment

ROOT = Path(__file__).parents[1]
NOBODY = {"FLOWTALLY_URL": "http://127.0.0.1:1", "FLOWTALLY_TOKEN": "none", "COLUMNS": "80"}


@pytest.mark.parametrize(
    "arguments",
    [
        ("--version",),
        ("account", "list", "--json"),
        ("no-such-command",),
        ("serve", "--data", "/proc/nowhere", "--port", "0"),
        ("import", "-", "--format", "no-such-format", "--account", "acme", "--source", "s"),
    ],
)
def test_it_prints_and_ends_as_a_process_from_nothing(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    environment = {**clean_environment(), **NOBODY}
    real = subprocess.run([sys.executable, "-m", "flowtally", *arguments], env=environment, input="x\n", check=False,
                          capture_output=True, text=True, cwd=tmp_path)  # fmt: skip
    fork = fork_server.run(*arguments, env=environment, stdin="x\n", cwd=tmp_path)
    assert (fork.returncode, fork.stdout, fork.stderr) == (real.returncode, real.stdout, real.stderr)


def test_it_is_given_all_that_a_process_is_given(tmp_path: Path) -> None:
    environment = {**clean_environment(), "TZ": "Asia/Kathmandu"}
    code = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.self_portrait import main; main()"
    command = [sys.executable, "-c", code, "one", "two"]
    real = subprocess.run(command, env=environment, input="stdin\n", check=True, capture_output=True, text=True,
                          cwd=tmp_path, umask=0o027)  # fmt: skip
    fork = fork_server.run("one", "two", module="tests.self_portrait", env=environment, stdin="stdin\n", cwd=tmp_path,
                           umask=0o027)  # fmt: skip
    expected, found = (json.loads(done.stdout.splitlines()[0]) for done in (real, fork))
    assert found.pop("random") != expected.pop("random")
    assert found == expected
    assert fork.stdout.splitlines()[1] == "stdin"
    assert fork.stderr == real.stderr == ""


def test_forks_draw_other_numbers() -> None:
    def drawn() -> Any:
        done = fork_server.run(module="tests.self_portrait", check=True)
        return json.loads(done.stdout)["random"]

    (first, one), (second, another) = drawn(), drawn()
    assert first != second
    assert one != another


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_signal_ends_it_and_nobody_else(number: signal.Signals) -> None:
    killed, other = (
        Program(module="tests.self_portrait", stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)
    )
    for one in (killed, other):
        assert one.stdout is not None
        assert one.stdout.readline()
    with pytest.raises(subprocess.TimeoutExpired):
        killed.wait(0.01)
    killed.send_signal(number)
    assert killed.wait(60) == killed.poll() == -number
    killed.kill()  # it has ended: nothing happens
    assert other.poll() is None
    assert other.stdin is not None
    other.stdin.close()
    assert other.wait(60) == 0
