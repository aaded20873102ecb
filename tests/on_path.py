"""`flowtally` for the shells of tests: a command that is a fork of the fork server.

A page of the documentation gives a shell a dozen commands or more, and half a second of CPU for each is for loading
modules. The command of `on_path` hands its arguments, environment, directory and streams over to this process (that is
`hand_over`), which has them run by the fork server, and ends as that ends; a signal to it goes on to that. The first
five minutes of the README are run with the program as it is installed; `test_on_path` holds that both do the same.
"""

from __future__ import annotations

import json
import os
import shlex
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests import hand_over
from tests.fork_server import STREAMS, Program
from tests.hand_over import SIZE, received


@contextmanager
def on_path(environment: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """The environment with such a `flowtally` before all others in its PATH."""
    with ExitStack() as closing:
        folder = Path(closing.enter_context(TemporaryDirectory()))
        listener = closing.enter_context(socket.socket(socket.AF_UNIX))
        listener.bind(str(folder / "asked"))
        listener.listen(64)
        closing.callback(listener.shutdown, socket.SHUT_RDWR)
        threading.Thread(target=_serve, args=(listener,), daemon=True).start()
        command = shlex.join([sys.executable, "-IS", hand_over.__file__, str(folder / "asked")])
        (folder / "flowtally").write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (folder / "flowtally").chmod(0o700)
        yield {**environment, "PATH": f"{folder}{os.pathsep}{environment['PATH']}"}


def _serve(listener: socket.socket) -> None:
    while True:
        try:
            asked, _ = listener.accept()
        except OSError:
            return
        threading.Thread(target=_become, args=(asked,), daemon=True).start()


def _become(asked: socket.socket) -> None:
    with asked:
        head, files, _, _ = socket.recv_fds(asked, SIZE, len(STREAMS))
        told = json.loads(received(asked, int.from_bytes(head, "little")))
        streams: dict[str, Any] = dict(zip(STREAMS, files, strict=True))
        try:
            program = Program(
                *told["arguments"],
                env=told["environment"],
                cwd=Path(told["directory"]),
                umask=told["umask"],
                **streams,
            )
        finally:
            for file in files:
                os.close(file)
        asked.sendall(program.pid.to_bytes(SIZE, "little"))
        asked.sendall(program.wait().to_bytes(SIZE, "little", signed=True))
