"""Record a real Squid access log on loopback: `python scripts/record_squid_log/record.py OUT.log.gz --seconds 1500`.

Starts the sites, a Squid of its own (Debian's, as user `proxy` when run by root) and the clients, waits, stops what it
started and writes the log Squid wrote, unchanged but for gzip. See README.md.
"""

from __future__ import annotations

import argparse
import gzip
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from pathlib import Path

from clients import HOSTS, PERSONAS, Client, World
from origins import serve_plain, serve_tls

HERE = Path(__file__).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=1500)
    parser.add_argument("--seed", type=int, default=20261120)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="record-squid-") as name:
        directory = Path(name)
        world, passwords = prepare(directory)
        # A service of its own: Squid names its shared memory by it, and one that crashed leaves it behind.
        service = f"record{secrets.token_hex(8)}"
        squid = start_squid(directory, world.proxy_port, service)
        try:
            drive(world, passwords, options.seconds, options.seed)
        finally:
            stop(squid)
            for left in Path("/dev/shm").glob(f"{service}-*"):  # noqa: S108
                left.unlink(missing_ok=True)
        save(directory / "access.log", options.out)


def prepare(directory: Path) -> tuple[World, dict[str, str]]:
    plain, tls = serve_plain(), serve_tls(directory)
    world = World(free_port(), plain.server_port, tls.server_port, free_port())
    passwords = {persona.name: secrets.token_hex(12) for persona in PERSONAS}
    lines = [f"{name}:{hashed(password)}\n" for name, password in passwords.items() if name]
    (directory / "passwd").write_text("".join(lines), "utf-8")
    (directory / "hosts").write_text("".join(f"127.0.0.1 {host}\n" for host in HOSTS))
    template = (HERE / "squid.conf.in").read_text()
    filled = template.replace("{port}", str(world.proxy_port)).replace("{tls_port}", str(world.tls_port))
    (directory / "squid.conf").write_text(filled.replace("{directory}", str(directory)))
    if os.geteuid() == 0:  # Squid drops to this user and must still write its log
        for path in (directory, *directory.iterdir()):
            shutil.chown(path, "proxy", "proxy")
    return world, passwords


def hashed(password: str) -> str:
    done = subprocess.run(["openssl", "passwd", "-apr1", password], check=True, capture_output=True, text=True)  # noqa: S603, S607
    return done.stdout.strip()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def start_squid(directory: Path, port: int, service: str) -> subprocess.Popen[bytes]:
    command = ["squid", "--foreground", "-n", service, "-f", str(directory / "squid.conf")]
    squid = subprocess.Popen(command)  # noqa: S603
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return squid
        if squid.poll() is not None:
            break
        time.sleep(0.1)
    log = directory / "cache.log"
    raise SystemExit("Squid did not start:\n" + (log.read_text() if log.exists() else "(no cache.log)"))


def drive(world: World, passwords: dict[str, str], seconds: float, seed: int) -> None:
    threads = []
    for number, persona in enumerate(PERSONAS):
        client = Client(world, persona, passwords[persona.name], random.Random(seed + number))  # noqa: S311
        threads.append(threading.Thread(target=client.run, args=(seconds,)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def stop(squid: subprocess.Popen[bytes]) -> None:
    squid.send_signal(signal.SIGTERM)
    try:
        squid.wait(30)
    except subprocess.TimeoutExpired:
        squid.kill()
        squid.wait()


def save(log: Path, out: Path) -> None:
    out.write_bytes(gzip.compress(log.read_bytes(), 9, mtime=0))
    lines = log.read_bytes().count(b"\n")
    print(f"{out}: {lines} lines")


if __name__ == "__main__":
    main()
