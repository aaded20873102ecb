"""What another Squid left when it crashed, or holds while it runs, keeps no Squid of ours from its work."""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.agents.formats.servers import serving
from tests.agents.programs.running import process, program, squid
from tests.agents.programs.traffic import origin
from tests.nginx import free_port
from tests.squid import MEMORY, crashed, service

__all__ = ["crashed"]  # a fixture

pytestmark = [pytest.mark.system, pytest.mark.skipif(program("squid") is None, reason="Squid is not installed")]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Not below pytest's directory, which is root's alone: Squid drops its rights."""
    made = Path(tempfile.mkdtemp(prefix="flowtally-crashed-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.usefixtures("crashed")
def test_the_memory_of_a_squid_that_crashed_is_not_in_the_way(folder: Path) -> None:
    with origin() as site, squid(folder, site) as one:
        assert one.port
    with serving("squid") as other:
        assert other.port


def test_a_squid_of_ours_that_is_killed_leaves_nothing(folder: Path) -> None:
    port, config = free_port(), folder / "squid.conf"
    config.write_text(
        f"http_port 127.0.0.1:{port}\naccess_log none\ncache_log {folder}/cache.log\npid_filename {folder}/squid.pid\n"
        f"coredump_dir {folder}\npinger_enable off\nnetdb_filename none\nvisible_hostname gateway.test\n"
    )
    if os.geteuid() == 0:
        shutil.chown(folder, "proxy", "proxy")
    with service(config) as arguments:
        with process([program("squid") or "", "--foreground", *arguments], port, folder) as one:
            mine = f"{arguments[1]}-*"
            assert list(MEMORY.glob(mine))
            workers = Path(f"/proc/{one.pid}/task/{one.pid}/children").read_text().split()
            assert workers  # they outlive who started them
            for pid in (one.pid, *map(int, workers)):
                os.kill(pid, signal.SIGKILL)
        assert list(MEMORY.glob(mine))  # as it is with one that crashed
    assert not list(MEMORY.glob(mine))
