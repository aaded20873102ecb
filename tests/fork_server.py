"""`python -m flowtally ...` as a process of its own that need not load its modules first.

A server's start takes two seconds of CPU, a command's half of one, and most of that is loading modules. The fork server
has loaded them (all but the engine, after whose import no process may be forked), and each program is a fork of it with
a pid, memory, files, signals, an environment and an exit of its own. What only a process from nothing shows is left to
`python -m flowtally`, which test_server, test_services, test_two_servers and tests of the command line start;
test_fork_server holds that both do the same.

`Program` is like subprocess.Popen, `run` like subprocess.run. One fork server begins with the first of them in each
process of tests; it ends with it, and so does all that it forked.
"""

from __future__ import annotations

import atexit
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import ExitStack, suppress
from functools import cache
from pathlib import Path
from typing import IO, Any, Final, NoReturn

import msgspec
from tests.hand_over import SIZE, received

STREAMS: Final = ("stdin", "stdout", "stderr")
# pandas: Arrow loads it with the first list that is to become a column, which every start has.
MODULES: Final = (
    "flowtally.cli.app", "flowtally.server", "flowtally.usage.clickhouse", "litestar.plugins.pydantic", "pandas",
)  # fmt: skip
ENGINE: Final = "chdb"
Stream = int | IO[Any] | None


class Wanted(msgspec.Struct, frozen=True):
    """What a fork becomes."""

    module: str
    arguments: tuple[str, ...]
    environment: dict[str, str]
    directory: str
    umask: int


class Program:
    """A running `flowtally`, or another module."""

    def __init__(
        self,
        *arguments: str,
        env: Mapping[str, str] = os.environ,
        module: str = "flowtally",
        stdin: Stream = None,
        stdout: Stream = None,
        stderr: Stream = None,
        cwd: Path | None = None,
        umask: int | None = None,
    ) -> None:
        self.args = arguments
        self.returncode: int | None = None
        self.stdin: IO[str] | None = None
        self.stdout: IO[str] | None = None
        assert _read_at_begin(env) == _fork_server().begun, "the fork server has begun with another environment"
        wanted = Wanted(module, arguments, dict(env), str(cwd or Path.cwd()), _umask() if umask is None else umask)
        with ExitStack() as closing:
            self._told, telling = socket.socketpair()
            files = [closing.enter_context(telling).fileno()]
            for name, stream in zip(STREAMS, (stdin, stdout, stderr), strict=True):
                files.append(self._file(name, stream))
                closing.callback(os.close, files[-1])
            self.pid = _fork_server().fork(wanted, files)

    def _file(self, name: str, stream: Stream) -> int:
        if stream is None:
            return os.dup(STREAMS.index(name))
        if stream == subprocess.DEVNULL:
            return os.open(os.devnull, os.O_RDWR)
        if stream == subprocess.PIPE:
            reads, writes = os.pipe()
            if name == "stdin":
                self.stdin = os.fdopen(writes, "w")
                return reads
            assert name == "stdout", "nobody needed the other yet"
            self.stdout = os.fdopen(reads)
            return writes
        return os.dup(stream if isinstance(stream, int) else stream.fileno())

    def poll(self) -> int | None:
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            with self._told:
                ended = self._told.recv(SIZE)
            assert ended, "the fork server has ended"
            self.returncode = int.from_bytes(ended, "little", signed=True)
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def run(
    *arguments: str,
    env: Mapping[str, str] = os.environ,
    module: str = "flowtally",
    stdin: str = "",
    cwd: Path | None = None,
    umask: int | None = None,
    check: bool = False,
    timeout: float = 120,
) -> subprocess.CompletedProcess[str]:
    """`flowtally` to its end, and what it printed."""
    with ExitStack() as closing:
        given, out, err = (closing.enter_context(tempfile.TemporaryFile("w+")) for _ in STREAMS)
        given.write(stdin)
        given.seek(0)
        files = {"stdin": given, "stdout": out, "stderr": err}
        program = Program(*arguments, env=env, module=module, cwd=cwd, umask=umask, **files)
        try:
            program.wait(timeout)
        except BaseException:
            program.kill()
            program.wait()
            raise
        for file in (out, err):
            file.seek(0)
        assert program.returncode is not None
        done = subprocess.CompletedProcess(program.args, program.returncode, out.read(), err.read())
    if check:
        done.check_returncode()
    return done


def _read_at_begin(environment: Mapping[str, str]) -> dict[str, str]:
    """What an interpreter and its libraries read of it when they begin."""
    return {name: value for name, value in environment.items() if name.startswith(("PYTHON", "LC_", "LANG", "LD_"))}


def _umask() -> int:
    """Linux tells it without setting it, which another thread would notice."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("Umask:")), 8)


class _ForkServer:
    """The process that forks, as the tests see it. It ends with the socket, however this process does."""

    def __init__(self) -> None:
        self._asking, asked = socket.socketpair()
        self._lock = threading.Lock()
        self.begun = _read_at_begin(os.environ)
        with asked:
            command = [sys.executable, "-m", "tests.fork_server", str(asked.fileno())]
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                pass_fds=[asked.fileno()],
                cwd=Path(__file__).parents[1],
                start_new_session=True,  # Ctrl-C is for the tests, which end what they began
            )

        atexit.register(self.end)

    def end(self) -> None:
        self._asking.close()
        self._process.wait(60)

    def fork(self, wanted: Wanted, files: list[int]) -> int:
        from tests.kinds import GUARD, PROCESS  # not in the process that forks

        GUARD.need(PROCESS, f"a fork of {wanted.module}")
        message = msgspec.json.encode(wanted)
        with self._lock:
            socket.send_fds(self._asking, [len(message).to_bytes(SIZE, "little")], files)
            self._asking.sendall(message)
            pid = self._asking.recv(SIZE)
        assert pid, "the fork server has ended"
        return int.from_bytes(pid, "little")


@cache
def _fork_server() -> _ForkServer:
    return _ForkServer()


def serve(asked: socket.socket) -> Wanted:
    """Fork what is asked for and tell how each ended. Comes back in every fork, with what it is to become; when nobody
    asks any more all of them are killed, and nothing comes back."""
    wakes, woken = os.pipe()
    os.set_blocking(woken, False)
    signal.set_wakeup_fd(woken)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    running: dict[int, int] = {}  # of each pid, who is told of its end
    while True:
        ready, _, _ = select.select([asked.fileno(), wakes], [], [])
        if wakes in ready:
            os.read(wakes, 4096)
            _tell(running)
        if asked.fileno() not in ready:
            continue
        head, files, _, _ = socket.recv_fds(asked, SIZE, 1 + len(STREAMS))
        if not head:
            break
        wanted = msgspec.json.decode(received(asked, int.from_bytes(head, "little")), type=Wanted)
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGINT, signal.default_int_handler)
            asked.close()
            for file in (wakes, woken, files[0], *running.values()):
                os.close(file)
            _put_on(wanted, files[1:])
            return wanted
        asked.sendall(pid.to_bytes(SIZE, "little"))
        running[pid] = files[0]
        for file in files[1:]:
            os.close(file)
    for pid in running:
        os.kill(pid, signal.SIGKILL)
    sys.exit()


def _tell(running: dict[int, int]) -> None:
    with suppress(ChildProcessError):
        while (ended := os.waitpid(-1, os.WNOHANG))[0]:
            pid, status = ended
            telling = running.pop(pid)
            with suppress(OSError):
                os.write(telling, os.waitstatus_to_exitcode(status).to_bytes(SIZE, "little", signed=True))
            os.close(telling)


def _put_on(wanted: Wanted, files: list[int]) -> None:
    """What a process is given when it begins."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout = os.fdopen(0, closefd=False), os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, errors="backslashreplace", closefd=False)
    os.environ.clear()
    os.environ.update(wanted.environment)
    time.tzset()
    os.chdir(wanted.directory)
    os.umask(wanted.umask)
    tempfile.tempdir = None


def main() -> None:
    import gc
    import importlib
    import runpy

    # A process with threads is not forked safely: none of NumPy and of Arrow.
    os.environ |= {"OPENBLAS_NUM_THREADS": "1", "JE_ARROW_MALLOC_CONF": "background_thread:false"}
    for module in MODULES:
        importlib.import_module(module)
    sys.modules["flowtally.cli.app"]._command()  # all commands put together
    assert ENGINE not in sys.modules
    assert len(os.listdir("/proc/self/task")) == 1
    gc.collect()
    gc.freeze()
    os.sync = lambda: None  # of the whole machine, which others write to; a kill loses nothing that the system has
    with socket.socket(fileno=int(sys.argv[1])) as asked:
        wanted = serve(asked)
    sys.argv = [wanted.module, *wanted.arguments]
    gc.unfreeze()
    try:
        runpy.run_module(wanted.module, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        _end(ended.code)


def _end(code: object) -> NoReturn:
    """As an interpreter ends, but for taking apart each of the modules that the fork server has loaded: 0.4 s."""
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads
    atexit._run_exitfuncs()
    if code is not None and not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1
    with suppress(OSError):  # nobody reads it
        sys.stderr.flush()
    try:
        sys.stdout.flush()
    except OSError:
        code = code or 120  # what the interpreter says of it
    os._exit(code or 0)


if __name__ == "__main__":
    main()
