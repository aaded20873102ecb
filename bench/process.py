"""Processes of a run: started in sessions of their own, ended whatever happens, and what they cost.

A helper of the bench ("actor") reads jobs as JSON lines and answers each with a line, so that both sides of a
comparison can be alive and take turns. `setpriv --pdeathsig` ends every child even if the bench itself is killed.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO, Any, Final, Self, TypeVar

import msgspec

STOP_S: Final = 60
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_ROOT: Final = Path(__file__).resolve().parent.parent

Answer = TypeVar("Answer")
Job = TypeVar("Job")


class BenchError(Exception):
    """Something that was to be measured did not work; the message says what."""


def spawn(command: Sequence[str | Path], **options: Any) -> subprocess.Popen[bytes]:
    """A child in a session of its own: Ctrl-C reaches only the bench, which ends its children in order."""
    leash = ["setpriv", "--pdeathsig=KILL"] if shutil.which("setpriv") else []
    return subprocess.Popen([*leash, *map(str, command)], start_new_session=True, **{"cwd": _ROOT, **options})


def end(process: subprocess.Popen[bytes], how: signal.Signals = signal.SIGTERM) -> None:
    """Ask it to stop, then insist."""
    if process.poll() is None:
        process.send_signal(how)
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def read_json_line(stream: IO[bytes], log: Path) -> bytes:
    """The next line that is a JSON object; BenchError with the end of the log if there is none."""
    for line in iter(stream.readline, b""):
        if line.startswith(b"{"):
            return line
    raise BenchError(f"a process ended early; the end of its log:\n{log.read_text(errors='replace')[-2000:]}")


class Actor:
    """`python -m bench.<name>` with arguments, asked by `ask`."""

    def __init__(self, name: str, logs: Path, *arguments: str) -> None:
        self._log = logs / f"{name}-{os.urandom(3).hex()}.log"
        with self._log.open("wb") as log:
            command = [sys.executable, "-m", f"bench.{name}", *arguments]
            self._process = spawn(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()  # the end of its jobs is the end of it
        try:
            self._process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            end(self._process)

    def ask(self, job: msgspec.Struct, kind: type[Answer]) -> Answer:
        self.begin(job)
        return self.answer(kind)

    def begin(self, job: msgspec.Struct) -> None:
        """Hand it a job, and go on meanwhile; `answer` waits for the end of it."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(msgspec.json.encode(job) + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # it ended; its log says why

    def answer(self, kind: type[Answer]) -> Answer:
        assert self._process.stdout is not None
        return msgspec.json.decode(read_json_line(self._process.stdout, self._log), type=kind)


def serve_jobs(kind: type[Job], work: Callable[[Job], msgspec.Struct]) -> None:
    """An actor's side: until there are no more jobs."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever a library prints is no answer
    for line in sys.stdin.buffer:
        answers.write(msgspec.json.encode(work(msgspec.json.decode(line, type=kind))) + b"\n")
        answers.flush()


def cpu_seconds(pid: int) -> float:
    """Processor time a process has used, all threads, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def resident_bytes(pid: int, *, peak: bool = False) -> int:
    """Memory of a process now, or the most it ever had."""
    name = "VmHWM:" if peak else "VmRSS:"
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))
