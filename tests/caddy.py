"""A real Caddy with a configuration of ours, on free ports, with its files in a temporary directory."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.nginx import Nginx, free_port, make_certificate, wait_for_port

CADDY = shutil.which("caddy", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")


@contextmanager
def caddy(configuration: str, folder: Path, upstream: str) -> Iterator[Nginx]:
    """Serving; only places are others than the configuration says: ports, files, the certificate, who stands behind."""
    assert CADDY is not None
    made = Nginx(free_port(), free_port(), folder / "certificate.pem", folder)
    make_certificate(made.certificate, folder / "certificate.key")
    places = (
        f"{{\n\tadmin off\n\tpersist_config off\n\tstorage file_system {folder}\n\tdefault_bind 127.0.0.1\n"
        f"\thttp_port {made.clear}\n\thttps_port {made.tls}\n"
    )
    moves = [
        (r"\A\{\n", places),
        (r"^usage\.example\.com \{\n", rf"\g<0>\ttls {made.certificate} {folder}/certificate.key\n"),
        (r"/var/log/caddy/", f"{folder}/"),
        (r"127\.0\.0\.1:8120", upstream),
    ]
    for old, new in moves:
        configuration, count = re.subn(old, new, configuration, flags=re.MULTILINE)
        assert count, f"the configuration has no {old}"
    file = folder / "Caddyfile"
    file.write_text(configuration)
    command = [CADDY, "run", "--config", str(file), "--adapter", "caddyfile"]
    with (folder / "stderr.log").open("w") as said:
        running = subprocess.Popen(
            command, stdout=said, stderr=said, text=True, env={**os.environ, "HOME": str(folder)}
        )
        try:
            wait_for_port(running, made.tls)
            yield made
        finally:
            running.terminate()
            running.wait(timeout=30)
