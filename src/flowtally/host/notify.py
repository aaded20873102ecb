"""systemd's notify protocol: a datagram to the socket it names (sd_notify(3)). Without systemd nothing happens.

READY once it can be used, WATCHDOG at half the time systemd allows, from the loop that does the work: a server or an
agent that hangs is killed and started again, which loses nothing that was acknowledged.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping


class Notify:
    """For one thread. `variables` are those of the service."""

    def __init__(self, variables: Mapping[str, str]) -> None:
        address = variables.get("NOTIFY_SOCKET", "")
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._every_s = _watchdog_s(variables) / 2
        self._barked_at = float("-inf")

    def ready(self) -> None:
        self._tell("READY=1")

    def alive(self, now: float) -> None:
        """Called often; tells when it is time. `now` in seconds of any steady clock."""
        if self._every_s and now - self._barked_at >= self._every_s:
            self._barked_at = now
            self._tell("WATCHDOG=1")

    def status(self, text: str) -> None:
        """One line for `systemctl status`."""
        self._tell(f"STATUS={text}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def _tell(self, message: str) -> None:
        if not self._address:
            return
        with (
            contextlib.suppress(OSError),
            socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as one,
        ):
            one.settimeout(1)
            one.sendto(message.encode(), self._address)


def _watchdog_s(variables: Mapping[str, str]) -> float:
    """0: nobody watches, or somebody else is watched."""
    said, who = variables.get("WATCHDOG_USEC", ""), variables.get("WATCHDOG_PID", "")
    if not (said.isascii() and said.isdigit()) or who not in ("", str(os.getpid())):
        return 0.0
    return int(said) / 1e6
