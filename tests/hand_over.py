"""The program behind the `flowtally` of `on_path`: hands itself over to the process of the tests and ends as that says.

It runs without `site` and imports little, for it is there to begin quickly.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys

SIZE = 4  # bytes of a number
FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def received(asked: socket.socket, size: int) -> bytes:
    """So many bytes, fewer where the other side has ended."""
    found = b""
    while len(found) < size and (piece := asked.recv(size - len(found))):
        found += piece
    return found


def main(place: str, arguments: list[str]) -> None:
    umask = os.umask(0)
    os.umask(umask)
    told = {"arguments": arguments, "environment": dict(os.environ), "directory": os.getcwd(), "umask": umask}
    message = json.dumps(told).encode()
    with socket.socket(socket.AF_UNIX) as asking:
        asking.connect(place)
        socket.send_fds(asking, [len(message).to_bytes(SIZE, "little")], [0, 1, 2])
        asking.sendall(message)
        pid = int.from_bytes(received(asking, SIZE), "little")
        if not pid:
            sys.exit("the process of the tests could not begin it")
        for number in FORWARDED:
            signal.signal(number, lambda number, _: os.kill(pid, number))
        ended = received(asking, SIZE)
    code = int.from_bytes(ended, "little", signed=True)
    if code < 0:
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    sys.exit(code if ended else "the process of the tests has ended")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
