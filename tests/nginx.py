"""A real nginx with a configuration of ours, on free ports, with its files in a temporary directory."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
KEPT = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")  # what nginx keeps temporary files of


class Nginx(msgspec.Struct, frozen=True):
    tls: int
    clear: int
    certificate: Path
    folder: Path

    @property
    def logged(self) -> str:
        return "".join(log.read_text() for log in self.folder.glob("*.log"))


@contextmanager
def nginx(configuration: str, folder: Path, upstream: str) -> Iterator[Nginx]:
    """Serving; only places are others than the configuration says: ports, files, its user, and who stands behind it."""
    assert NGINX is not None
    made = Nginx(free_port(), free_port(), folder / "certificate.pem", folder)
    make_certificate(made.certificate, folder / "certificate.key")
    with _running(_moved(configuration, made, upstream), folder, made.tls):
        yield made


@contextmanager
def plain_nginx(folder: Path, upstream: str) -> Iterator[str]:
    """What somebody writes first: `proxy_pass` and nothing else. Its address."""
    port = free_port()
    temporary = "".join(f"{kind}_temp_path {folder}/{kind};\n" for kind in KEPT)
    serves = f"server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://{upstream}; }} }}"
    whose = f"user {'root' if os.geteuid() == 0 else 'nobody'};\npid {folder}/nginx.pid;\n"
    with _running(f"{whose}events {{}}\nhttp {{\n{temporary}access_log off;\n{serves}\n}}\n", folder, port):
        yield f"http://127.0.0.1:{port}"


@contextmanager
def _running(configuration: str, folder: Path, port: int) -> Iterator[None]:
    assert NGINX is not None
    file = folder / "nginx.conf"
    file.write_text(configuration)
    command = [NGINX, "-p", str(folder), "-c", str(file), "-e", str(folder / "error.log"), "-g", "daemon off;"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        wait_for_port(running, port)
        yield
    finally:
        running.terminate()
        running.communicate(timeout=30)


def _moved(configuration: str, to: Nginx, upstream: str) -> str:
    temporary = "".join(f"{kind}_temp_path {to.folder}/{kind};\n" for kind in KEPT)
    moves = [
        (r"^user .*;$", f"user {'root' if os.geteuid() == 0 else 'nobody'};"),
        (r"^pid .*;$", f"pid {to.folder}/nginx.pid;"),
        (r"^http {$", f"http {{\n{temporary}"),
        (r"/var/log/nginx/", f"{to.folder}/"),
        (r"listen 80;", f"listen 127.0.0.1:{to.clear};"),
        (r"listen 443 ", f"listen 127.0.0.1:{to.tls} "),
        (r"ssl_certificate /.*;", f"ssl_certificate {to.certificate};"),
        (r"ssl_certificate_key /.*;", f"ssl_certificate_key {to.folder}/certificate.key;"),
        (r"127\.0\.0\.1:8120", upstream),
    ]
    for old, new in moves:
        configuration, count = re.subn(old, new, configuration, flags=re.MULTILINE)
        assert count, f"the configuration has no {old}"
    return configuration


def make_certificate(certificate: Path, key: Path) -> None:
    """Of the name the page uses, signed by itself."""
    name = "usage.example.com"
    kind = ("-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2")
    whose = ("-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}")
    files = ("-keyout", str(key), "-out", str(certificate))
    subprocess.run(["openssl", "req", *kind, *whose, *files], check=True, capture_output=True)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as one:
        return int(one.getsockname()[1])


def wait_for_port(running: subprocess.Popen[str], port: int) -> None:
    """Until somebody listens there. AssertionError where the program ended instead."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if running.poll() is not None:
            raise AssertionError(f"it did not start: {running.communicate()[1]}")
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.05)
    raise AssertionError("nobody listens")
