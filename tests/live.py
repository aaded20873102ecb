"""A real server on a free port with a data directory of its own, as `flowtally serve` starts it: a process of its own,
from the fork server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import msgspec
from tests.fork_server import Program

STOP_S = 30


class Live(msgspec.Struct, frozen=True):
    url: str
    token: str
    data: str
    pid: int = 0

    @property
    def place(self) -> tuple[str, int]:
        """Host and port, for who speaks over a socket of its own."""
        parts = urlsplit(self.url)
        return parts.hostname or "", parts.port or 0

    def memory_mb(self) -> int:
        """What it has in memory now."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") // 2**20

    @property
    def environment(self) -> dict[str, str]:
        """What a shell needs to ask it; `flowtally` is found beside this interpreter."""
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        ours = {"FLOWTALLY_URL": self.url, "FLOWTALLY_TOKEN": self.token, "PATH": path, "COLUMNS": "80"}
        return {**clean_environment(), **ours}


def clean_environment() -> dict[str, str]:
    """This environment without any setting of flowtally."""
    return {name: value for name, value in os.environ.items() if not name.startswith("FLOWTALLY_")}


@contextmanager
def live_server(
    data: Path, extra: Mapping[str, str] | None = None, source: Path | None = None, module: str = "flowtally"
) -> Iterator[Live]:
    """Serving; ends the server as Ctrl-C would and insists that it ends well. `source`: another than the one that the
    fork server has loaded. `module`: another that does what `flowtally` does."""
    command = ("serve", "--data", str(data), "--port", "0", "--json")
    environment = {**clean_environment(), **(extra or {})}
    with (data.parent / f"{data.name}.log").open("w+") as log:
        server: Program | subprocess.Popen[str]
        if source is None:
            server = Program(*command, env=environment, module=module, stdout=subprocess.PIPE, stderr=log)
        else:
            anew, environment = (
                [sys.executable, "-m", "flowtally", *command],
                {**environment, "PYTHONPATH": str(source)},
            )
            server = subprocess.Popen(anew, env=environment, stdout=subprocess.PIPE, stderr=log, text=True)
        try:
            assert server.stdout is not None
            line = server.stdout.readline()
            log.seek(0)
            assert line, f"the server did not start: {log.read()}"
            ready = json.loads(line)
            yield Live(ready["url"], ready["admin_token"] or "", ready["data"], server.pid)
        finally:
            server.terminate()
            try:
                code = server.wait(STOP_S)
            except subprocess.TimeoutExpired:
                server.kill()
                server.wait()
                raise
        log.seek(0)
        assert code == 0, log.read()
