"""The command line in this process: what it prints and ends with, without the time that a process takes to begin.

For tests of what a command does. What only a process shows (signals, a closed pipe, a terminal) needs one.
"""

from __future__ import annotations

import io
import os
import subprocess
from collections.abc import Mapping
from contextlib import ExitStack, redirect_stderr, redirect_stdout
from unittest.mock import patch


def run_here(
    environment: Mapping[str, str], *arguments: str, stdin: str | bytes | None = None
) -> subprocess.CompletedProcess[str]:
    """`flowtally` with these arguments, with nothing in its environment but this, and no terminal."""
    from flowtally.cli.app import main  # here, so that tests of pure code do not load all commands

    assert arguments[:1] not in {("serve",), ("demo",), ("agent",)}, "it sets up the logs of its process, once for all"

    given = stdin.encode() if isinstance(stdin, str) else stdin or b""
    out, err = (io.TextIOWrapper(io.BytesIO(), "utf-8", write_through=True) for _ in range(2))
    with ExitStack() as stack:
        stack.enter_context(patch.dict(os.environ, environment, clear=True))
        stack.enter_context(patch("sys.stdin", io.TextIOWrapper(io.BytesIO(given), "utf-8")))
        stack.enter_context(redirect_stdout(out))
        stack.enter_context(redirect_stderr(err))
        umask = os.umask(0o077)
        stack.callback(os.umask, umask)
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 1
    return subprocess.CompletedProcess(["flowtally", *arguments], code, _text(out), _text(err))


def _text(stream: io.TextIOWrapper) -> str:
    buffer = stream.buffer
    assert isinstance(buffer, io.BytesIO)
    return buffer.getvalue().decode().replace("\r\n", "\n")
