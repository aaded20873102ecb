"""A real FreeRADIUS with a configuration of ours, on free ports, with its files in a temporary directory."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import msgspec
from tests.nginx import free_port

FREERADIUS = shutil.which("freeradius") or shutil.which("freeradius", path="/usr/sbin")
RADCLIENT = shutil.which("radclient")
SECRET = "testing123"
MINIMAL = """
prefix = /usr
libdir = /usr/lib/freeradius
name = radiusd
logdir = {folder}
run_dir = {folder}
radacctdir = {folder}
pidfile = {folder}/radiusd.pid
max_request_time = 30
cleanup_delay = 1
max_requests = 16384
proxy_requests = no
log {{
  destination = files
  file = {folder}/radius.log
}}
security {{
  max_attributes = 200
  status_server = no
}}
client nas {{
  ipaddr = 127.0.0.1
  secret = {secret}
}}
thread pool {{
  start_servers = 3
  max_servers = 8
  min_spare_servers = 1
  max_spare_servers = 4
}}
modules {{
  always ok {{
    rcode = ok
  }}
{modules}
}}
{sites}
"""


class FreeRadius(msgspec.Struct, frozen=True):
    port: int
    folder: Path

    def send(self, **attributes: object) -> bool:
        """One Accounting-Request; whether it was answered."""
        assert RADCLIENT is not None
        text = ", ".join(f"{name.replace('_', '-')} = {_written(value)}" for name, value in attributes.items())
        command = [RADCLIENT, "-x", "-r", "1", "-t", "3", f"127.0.0.1:{self.port}", "acct", SECRET]
        done = subprocess.run(command, input=text, capture_output=True, text=True, timeout=60, check=False)
        return "Received Accounting-Response" in done.stdout

    @property
    def log(self) -> str:
        return "".join(file.read_text(errors="replace") for file in self.folder.glob("*.log"))


def _written(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) and not re.fullmatch(r"[A-Za-z][A-Za-z-]*", value) else str(value)


@contextmanager
def freeradius(folder: Path, files: Mapping[str, str], zone: str = "UTC") -> Iterator[FreeRadius]:
    """Serving accounting. `files` are what an operator puts into `mods-enabled` and `sites-enabled`."""
    assert FREERADIUS is not None
    made = FreeRadius(free_port(), folder)
    modules = "\n".join(text for name, text in files.items() if name.startswith("mods-enabled"))
    sites = "\n".join(text for name, text in files.items() if name.startswith("sites-enabled"))
    sites, ports = re.subn(r"port = 1813", f"port = {made.port}", sites)
    assert ports == 1
    (folder / "radiusd.conf").write_text(MINIMAL.format(folder=folder, secret=SECRET, modules=modules, sites=sites))
    command = [FREERADIUS, "-f", "-d", str(folder), "-n", "radiusd"]
    environment = {**os.environ, "TZ": zone}
    with (folder / "out.log").open("ab") as log:
        running = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT, env=environment)
        try:
            _wait(running, made)
            yield made
        finally:
            running.terminate()
            running.wait(30)


def _wait(running: subprocess.Popen[bytes], made: FreeRadius) -> None:
    end = time.monotonic() + 30
    while time.monotonic() < end:
        if running.poll() is not None:
            raise AssertionError(f"FreeRADIUS did not start: {made.log}")
        if "Ready to process requests" in made.log or _is_bound(made.port):
            return
        time.sleep(0.05)
    raise AssertionError(f"FreeRADIUS does not serve: {made.log}")


def _is_bound(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as line:
        try:
            line.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
