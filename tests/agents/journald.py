"""A real systemd-journald of its own, as an ordinary child: `/run` is another directory for it, so it touches nothing
of the machine. Needs root, or user namespaces; where neither is to be had there is only the recorded journal.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from shutil import which

import zstandard

JOURNALD = Path("/lib/systemd/systemd-journald")
_SETTINGS = """\
[Journal]
Storage=volatile
Audit=no
ReadKMsg=no
RateLimitIntervalSec=0
RuntimeMaxUse=64M
ForwardToSyslog=no
ForwardToWall=no
"""
LINE = b"1795972942.385      1 127.0.0.1 TCP_MISS/200 20243 GET http://a.test/ ann HIER_DIRECT/127.0.0.1 text/plain"
SAMPLES: dict[str, tuple[bytes, ...]] = {
    "a line": (LINE,),
    "bytes": (b"bytes \xff\x00 and\nlines",),
    "control characters": (b"tab\tand \x1b[0m",),
    "longer than a line may be": (b"L" * 70_000,),
    "longer than journalctl shows unasked": (b"l" * 5_000,),
    "several": (b"one", b"two"),
    "none": (),
    "text": ('ünïcode "quoted" \\ '.encode(),),
}
RECORDED = Path(__file__).parents[1] / "fixtures/squid.journal.zst"  # `write_samples`, as journald 252 kept them
_ENTER = 'mount --bind "$1/journald.conf" /etc/systemd/journald.conf && mount --bind "$1" /run && exec "$2"'


def why_not() -> str:
    """Why no journald can be started here; empty where it can."""
    if not (JOURNALD.exists() and which("journalctl") and which("unshare")):
        return "systemd-journald, journalctl or unshare is not installed"
    if not Path("/etc/systemd/journald.conf").exists() or not Path("/etc/machine-id").read_text().strip():
        return "journald has no configuration here, or the machine no id"
    done = subprocess.run([*_unshare(), "true"], capture_output=True, text=True, check=False)
    return done.stderr.strip()


def _unshare() -> list[str]:
    return ["unshare", *([] if os.geteuid() == 0 else ["--map-root-user"]), "--mount", "--propagation", "private"]


class Journald:
    def __init__(self, run: Path, process: subprocess.Popen[bytes]) -> None:
        self._run = run
        self._process = process
        self.directory = run / "log/journal"
        self.devlog = run / "systemd/journal/dev-log"  # where programs send syslog, as to /dev/log
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.connect(str(run / "systemd/journal/socket"))

    def write(self, identifier: str, *messages: bytes, **fields: str) -> None:
        """One entry of the native protocol; several messages are several fields of that name."""
        data = f"SYSLOG_IDENTIFIER={identifier}\n".encode()
        for message in messages:
            data += b"MESSAGE\n" + struct.pack("<Q", len(message)) + message + b"\n"
        self._socket.send(data + "".join(f"{name}={value}\n" for name, value in fields.items()).encode())

    def rotate(self) -> None:
        """What is written from now on goes to another file; `journalctl --rotate` asks for the same."""
        self._taken()
        files = len(list(self.directory.rglob("*.journal")))
        self._process.send_signal(signal.SIGUSR2)
        end = time.monotonic() + 30
        while len(list(self.directory.rglob("*.journal"))) == files and time.monotonic() < end:
            time.sleep(0.02)

    def _taken(self) -> None:
        """Returns when journald has taken what was written so far: it reads its signals first."""
        mark = f"taken {time.monotonic_ns()}"
        self.write("taken", mark.encode())
        command = ["journalctl", "--directory", str(self.directory), "--output=cat", f"MESSAGE={mark}"]
        end = time.monotonic() + 30
        while mark.encode() not in subprocess.run(command, capture_output=True, check=False).stdout:
            assert time.monotonic() < end, "journald takes nothing"

    def vacuum(self) -> None:
        """Archived files are removed, as at a bound on space or age."""
        command = ["journalctl", "--directory", str(self.directory), "--vacuum-files=1"]
        subprocess.run(command, check=True, capture_output=True)

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)


def write_samples(one: Journald) -> None:
    for messages in SAMPLES.values():
        one.write("squid", *messages, PRIORITY="6")
        one.write("other", b"not ours")


def recorded(folder: Path) -> Path:
    """A directory of journal files with `SAMPLES`, for machines where no journald can be started."""
    file = folder / "recorded/system.journal"
    file.parent.mkdir()
    file.write_bytes(zstandard.ZstdDecompressor().decompress(RECORDED.read_bytes()))
    return file.parent


@contextmanager
def journald(directory: Path) -> Iterator[Journald]:
    """`directory` must have a short path: sockets are made in it."""
    for below in ("systemd/journal", "log/journal", "lock"):
        (directory / below).mkdir(parents=True)
    (directory / "journald.conf").write_text(_SETTINGS)
    command = [*_unshare(), "sh", "-c", _ENTER, "sh", str(directory), str(JOURNALD)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    one: Journald | None = None
    try:
        end = time.monotonic() + 30
        while not (directory / "systemd/journal/stdout").exists():
            assert process.poll() is None, process.stderr and process.stderr.read()
            assert time.monotonic() < end, "journald does not start"
            time.sleep(0.02)
        one = Journald(directory, process)
        yield one
    finally:
        if one is not None:
            one.close()
        else:
            process.kill()
            process.wait()
        assert process.stderr is not None
        process.stderr.close()
